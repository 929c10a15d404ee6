"""Which types come back from JSON exactly as they were written, and help for those that do not.

pydantic is made for APIs: with its defaults NaN is written as ``null``, bytes as text, and a value
that breaks a constraint is written but refused when it is read. For an actor's state that would be
lost data, or an actor that can never be loaded again. So each type is looked at once, when its
schema is built:

* bytes and floats are *recoded*: storage uses base64 and ``NaN``, whatever the models' own
  configuration says;
* a type that is not on the list of those known to survive is *fragile*: what is written is read
  back and compared before it is handed out. Unknown kinds are fragile, so that a mistake here costs
  time, not data.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

STORAGE_CONFIG: Final = {
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_inf_nan": "constants",
}
"""How storage writes what JSON has no form for."""

_CONFIGURED: Final = frozenset({"model", "dataclass", "typed-dict"})
"""Kinds of core schema that carry a configuration of their own."""

_OPAQUE: Final = frozenset(
    {
        "cls",
        "default",
        "default_factory",
        "expected",
        "function",
        "members",
        "metadata",
        "serialization",
    }
)
"""Keys of a core schema under which there are no schemas to rewrite."""

# What may stand in a node of a kind that survives. Any other key (a constraint, a custom
# serialiser, strictness) makes the node fragile.
_PRECISION: Final = frozenset({"microseconds_precision"})
_SAFE: Final[Mapping[str, frozenset[str]]] = {
    "none": frozenset(),
    "bool": frozenset(),
    "int": frozenset(),
    "float": frozenset(),
    "str": frozenset(),
    "bytes": frozenset(),
    "date": frozenset(),
    "uuid": frozenset(),
    "time": _PRECISION,
    "datetime": _PRECISION,
    "timedelta": _PRECISION,
    "enum": frozenset({"cls", "members", "sub_type", "missing"}),
    "literal": frozenset({"expected"}),
    "list": frozenset({"items_schema"}),
    "set": frozenset({"items_schema"}),
    "frozenset": frozenset({"items_schema"}),
    "tuple": frozenset({"items_schema", "variadic_item_index"}),
    "dict": frozenset({"keys_schema", "values_schema"}),
    "nullable": frozenset({"schema"}),
    "default": frozenset(
        {"schema", "default", "default_factory", "default_factory_takes_data", "copy_default"}
    ),
    "model": frozenset(
        {"cls", "schema", "config", "custom_init", "root_model", "frozen", "generic_origin"}
    ),
    "model-fields": frozenset({"fields", "model_name", "computed_fields"}),
    "model-field": frozenset(
        {
            "schema",
            "frozen",
            "serialization_alias",
            "serialization_exclude",
            "validation_alias",
        }
    ),
    "dataclass": frozenset(
        {"cls", "schema", "config", "fields", "frozen", "slots", "post_init", "generic_origin"}
    ),
    "dataclass-args": frozenset(
        {"fields", "dataclass_name", "computed_fields", "collect_init_only"}
    ),
    "dataclass-field": frozenset(
        {
            "name",
            "schema",
            "init",
            "init_only",
            "kw_only",
            "frozen",
            "serialization_alias",
            "serialization_exclude",
            "validation_alias",
        }
    ),
    "typed-dict": frozenset(
        {"cls", "cls_name", "config", "fields", "total", "computed_fields", "extra_behavior"}
    ),
    "typed-dict-field": frozenset({"schema", "required"}),
    "tagged-union": frozenset({"choices", "discriminator"}),
    "definitions": frozenset({"definitions", "schema"}),
    "definition-ref": frozenset({"schema_ref"}),
}
_ALWAYS: Final = frozenset({"type", "ref", "metadata"})
_SAFE_CONFIG: Final = frozenset(
    {
        "title",
        "extra_fields_behavior",
        "from_attributes",
        "serialize_by_alias",
        "validate_by_alias",
        "validate_by_name",
        *STORAGE_CONFIG,
    }
)
_SAFE_KEYS: Final = frozenset({"str", "int", "uuid", "date", "enum", "literal"})
"""Kinds of dictionary keys that are text in JSON and are read back from it."""

_RECODED: Final = frozenset({"any", "bytes", "float"})


@dataclass(slots=True)
class Fidelity:
    """What was found out about a type.

    Attributes:
        recoded: it may hold bytes or floats.
        fragile: what is written may not be read back as it was.
        unordered: it holds sets, so one value has several written forms.
        open: it holds dictionaries whose undeclared keys would not be written.
        models: the model classes in it; where one is declared, the fields of its subclasses would
            not be written.
    """

    recoded: bool = False
    fragile: bool = False
    unordered: bool = False
    open: bool = False
    models: list[type] = field(default_factory=list[type])

    def may_hold_more(self) -> bool:
        """Whether a value may hold more than its declared classes say."""
        return self.open or any(map(type.__subclasses__, self.models))


def examine(schema: object) -> Fidelity:
    """Look at a core schema."""
    found = Fidelity()
    _examine(schema, found)
    return found


def _examine(node: object, found: Fidelity) -> None:
    if isinstance(node, list | tuple):
        for item in cast("list[object]", node):
            _examine(item, found)
        return
    if not isinstance(node, dict):
        return
    node = cast("dict[str, Any]", node)
    kind = node.get("type")
    if isinstance(kind, str):
        _examine_kind(kind, node, found)
    for key, value in node.items():
        if key not in _OPAQUE and key != "config":
            _examine(value, found)


def _examine_kind(kind: str, node: dict[str, Any], found: Fidelity) -> None:
    if kind in _RECODED:
        found.recoded = True
    elif kind in ("set", "frozenset"):
        found.unordered = True
    elif kind == "typed-dict":
        # Nothing stops a dictionary from lacking a key or having one too many.
        found.open = found.fragile = True
    elif kind == "model":
        found.models.append(node["cls"])
    safe = _SAFE.get(kind)
    if safe is None or not node.keys() <= safe | _ALWAYS or not _is_safe(kind, node):
        found.fragile = True


def _is_safe(kind: str, node: dict[str, Any]) -> bool:
    """Judge what depends on the values in a node of a safe kind."""
    if kind in _CONFIGURED:
        config: dict[str, Any] = node.get("config") or {}
        return (
            config.keys() <= _SAFE_CONFIG
            and config.get("extra_fields_behavior") != "allow"
            and node.get("extra_behavior") != "allow"
            and not node.get("custom_init")
            and not node.get("post_init")
        )
    if kind == "enum":
        return all(type(member.value) in (str, int) for member in node["members"])
    if kind == "literal":
        expected: list[object] = node["expected"]
        kinds = {type(value) for value in expected}
        return len(kinds) == 1 and kinds <= {str, int, bool, type(None)}
    if kind == "dict":
        keys: dict[str, Any] = node.get("keys_schema", {})
        return keys.get("type") in _SAFE_KEYS
    if kind == "tagged-union":
        return isinstance(node["discriminator"], str)
    return True


def recode(node: Any) -> Any:
    """Copy a core schema with ``STORAGE_CONFIG`` in every configuration of it."""
    if isinstance(node, list | tuple):
        return [recode(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    node = cast("dict[str, Any]", node)
    copy = {key: value if key in _OPAQUE else recode(value) for key, value in node.items()}
    if node.get("type") in _CONFIGURED:
        copy["config"] = {**(node.get("config") or {}), **STORAGE_CONFIG}
    return copy


_LEAVES: Final = (
    bool,
    int,
    float,
    str,
    bytes,
    decimal.Decimal,
    uuid.UUID,
    enum.Enum,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    type(None),
)


def difference(written: object, read: object, path: str = "") -> str | None:
    """Say where two plain values differ (``x is float nan and would be None``), else ``None``."""
    if type(written) is not type(read):
        return f"{path or 'it'} is {_shown(written)} and would be {_shown(read)}"
    for step, first, second in _pairs(written, read):
        if first is _MISSING or second is _MISSING:
            return f"{path}{step} would be {'lost' if second is _MISSING else 'added'}"
        found = difference(first, second, f"{path}{step}".lstrip("."))
        if found is not None:
            return found
    if isinstance(written, dict | list | tuple) or written == read:
        return None
    if isinstance(written, float) and math.isnan(written) and math.isnan(cast("float", read)):
        return None
    # Objects that do not say what makes them equal are taken on trust: they have the same type.
    if not isinstance(written, _LEAVES) and type(written).__eq__ is object.__eq__:
        return None
    return f"{path or 'it'} is {_shown(written)} and would be {_shown(read)}"


_MISSING: Final = object()


def _pairs(written: object, read: object) -> Iterator[tuple[str, object, object]]:
    if isinstance(written, dict) and isinstance(read, dict):
        first, second = cast("dict[object, object]", written), cast("dict[object, object]", read)
        for key in {**first, **second}:
            step = f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
            yield step, first.get(key, _MISSING), second.get(key, _MISSING)
    elif isinstance(written, list | tuple) and isinstance(read, list | tuple):
        left, right = cast("list[object]", written), cast("list[object]", read)
        for index in range(max(len(left), len(right))):
            yield (
                f"[{index}]",
                left[index] if index < len(left) else _MISSING,
                right[index] if index < len(right) else _MISSING,
            )


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:60] + '…'}"
