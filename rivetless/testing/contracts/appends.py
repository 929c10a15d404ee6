"""The contract of appending: numbers, limits of counters, records that must be absent."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from rivetless.store.base import (
    Append,
    Changes,
    Collection,
    Conflict,
    Creation,
    Duplicate,
    Full,
    Gone,
    Record,
    RecordKey,
    Store,
    StoreError,
    TooLarge,
)
from rivetless.store.changes import apply, merge
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import (
    Contract,
    Life,
    address,
    begin,
    changes,
    everything,
    life_of,
)

HERE: Final = Collection.MESSAGE
THERE: Final = Collection.DEAD
SEEN: Final = RecordKey(Collection.REPLY, b"seen")
NOTE: Final = Record(Collection.REPLY, b"seen", b"")


def sending(*texts: bytes, limit: int | None = None, **fields: Any) -> Changes:
    """Return changes that append messages and count them."""
    at_most = {} if limit is None else {"messages": limit}
    return changes(
        appends=tuple(Append(HERE, text) for text in texts),
        counters={"messages": len(texts)},
        at_most=at_most,
        **fields,
    )


class AppendContract(Contract):
    """What is appended gets the next number, at once or not at all, and moves no version."""

    async def test_appended_records_are_numbered_in_order(self, store: Store) -> None:
        life = await begin(store)
        assert await store.commit(life.id, sending(b"a", b"b"), expected=None) in (0, 1)
        await store.commit(life.id, sending(b"c"), expected=None)
        found = await store.records(life.id, HERE)
        assert found == [
            Record(HERE, Append.key(n), text) for n, text in enumerate((b"a", b"b", b"c"), 1)
        ]
        head = await life.head()
        assert (head.version, head.sequences, head.counters) == (1, {"q": 3}, {"messages": 3})

    async def test_numbers_are_never_given_twice(self, store: Store) -> None:
        life = await begin(store)
        for number in range(1, 4):
            await store.commit(life.id, sending(b"x"), expected=None)
            assert await _numbers(life) == [number]
            await life.commit(deletes=(RecordKey(HERE, Append.key(number)),))
        assert (await life.head()).sequences == {"q": 3}

    async def test_collections_count_by_themselves(self, store: Store) -> None:
        life = await begin(store, appends=(Append(HERE, b"first"), Append(THERE, b"first")))
        made = changes(appends=(Append(THERE, b"second"), Append(HERE, b"second")))
        await store.commit(life.id, made, expected=None)
        assert await _numbers(life) == [1, 2]
        assert (await life.head()).sequences == {"q": 2, "x": 2}

    async def test_a_life_may_begin_with_messages(self, store: Store) -> None:
        life = await begin(store, appends=(Append(HERE, b"a"), Append(HERE, b"b")))
        await life.commit(appends=(Append(HERE, b"c"),), state=b"new")
        assert await _numbers(life) == [1, 2, 3]
        assert (await life.head()).version == 2

    async def test_the_next_life_begins_again(self, store: Store) -> None:
        life = await begin(store, appends=(Append(HERE, b"old"),))
        await life.destroy()
        assert await store.drain(life.id)
        again = await begin(store, life.address, appends=(Append(HERE, b"new"),))
        assert await _numbers(again) == [1]

    async def test_appending_is_what_apply_says(self, store: Store) -> None:
        life = await begin(store, appends=(Append(HERE, b"a"),))
        before = await life.head()
        made = sending(b"b", b"c", state=b"new")
        version = await store.commit(life.id, made, expected=1)
        assert await life.head() == apply(before, life.id, made, version)

    async def test_appended_records_expire(self, store: Store, clock: FakeClock) -> None:
        life = await begin(store)
        expiring = Append(HERE, b"x", clock.now() + 10)
        await life.commit(appends=(expiring, Append(HERE, b"y")))
        assert await _numbers(life) == [1, 2]
        clock.jump(10)
        assert await _numbers(life) == [2]

    async def test_everybody_may_append_at_once(self, store: Store, other: Store) -> None:
        life = await begin(store)
        await asyncio.gather(
            *(
                (store, other)[n % 2].commit(life.id, sending(b"%d" % n), expected=None)
                for n in range(24)
            )
        )
        assert len({record.data for record in await store.records(life.id, HERE)}) == 24
        head = await life.head()
        # Strictly rising, with all of them there; a store may leave numbers out.
        assert len(await _numbers(life)) == 24
        assert head.sequences["q"] == (await _numbers(life))[-1]
        assert (head.version, head.counters) == (1, {"messages": 24})

    async def test_what_another_appended_may_be_removed_beside_an_append(
        self, store: Store, other: Store
    ) -> None:
        life = await begin(store)
        await store.commit(life.id, sending(b"mine"), expected=None)
        await other.commit(life.id, sending(b"theirs"), expected=None)
        theirs = RecordKey(HERE, Append.key((await _numbers(life))[-1]))
        await life.commit(appends=(Append(HERE, b"next"),), deletes=(theirs,))
        found = await store.records(life.id, HERE)
        assert [record.data for record in found] == [b"mine", b"next"]
        assert Append.number(found[-1].key) > Append.number(theirs.key)

    async def test_a_number_that_must_be_free_may_be_given(
        self, store: Store, other: Store
    ) -> None:
        life = await begin(store, appends=(Append(HERE, b"first"),))
        made = sending(b"second", absent=(RecordKey(HERE, Append.key(2)),))
        await store.commit(life.id, made, expected=None)
        assert await _numbers(life) == [1, 2]
        await other.commit(life.id, sending(b"third"), expected=None)
        late = sending(b"fourth", absent=(RecordKey(HERE, Append.key(3)),))
        with pytest.raises(Duplicate):
            await store.commit(life.id, late, expected=None)
        assert await _numbers(life) == [1, 2, 3]

    async def test_appending_disturbs_no_versioned_commit(self, store: Store, other: Store) -> None:
        life = await begin(store)

        async def work() -> None:
            for _ in range(10):
                await life.commit(state=b"busy", replies=())

        async def send(number: int) -> None:
            await other.commit(life.id, sending(b"%d" % number), expected=None)

        await asyncio.gather(work(), *(send(number) for number in range(10)))
        head = await life.head()
        assert (head.version, head.counters) == (11, {"messages": 10})

    async def test_a_tombstone_takes_no_messages(self, store: Store) -> None:
        life = await begin(store)
        await life.destroy()
        before = await everything(life)
        with pytest.raises(Gone):
            await store.commit(life.id, sending(b"late"), expected=None)
        with pytest.raises(Gone):
            await store.commit(life_of(address()), sending(b"to nobody"), expected=None)
        assert await everything(life) == before

    async def test_a_refused_commit_appends_nothing(self, store: Store) -> None:
        life = await begin(store)
        await life.commit(touch=True)
        before = await everything(life)
        with pytest.raises(Conflict):
            await store.commit(life.id, sending(b"x", state=b"new"), expected=1)
        assert await everything(life) == before

    async def test_appended_records_count_towards_the_limits(self, store: Store) -> None:
        life = await begin(store)
        limits = store.capabilities
        large = Append(HERE, bytes(limits.max_record_bytes + 1))
        many = (Append(HERE, b""),) * (limits.max_commit_records + 1)
        for appends, what in (((large,), "record"), (many, "number of records")):
            with pytest.raises(TooLarge) as refused:
                await store.commit(life.id, changes(appends=appends), expected=None)
            assert refused.value.what == what
        await life.commit(appends=many[:-1])
        assert len(await _numbers(life)) == limits.max_commit_records

    # -- limits of counters -----------------------------------------------------------------------

    async def test_a_counter_stays_within_its_limit(self, store: Store) -> None:
        life = await begin(store)
        for _ in range(2):
            await store.commit(life.id, sending(b"a", b"b", limit=5), expected=None)
        before = await everything(life)
        with pytest.raises(Full) as refused:
            await store.commit(life.id, sending(b"c", b"d", limit=5), expected=None)
        assert (refused.value.counter, refused.value.limit) == ("messages", 5)
        assert await everything(life) == before
        await store.commit(life.id, sending(b"c", limit=5), expected=None)
        assert (await life.head()).counters == {"messages": 5}

    async def test_a_full_counter_may_fall(self, store: Store) -> None:
        life = await begin(store, counters={"messages": 9})
        made = changes(counters={"messages": -1}, at_most={"messages": 5, "unknown": 0})
        await store.commit(life.id, made, expected=None)
        assert (await life.head()).counters == {"messages": 8}

    async def test_a_first_amount_may_be_too_much(self, store: Store) -> None:
        life = await begin(store)
        with pytest.raises(Full):
            await store.commit(life.id, sending(b"a", b"b", limit=1), expected=None)
        where = address()
        made = sending(b"a", b"b", limit=1, create=Creation(where, 1.0))
        with pytest.raises(Full):
            await store.commit(life_of(where), made, expected=0)
        assert await store.load(where) is None

    async def test_many_at_once_never_go_beyond_the_limit(self, store: Store, other: Store) -> None:
        life = await begin(store)
        results = await asyncio.gather(
            *(
                (store, other)[n % 2].commit(life.id, sending(b"x", limit=7), expected=None)
                for n in range(20)
            ),
            return_exceptions=True,
        )
        assert sorted(map(type, results), key=str) == [int] * 7 + [Full] * 13
        assert len(await _numbers(life)) == 7

    # -- what must be absent ----------------------------------------------------------------------

    async def test_what_has_arrived_does_not_arrive_again(self, store: Store, other: Store) -> None:
        life = await begin(store)
        first = sending(b"a", puts=(NOTE,), absent=(SEEN,))
        await store.commit(life.id, first, expected=None)
        before = await everything(life)
        again = sending(b"a", puts=(NOTE,), absent=(SEEN,))
        with pytest.raises(Duplicate):
            await other.commit(life.id, again, expected=None)
        with pytest.raises(Duplicate):
            await store.commit(life.id, changes(state=b"new", absent=(SEEN,)), expected=1)
        assert await everything(life) == before

    async def test_of_many_that_arrive_at_once_one_does(self, store: Store, other: Store) -> None:
        life = await begin(store)
        results = await asyncio.gather(
            *(
                (store, other)[n % 2].commit(
                    life.id, sending(b"a", puts=(NOTE,), absent=(SEEN,)), expected=None
                )
                for n in range(10)
            ),
            return_exceptions=True,
        )
        assert sorted(map(type, results), key=str) == sorted([int] + [Duplicate] * 9, key=str)
        assert await _numbers(life) == [1]
        assert (await life.head()).counters == {"messages": 1}

    async def test_what_has_expired_is_absent(self, store: Store, clock: FakeClock) -> None:
        noted = Record(NOTE.collection, NOTE.key, b"", clock.now() + 48)
        life = await begin(store, puts=(noted,))
        clock.jump(47)
        with pytest.raises(Duplicate):
            await store.commit(life.id, changes(absent=(SEEN,)), expected=None)
        clock.jump(1)
        assert await store.commit(life.id, changes(absent=(SEEN,)), expected=None) in (0, 1)
        again = Record(NOTE.collection, NOTE.key, b"again")
        await life.commit(puts=(again,), absent=(SEEN,))
        assert await store.records(life.id, NOTE.collection) == [again]

    async def test_a_life_that_begins_has_nothing(self, store: Store) -> None:
        life = await begin(store, puts=(NOTE,), absent=(SEEN,))
        assert await store.records(life.id, NOTE.collection) == [NOTE]

    async def test_removing_asks_too(self, store: Store) -> None:
        life = await begin(store, puts=(NOTE,))
        made = changes(deletes=(SEEN,), absent=(SEEN,))
        with pytest.raises(Duplicate):
            await store.commit(life.id, made, expected=None)
        await life.commit(deletes=(SEEN,))
        assert await store.commit(life.id, made, expected=None) in (0, 1)

    async def test_a_key_named_twice_is_never_absent(self, store: Store) -> None:
        life = await begin(store)
        with pytest.raises(Duplicate):
            await store.commit(life.id, changes(absent=(SEEN, SEEN)), expected=None)

    @pytest.mark.parametrize("versioned", [True, False])
    async def test_the_most_telling_reason_is_given(self, store: Store, versioned: bool) -> None:
        life = await begin(store, puts=(NOTE,), counters={"messages": 1})
        fields: dict[str, Any] = {"state": b"new"} if versioned else {}
        expected = life.version if versioned else None

        async def refusal(limit: int, expected: int | None) -> StoreError:
            made = sending(b"x", limit=limit, absent=(SEEN,), **fields)
            with pytest.raises(StoreError) as refused:
                await store.commit(life.id, made, expected=expected)
            return refused.value

        assert type(await refusal(9, expected)) is Duplicate
        assert type(await refusal(1, expected)) is Full
        assert type(await refusal(1, 7)) is Conflict
        await life.destroy()
        assert type(await refusal(1, 7)) is Gone

    # -- merging ----------------------------------------------------------------------------------

    async def test_what_is_merged_is_appended_in_order(self, store: Store) -> None:
        life = await begin(store)
        together = merge(sending(b"a", limit=2), sending(b"b", limit=9, state=b"new"))
        assert await store.commit(life.id, together, expected=1) == 2
        assert [r.data for r in await store.records(life.id, HERE)] == [b"a", b"b"]
        with pytest.raises(Full):
            await store.commit(life.id, merge(sending(b"c"), sending(b"d", limit=3)), expected=None)

    async def test_what_is_merged_arrives_once(self, store: Store) -> None:
        life = await begin(store)
        arriving = [sending(b"a", puts=(NOTE,), absent=(SEEN,)) for _ in range(2)]
        with pytest.raises(Duplicate):
            await store.commit(life.id, merge(*arriving), expected=None)
        forgetting = merge(changes(deletes=(SEEN,)), arriving[0])
        await life.commit(puts=(NOTE,))
        assert await store.commit(life.id, forgetting, expected=None) in (0, 1)
        assert await _numbers(life) == [1]


async def _numbers(life: Life) -> list[int]:
    return [Append.number(record.key) for record in await life.store.records(life.id, HERE)]
