"""Tables and their indexes: what is stored, in which order, and what it was a moment ago.

A read that need not be consistent, and any read of an index, may show each item as it was some
changes before. How many is asked of whoever owns the simulation's choices (``Unseen``); only what
changed within ``lag`` seconds is ever asked about.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from rivetless.testing.simulation.dynamodb.errors import invalid, invalid_parameter
from rivetless.testing.simulation.dynamodb.values import (
    Item,
    Scalar,
    Value,
    item_size,
    kind_of,
    scalar,
)

Unseen: TypeAlias = Callable[[str, int], int]
"""Given what is read (``"table"`` or an index's name) and the number of changes to an item that a
reader may not have seen yet, returns how many of them, the latest, it has not seen."""

Key: TypeAlias = tuple[Scalar, Scalar]
"""Hash and range key of an item; the latter is empty in tables that have none."""

Place: TypeAlias = tuple[Any, ...]
"""Where a row is in its partition: it sorts. In tables the range key alone."""

_NO_KEY: Final = "The provided key element does not match the schema"
_FIVE_YEARS: Final = 5 * 365 * 86_400
_MOST_PAST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """An item as it is stored, or an index's entry of it.

    Attributes:
        item: never changed.
        size: its bytes.
    """

    item: Item
    size: int


@dataclass(slots=True)
class Partition:
    """The rows of one hash key, in order."""

    order: list[Place] = field(default_factory=list[Place])
    rows: dict[Place, Row] = field(default_factory=dict[Place, Row])

    def put(self, place: Place, row: Row) -> None:
        """Add or replace a row."""
        if place not in self.rows:
            insort(self.order, place)
        self.rows[place] = row

    def remove(self, place: Place) -> None:
        """Remove a row that is there."""
        del self.rows[place]
        del self.order[bisect_left(self.order, place)]

    def copy(self) -> Partition:
        """Return one that can be changed by itself."""
        return Partition(list(self.order), dict(self.rows))


_EMPTY: Final = Partition()


class Past:
    """What rows were before their latest changes.

    Args:
        site: what is read.
        lag: seconds after which every reader has seen a change.
        unseen: chooses what a reader has not seen; ``None`` for readers who see everything.
    """

    def __init__(self, site: str, lag: float, unseen: Unseen | None) -> None:
        self._site = site
        self._lag = lag
        self._unseen = unseen
        self._rows: dict[Key, deque[tuple[float, Row | None]]] = {}

    def note(self, key: Key, before: Row | None, now: float) -> None:
        """Remember what a row was before a change."""
        if self._unseen is None:
            return
        if len(self._rows) > _MOST_PAST:
            self._rows = {key: rows for key, rows in self._rows.items() if self._recent(rows, now)}
        self._rows.setdefault(key, deque()).append((now, before))

    def __iter__(self) -> Iterator[Key]:
        """Go through the keys of rows that a reader may see as they were."""
        return iter(self._rows)

    def seen(self, key: Key, row: Row | None, now: float) -> Row | None:
        """Return a row as a reader sees it.

        Args:
            key: of the item.
            row: as it is.
            now: the instant.
        """
        rows = self._rows.get(key)
        if rows is None or self._unseen is None:
            return row
        if not self._recent(rows, now):
            del self._rows[key]
            return row
        count = self._unseen(self._site, len(rows))
        return row if count <= 0 else rows[-min(count, len(rows))][1]

    def _recent(self, rows: deque[tuple[float, Row | None]], now: float) -> bool:
        while rows and rows[0][0] <= now - self._lag:
            rows.popleft()
        return bool(rows)


class Index:
    """A global secondary index: entries of the items that have its keys.

    Args:
        name: of the index.
        table: the keys of its table.
        definition: as ``CreateTable`` takes it.
        past: of its entries.
    """

    def __init__(
        self, name: str, table: tuple[str, ...], definition: Mapping[str, Any], past: Past
    ) -> None:
        self.name: Final = name
        self.hash_name, self.range_name = key_names(definition)
        self.keys: Final = tuple(key for key in (self.hash_name, self.range_name) if key)
        self._past = past
        self._partitions: dict[Scalar, Partition] = {}
        self._entries: dict[Key, Row] = {}
        projection: Mapping[str, Any] = definition["Projection"]
        included: list[str] = projection.get("NonKeyAttributes", [])
        self._shown: tuple[str, ...] | None = None
        if projection["ProjectionType"] != "ALL":
            self._shown = tuple(dict.fromkeys((*table, *self.keys, *included)))

    def place(self, key: Key, item: Item) -> Place:
        """Return where an item is in its partition of the index."""
        return (*((scalar(item[self.range_name]),) if self.range_name else ("",)), *key)

    def write(self, key: Key, item: Item | None, now: float) -> int:
        """Follow a change of an item; return the write units that this takes."""
        before = self._entries.get(key)
        after = self._view(item)
        if before is None and after is None:
            return 0
        if before is not None and after is not None and before.item == after.item:
            return 0
        self._past.note(key, before, now)
        if before is not None:
            partition = self._partitions[scalar(before.item[self.hash_name])]
            partition.remove(self.place(key, before.item))
            del self._entries[key]
        if after is not None:
            self._entries[key] = after
            self._put(self._partitions, key, after)
        if before is None or after is None:
            entry = after or before
            return write_units(0 if entry is None else entry.size)
        moved = any(before.item[name] != after.item[name] for name in self.keys)
        if moved:
            return write_units(before.size) + write_units(after.size)
        return write_units(max(before.size, after.size))

    def _put(self, partitions: dict[Scalar, Partition], key: Key, row: Row) -> None:
        partition = partitions.setdefault(scalar(row.item[self.hash_name]), Partition())
        partition.put(self.place(key, row.item), row)

    def _view(self, item: Item | None) -> Row | None:
        if item is None:
            return None
        for name in self.keys:
            if name not in item:
                return None
        if self._shown is None:
            return Row(item, item_size(item))
        view = {name: item[name] for name in self._shown if name in item}
        return Row(view, item_size(view))

    def partition(self, hash_key: Scalar, now: float) -> Partition:
        """Return a partition as a reader sees it."""
        found = self._partitions.get(hash_key, _EMPTY)
        seen: Partition | None = None
        for key in list(self._past):
            present = self._entries.get(key)
            shown = self._past.seen(key, present, now)
            if shown is present:
                continue
            seen = seen or found.copy()
            if present is not None and self.place(key, present.item) in seen.rows:
                seen.remove(self.place(key, present.item))
            if shown is not None and scalar(shown.item[self.hash_name]) == hash_key:
                seen.put(self.place(key, shown.item), shown)
        return seen or found


class Table:
    """A table.

    Args:
        definition: as ``CreateTable`` takes it.
        lag: seconds after which every reader has seen a change.
        unseen: chooses what a reader has not seen.
    """

    def __init__(self, definition: Mapping[str, Any], lag: float, unseen: Unseen | None) -> None:
        self.definition: Final = definition
        self.name: Final[str] = definition["TableName"]
        self.hash_name, self.range_name = key_names(definition)
        self.keys: Final = tuple(key for key in (self.hash_name, self.range_name) if key)
        self.types: Final[Mapping[str, str]] = {
            one["AttributeName"]: one["AttributeType"] for one in definition["AttributeDefinitions"]
        }
        self.indexes: Final = {
            one["IndexName"]: Index(
                one["IndexName"], self.keys, one, Past(one["IndexName"], lag, unseen)
            )
            for one in definition.get("GlobalSecondaryIndexes", [])
        }
        self._index_keys: Final = [
            (index.name, name) for index in self.indexes.values() for name in index.keys
        ]
        self._past = Past("table", lag, unseen)
        self._partitions: dict[Scalar, Partition] = {}
        self._ttl: str | None = None
        self._ends: list[tuple[float, Key]] = []

    # -- keys -------------------------------------------------------------------------------------

    def key(self, given: Mapping[str, Value]) -> Key:
        """Return the key that a request names.

        Raises:
            ServiceError: it is none of this table.
        """
        if len(given) != len(self.keys):
            raise invalid(_NO_KEY)
        return self.key_of(given)

    def key_of(self, item: Mapping[str, Value]) -> Key:
        """Return the key of an item.

        Raises:
            ServiceError: it has none of this table.
        """
        hash_name, range_name = self.hash_name, self.range_name
        if hash_name not in item or (range_name is not None and range_name not in item):
            raise invalid(_NO_KEY)
        return (
            self._scalar(hash_name, item[hash_name], 2048, "hash"),
            "" if range_name is None else self._scalar(range_name, item[range_name], 1024, "range"),
        )

    def _scalar(self, name: str, value: Value, most: int, kind: str) -> Scalar:
        if kind_of(value) != self.types[name]:
            raise invalid(_NO_KEY)
        check_key_value(name, value)
        found = scalar(value)
        if isinstance(found, bytes | str) and (
            len(found) > most or (isinstance(found, str) and len(found.encode()) > most)
        ):
            raise invalid_parameter(
                f"Aggregated size of all {kind} keys has exceeded the size limit of {most} bytes"
            )
        return found

    def check_index_keys(self, item: Item, *, updating: bool) -> None:
        """Refuse an item that has a key of an index of another type than the index has.

        Raises:
            ServiceError: it has.
        """
        for index, name in self._index_keys:
            value = item.get(name)
            if value is None:
                continue
            wanted, kind = self.types[name], kind_of(value)
            if kind != wanted:
                raise invalid_parameter(
                    f"Type mismatch for Index Key {name} Expected: {wanted} Actual: {kind} "
                    f"IndexName: {index}"
                )
            if kind != "N" and not value[kind]:
                word = "string" if kind == "S" else "binary"
                empty = (
                    f"The AttributeValue for a key attribute cannot contain an empty {word} value."
                )
                if updating:
                    raise invalid(
                        "One or more parameter values are not valid. The update expression "
                        "attempted to update a secondary index key to a value that is not "
                        f"supported. {empty}"
                    )
                raise invalid(
                    "One or more parameter values are not valid. A value specified for a "
                    f"secondary index key is not supported. {empty} IndexName: {index}, "
                    f"IndexKey: {name}"
                )

    # -- rows -------------------------------------------------------------------------------------

    def get(self, key: Key) -> Row | None:
        """Return an item as it is."""
        partition = self._partitions.get(key[0])
        return None if partition is None else partition.rows.get(key[1:])

    def seen(self, key: Key, now: float) -> Row | None:
        """Return an item as a reader sees it who does not insist on the latest."""
        return self._past.seen(key, self.get(key), now)

    def partition(self, hash_key: Scalar, now: float, *, consistent: bool) -> Partition:
        """Return a partition as a reader sees it."""
        found = self._partitions.get(hash_key, _EMPTY)
        if consistent:
            return found
        seen: Partition | None = None
        for key in [key for key in self._past if key[0] == hash_key]:
            present = found.rows.get(key[1:])
            shown = self._past.seen(key, present, now)
            if shown is present:
                continue
            seen = seen or found.copy()
            if shown is None:
                seen.remove(key[1:])
            else:
                seen.put(key[1:], shown)
        return seen or found

    def write(self, key: Key, row: Row | None, now: float) -> int:
        """Put an item in its place, or remove it; return the units that the indexes take."""
        before = self.get(key)
        self._past.note(key, before, now)
        if row is None:
            if before is not None:
                self._partitions[key[0]].remove(key[1:])
        else:
            partition = self._partitions.get(key[0])
            if partition is None:
                partition = self._partitions[key[0]] = Partition()
            partition.put(key[1:], row)
            self._note_end(key, row.item)
        item = None if row is None else row.item
        return sum([index.write(key, item, now) for index in self.indexes.values()])

    def items(self) -> list[Item]:
        """Return all there is, in the order of the keys."""
        return [
            partition.rows[place].item
            for _, partition in sorted(self._partitions.items(), key=lambda pair: repr(pair[0]))
            for place in partition.order
        ]

    # -- expiry -----------------------------------------------------------------------------------

    @property
    def ttl(self) -> str | None:
        """The attribute that says when an item may be removed; ``None`` if none does."""
        return self._ttl

    @ttl.setter
    def ttl(self, name: str | None) -> None:
        self._ttl = name
        self._ends = []
        for partition in self._partitions.values():
            for row in partition.rows.values():
                self._note_end(self.key_of(row.item), row.item)

    def _note_end(self, key: Key, item: Item) -> None:
        end = self._end_of(item)
        if end is not None:
            heapq.heappush(self._ends, (end, key))

    def _end_of(self, item: Item) -> float | None:
        value = None if self._ttl is None else item.get(self._ttl)
        return None if value is None or "N" not in value else float(value["N"])

    def expire(self, now: float, delay: float) -> None:
        """Remove what was to end ``delay`` seconds ago; what ended years ago is left alone."""
        ends = self._ends
        while ends and ends[0][0] <= now - delay:
            end, key = heapq.heappop(ends)
            row = self.get(key)
            # It may have been written again, to end later or never.
            if row is not None and self._end_of(row.item) == end and end > now - _FIVE_YEARS:
                self.write(key, None, now)


def key_names(definition: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the names of the hash and the range key of a table or an index."""
    names = {one["KeyType"]: one["AttributeName"] for one in definition["KeySchema"]}
    return names["HASH"], names.get("RANGE")


def check_key_value(name: str, value: Value) -> None:
    """Refuse an empty key.

    Raises:
        ServiceError: it is empty.
    """
    kind = kind_of(value)
    if kind in ("S", "B") and not value[kind]:
        word = "string" if kind == "S" else "binary"
        raise invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an empty {word} value. Key: {name}"
        )


def write_units(size: int) -> int:
    """Return what it takes to write so many bytes."""
    return max(1, -(-size // 1024))


def read_units(size: int, *, consistent: bool) -> float:
    """Return what it takes to read so many bytes."""
    units = max(1, -(-size // 4096))
    return float(units) if consistent else units / 2


def below(order: list[Place], value: Scalar) -> int:
    """Return how many places have a lower first key than ``value``."""
    return bisect_left(order, value, key=_first)


def up_to(order: list[Place], value: Scalar) -> int:
    """Return how many places have a first key that is not above ``value``."""
    return bisect_right(order, value, key=_first)


def _first(place: Place) -> Scalar:
    found: Scalar = place[0]
    return found
