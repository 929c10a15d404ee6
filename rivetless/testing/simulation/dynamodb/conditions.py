"""Conditions as trees that know whether they hold of an item."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rivetless.aws.client import ServiceError
from rivetless.testing.simulation.dynamodb.errors import invalid
from rivetless.testing.simulation.dynamodb.paths import Path, Scope, show
from rivetless.testing.simulation.dynamodb.values import (
    ORDERED,
    Item,
    Value,
    equal,
    kind_of,
    scalar,
)

_TYPES: Final = frozenset({"S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"})
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class Operand(Protocol):
    """What is compared, or written: a part of the item, a given value, or made of them."""

    @abstractmethod
    def value(self, item: Item, scope: Scope) -> Value | None:
        """Return the value; ``None`` if there is none."""


class Condition(Protocol):
    """Says yes or no of an item."""

    @abstractmethod
    def holds(self, item: Item, scope: Scope) -> bool:
        """Say whether it holds."""

    @abstractmethod
    def check(self, slot: str, scope: Scope) -> None:
        """Refuse what no item is needed for to see that it is wrong.

        Raises:
            ServiceError: something is.
        """


@dataclass(frozen=True, slots=True)
class Given:
    """A value of the request."""

    name: str

    def value(self, item: Item, scope: Scope) -> Value | None:
        return scope.values[self.name]


@dataclass(frozen=True, slots=True)
class Size:
    """``size(path)``."""

    path: Path

    def value(self, item: Item, scope: Scope) -> Value | None:
        found = self.path.value(item, scope)
        if found is None:
            return None
        ((kind, data),) = found.items()
        match kind:
            case "S":
                # Counted in UTF-16, as Java has its texts.
                return {"N": str(len(data) + sum(ord(letter) > 0xFFFF for letter in data))}
            case "N" | "BOOL" | "NULL":
                return None
            case _:
                return {"N": str(len(data))}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left = right``, or another sign."""

    sign: str
    left: Operand
    right: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        left, right = self.left.value(item, scope), self.right.value(item, scope)
        if self.sign == "=":
            return left is not None and right is not None and equal(left, right)
        if self.sign == "<>":
            return left is None or right is None or not equal(left, right)
        return _in_order(self.sign, left, right)

    def check(self, slot: str, scope: Scope) -> None:
        if self.sign in _ORDERS:
            _check_ordered(slot, self.sign, scope, self.left, self.right)


@dataclass(frozen=True, slots=True)
class Between:
    """``operand BETWEEN low AND high``."""

    operand: Operand
    low: Operand
    high: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        found = self.operand.value(item, scope)
        return _in_order("<=", self.low.value(item, scope), found) and _in_order(
            "<=", found, self.high.value(item, scope)
        )

    def check(self, slot: str, scope: Scope) -> None:
        _check_ordered(slot, "BETWEEN", scope, self.operand, self.low, self.high)
        if not (isinstance(self.low, Given) and isinstance(self.high, Given)):
            return
        low, high = scope.values[self.low.name], scope.values[self.high.name]
        if kind_of(low) != kind_of(high):
            raise invalid(
                f"Invalid {slot}: The BETWEEN operator requires same data type for lower and "
                f"upper bounds; lower bound operand: AttributeValue: {_shown(low)}, "
                f"upper bound operand: AttributeValue: {_shown(high)}"
            )
        if _in_order(">", low, high):
            raise invalid(
                f"Invalid {slot}: The BETWEEN operator requires upper bound to be greater than or "
                f"equal to lower bound; lower bound operand: AttributeValue: {_shown(low)}, "
                f"upper bound operand: AttributeValue: {_shown(high)}"
            )


@dataclass(frozen=True, slots=True)
class OneOf:
    """``operand IN (one, other)``."""

    operand: Operand
    members: tuple[Operand, ...]

    def holds(self, item: Item, scope: Scope) -> bool:
        found = self.operand.value(item, scope)
        if found is None:
            return False
        values = (member.value(item, scope) for member in self.members)
        return any(value is not None and equal(found, value) for value in values)

    def check(self, slot: str, scope: Scope) -> None:
        if len(self.members) > 100:
            raise invalid(
                f"Invalid {slot}: The IN operator is provided with too many operands; "
                f"number of operands: {len(self.members)}"
            )


