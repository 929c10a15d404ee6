"""Attribute values: what is one, how large it is, and how two of them compare.

A value is ``{"N": "1"}``, with ``bytes`` for binaries. Whatever is stored here is never changed
again, so items can share their parts with each other, with answers and with past states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from rivetless.testing.simulation.dynamodb.errors import invalid, invalid_parameter

Value: TypeAlias = dict[str, Any]
Item: TypeAlias = Mapping[str, Value]

Scalar: TypeAlias = str | bytes | Decimal
"""A key's value, as it sorts."""

SETS: Final = frozenset({"SS", "NS", "BS"})
ORDERED: Final = frozenset({"S", "N", "B"})

TOO_DEEP: Final = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)

_DEEPEST: Final = 32
_DIGITS: Final = 38
_HIGHEST: Final = 125
_LOWEST: Final = -130
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
_EXACT: Final = Context(prec=_DIGITS, rounding=ROUND_HALF_UP, Emin=-1000, Emax=1000)
_EMPTY_SETS: Final = {
    "SS": "An string set  may not be empty",
    "NS": "An number set  may not be empty",
    "BS": "Binary sets should not be empty",
}


# -- numbers -------------------------------------------------------------------------------------


@lru_cache(16_384)
def number(text: str) -> str:
    """Return a number as the service keeps it.

    Raises:
        ServiceError: it is none, or it has too many digits, or is too large or too small.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise invalid(f"The parameter cannot be converted to a numeric value: {text}")
    integer, _, fraction = found[1].partition(".")
    places = len(fraction) - int(found[2] or 0)
    written = (integer + fraction).lstrip("0")
    # Zero counts as large as the exponent it is written with.
    highest = max(len(written), 1) - places - 1
    if highest > _HIGHEST:
        raise invalid(
            "Number overflow. "
            "Attempting to store a number with magnitude larger than supported range"
        )
    if highest < _LOWEST:
        raise invalid(
            "Number underflow. "
            "Attempting to store a number with magnitude smaller than supported range"
        )
    digits = written.rstrip("0")
    if len(digits) > _DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if not digits:
        return "0"
    places -= len(written) - len(digits)
    if places <= 0:
        shown = digits + "0" * -places
    elif places < len(digits):
        shown = f"{digits[:-places]}.{digits[-places:]}"
    else:
        shown = "0." + "0" * (places - len(digits)) + digits
    return f"-{shown}" if text[0] == "-" else shown


@lru_cache(16_384)
def decimal(text: str) -> Decimal:
    """Return a number that sorts and adds up."""
    return Decimal(text)


def total(left: Value, right: Value, sign: int = 1) -> Value:
    """Return the sum of two numbers' values, or their difference."""
    a, b = decimal(left["N"]), decimal(right["N"])
    found = _EXACT.add(a, b) if sign > 0 else _EXACT.subtract(a, b)
    return {"N": number(str(found))}


@lru_cache(16_384)
def _number_size(text: str) -> int:
    """Return a number's bytes: one, one for two digits counted from the point, and the sign's."""
    integer, _, fraction = text.lstrip("-").partition(".")
    places = len(fraction)
    written = (integer + fraction).lstrip("0")
    digits = written.rstrip("0")
    if not digits:
        return 1
    places -= len(written) - len(digits)
    length = len(digits) + places % 2
    return 1 + (length + 1) // 2 + (text[0] == "-")


# -- whole values --------------------------------------------------------------------------------


def admit(value: object, level: int = 1) -> Value:
    """Return a value as the service keeps it, sharing nothing with what was given.

    Raises:
        ServiceError: it is no value.
    """
    if level > _DEEPEST:
        raise invalid(TOO_DEEP)
    if not isinstance(value, dict):
        raise invalid(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
    given = cast("dict[str, Any]", value)
    if len(given) != 1:
        raise invalid(
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes"
        )
    ((kind, data),) = given.items()
    match kind:
        case "S" if isinstance(data, str):
            return {"S": data}
        case "N" if isinstance(data, str):
            return {"N": number(data)}
        case "B" if isinstance(data, bytes):
            return {"B": data}
        case "BOOL" if isinstance(data, bool):
            return {"BOOL": data}
        case "NULL" if data is True:
            return {"NULL": True}
        case "L" if isinstance(data, list):
            return {"L": [admit(part, level + 1) for part in given[kind]]}
        case "M" if isinstance(data, dict):
            parts = cast("dict[str, object]", data)
            return {"M": {name: admit(part, level + 1) for name, part in parts.items()}}
        case "SS" | "NS" | "BS" if isinstance(data, list):
            return {kind: _members(kind, given[kind])}
        case _:
            raise invalid(
                "Supplied AttributeValue is empty, "
                "must contain exactly one of the supported datatypes"
            )


def _members(kind: str, given: list[Any]) -> list[Any]:
    wanted = bytes if kind == "BS" else str
    if not given:
        raise invalid_parameter(_EMPTY_SETS[kind])
    if not all(isinstance(member, wanted) for member in given):
        raise invalid_parameter(f"a member of a {kind} is of another type")
    members = [number(member) for member in given] if kind == "NS" else given
    found = sorted(set(members), key=decimal) if kind == "NS" else sorted(set(members))
    if len(found) < len(members):
        raise invalid_parameter("Input collection contains duplicates.")
    return found


def kind_of(value: Value) -> str:
    """Return a value's type: ``"S"``, ``"N"`` and so on."""
    return next(iter(value))


def size(value: Value) -> int:
    """Return a value's bytes, as the service counts them."""
    ((kind, data),) = value.items()
    match kind:
        case "B":
            return len(data)
        case "S":
            return _length(data)
        case "N":
            return _number_size(data)
        case "L":
            return 3 + sum([1 + size(part) for part in data])
        case "M":
            return 3 + sum([1 + _length(name) + size(part) for name, part in data.items()])
        case "SS":
            return sum(map(_length, data))
        case "NS":
            return sum(map(_number_size, data))
        case "BS":
            return sum(map(len, data))
        case _:
            return 1


def attribute_size(name: str, value: Value) -> int:
    """Return the bytes of an attribute: of its name and its value."""
    return _length(name) + size(value)


def item_size(item: Item) -> int:
    """Return an item's bytes."""
    return sum([_length(name) + size(value) for name, value in item.items()])


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def depth(value: Value) -> int:
    """Return how deep a value is; 1 if there is nothing in it."""
    ((kind, data),) = value.items()
    if kind == "L":
        return 1 + max(map(depth, data), default=0)
    if kind == "M":
        return 1 + max(map(depth, data.values()), default=0)
    return 1


def check_depth(value: Value) -> None:
    """Refuse a value that is too deep.

    Raises:
        ServiceError: it is.
    """
    if ("L" in value or "M" in value) and depth(value) > _DEEPEST:
        raise invalid(TOO_DEEP)


# -- comparing -----------------------------------------------------------------------------------


def scalar(value: Value) -> Scalar:
    """Return a text, number or binary as what sorts like it."""
    ((kind, data),) = value.items()
    return decimal(data) if kind == "N" else data


def equal(left: Value, right: Value) -> bool:
    """Say whether two values are the same."""
    # Numbers and sets are kept in one form only.
    return left == right
