"""One ``Schema`` for every type an actor declares: storage, wire values, JSON Schema.

Knows pydantic and nothing of actors. May import ``errors`` only.
"""

from __future__ import annotations

from rivetless.serde.fidelity import difference
from rivetless.serde.schema import (
    ForwardReferenceError,
    Schema,
    UnreadableError,
    UnstorableError,
    issues,
    json_schemas,
    schema_of,
    type_name,
)

__all__ = [
    "ForwardReferenceError",
    "Schema",
    "UnreadableError",
    "UnstorableError",
    "difference",
    "issues",
    "json_schemas",
    "schema_of",
    "type_name",
]
