"""Plain values for the protocol's tests: strategies, and the notation of ``vectors.json``."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["$", "$$", "$BigInt", "$$BigInt", "$Set", "$Undefined", "$x", "body", "args"]
)
INTEGERS = st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([2**32, 2**53, 2**64])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
# Items of one type: Python cannot hold both 1 and True in a set.
SETS = (
    st.sets(TEXTS, max_size=4)
    | st.sets(st.integers(-(2**63), 2**63), max_size=4)
    | st.sets(st.binary(max_size=4), max_size=4)
)
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.binary(max_size=12) | SETS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(TEXTS, inner).map(list)
        | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)
"""Values that every encoding carries without loss."""


def exactly(value: object) -> object:
    """Return something that is equal only for values of the same types.

    A float that is an integer is taken for one, since JavaScript knows no difference.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return ["list", *map(exactly, value)]
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, set):
        return ["set", {(type(item), item) for item in value}]
    return (type(value), repr(value))


def from_notation(notation: list[Any]) -> object:
    """Return the plain value that a notation in ``vectors.json`` stands for."""
    kind: str = notation[0]
    payload: Any = notation[-1]
    match kind:
        case "null":
            return None
        case "int":
            return int(payload)
        case "float":
            return float(payload)
        case "bytes":
            return bytes.fromhex(payload)
        case "date":
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=payload)
        case "list":
            return [from_notation(item) for item in payload]
        case "set":
            return {from_notation(item) for item in payload}
        case "dict":
            return {key: from_notation(item) for key, item in payload}
        case _:
            return payload
