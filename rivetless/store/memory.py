"""A store in this process's memory: the quickest one, and the one that defines what is right.

For tests, for examples, and for actors that may be lost with their process. May import
``store.base``, ``store.limits`` and ``store.repeats`` only, beside keys and clock.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from rivetless.clock import Clock, SystemClock
from rivetless.keys import Address
from rivetless.store.base import (
    DRAINED_FOR,
    RECORD_FORMAT,
    Capabilities,
    Changes,
    Collection,
    Conflict,
    Due,
    Duplicate,
    Gone,
    Head,
    Host,
    NewerFormat,
    Record,
    Store,
    Unavailable,
)
from rivetless.store.changes import apply, numbered
from rivetless.store.limits import check, check_counters
from rivetless.store.repeats import Repeats

CAPABILITIES: Final = Capabilities(single_writer=True)


@dataclass(slots=True)
class _Records:
    """One collection of one life: its records, and their keys in order."""

    by_key: dict[bytes, Record] = field(default_factory=dict[bytes, Record])
    keys: list[bytes] = field(default_factory=list[bytes])

    def put(self, record: Record) -> None:
        if record.key not in self.by_key:
            insort(self.keys, record.key)
        self.by_key[record.key] = record

    def delete(self, key: bytes) -> None:
        if self.by_key.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def keys_between(self, start: bytes, end: bytes | None) -> list[bytes]:
        stop = len(self.keys) if end is None else bisect_left(self.keys, end)
        return self.keys[bisect_left(self.keys, start) : stop]


@dataclass(slots=True)
class _Life:
    """A head with the records beside it."""

    head: Head
    collections: dict[Collection, _Records] = field(default_factory=dict[Collection, _Records])


class MemoryStore(Store):
    """Keeps actors in memory, for as long as the object lives.

    It is the only writer there is, so turns need not validate what they cached. It is open while
    anybody has entered it; its content outlasts that, so that a test can play a restart.

    Args:
        clock: where the time comes from.
        capabilities: other limits than the default ones, to play another store.
    """

    def __init__(
        self, *, clock: Clock | None = None, capabilities: Capabilities = CAPABILITIES
    ) -> None:
        self._clock = clock or SystemClock()
        self._capabilities = capabilities
        self._lives: dict[str, _Life] = {}
        self._by_address: dict[Address, str] = {}
        self._due: dict[str, float] = {}
        self._hosts: dict[str, Host] = {}
        # Lives that were drained, the first one first, and until when that is remembered.
        self._drained: dict[str, float] = {}
        # Records that will expire, soonest first; the number keeps entries comparable.
        self._expiring: list[tuple[float, int, str, Collection, bytes]] = []
        self._numbers = itertools.count()
        self._repeats = Repeats()
        self._users = 0

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._users -= 1

    async def load(self, ref: Address | str) -> Head | None:
        self._check_open()
        actor_id = self._by_address.get(ref) if isinstance(ref, Address) else ref
        life = None if actor_id is None else self._lives.get(actor_id)
        if life is None:
            return None
        _check_format(life.head)
        return life.head

    async def current(self, actor_id: str, version: int) -> bool:
        self._check_open()
        life = self._lives.get(actor_id)
        return life is not None and life.head.version == version

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        self._check_open()
        check(actor_id, changes, expected, self._capabilities)
        numbers: Mapping[str, int] = {}
        life = self._lives.get(actor_id)
        if expected is None and changes in self._repeats:
            return 0 if life is None else life.head.version
        if changes.create is not None:
            present = self._by_address.get(changes.create.address)
            if present is not None:
                raise Conflict(actor_id, self._lives[present].head)
            if self._drained.get(actor_id, 0.0) > self._clock.now():
                raise Gone(f"actor {actor_id} was destroyed")
            life = _Life(apply(None, actor_id, changes, 1))
            self._lives[actor_id] = life
            self._by_address[changes.create.address] = actor_id
        elif life is None:
            raise Gone(f"actor {actor_id} does not exist")
        else:
            _fence(life.head, changes, expected)
            check_counters(changes, life.head.counters)
            self._check_absent(life, changes)
            numbers = life.head.sequences
            version = life.head.version + changes.versioned
            life.head = apply(life.head, actor_id, changes, version)
        self._write_records(actor_id, life, (*changes.puts, *numbered(changes, numbers)), changes)
        self._repeats.note(changes)
        self._note_due(life.head)
        self._drop_expired()
        return life.head.version

    def _check_absent(self, life: _Life, changes: Changes) -> None:
        for name in changes.absent:
            records = life.collections.get(name.collection)
            record = None if records is None else records.by_key.get(name.key)
            if record is not None and self._live(record):
                raise Duplicate(f"actor {life.head.actor_id} has record {name.key!r}")

    def _write_records(
        self, actor_id: str, life: _Life, written: Sequence[Record], changes: Changes
    ) -> None:
        for name in changes.deletes:
            if (records := life.collections.get(name.collection)) is not None:
                records.delete(name.key)
        for record in written:
            life.collections.setdefault(record.collection, _Records()).put(record)
            if record.expires_at is not None:
                where = (actor_id, record.collection, record.key)
                heapq.heappush(self._expiring, (record.expires_at, next(self._numbers), *where))

    def _note_due(self, head: Head) -> None:
        instants = [entry.created_at for entry in head.outbox.values()]
        instants += [at for at in (head.alarm, head.destroyed_at) if at is not None]
        if instants:
            self._due[head.actor_id] = min(instants)
        else:
            self._due.pop(head.actor_id, None)

    def _drop_expired(self) -> None:
        now = self._clock.now()
        while self._expiring and self._expiring[0][0] <= now:
            expires_at, _, actor_id, collection, key = heapq.heappop(self._expiring)
            life = self._lives.get(actor_id)
            if life is None or (records := life.collections.get(collection)) is None:
                continue
            record = records.by_key.get(key)
            # It may have been written again since, with another date or none.
            if record is not None and record.expires_at == expires_at:
                records.delete(key)

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
        self._check_open()
        life = self._lives.get(actor_id)
        records = None if life is None else life.collections.get(collection)
        if records is None:
            return []
        keys = records.keys_between(start, end)
        if reverse:
            keys.reverse()
        found = (records.by_key[key] for key in keys)
        return list(itertools.islice((r for r in found if self._live(r)), limit))

    def _live(self, record: Record) -> bool:
        return record.expires_at is None or record.expires_at > self._clock.now()

    async def list(
        self,
        namespace: str,
        name: str,
        *,
        limit: int,
        before: float | tuple[float, str] | None = None,
        include_destroyed: bool = False,
    ) -> Sequence[Head]:
        self._check_open()
        heads = [
            life.head
            for life in self._lives.values()
            if (life.head.address.namespace, life.head.address.name) == (namespace, name)
            and (include_destroyed or life.head.destroyed_at is None)
        ]
        if before is not None:
            # The empty text comes before every id, so nobody of that instant is listed.
            place = before if isinstance(before, tuple) else (before, "")
            heads = [head for head in heads if (head.created_at, head.actor_id) < place]
        return heapq.nlargest(limit, heads, key=lambda head: (head.created_at, head.actor_id))

    async def due(self, now: float, *, limit: int) -> Sequence[Due]:
        self._check_open()
        found = (Due(actor_id, at) for actor_id, at in self._due.items() if at <= now)
        return heapq.nsmallest(limit, found, key=lambda due: (due.at, due.actor_id))

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        self._check_open()
        life = self._lives.get(actor_id)
        if life is None:
            return True
        if life.head.destroyed_at is None:
            return False
        for records in life.collections.values():
            for key in records.keys[:limit]:
                records.delete(key)
                limit -= 1
        if life.head.outbox or any(records.keys for records in life.collections.values()):
            return False
        del self._lives[actor_id]
        del self._by_address[life.head.address]
        del self._due[actor_id]
        now = self._clock.now()
        for drained, until in list(self._drained.items()):
            if until > now:
                break
            del self._drained[drained]
        self._drained[actor_id] = now + DRAINED_FOR
        return True

    async def announce(self, host: Host) -> None:
        self._check_open()
        known = self._hosts.get(host.id)
        if host.expires_at <= 0:
            self._hosts.pop(host.id, None)
        elif known is None or known.expires_at <= host.expires_at:
            self._hosts[host.id] = host

    async def hosts(self) -> Sequence[Host]:
        self._check_open()
        return list(self._hosts.values())

    async def hosted(self, host: str, *, limit: int = 100) -> Sequence[tuple[str, Record]]:
        self._check_open()
        found = (
            (actor_id, record)
            for actor_id, life in self._lives.items()
            for records in life.collections.values()
            for record in records.by_key.values()
            if record.host == host and self._live(record)
        )
        return list(itertools.islice(found, limit))

    def _check_open(self) -> None:
        if not self._users:
            raise Unavailable("the store is not open")


def _fence(head: Head, changes: Changes, expected: int | None) -> None:
    dead = head.destroyed_at is not None
    if dead and changes.enriching:
        raise Gone(f"actor {head.actor_id} was destroyed")
    if expected is not None and expected != head.version:
        raise Conflict(head.actor_id, head)
    if changes.versioned:
        _check_format(head)


def _check_format(head: Head) -> None:
    if head.format > RECORD_FORMAT:
        raise NewerFormat(
            f"actor {head.actor_id} is in record format {head.format}; "
            f"this version of rivetless knows formats up to {RECORD_FORMAT}"
        )
