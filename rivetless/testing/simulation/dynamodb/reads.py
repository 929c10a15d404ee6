"""Reads: items by their keys, and ranges of a table or an index page by page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from rivetless.aws.client import Payload, ServiceError
from rivetless.testing.simulation.dynamodb import grammar
from rivetless.testing.simulation.dynamodb.conditions import (
    All,
    BeginsWith,
    Between,
    Comparison,
    Condition,
    Given,
    Operand,
)
from rivetless.testing.simulation.dynamodb.errors import invalid, invalid_parameter
from rivetless.testing.simulation.dynamodb.grammar import Read
from rivetless.testing.simulation.dynamodb.paths import (
    Path,
    Scope,
    Steps,
    check_overlap,
    project,
)
from rivetless.testing.simulation.dynamodb.tables import (
    Index,
    Partition,
    Place,
    Table,
    below,
    check_key_value,
    read_units,
    up_to,
)
from rivetless.testing.simulation.dynamodb.values import (
    Item,
    Scalar,
    Value,
    admit,
    kind_of,
    scalar,
)
from rivetless.testing.simulation.dynamodb.writes import check_scope

PAGE_LIMIT: Final = 1024 * 1024
"""Bytes that a page is read from."""

MOST_KEYS: Final = 100
"""Keys in a batch."""

_BOUNDS: Final = frozenset({"=", "<", "<=", ">", ">="})


# -- items ---------------------------------------------------------------------------------------


def get_item(table: Table, request: Payload, now: float) -> tuple[Payload, float]:
    """Read an item; return the answer and its units."""
    scope, paths = _projection(request)
    key = table.key({name: admit(value) for name, value in request["Key"].items()})
    consistent = bool(request.get("ConsistentRead"))
    row = table.get(key) if consistent else table.seen(key, now)
    units = read_units(0 if row is None else row.size, consistent=consistent)
    if row is None:
        return {}, units
    return {"Item": _projected(row.item, paths, scope)}, units


def batch_get(table: Table, part: Mapping[str, Any], now: float) -> tuple[list[Item], float]:
    """Read a batch's items of one table; return them and their units."""
    scope, paths = _projection(part)
    consistent = bool(part.get("ConsistentRead"))
    keys = [table.key({name: admit(value) for name, value in key.items()}) for key in part["Keys"]]
    if len(set(keys)) < len(keys):
        raise invalid("Provided list of item keys contains duplicates")
    found: list[Item] = []
    units = 0.0
    for key in keys:
        row = table.get(key) if consistent else table.seen(key, now)
        units += read_units(0 if row is None else row.size, consistent=consistent)
        if row is not None:
            found.append(_projected(row.item, paths, scope))
    return found, units


def _projection(request: Mapping[str, Any]) -> tuple[Scope, Read[tuple[Path, ...]] | None]:
    scope = Scope.of(request)
    text: str | None = request.get("ProjectionExpression")
    paths = None if text is None else grammar.projection(text)
    check_scope(scope, paths)
    _check_paths(paths, scope)
    return scope, paths


def _check_paths(paths: Read[tuple[Path, ...]] | None, scope: Scope) -> None:
    if paths is not None:
        check_overlap(paths.slot, [path.resolve(scope) for path in paths.tree])


def _projected(item: Item, paths: Read[tuple[Path, ...]] | None, scope: Scope) -> dict[str, Value]:
    if paths is None:
        return dict(item)
    resolved: list[Steps] = [path.resolve(scope) for path in paths.tree]
    return project(item, resolved)


