"""``DynamoDBStore``: the verbs of a store over one DynamoDB table."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, cast

from rivetless.aws.choice import choose_client
from rivetless.aws.client import Client
from rivetless.aws.services import DYNAMODB
from rivetless.clock import Clock, SystemClock
from rivetless.errors import ActorError
from rivetless.keys import Address, partition_of_address
from rivetless.store.base import (
    Capabilities,
    Changes,
    Collection,
    Due,
    Duplicate,
    Gone,
    Head,
    Host,
    OutcomeUnknown,
    Record,
    Store,
    Unavailable,
)
from rivetless.store.dynamodb import commits, items, setup, table
from rivetless.store.dynamodb.calls import Caller, ConditionFailed, Consumed
from rivetless.store.dynamodb.commits import CAPABILITIES, Known
from rivetless.store.dynamodb.expressions import Expression
from rivetless.store.dynamodb.items import Item, Place, Value
from rivetless.store.dynamodb.queries import Queries
from rivetless.store.limits import check

_REMEMBERED: Final = 10_000
_ATTEMPTS: Final = 30
_QUICK_ATTEMPTS: Final = 3
_OPTIMISTIC_ATTEMPTS: Final = 2
_NO_NUMBERS: Final[Mapping[str, int]] = {}


class DynamoDBStore(Store):
    """Keeps actors in a DynamoDB table: nothing to run, any number of processes, paid by the call.

    Args:
        table: name of the table (``create_table`` makes one for an emulator).
        client: sends the requests. By default one that suits the environment: a lean one of our
            own for credentials from the environment or a container, else boto3.
        endpoint: URL of the service; default ``AWS_ENDPOINT_URL_DYNAMODB``, ``AWS_ENDPOINT_URL``,
            or the region's own. An endpoint on this machine needs no credentials.
        region: default ``AWS_REGION``, ``AWS_DEFAULT_REGION``, or the profile's.
        clock: where the time comes from, that of the default client's time-outs included. A test
            that moves a fake clock while requests are under way gives a client on real time.
        patience: seconds in which a request that was refused for want of capacity, or could not
            be sent, is sent again; fewer where the turn's deadline comes first.
        rng: makes transactions' tokens, and draws the pauses between attempts.
    """

    def __init__(
        self,
        table: str,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        clock: Clock | None = None,
        patience: float = 5.0,
        rng: random.Random | None = None,
    ) -> None:
        if not table:
            raise ValueError("a DynamoDBStore needs the name of its table")
        if client is not None and (endpoint or region):
            raise ValueError("a client knows its endpoint and its region already")
        self._table = table
        self._clock = clock or SystemClock()
        self._rng = rng or random.SystemRandom()
        self._client = client or choose_client(
            DYNAMODB, endpoint=endpoint, region=region, clock=self._clock
        )
        self._caller = Caller(self._client, self._clock, patience, rng)
        self._queries = Queries(table, self._caller, self._clock)
        self._known: dict[str, Known] = {}
        self._open = False
        self._busy = 0
        self._idle = asyncio.Event()

    def __repr__(self) -> str:
        return f"DynamoDBStore({self._table!r}, client={self._client!r})"

    @property
    def table(self) -> str:
        """The table's name."""
        return self._table

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    @property
    def consumed(self) -> Consumed:
        """The requests sent, and the units that the service says they consumed."""
        return self._caller.consumed

    # -- open and close ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._open:
            raise RuntimeError(f"{self!r} is open already")
        await self._client.__aenter__()
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._open:
            return
        self._open = False
        while self._busy:
            self._idle.clear()
            await self._idle.wait()
        await self._client.__aexit__(None, None, None)

    async def create_table(self) -> None:
        """Make the table if it is not there; for emulators, tests and trials.

        What is deployed has its table from the same definition, through CloudFormation.
        """
        async with self._call():
            await setup.create_table(self._caller, self._clock, self._table)

    # -- heads ------------------------------------------------------------------------------------

    async def load(self, ref: Address | str) -> Head | None:
        async with self._call():
            if isinstance(ref, Address):
                return await self._load(partition_of_address(ref), ref)
            place = _place(ref)
            return None if place is None else await self._load(place.partition, place)

    async def _load(self, partition: str, wanted: Address | Place) -> Head | None:
        for attempt in range(_ATTEMPTS):
            item = await self._queries.item(items.head_key(partition))
            if item is None or items.is_drained(item):
                return None
            place = items.place_of(item)
            # Not the hash alone: two addresses may have one.
            if wanted != (items.address_of(item) if isinstance(wanted, Address) else place):
                return None
            items.check_format(item)
            self._remember(place.actor_id, Known.of(item))
            if table.CHUNKS not in item:
                return items.head(item)
            pieces: dict[str, Value] = item[table.CHUNKS]["M"]
            state = await self._queries.state(
                place, items.as_int(pieces["n"]), items.as_int(pieces["v"])
            )
            if state is not None:
                return items.head(item, state)
            if attempt >= _QUICK_ATTEMPTS:
                await self._caller.rest(attempt)
        raise Unavailable("DynamoDB: a large state is written faster than it can be read")

    async def current(self, actor_id: str, version: int) -> bool:
        async with self._call():
            place = _place(actor_id)
            if place is None:
                return False
            return await self._version(place) == version

    async def _version(self, place: Place) -> int | None:
        """Read a life's version; ``None`` if it is gone."""
        item = await self._queries.item(place.head, f"{table.LIFE}, {table.VERSION}")
        if item is None or item[table.LIFE]["B"] != place.life or table.VERSION not in item:
            return None
        return items.as_int(item[table.VERSION])

    # -- commits ----------------------------------------------------------------------------------

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        async with self._call():
            check(actor_id, changes, expected, CAPABILITIES)
            place = _place(actor_id)
            if place is None:
                raise Gone(f"actor {actor_id} does not exist")
            if changes.create is not None:
                return await self._create(actor_id, place, changes)
            if changes.empty:
                head = await self._fenced_head(actor_id, place, changes, expected)
                return items.as_int(head[table.VERSION])
            return await self._change(actor_id, place, changes, expected)

    async def _create(self, actor_id: str, place: Place, changes: Changes) -> int:
        assert changes.create is not None
        item = items.new_head(actor_id, changes.create, changes)
        if isinstance(changes.state, bytes) and changes.destroyed_at is None:
            name, value = commits.state_value(changes.state, 1)
            item[name] = value
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": f"attribute_not_exists({table.PK})",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        beside = commits.beside(self._table, place, changes, 1, _NO_NUMBERS, self._clock.now())
        for _ in range(_ATTEMPTS):
            try:
                if beside:
                    await self._transact([{"Put": put}, *beside])
                else:
                    await self._caller.call("PutItem", put | {"ReturnConsumedCapacity": "TOTAL"})
            except ConditionFailed as failed:
                left = failed.item
                if left is None:
                    raise Unavailable("DynamoDB does not show what it refuses for") from failed
                if not items.is_drained(left):
                    raise commits.conflict(actor_id, left) from None
                put |= commits.replacing(actor_id, place, item, left, self._clock.now())
            else:
                self._remember(actor_id, Known.of(item))
                return 1
        raise Unavailable("DynamoDB: the address is taken and left faster than it can be read")

    async def _change(
        self, actor_id: str, place: Place, changes: Changes, expected: int | None
    ) -> int:
        version = (expected or 0) + 1 if changes.versioned else 0
        known = self._known.get(actor_id)
        head: Item | None = None
        if commits.needs_head(changes, expected, known):
            head = await self._fenced_head(actor_id, place, changes, expected)
            known = Known.of(head)
        reserved = False
        for attempt in range(_ATTEMPTS):
            plan = commits.plan(place, changes, expected, known, head, reserved=reserved)
            last = _NO_NUMBERS if known is None else known.sequences
            beside = commits.beside(self._table, place, changes, version, last, self._clock.now())
            try:
                token = commits.token(changes, beside) if expected is None else None
                present = await self._write(
                    plan, beside, show_version=expected is None, token=token
                )
            except ConditionFailed as failed:
                if failed.doubtful and not commits.is_overtaken(
                    failed, changes, expected, None if reserved else last
                ):
                    raise OutcomeUnknown("DynamoDB: what was sent first may arrive yet") from failed
                if failed.place:
                    raise Duplicate(
                        f"actor {actor_id} has a record that was to be absent"
                    ) from None
                head = failed.item
                if head is None:
                    raise Gone(f"actor {actor_id} does not exist") from None
                commits.fence(actor_id, place, changes, expected, head)
                if not reserved:
                    known = Known.of(head)
            else:
                self._note(actor_id, known, changes, expected)
                if changes.versioned:
                    return version
                return present if expected is None else expected
            if changes.appends and known is not None and not reserved:
                if attempt >= _OPTIMISTIC_ATTEMPTS:
                    known = await self._reserve(actor_id, place, changes, known)
                    reserved = True
            elif attempt >= _QUICK_ATTEMPTS:
                await self._caller.rest(attempt)
        raise Unavailable("DynamoDB: the actor's head is changed faster than it can be read")

    async def _reserve(self, actor_id: str, place: Place, changes: Changes, known: Known) -> Known:
        """Take the next numbers in advance, so that nobody comes in between any more.

        Those of a commit that comes to nothing are left out for ever.
        """
        request = commits.reserve(place, changes).update(self._table) | {
            "ReturnConsumedCapacity": "TOTAL",
            "ReturnValues": "UPDATED_NEW",
        }
        try:
            answer = await self._caller.call("UpdateItem", request, repeatable=True)
        except ConditionFailed:
            raise Gone(f"actor {actor_id} does not exist") from None
        taken = items.sequences(cast("Item", answer.get("Attributes", {})))
        before = {name: taken[name] - count for name, count in changes.appended.items()}
        return replace(known, sequences={**known.sequences, **before})

    def _note(
        self, actor_id: str, known: Known | None, changes: Changes, expected: int | None
    ) -> None:
        """Remember what a commit has made of the head."""
        if known is not None and (not changes.versioned or known.version == expected):
            self._remember(actor_id, known.after(changes))
        else:
            self._known.pop(actor_id, None)

    async def _write(
        self,
        plan: Expression,
        beside: list[dict[str, Any]],
        *,
        show_version: bool,
        token: str | None = None,
    ) -> int:
        """Write a planned commit; return the present version where the answer shows it, else 0."""
        if beside:
            kind = "Update" if plan.changes else "ConditionCheck"
            first = plan.update(self._table) if plan.changes else plan.check(self._table)
            await self._transact([{kind: first}, *beside], token)
            return 0
        if show_version:
            plan.show(table.VERSION)
        request = plan.update(self._table) | {
            "ReturnConsumedCapacity": "TOTAL",
            "ReturnValues": "UPDATED_NEW" if show_version else "NONE",
        }
        answer = await self._caller.call("UpdateItem", request)
        shown = cast("Item", answer.get("Attributes", {}))
        return items.as_int(shown.get(table.VERSION))

    async def _transact(self, requests: list[dict[str, Any]], token: str | None = None) -> None:
        payload = {
            "TransactItems": requests,
            "ReturnConsumedCapacity": "TOTAL",
            # With it a transaction whose answer was lost can be sent again, and counts once.
            "ClientRequestToken": token or f"{self._rng.getrandbits(128):032x}",
        }
        await self._caller.call("TransactWriteItems", payload, repeatable=True)

    async def _fenced_head(
        self, actor_id: str, place: Place, changes: Changes, expected: int | None
    ) -> Item:
        """Read a head that a commit will be allowed on, as it looks now."""
        head = await self._queries.item(place.head)
        if head is None:
            raise Gone(f"actor {actor_id} does not exist")
        commits.fence(actor_id, place, changes, expected, head)
        return head

    def _remember(self, actor_id: str, known: Known) -> None:
        self._known.pop(actor_id, None)
        self._known[actor_id] = known
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    # -- records, and across actors ---------------------------------------------------------------

    async def records(
        self,
        actor_id: str,
        collection: Collection,
        *,
        start: bytes = b"",
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Record]:
        async with self._call():
            place = _place(actor_id)
            if place is None:
                return []
            return await self._queries.records(place, collection, start, end, limit, reverse)

    async def list(
        self,
        namespace: str,
        name: str,
        *,
        limit: int,
        before: float | tuple[float, str] | None = None,
        include_destroyed: bool = False,
    ) -> Sequence[Head]:
        async with self._call():
            end = None if before is None else _end_of_list(before)
            return await self._queries.actors(namespace, name, limit, end, include_destroyed)

    async def due(self, now: float, *, limit: int) -> Sequence[Due]:
        async with self._call():
            return await self._queries.due(now, limit)

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        async with self._call():
            place = _place(actor_id)
            head = None if place is None else await self._queries.item(place.head)
            if place is None or head is None or head[table.LIFE]["B"] != place.life:
                return True
            if items.is_drained(head):
                return True
            if not items.is_dead(head):
                return False
            # Nothing is added to a tombstone, so what is found now is all there will be.
            children = await self._queries.children(place, limit + 1)
            await self._queries.delete(children[:limit])
            if len(children) > limit or head[table.OUTBOX]["M"]:
                return False
            return await self._bury(place, head)

    async def _bury(self, place: Place, head: Item) -> bool:
        """Leave of a tombstone's head what keeps its life from beginning again.

        Returns whether that is so now.
        """
        plan = Expression(place.head)
        plan.require(f"{table.LIFE} = {plan.value(items.binary(place.life))}")
        plan.require(f"attribute_exists({table.DIED})")
        request = plan.check(self._table) | {
            "Item": items.drained_head(head, self._clock.now()),
            "ReturnConsumedCapacity": "TOTAL",
        }
        del request["Key"]
        try:
            await self._caller.call("PutItem", request, repeatable=True)
        except ConditionFailed as failed:
            # Somebody else has buried it, and perhaps a new life has begun there.
            return failed.item is None or failed.item[table.LIFE]["B"] != place.life
        self._known.pop(place.actor_id, None)
        return True

    async def announce(self, host: Host) -> None:
        async with self._call():
            item = items.host_item(host)
            payload: dict[str, Any] = {
                "TableName": self._table,
                "ReturnConsumedCapacity": "TOTAL",
            }
            if host.expires_at <= 0:
                key = {name: item[name] for name in (table.PK, table.SK)}
                await self._caller.call("DeleteItem", payload | {"Key": key}, repeatable=True)
                return
            expires = table.EXPIRES
            payload |= {
                "Item": item,
                "ConditionExpression": f"attribute_not_exists({expires}) OR {expires} <= :e",
                "ExpressionAttributeValues": {":e": item[expires]},
            }
            # Refused, there is a later one.
            with suppress(ConditionFailed):
                await self._caller.call("PutItem", payload, repeatable=True)

    async def hosts(self) -> Sequence[Host]:
        async with self._call():
            return await self._queries.hosts()

    async def hosted(self, host: str, *, limit: int = 100) -> Sequence[tuple[str, Record]]:
        async with self._call():
            return await self._queries.hosted(host, limit)

    # -- closing ----------------------------------------------------------------------------------

    def _call(self) -> _Busy:
        if not self._open:
            raise Unavailable("the store is not open")
        return _Busy(self)

    def begin(self) -> None:
        """Note that a verb has begun; closing waits for it."""
        self._busy += 1

    def end(self) -> None:
        """Note that it has ended."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()


class _Busy:
    """``async with``: keeps a store from closing while one of its verbs runs."""

    __slots__ = ("_store",)

    def __init__(self, store: DynamoDBStore) -> None:
        self._store = store

    async def __aenter__(self) -> None:
        self._store.begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.end()


def _place(actor_id: str) -> Place | None:
    """Return where the life of an id is; ``None`` if it is nobody's."""
    try:
        return Place.of(actor_id)
    except ActorError:
        return None


def _end_of_list(before: float | tuple[float, str]) -> bytes:
    """Return what the list's index has to stay under."""
    if isinstance(before, tuple) and before[1]:
        return items.born(*before)
    return items.sortable(before[0] if isinstance(before, tuple) else before)