@dataclass(frozen=True, slots=True)
class Exists:
    """``attribute_exists(path)``, or the contrary."""

    path: Path
    wanted: bool

    def holds(self, item: Item, scope: Scope) -> bool:
        return (self.path.value(item, scope) is not None) is self.wanted

    def check(self, slot: str, scope: Scope) -> None:
        pass


@dataclass(frozen=True, slots=True)
class HasType:
    """``attribute_type(path, type)``."""

    path: Path
    kind: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        found, kind = self.path.value(item, scope), self.kind.value(item, scope)
        return found is not None and kind is not None and kind.get("S") == kind_of(found)

    def check(self, slot: str, scope: Scope) -> None:
        if not isinstance(self.kind, Given):
            return
        value = scope.values[self.kind.name]
        if kind_of(value) != "S":
            raise _wrong_kind(slot, "attribute_type", value)
        if value["S"] not in _TYPES:
            raise invalid(
                f"Invalid {slot}: Invalid attribute type name found; type: {value['S']}, "
                f"valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
            )


@dataclass(frozen=True, slots=True)
class BeginsWith:
    """``begins_with(path, prefix)``."""

    path: Path
    prefix: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        found, prefix = self.path.value(item, scope), self.prefix.value(item, scope)
        if found is None or prefix is None:
            return False
        for kind in ("S", "B"):
            if kind in found and kind in prefix:
                begins: bool = found[kind].startswith(prefix[kind])
                return begins
        return False

    def check(self, slot: str, scope: Scope) -> None:
        if isinstance(self.prefix, Given):
            value = scope.values[self.prefix.name]
            if kind_of(value) not in ("S", "B"):
                raise _wrong_kind(slot, "begins_with", value)


@dataclass(frozen=True, slots=True)
class Contains:
    """``contains(path, operand)``: a text in a text, or a member of a set or list."""

    path: Path
    operand: Operand

    def holds(self, item: Item, scope: Scope) -> bool:
        found, part = self.path.value(item, scope), self.operand.value(item, scope)
        if found is None or part is None:
            return False
        ((kind, data),) = found.items()
        ((part_kind, part_data),) = part.items()
        if kind in ("S", "B"):
            return kind == part_kind and part_data in data
        if kind == "L":
            return any(equal(member, part) for member in data)
        return kind == f"{part_kind}S" and part_data in data

    def check(self, slot: str, scope: Scope) -> None:
        if isinstance(self.operand, Path):
            path = self.path.resolve(scope)
            if path == self.operand.resolve(scope):
                raise invalid(
                    f"Invalid {slot}: The first operand must be distinct from the remaining "
                    "operands for this operator or function; operator: contains, "
                    f"first operand: {show(path)}"
                )


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT condition``."""

    condition: Condition

    def holds(self, item: Item, scope: Scope) -> bool:
        return not self.condition.holds(item, scope)

    def check(self, slot: str, scope: Scope) -> None:
        self.condition.check(slot, scope)


@dataclass(frozen=True, slots=True)
class All:
    """Conditions with ``AND`` between them."""

    parts: tuple[Condition, ...]

    def holds(self, item: Item, scope: Scope) -> bool:
        return all(part.holds(item, scope) for part in self.parts)

    def check(self, slot: str, scope: Scope) -> None:
        for part in self.parts:
            part.check(slot, scope)


@dataclass(frozen=True, slots=True)
class Any_:
    """Conditions with ``OR`` between them."""

    parts: tuple[Condition, ...]

    def holds(self, item: Item, scope: Scope) -> bool:
        return any(part.holds(item, scope) for part in self.parts)

    def check(self, slot: str, scope: Scope) -> None:
        for part in self.parts:
            part.check(slot, scope)


def _in_order(sign: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return False
    kind = kind_of(left)
    if kind != kind_of(right) or kind not in ORDERED:
        return False
    return _ORDERS[sign](scalar(left), scalar(right))


def _check_ordered(slot: str, sign: str, scope: Scope, *operands: Operand) -> None:
    for operand in operands:
        if isinstance(operand, Given):
            value = scope.values[operand.name]
            if kind_of(value) not in ORDERED:
                raise _wrong_kind(slot, sign, value)


def _wrong_kind(slot: str, function: str, value: Value) -> ServiceError:
    return invalid(
        f"Invalid {slot}: Incorrect operand type for operator or function; "
        f"operator or function: {function}, operand type: {kind_of(value)}"
    )


def _shown(value: Value) -> str:
    ((kind, data),) = value.items()
    return f"{{{kind}:{data}}}"
