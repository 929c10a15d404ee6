"""Writes: one item put, updated, deleted or looked at, by itself or in a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rivetless.aws.client import Payload
from rivetless.testing.simulation.dynamodb import grammar
from rivetless.testing.simulation.dynamodb.conditions import Condition
from rivetless.testing.simulation.dynamodb.errors import (
    condition_failed,
    invalid,
    invalid_parameter,
)
from rivetless.testing.simulation.dynamodb.grammar import Read
from rivetless.testing.simulation.dynamodb.paths import Scope, Steps
from rivetless.testing.simulation.dynamodb.tables import (
    Key,
    Row,
    Table,
    check_key_value,
    write_units,
)
from rivetless.testing.simulation.dynamodb.updates import Update, updated
from rivetless.testing.simulation.dynamodb.values import (
    Item,
    Value,
    admit,
    attribute_size,
    check_depth,
    item_size,
    kind_of,
)

ITEM_LIMIT: Final = 400 * 1024
"""Bytes of the largest item."""

_NO_ITEM: Final[Item] = {}
_UPDATE_RETURNS: Final = frozenset({"NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"})


@dataclass(frozen=True, slots=True)
class Write:
    """A write that has been read and found to make sense.

    Attributes:
        kind: ``"Put"``, ``"Update"``, ``"Delete"`` or ``"ConditionCheck"``.
        table: where.
        key: of the item.
        given: the item of a put, or the key's attributes.
        scope: what placeholders stand for.
        condition: on which it is done.
        update: what an update does.
        shows: whether a refusal shows the item.
    """

    kind: str
    table: Table
    key: Key
    given: Item
    scope: Scope
    condition: Read[Condition] | None
    update: Read[Update] | None
    shows: bool

    def fails(self, before: Row | None) -> bool:
        """Say whether the condition does not hold."""
        item = _NO_ITEM if before is None else before.item
        return self.condition is not None and not self.condition.tree.holds(item, self.scope)

    def shown(self, before: Row | None) -> Item | None:
        """Return the item that a refusal shows."""
        return before.item if self.shows and before is not None else None

    def targets(self) -> list[Steps]:
        """Return the paths that an update writes."""
        return [] if self.update is None else self.update.tree.targets(self.scope)

    def result(self, before: Row | None) -> Row | None:
        """Return the item afterwards; ``None`` if there is none.

        Raises:
            ServiceError: it cannot be done to this item.
        """
        match self.kind:
            case "Put":
                return Row(self.given, item_size(self.given))
            case "Update":
                row = self._updated(before)
                self.table.check_index_keys(row.item, updating=True)
                return row
            case "Delete":
                return None
            case _:
                return before

    def _updated(self, before: Row | None) -> Row:
        start = Row(self.given, item_size(self.given)) if before is None else before
        if self.update is None:
            return start
        item = self.update.tree.apply(start.item, self.scope)
        size = start.size
        for name in {str(path[0]) for path in self.targets()}:
            if (old := start.item.get(name)) is not None:
                size -= attribute_size(name, old)
            if (new := item.get(name)) is not None:
                check_depth(new)
                size += attribute_size(name, new)
        if size > ITEM_LIMIT:
            raise invalid("Item size to update has exceeded the maximum allowed size")
        return Row(item, size)

    def do(self, now: float) -> tuple[Row | None, Row | None, int]:
        """Write; return the item before and after, and the indexes' units.

        Raises:
            ServiceError: nothing is written.
        """
        before = self.table.get(self.key)
        if self.fails(before):
            raise condition_failed(self.shown(before))
        after = self.result(before)
        return before, after, self.table.write(self.key, after, now)


def prepare(kind: str, table: Table, request: Mapping[str, Any]) -> Write:
    """Read a write.

    Args:
        kind: ``"Put"``, ``"Update"``, ``"Delete"`` or ``"ConditionCheck"``.
        table: where.
        request: the operation's payload, or the part of a transaction.

    Raises:
        ServiceError: it makes no sense.
    """
    scope = Scope.of(request)
    condition: Read[Condition] | None = None
    update: Read[Update] | None = None
    if (text := request.get("ConditionExpression")) is not None:
        condition = grammar.condition("ConditionExpression", text)
    if (text := request.get("UpdateExpression")) is not None:
        update = grammar.update(text)
    check_scope(scope, condition, update)
    if condition is not None:
        condition.tree.check("ConditionExpression", scope)
    given, key = (_put if kind == "Put" else _key)(table, request)
    if update is not None:
        update.tree.check(scope)
        for path in update.tree.targets(scope):
            if path[0] in table.keys:
                raise invalid_parameter(
                    f"Cannot update attribute {path[0]}. This attribute is part of the key"
                )
    shows = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return Write(kind, table, key, given, scope, condition, update, shows)


def _put(table: Table, request: Mapping[str, Any]) -> tuple[Item, Key]:
    item = {name: admit(value) for name, value in request["Item"].items()}
    if "" in item:
        raise invalid("Empty attribute name")
    for name in table.keys:
        if name in item:
            check_key_value(name, item[name])
    for name in table.keys:
        if name not in item:
            raise invalid_parameter(f"Missing the key {name} in the item")
        wanted, kind = table.types[name], kind_of(item[name])
        if kind != wanted:
            raise invalid_parameter(
                f"Type mismatch for key {name} expected: {wanted} actual: {kind}"
            )
    if item_size(item) > ITEM_LIMIT:
        raise invalid("Item size has exceeded the maximum allowed size")
    table.check_index_keys(item, updating=False)
    return item, table.key_of(item)


def _key(table: Table, request: Mapping[str, Any]) -> tuple[Item, Key]:
    key = {name: admit(value) for name, value in request["Key"].items()}
    return key, table.key(key)


def check_scope(scope: Scope, *expressions: Read[Any] | None) -> None:
    """Refuse placeholders that stand for nothing, or that no expression uses.

    Raises:
        ServiceError: there are some.
    """
    some = [expression for expression in expressions if expression is not None]
    names: set[str] = set()
    values: set[str] = set()
    for expression in some:
        names |= expression.names
        values |= expression.values
    if not some and (scope.values or scope.names):
        which = "ExpressionAttributeValues" if scope.values else "ExpressionAttributeNames"
        raise invalid(f"{which} can only be specified when using expressions")
    for which, unused in (
        ("ExpressionAttributeValues", scope.values.keys() - values),
        ("ExpressionAttributeNames", scope.names.keys() - names),
    ):
        if unused:
            raise invalid(
                f"Value provided in {which} unused in expressions: "
                f"keys: {{{', '.join(sorted(unused))}}}"
            )
    for expression in some:
        expression.check(scope)


def write_one(kind: str, table: Table, request: Payload, now: float) -> tuple[Payload, float]:
    """Do a write by itself; return its answer, and the units it takes.

    Raises:
        ServiceError: nothing is written.
    """
    wanted = request.get("ReturnValues", "NONE")
    allowed = _UPDATE_RETURNS if kind == "Update" else {"NONE", "ALL_OLD"}
    if wanted not in allowed:
        raise invalid(
            f"1 validation error detected: Value '{wanted}' at 'returnValues' failed to satisfy "
            f"constraint: Member must satisfy enum value set: {sorted(allowed)}"
        )
    write = prepare(kind, table, request)
    before, after, index_units = write.do(now)
    answer: Payload = {}
    shown: Mapping[str, Value] | None = None
    match wanted:
        case "ALL_OLD":
            shown = None if before is None else before.item
        case "ALL_NEW":
            shown = None if after is None else after.item
        case "UPDATED_OLD":
            shown = None if before is None else updated(before.item, write.targets()) or None
        case "UPDATED_NEW":
            shown = None if after is None else updated(after.item, write.targets()) or None
        case _:
            pass
    if shown is not None:
        answer["Attributes"] = dict(shown)
    return answer, float(units(before, after) + index_units)


def units(before: Row | None, after: Row | None) -> int:
    """Return what a write takes in its table: after the larger of the two items."""
    return write_units(
        max(0 if before is None else before.size, 0 if after is None else after.size)
    )
