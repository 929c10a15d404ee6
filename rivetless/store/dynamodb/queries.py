"""What is read beside single heads: ranges of records, and the indexes across actors."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from rivetless.aws.client import Payload
from rivetless.clock import Clock
from rivetless.store.base import Collection, Due, Head, Host, Record
from rivetless.store.dynamodb import items, table
from rivetless.store.dynamodb.calls import Caller
from rivetless.store.dynamodb.items import Item, Place, Value

T = TypeVar("T")

_MOST_READ: Final = 100
"""Items that one ``BatchGetItem`` reads."""

_MOST_WRITTEN: Final = 25
"""Items that one ``BatchWriteItem`` writes."""

_LONGEST_KEY: Final = 1024


class Queries:
    """Reads a table.

    Args:
        name: of the table.
        caller: makes the calls.
        clock: tells what has expired.
    """

    def __init__(self, name: str, caller: Caller, clock: Clock) -> None:
        self._name = name
        self._caller = caller
        self._clock = clock

    async def item(self, key: dict[str, Value], projection: str | None = None) -> Item | None:
        """Read one item, strongly consistent."""
        payload: Payload = {
            "TableName": self._name,
            "Key": key,
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if projection is not None:
            payload["ProjectionExpression"] = projection
        answer = await self._caller.call("GetItem", payload)
        return cast("Item | None", answer.get("Item"))

    async def records(
        self,
        place: Place,
        collection: Collection,
        start: bytes,
        end: bytes | None,
        limit: int | None,
        reverse: bool,
    ) -> list[Record]:
        """Read a range of a collection, strongly consistent."""
        prefix = place.life + collection.encode()
        lowest = prefix + start
        # BETWEEN includes its ends. The prefix's successor may itself be somebody's key.
        highest = _successor(prefix) if end is None else prefix + end
        now = self._clock.now()

        def accept(item: Item) -> Record | None:
            sort_key: bytes = item[table.SK]["B"]
            if not lowest <= sort_key < highest:
                return None
            record = items.record(item)
            alive = record.expires_at is None or record.expires_at > now
            return record if alive else None

        if lowest >= highest:
            return []
        query = self._between(place, lowest[:_LONGEST_KEY], highest[:_LONGEST_KEY])
        return await self._collect(
            query | {"ConsistentRead": True, "ScanIndexForward": not reverse}, accept, limit
        )

    async def state(self, place: Place, count: int, version: int) -> bytes | None:
        """Read a state that is in pieces; ``None`` if it has been written again meanwhile."""
        prefix = place.life + table.CHUNK_LETTER
        query = self._between(place, prefix, prefix + bytes([count - 1]))
        pieces = await self._collect(query | {"ConsistentRead": True}, lambda item: item)
        if len(pieces) != count or any(
            items.as_int(piece[table.STAMP]) != version for piece in pieces
        ):
            return None
        return b"".join(cast("bytes", piece[table.STATE]["B"]) for piece in pieces)

    async def children(self, place: Place, limit: int) -> list[dict[str, Value]]:
        """Return the keys of items beside a head."""
        query = self._between(place, place.life, _successor(place.life)) | {
            "ConsistentRead": True,
            "ProjectionExpression": f"{table.PK}, {table.SK}",
        }

        def accept(item: Item) -> dict[str, Value] | None:
            return dict(item) if item[table.SK]["B"].startswith(place.life) else None

        return await self._collect(query, accept, limit)

    async def delete(self, keys: Sequence[dict[str, Value]]) -> None:
        """Delete items, each by itself."""
        for start in range(0, len(keys), _MOST_WRITTEN):
            some = keys[start : start + _MOST_WRITTEN]
            await self._batch("BatchWriteItem", [{"DeleteRequest": {"Key": key}} for key in some])

    async def hosts(self) -> list[Host]:
        """Read the hosts."""
        query = self._query(f"{table.PK} = :p", {":p": items.text(table.HOSTS)})
        return await self._collect(query | {"ConsistentRead": True}, items.host)

    # -- indexes ----------------------------------------------------------------------------------

    async def actors(
        self, namespace: str, name: str, limit: int, before: bytes | None, destroyed: bool
    ) -> list[Head]:
        """List actors, newest first: their order from the index, what they are from their heads."""
        values = {":l": items.text(items.listed(namespace, name))}
        condition = f"{table.LISTED} = :l"
        if before is not None:
            values[":b"] = items.binary(before)
            condition += f" AND {table.BORN} < :b"
        query = self._query(condition, values, table.LIST_INDEX) | {"ScanIndexForward": False}

        def accept(item: Item) -> Head | None:
            hidden = items.is_drained(item) or (items.is_dead(item) and not destroyed)
            return None if hidden else items.listed_head(item)

        projection = ", ".join(
            (
                table.PK,
                table.SK,
                table.LIFE,
                table.KEY,
                table.LISTED,
                table.BORN,
                table.VERSION,
                table.DIED,
                table.DRAINED,
            )
        )
        return await self._collect_behind(query, accept, limit, projection)

    async def due(self, now: float, limit: int) -> list[Due]:
        """Find who is due, from the parts of both due indexes."""

        async def find(index: str, column: str, shard: int) -> list[Due]:
            values = {":s": items.text(str(shard)), ":n": items.number(now)}
            query = self._query(f"{table.SHARD} = :s AND {column} <= :n", values, index)

            def accept(item: Item) -> Due:
                return Due(items.place_of(item).actor_id, float(item[column]["N"]))

            return await self._collect(query, accept, limit)

        parts = await asyncio.gather(
            *(
                find(index, column, shard)
                for index, column in (
                    (table.WAKE_INDEX, table.WAKE_AT),
                    (table.OUTBOX_INDEX, table.OUTBOX_AT),
                )
                for shard in range(table.SHARDS)
            )
        )
        first: dict[str, Due] = {}
        for due in (due for part in parts for due in part):
            known = first.get(due.actor_id)
            if known is None or due.at < known.at:
                first[due.actor_id] = due
        return heapq.nsmallest(limit, first.values(), key=lambda due: (due.at, due.actor_id))

    async def hosted(self, host: str, limit: int) -> list[tuple[str, Record]]:
        """Find the records that carry a host."""
        query = self._query(f"{table.HOST} = :h", {":h": items.text(host)}, table.HOST_INDEX)
        now = self._clock.now()

        def accept(item: Item) -> tuple[str, Record] | None:
            record = items.record(item)
            gone = record.expires_at is not None and record.expires_at <= now
            if gone or record.host != host:
                return None
            life: bytes = item[table.SK]["B"][: items.LIFE_BYTES]
            return Place(item[table.PK]["S"], life).actor_id, record

        return await self._collect_behind(query, accept, limit)

    # -- parts ------------------------------------------------------------------------------------

    def _query(self, condition: str, values: dict[str, Value], index: str | None = None) -> Payload:
        query: Payload = {
            "TableName": self._name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ReturnConsumedCapacity": "TOTAL",
        }
        return query if index is None else query | {"IndexName": index}

    def _between(self, place: Place, lowest: bytes, highest: bytes) -> Payload:
        return self._query(
            f"{table.PK} = :p AND {table.SK} BETWEEN :a AND :z",
            {
                ":p": items.text(place.partition),
                ":a": items.binary(lowest),
                ":z": items.binary(highest),
            },
        )

    async def _collect(
        self, query: Payload, accept: Callable[[Item], T | None], limit: int | None = None
    ) -> list[T]:
        """Run a query page by page; return what is accepted, up to a limit."""
        found: list[T] = []
        start: object = None
        while limit is None or len(found) < limit:
            page, start = await self._page(query, start, limit, len(found))
            for item in page:
                value = accept(item)
                if value is not None:
                    found.append(value)
            if start is None:
                break
        return found[:limit]

    async def _collect_behind(
        self,
        query: Payload,
        accept: Callable[[Item], T | None],
        limit: int,
        projection: str | None = None,
    ) -> list[T]:
        """Run a query of an index page by page, and read the items that its entries are of."""
        found: list[T] = []
        start: object = None
        while len(found) < limit:
            page, start = await self._page(query, start, min(limit, _MOST_READ), len(found))
            for item in await self._items(page, projection):
                value = accept(item)
                if value is not None:
                    found.append(value)
            if start is None:
                break
        return found[:limit]

    async def _page(
        self, query: Payload, start: object, limit: int | None, found: int
    ) -> tuple[list[Item], object]:
        payload = dict(query)
        if limit is not None:
            # One more than is missing, for an entry that is not accepted.
            payload["Limit"] = max(1, limit - found) + 1
        if start is not None:
            payload["ExclusiveStartKey"] = start
        answer = await self._caller.call("Query", payload)
        return cast("list[Item]", answer.get("Items", [])), answer.get("LastEvaluatedKey")

    async def _items(self, entries: Sequence[Item], projection: str | None) -> list[Item]:
        """Read the items of an index's entries, in their order; those that are there."""
        wanted = [{table.PK: entry[table.PK], table.SK: entry[table.SK]} for entry in entries]
        found: dict[tuple[str, bytes], Item] = {}
        for start in range(0, len(wanted), _MOST_READ):
            for item in await self._batch(
                "BatchGetItem", wanted[start : start + _MOST_READ], projection
            ):
                found[item[table.PK]["S"], item[table.SK]["B"]] = item
        places = ((key[table.PK]["S"], key[table.SK]["B"]) for key in wanted)
        return [found[place] for place in places if place in found]

    async def _batch(
        self, operation: str, requests: list[Any], projection: str | None = None
    ) -> list[Item]:
        """Make a batch of requests, until the service has done all of them."""
        reads = operation == "BatchGetItem"
        found: list[Item] = []
        attempt = 0
        part: object = requests
        if reads:
            part = {"Keys": requests}
            if projection is not None:
                part = part | {"ProjectionExpression": projection}
        pending: dict[str, Any] = {self._name: part}
        while pending:
            payload: Payload = {"RequestItems": pending, "ReturnConsumedCapacity": "TOTAL"}
            # Deleting twice is deleting.
            answer = await self._caller.call(operation, payload, repeatable=True)
            found += answer.get("Responses", {}).get(self._name, [])
            pending = answer.get("UnprocessedKeys" if reads else "UnprocessedItems") or {}
            if pending:
                await self._caller.rest(attempt)
                attempt += 1
        return found


def _successor(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with a prefix."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix) + 1, "big")[1:]
