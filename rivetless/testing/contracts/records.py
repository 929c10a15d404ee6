"""The contract of the records beside a head."""

from __future__ import annotations

import random

import pytest

from rivetless.store.base import Collection, Record, RecordKey, Store
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import LATER, Contract, begin, changes

HERE = Collection.SUBSCRIPTION

KEYS = [b"", b"\0", b"\0\0", b"\1", b"a", b"a\0", b"aa", b"a\xff", b"b", b"\x7f", b"\x80", b"\xff"]
"""In byte order, which is neither that of text nor that of signed bytes."""


class RecordContract(Contract):
    """Ranges of records, their order and their expiry."""

    async def test_records_are_read_as_written(self, store: Store) -> None:
        written = [
            Record(HERE, b"\0key", bytes(range(256)), LATER + 0.125, "host-1"),
            Record(HERE, b"empty", b""),
        ]
        life = await begin(store, puts=tuple(reversed(written)))
        assert await store.records(life.id, HERE) == written

    async def test_a_record_is_replaced_as_a_whole(self, store: Store) -> None:
        life = await begin(store, puts=(Record(HERE, b"k", b"1", LATER, "h"),))
        await life.commit(puts=(Record(HERE, b"k", b"2"),))
        assert await store.records(life.id, HERE) == [Record(HERE, b"k", b"2")]

    async def test_records_are_deleted(self, store: Store) -> None:
        life = await begin(store, puts=_records(b"a", b"b", b"c"))
        await life.commit(deletes=(RecordKey(HERE, b"b"), RecordKey(HERE, b"unknown")))
        assert await store.records(life.id, HERE) == list(_records(b"a", b"c"))

    async def test_deletes_come_before_puts(self, store: Store) -> None:
        life = await begin(store, puts=_records(b"a"))
        await life.commit(
            puts=(Record(HERE, b"a", b"first"), Record(HERE, b"a", b"last")),
            deletes=(RecordKey(HERE, b"a"),),
        )
        assert await store.records(life.id, HERE) == [Record(HERE, b"a", b"last")]

    async def test_bare_changes_that_are_sent_again_count_once(self, store: Store) -> None:
        """Whoever does not know the outcome sends them again; others have gone on meanwhile."""
        life = await begin(store)
        put = changes(puts=_records(b"a"))
        delete = changes(deletes=(RecordKey(HERE, b"a"),))
        await store.commit(life.id, put, expected=None)
        assert await store.records(life.id, HERE) == list(_records(b"a"))
        await store.commit(life.id, delete, expected=None)
        await store.commit(life.id, put, expected=None)
        assert await store.records(life.id, HERE) == []
        await life.commit(puts=_records(b"a"))
        await store.commit(life.id, delete, expected=None)
        assert await store.records(life.id, HERE) == list(_records(b"a"))
        await store.commit(life.id, changes(deletes=delete.deletes), expected=None)
        assert await store.records(life.id, HERE) == []

    async def test_collections_are_apart(self, store: Store) -> None:
        puts = tuple(Record(where, b"k", where.encode()) for where in Collection)
        life = await begin(store, puts=puts)
        await life.commit(deletes=(RecordKey(Collection.CONNECTION, b"k"),))
        for record in puts:
            expected = [] if record.collection is Collection.CONNECTION else [record]
            assert await store.records(life.id, record.collection) == expected

    async def test_actors_are_apart(self, store: Store) -> None:
        one = await begin(store, puts=_records(b"a"))
        two = await begin(store, puts=_records(b"b"))
        await one.commit(deletes=(RecordKey(HERE, b"b"),))
        assert await store.records(one.id, HERE) == list(_records(b"a"))
        assert await store.records(two.id, HERE) == list(_records(b"b"))

    async def test_records_are_read_in_byte_order(self, store: Store) -> None:
        keys = list(KEYS)
        random.Random(1).shuffle(keys)
        life = await begin(store)
        for key in keys:
            await life.commit(puts=_records(key))
        assert await store.records(life.id, HERE) == list(_records(*KEYS))
        assert await store.records(life.id, HERE, reverse=True) == list(_records(*KEYS[::-1]))

    @pytest.mark.parametrize("reverse", [False, True])
    async def test_ranges(self, store: Store, reverse: bool) -> None:
        life = await begin(store, puts=_records(*KEYS))
        for start in (*KEYS, b"\x90", b"\xff\xff"):
            for end in (None, *KEYS, b"a\1", b"\xff\xff"):
                expected = [k for k in KEYS if start <= k and (end is None or k < end)]
                found = await store.records(life.id, HERE, start=start, end=end, reverse=reverse)
                assert [record.key for record in found] == (
                    expected[::-1] if reverse else expected
                ), (start, end)

    async def test_limit_applies_after_reverse(self, store: Store) -> None:
        life = await begin(store, puts=_records(*KEYS))
        for limit in (1, 2, len(KEYS), 100):
            found = await store.records(life.id, HERE, limit=limit)
            assert found == list(_records(*KEYS[:limit]))
            found = await store.records(life.id, HERE, limit=limit, reverse=True)
            assert found == list(_records(*KEYS[::-1][:limit]))
        found = await store.records(life.id, HERE, start=b"a", end=b"b", limit=2, reverse=True)
        assert [record.key for record in found] == [b"a\xff", b"aa"]

    async def test_many_records_are_read_at_once(self, store: Store) -> None:
        records = _records(*(b"%05d" % n for n in range(1500)))
        life = await begin(store)
        size = min(100, store.capabilities.max_commit_records)
        for first in range(0, len(records), size):
            await life.commit(puts=records[first : first + size])
        assert await store.records(life.id, HERE) == list(records)
        assert await store.records(life.id, HERE, reverse=True) == list(records[::-1])
        assert await store.records(life.id, HERE, limit=1200) == list(records[:1200])
        found = await store.records(life.id, HERE, start=b"00500", limit=700, reverse=True)
        assert found == list(records[:-701:-1])

    async def test_large_records_are_read_at_once(self, store: Store) -> None:
        size = min(300_000, store.capabilities.max_record_bytes)
        life = await begin(store)
        records = [Record(HERE, b"%d" % n, bytes([n]) * size) for n in range(8)]
        for record in records:
            await life.commit(puts=(record,))
        assert await store.records(life.id, HERE) == records

    async def test_expired_records_are_left_out(self, store: Store, clock: FakeClock) -> None:
        now = clock.now()
        life = await begin(
            store,
            puts=(
                Record(HERE, b"a", b"", now + 10),
                Record(HERE, b"b", b"", now + 20),
                Record(HERE, b"c", b""),
                Record(HERE, b"d", b"", now - 1),
            ),
        )
        assert await _keys(store, life.id) == [b"a", b"b", b"c"]
        clock.jump(9.75)
        assert await _keys(store, life.id) == [b"a", b"b", b"c"]
        clock.jump(0.25)
        assert await _keys(store, life.id) == [b"b", b"c"]
        found = await store.records(life.id, HERE, limit=1)
        assert [record.key for record in found] == [b"b"]
        clock.jump(100)
        await life.commit(touch=True)
        assert await _keys(store, life.id) == [b"c"]

    async def test_an_expired_record_can_be_written_again(
        self, store: Store, clock: FakeClock
    ) -> None:
        life = await begin(store, puts=(Record(HERE, b"a", b"old", clock.now() + 10),))
        await life.commit(puts=(Record(HERE, b"a", b"renewed", clock.now() + 30),))
        clock.jump(20)
        await life.commit(touch=True)
        assert [r.data for r in await store.records(life.id, HERE)] == [b"renewed"]
        clock.jump(20)
        await life.commit(touch=True)
        assert await store.records(life.id, HERE) == []
        await life.commit(puts=(Record(HERE, b"a", b"for ever"),))
        clock.jump(1_000_000)
        await life.commit(touch=True)
        assert [r.data for r in await store.records(life.id, HERE)] == [b"for ever"]

    async def test_records_of_a_tombstone_can_be_read(self, store: Store) -> None:
        life = await begin(store, puts=_records(b"a"))
        await life.destroy(puts=_records(b"b"))
        assert await store.records(life.id, HERE) == list(_records(b"a", b"b"))

    # -- hosts ------------------------------------------------------------------------------------

    async def test_records_are_found_by_host(self, store: Store, other: Store) -> None:
        puts = [
            (Record(Collection.CONNECTION, b"1", b"x", host="h1"), Record(HERE, b"1", b"x")),
            (Record(Collection.CONNECTION, b"1", b"y", host="h1"),),
            (Record(Collection.CONNECTION, b"1", b"z", host="h2"),),
        ]
        lives = [await begin(store, puts=records) for records in puts]
        found = await other.hosted("h1")
        assert sorted(found, key=lambda pair: pair[1].data) == [
            (lives[0].id, puts[0][0]),
            (lives[1].id, puts[1][0]),
        ]
        assert await store.hosted("h2") == [(lives[2].id, puts[2][0])]
        assert await store.hosted("h3") == []

    async def test_hosted_records_leave_with_their_host(
        self, store: Store, clock: FakeClock
    ) -> None:
        def record(key: bytes, host: str | None, expires_at: float | None = None) -> Record:
            return Record(HERE, key, b"", expires_at, host)

        puts = (record(b"1", "h"), record(b"2", "h"), record(b"3", "h", clock.now() + 5))
        life = await begin(store, puts=puts)
        assert len(await store.hosted("h")) == 3
        assert len(await store.hosted("h", limit=2)) == 2
        await life.commit(puts=(record(b"1", None),), deletes=(RecordKey(HERE, b"2"),))
        assert await store.hosted("h") == [(life.id, puts[2])]
        clock.jump(5)
        assert await store.hosted("h") == []
        await life.commit(puts=(record(b"2", "h"),))
        await life.destroy()
        assert await store.hosted("h") == [(life.id, record(b"2", "h"))]
        assert await store.drain(life.id)
        assert await store.hosted("h") == []


def _records(*keys: bytes) -> tuple[Record, ...]:
    return tuple(Record(HERE, key, b"data of " + key) for key in keys)


async def _keys(store: Store, actor_id: str) -> list[bytes]:
    return [record.key for record in await store.records(actor_id, HERE)]
