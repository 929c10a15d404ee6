"""Updates as trees that make a new item of an old one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias, cast

from rivetless.testing.simulation.dynamodb.conditions import Given, Operand
from rivetless.testing.simulation.dynamodb.errors import invalid
from rivetless.testing.simulation.dynamodb.paths import Path, Scope, Steps, check_overlap, look_up
from rivetless.testing.simulation.dynamodb.values import SETS, Item, Value, admit, kind_of, total

_SLOT: Final = "UpdateExpression"
_NO_PART: Final = "The document path provided in the update expression is invalid for update"
_NO_ATTRIBUTE: Final = (
    "The provided expression refers to an attribute that does not exist in the item"
)
_WRONG_KIND: Final = "An operand in the update expression has an incorrect data type"
_NAMES: Final[Mapping[str, str]] = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING SET",
    "NS": "NUMBER SET",
    "BS": "BINARY SET",
    "M": "MAP",
    "L": "LIST",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
}


def demanded(operand: Operand, item: Item, scope: Scope) -> Value:
    """Return an operand's value.

    Raises:
        ServiceError: there is none.
    """
    found = operand.value(item, scope)
    if found is None:
        raise invalid(_NO_ATTRIBUTE)
    return found


@dataclass(frozen=True, slots=True)
class IfNotExists:
    """``if_not_exists(path, other)``."""

    path: Path
    other: Operand

    def value(self, item: Item, scope: Scope) -> Value | None:
        found = self.path.value(item, scope)
        return self.other.value(item, scope) if found is None else found


@dataclass(frozen=True, slots=True)
class ListAppend:
    """``list_append(one, other)``."""

    left: Operand
    right: Operand

    def value(self, item: Item, scope: Scope) -> Value | None:
        left, right = demanded(self.left, item, scope), demanded(self.right, item, scope)
        if "L" not in left or "L" not in right:
            raise invalid(_WRONG_KIND)
        return {"L": [*left["L"], *right["L"]]}


@dataclass(frozen=True, slots=True)
class Sum:
    """``left + right``, or the difference.

    Attributes:
        left: a number.
        right: a number.
        sign: 1 or -1.
    """

    left: Operand
    right: Operand
    sign: int

    def value(self, item: Item, scope: Scope) -> Value | None:
        left, right = demanded(self.left, item, scope), demanded(self.right, item, scope)
        if "N" not in left or "N" not in right:
            raise invalid(_WRONG_KIND)
        return total(left, right, self.sign)


Assignments: TypeAlias = tuple[tuple[Path, Operand], ...]
Amounts: TypeAlias = tuple[tuple[Path, Given], ...]


@dataclass(frozen=True, slots=True)
class Update:
    """What an update expression says.

    Attributes:
        sets: of ``SET``.
        removes: of ``REMOVE``.
        adds: of ``ADD``.
        deletes: of ``DELETE``: members of sets.
    """

    sets: Assignments
    removes: tuple[Path, ...]
    adds: Amounts
    deletes: Amounts

    def targets(self, scope: Scope) -> list[Steps]:
        """Return the paths that it writes."""
        return [
            *(path.resolve(scope) for path, _ in self.sets),
            *(path.resolve(scope) for path in self.removes),
            *(path.resolve(scope) for path, _ in self.adds),
            *(path.resolve(scope) for path, _ in self.deletes),
        ]

    def check(self, scope: Scope) -> None:
        """Refuse what no item is needed for to see that it is wrong.

        Raises:
            ServiceError: something is.
        """
        check_overlap(_SLOT, self.targets(scope))
        for operator, amounts, kinds in (
            ("ADD", self.adds, SETS | {"N"}),
            ("DELETE", self.deletes, SETS),
        ):
            for _, amount in amounts:
                kind = kind_of(scope.values[amount.name])
                if kind not in kinds:
                    # So it says of both.
                    raise invalid(
                        f"Invalid {_SLOT}: Incorrect operand type for operator or function; "
                        f"operator: {operator}, operand type: {_NAMES[kind]}, "
                        "typeSet: ALLOWED_FOR_ADD_OPERAND"
                    )

    def apply(self, item: Item, scope: Scope) -> dict[str, Value]:
        """Return the item afterwards. What is read is what was there before.

        Raises:
            ServiceError: it cannot be done to this item.
        """
        made = [
            (path.resolve(scope), demanded(operand, item, scope)) for path, operand in self.sets
        ]
        found = dict(item)
        # Elements behind a list's end are appended in the order of their indexes.
        for steps, value in sorted(made, key=lambda pair: _last_index(pair[0])):
            _set(found, steps, value)
        for path, amount in self.adds:
            steps = path.resolve(scope)
            _set(found, steps, _added(look_up(item, steps), scope.values[amount.name]))
        removes = [path.resolve(scope) for path in self.removes]
        for path, amount in self.deletes:
            steps = path.resolve(scope)
            present = look_up(item, steps)
            if present is None:
                continue
            left = _without(present, scope.values[amount.name])
            if left is None:
                removes.append(steps)
            else:
                _set(found, steps, left)
        # From the last element of a list to the first, so that none moves before its turn.
        for steps in sorted(removes, key=_last_index, reverse=True):
            _remove(found, steps)
        return found


def updated(item: Item, targets: list[Steps]) -> dict[str, Value]:
    """Return what an item has where an update wrote: the ``UPDATED_OLD`` and ``_NEW`` of answers.

    Of lists it shows the whole attribute.
    """
    found: dict[str, Value] = {}
    for first, group in groupby(sorted(targets, key=lambda steps: str(steps[0])), lambda s: s[0]):
        name = cast("str", first)
        paths = list(group)
        if name not in item:
            continue
        if any(len(path) == 1 or not all(isinstance(s, str) for s in path) for path in paths):
            found[name] = item[name]
            continue
        whole: Value | None = None
        for path in paths:
            value = look_up(item, path)
            if value is None:
                continue
            whole = whole or {"M": {}}
            inner: dict[str, Value] = whole["M"]
            for step in path[1:-1]:
                inner = inner.setdefault(cast("str", step), {"M": {}})["M"]
            inner[cast("str", path[-1])] = value
        if whole is not None:
            found[name] = whole
    return found


def _last_index(steps: Steps) -> int:
    last = steps[-1]
    return last if isinstance(last, int) else -1


def _set(item: dict[str, Value], steps: Steps, value: Value) -> None:
    """Put a value into an item; whatever is on the way there is copied, not changed."""
    first = cast("str", steps[0])
    item[first] = value if len(steps) == 1 else _replaced(item.get(first), steps, 1, value)


def _replaced(whole: Value | None, steps: Steps, at: int, value: Value) -> Value:
    """Return a map or list with another value somewhere in it."""
    step, last = steps[at], at == len(steps) - 1
    if whole is not None and isinstance(step, int) and "L" in whole:
        members: list[Value] = list(whole["L"])
        if step < len(members):
            members[step] = value if last else _replaced(members[step], steps, at + 1, value)
        elif last:
            members.append(value)
        else:
            raise invalid(_NO_PART)
        return {"L": members}
    if whole is not None and isinstance(step, str) and "M" in whole:
        parts: dict[str, Value] = whole["M"]
        part = value if last else _replaced(parts.get(step), steps, at + 1, value)
        return {"M": {**parts, step: part}}
    raise invalid(_NO_PART)


def _remove(item: dict[str, Value], steps: Steps) -> None:
    first = cast("str", steps[0])
    if len(steps) == 1:
        item.pop(first, None)
    else:
        item[first] = _lessened(item.get(first), steps, 1)


def _lessened(whole: Value | None, steps: Steps, at: int) -> Value:
    """Return a map or list without something in it."""
    step, last = steps[at], at == len(steps) - 1
    if whole is not None and isinstance(step, int) and "L" in whole:
        members: list[Value] = list(whole["L"])
        if step < len(members):
            if last:
                del members[step]
            else:
                members[step] = _lessened(members[step], steps, at + 1)
        elif not last:
            raise invalid(_NO_PART)
        return {"L": members}
    if whole is not None and isinstance(step, str) and "M" in whole:
        parts: dict[str, Value] = dict(whole["M"])
        if last:
            parts.pop(step, None)
        else:
            parts[step] = _lessened(parts.get(step), steps, at + 1)
        return {"M": parts}
    raise invalid(_NO_PART)


def _added(present: Value | None, amount: Value) -> Value:
    if present is None:
        return amount
    kind = kind_of(amount)
    if kind_of(present) != kind:
        raise invalid(_WRONG_KIND)
    if kind == "N":
        return total(present, amount)
    return admit(
        {kind: [*present[kind], *(one for one in amount[kind] if one not in present[kind])]}
    )


def _without(present: Value, members: Value) -> Value | None:
    kind = kind_of(members)
    if kind_of(present) != kind:
        raise invalid(_WRONG_KIND)
    left = [member for member in present[kind] if member not in members[kind]]
    return {kind: left} if left else None