# -- ranges --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a key condition asks for.

    Attributes:
        hash_key: of the partition.
        bound: the condition on the range key; ``None`` for all of the partition.
    """

    hash_key: Scalar
    bound: Condition | None

    def range(self, order: list[Place], scope: Scope) -> tuple[int, int]:
        """Return the first of the places that are meant, and the one behind the last."""
        bound = self.bound
        if bound is None:
            return 0, len(order)
        if isinstance(bound, Between):
            return below(order, _scalar(bound.low, scope)), up_to(order, _scalar(bound.high, scope))
        if isinstance(bound, BeginsWith):
            prefix = cast("Any", _scalar(bound.prefix, scope))
            start = end = below(order, prefix)
            while end < len(order) and order[end][0].startswith(prefix):
                end += 1
            return start, end
        assert isinstance(bound, Comparison)
        value = _scalar(bound.right, scope)
        match bound.sign:
            case "=":
                return below(order, value), up_to(order, value)
            case "<":
                return 0, below(order, value)
            case "<=":
                return 0, up_to(order, value)
            case ">":
                return up_to(order, value), len(order)
            case _:
                return below(order, value), len(order)


def query(table: Table, request: Payload, now: float) -> tuple[Payload, float]:
    """Read a page of a range; return the answer and its units."""
    source, index = _source(table, request)
    consistent = bool(request.get("ConsistentRead"))
    if index is not None and consistent:
        raise invalid("Consistent reads are not supported on global secondary indexes")
    limit: int | None = request.get("Limit")
    if limit is not None and limit < 1:
        raise invalid(
            "1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member "
            "must have value greater than or equal to 1"
        )
    scope = Scope.of(request)
    slots = ("KeyConditionExpression", "FilterExpression")
    key_condition, kept = (
        None if request.get(slot) is None else grammar.condition(slot, request[slot])
        for slot in slots
    )
    text: str | None = request.get("ProjectionExpression")
    paths = None if text is None else grammar.projection(text)
    if key_condition is None:
        raise invalid(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in "
            "the request."
        )
    check_scope(scope, key_condition, kept, paths)
    for one in (key_condition, kept):
        if one is not None:
            one.tree.check(one.slot, scope)
    _check_paths(paths, scope)
    wanted = _wanted(table, source, key_condition.tree, scope)
    if index is None:
        partition = table.partition(wanted.hash_key, now, consistent=consistent)
    else:
        partition = index.partition(wanted.hash_key, now)
    start, end = wanted.range(partition.order, scope)
    forward = request.get("ScanIndexForward", True)
    given: Mapping[str, Any] | None = request.get("ExclusiveStartKey")
    if given is not None:
        place = _start(table, index, wanted, given, scope)
        if forward:
            start = max(start, bisect_right(partition.order, place))
        else:
            end = min(end, bisect_left(partition.order, place))
    places = partition.order[start:end]
    read, size, stopped = _page(partition, places if forward else places[::-1], limit)
    items = [partition.rows[place].item for place in read]
    if kept is not None:
        items = [item for item in items if kept.tree.holds(item, scope)]
    answer: Payload = {"Count": len(items), "ScannedCount": len(read)}
    if request.get("Select") != "COUNT":
        answer["Items"] = [_projected(item, paths, scope) for item in items]
    if stopped:
        last = partition.rows[read[-1]].item
        names = table.keys if index is None else dict.fromkeys((*table.keys, *index.keys))
        answer["LastEvaluatedKey"] = {name: last[name] for name in names}
    return answer, read_units(size, consistent=consistent)


def _page(
    partition: Partition, places: list[Place], limit: int | None
) -> tuple[list[Place], int, bool]:
    """Return the places of a page, their size, and whether it ends before all are in it.

    It does not look whether there are more behind a limit that is just reached.
    """
    size = 0
    for count, place in enumerate(places):
        added = partition.rows[place].size
        if count and size + added > PAGE_LIMIT:
            return places[:count], size, True
        size += added
        if count + 1 == limit or size >= PAGE_LIMIT:
            return places[: count + 1], size, True
    return places, size, False


def _source(table: Table, request: Payload) -> tuple[Table | Index, Index | None]:
    name: str | None = request.get("IndexName")
    if name is None:
        return table, None
    index = table.indexes.get(name)
    if index is None:
        raise invalid(f"The table does not have the specified index: {name}")
    return index, index


def _wanted(table: Table, source: Table | Index, tree: Condition, scope: Scope) -> _Wanted:
    """Take a key condition apart."""
    parts = tree.parts if isinstance(tree, All) else (tree,)
    found: dict[str, Condition] = {}
    for part in parts:
        name = _key_of(part, scope)
        if name in found:
            raise invalid(
                "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one "
                "condition per key"
            )
        found[name] = part
    if len(found) > len(source.keys):
        raise invalid(
            f"The number of query conditions ({len(found)}) exceeds the number of key attributes "
            f"defined in the schema ({len(source.keys)})"
        )
    hashed = found.pop(source.hash_name, None)
    if hashed is None:
        raise invalid(f"Query condition missed key schema element: {source.hash_name}")
    if not isinstance(hashed, Comparison) or hashed.sign != "=":
        raise invalid("Query key condition not supported")
    bound: Condition | None = None
    if source.range_name is not None:
        bound = found.pop(source.range_name, None)
    for name in found:
        raise invalid(f"Query condition missed key schema element: {name}")
    _check_values(table, source.hash_name, hashed, scope)
    if bound is not None and source.range_name is not None:
        _check_values(table, source.range_name, bound, scope)
    return _Wanted(_scalar(hashed.right, scope), bound)


def _key_of(part: Condition, scope: Scope) -> str:
    """Return the key that a part of a key condition is about."""
    operand: Operand
    values: tuple[Operand, ...]
    match part:
        case Comparison(sign, operand, right) if sign in _BOUNDS:
            values = (right,)
        case Between(operand, low, high):
            values = (low, high)
        case BeginsWith(operand, prefix):
            values = (prefix,)
        case _:
            raise invalid(
                "Invalid operator used in KeyConditionExpression: it takes =, <, <=, >, >=, "
                "BETWEEN and begins_with"
            )
    if not isinstance(operand, Path) or not all(isinstance(value, Given) for value in values):
        raise invalid(
            "Invalid condition in KeyConditionExpression: a key comes first, and then a value"
        )
    first, *inner = operand.resolve(scope)
    if inner:
        raise invalid("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(first)


def _check_values(table: Table, name: str, bound: Condition, scope: Scope) -> None:
    operands: tuple[Operand, ...] = ()
    match bound:
        case Comparison(_, _, right):
            operands = (right,)
        case Between(_, low, high):
            operands = (low, high)
        case BeginsWith(_, prefix):
            operands = (prefix,)
        case _:
            pass
    for operand in operands:
        value = scope.values[cast("Given", operand).name]
        if kind_of(value) != table.types[name]:
            raise invalid_parameter("Condition parameter type does not match schema type")
        check_key_value(name, value)


def _scalar(operand: Operand, scope: Scope) -> Scalar:
    return scalar(scope.values[cast("Given", operand).name])


def _start(
    table: Table, index: Index | None, wanted: _Wanted, given: Mapping[str, Any], scope: Scope
) -> Place:
    """Return the place behind which a page begins."""
    item = {name: admit(value) for name, value in given.items()}
    names = set(table.keys) if index is None else {*table.keys, *index.keys}
    if item.keys() != names:
        raise invalid("The provided starting key is invalid")
    try:
        key = table.key_of(item)
    except ServiceError:
        raise invalid("The provided starting key is invalid") from None
    source = index or table
    if scalar(item[source.hash_name]) != wanted.hash_key:
        raise invalid(
            "The provided starting key is outside query boundaries based on provided conditions"
        )
    if wanted.bound is not None and not wanted.bound.holds(item, scope):
        raise invalid("The provided starting key does not match the range key predicate")
    return key[1:] if index is None else index.place(key, item)
