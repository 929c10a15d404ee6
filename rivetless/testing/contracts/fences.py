"""The contract's heart: what may be committed, by whom, and that it is all or nothing."""

from __future__ import annotations

import asyncio

import pytest

from rivetless.store.base import (
    Collection,
    Conflict,
    Creation,
    Gone,
    Outgoing,
    Record,
    RecordKey,
    Reply,
    Store,
    StoreError,
)
from rivetless.testing.clock import START
from rivetless.testing.contracts.base import (
    LATER,
    Contract,
    Life,
    Reopen,
    address,
    begin,
    changes,
    everything,
    life_of,
)

RECORD = Record(Collection.CONNECTION, b"c1", b"data")
OUTGOING = Outgoing("o1", START, b"effect")


class FenceContract(Contract):
    """Fencing by version and by life."""

    # -- versions ---------------------------------------------------------------------------------

    async def test_commit_on_an_old_version_is_refused(self, store: Store) -> None:
        life = await begin(store)
        await life.commit(state=b"first")
        with pytest.raises(Conflict):
            await store.commit(life.id, changes(state=b"second"), expected=1)
        assert (await life.head()).state == b"first"
        assert (await life.head()).version == 2

    async def test_commit_on_a_version_to_come_is_refused(self, store: Store) -> None:
        life = await begin(store)
        with pytest.raises(Conflict):
            await store.commit(life.id, changes(state=b"x"), expected=2)
        assert (await life.head()).version == 1

    async def test_refused_commit_writes_nothing(self, store: Store) -> None:
        life = await begin(store, puts=(RECORD,), counters={"messages": 1})
        await life.commit(touch=True)
        before = await everything(life)
        refused = changes(
            state=b"new",
            alarm=START + 1,
            replies=(Reply("k", "h", b"r", LATER),),
            puts=(Record(Collection.CONN_STATE, b"c1", b"new"),),
            deletes=(RecordKey(Collection.CONNECTION, b"c1"),),
            outbox_add=(OUTGOING,),
            counters={"messages": 5},
            armed_until=START + 1,
            code_version=7,
        )
        with pytest.raises(Conflict):
            await store.commit(life.id, refused, expected=1)
        assert await everything(life) == before
        assert await store.due(LATER, limit=10) == []

    async def test_versioned_commits_count_up(self, store: Store) -> None:
        life = await begin(store)
        assert [await life.commit(touch=True) for _ in range(3)] == [2, 3, 4]
        assert (await life.head()).version == 4

    async def test_conflict_brings_the_head_or_none(self, store: Store) -> None:
        life = await begin(store)
        await life.commit(state=b"present")
        with pytest.raises(Conflict) as refused:
            await store.commit(life.id, changes(state=b"x"), expected=1)
        assert refused.value.current in (None, await life.head())

    async def test_of_concurrent_commits_exactly_one_wins(self, store: Store) -> None:
        life = await begin(store)
        results = await asyncio.gather(
            *(
                store.commit(life.id, changes(state=b"%d" % number), expected=1)
                for number in range(20)
            ),
            return_exceptions=True,
        )
        winners = [number for number, result in enumerate(results) if result == 2]
        assert len(winners) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 19
        assert (await life.head()).state == b"%d" % winners[0]

    async def test_of_two_processes_exactly_one_wins(self, store: Store, other: Store) -> None:
        life = await begin(store)
        for version in range(1, 21):
            results = await asyncio.gather(
                store.commit(life.id, changes(state=b"here"), expected=version),
                other.commit(life.id, changes(state=b"there"), expected=version),
                return_exceptions=True,
            )
            assert sorted(map(type, results), key=str) == sorted([int, Conflict], key=str)
            head = await life.head()
            assert head.state == (b"here" if results[0] == version + 1 else b"there")
            assert await other.load(life.id) == head

    async def test_a_conflict_does_not_disturb_its_neighbours(self, store: Store) -> None:
        lives = [await begin(store) for _ in range(9)]
        results = await asyncio.gather(
            *(
                store.commit(
                    life.id,
                    changes(state=b"new", puts=(RECORD,)),
                    expected=1 if number % 3 else 5,
                )
                for number, life in enumerate(lives)
            ),
            return_exceptions=True,
        )
        for number, (life, result) in enumerate(zip(lives, results, strict=True)):
            found = await store.records(life.id, Collection.CONNECTION)
            if number % 3:
                assert result == 2
                assert found == [RECORD]
            else:
                assert isinstance(result, Conflict)
                assert found == []

    async def test_cancelled_commit_is_whole_or_nothing(self, store: Store) -> None:
        life = await begin(store)
        neighbour = await begin(store)
        tasks = [
            asyncio.ensure_future(
                store.commit(life.id, changes(state=b"new", puts=(RECORD,)), expected=1)
            ),
            asyncio.ensure_future(neighbour.commit(state=b"new")),
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert tasks[1].result() == 2
        # Whatever comes after is ordered behind it, so the outcome stands now.
        await neighbour.commit(touch=True)
        head = await life.head()
        found = await store.records(life.id, Collection.CONNECTION)
        assert (head.version, head.state, found) in [(1, b"{}", []), (2, b"new", [RECORD])]
        await store.commit(life.id, changes(touch=True), expected=head.version)

    # -- the beginning of a life ------------------------------------------------------------------

    async def test_creation_begins_at_version_one(self, store: Store) -> None:
        where = address()
        life = life_of(where)
        made = changes(create=Creation(where, START + 0.5), state=b"s")
        assert await store.commit(life, made, expected=0) == 1
        head = await store.load(where)
        assert head is not None
        assert (head.actor_id, head.address, head.version) == (life, where, 1)
        assert (head.state, head.created_at, head.destroyed_at) == (b"s", START + 0.5, None)
        assert head.commits == (made.commit_id,)

    async def test_creation_of_a_living_actor_is_refused(self, store: Store) -> None:
        life = await begin(store, state=b"old")
        again = changes(create=Creation(life.address, START + 1), state=b"new")
        for actor_id in (life.id, life_of(life.address)):
            with pytest.raises(Conflict):
                await store.commit(actor_id, again, expected=0)
        head = await store.load(life.address)
        assert head == await life.head()
        assert head is not None
        assert head.state == b"old"

    async def test_of_concurrent_creations_exactly_one_wins(
        self, store: Store, other: Store
    ) -> None:
        where = address()
        ids = [life_of(where) for _ in range(10)]
        results = await asyncio.gather(
            *(
                (store, other)[number % 2].commit(
                    actor_id, changes(create=Creation(where, 1.0)), expected=0
                )
                for number, actor_id in enumerate(ids)
            ),
            return_exceptions=True,
        )
        assert results.count(1) == 1
        head = await store.load(where)
        assert head is not None
        assert head.actor_id == ids[results.index(1)]

    async def test_commit_to_nobody_is_refused(self, store: Store) -> None:
        nobody = life_of(address())
        with pytest.raises(Gone):
            await store.commit(nobody, changes(state=b"x"), expected=1)
        with pytest.raises(Gone):
            await store.commit(nobody, changes(puts=(RECORD,)), expected=None)
        assert await store.load(nobody) is None
        assert await store.records(nobody, Collection.CONNECTION) == []

    # -- the end of a life, and the next ----------------------------------------------------------

    async def test_destroyed_actor_is_a_tombstone(self, store: Store) -> None:
        life = await begin(store, state=b"s", alarm=START + 50, counters={"messages": 2})
        await life.commit(replies=(Reply("k", "h", b"r", LATER),))
        await life.destroy(START + 100)
        head = await store.load(life.address)
        assert head is not None
        assert head == await life.head()
        assert (head.version, head.destroyed_at) == (3, START + 100)
        assert (head.state, head.alarm, head.lease, head.replies) == (None, None, None, ())
        assert head.counters == {"messages": 2}

    @pytest.mark.parametrize(
        "fields",
        [
            {"state": b"x"},
            {"touch": True},
            {"destroyed_at": START + 200},
            {"puts": (RECORD,)},
            {"outbox_add": (OUTGOING,)},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    async def test_tombstone_takes_nothing_new(
        self, store: Store, fields: dict[str, object]
    ) -> None:
        life = await begin(store)
        await life.destroy()
        before = await everything(life)
        for expected in (life.version, life.version - 1):
            with pytest.raises(Gone):
                await store.commit(life.id, changes(**fields), expected=expected)
        assert await everything(life) == before

    async def test_tombstone_can_be_cleared_up(self, store: Store) -> None:
        life = await begin(store, puts=(RECORD,), outbox_add=(OUTGOING,), counters={"messages": 1})
        await life.destroy()
        await life.commit(
            deletes=(RecordKey(Collection.CONNECTION, b"c1"),),
            outbox_clear=("o1",),
            counters={"messages": -1},
        )
        head = await life.head()
        assert head.version == 2
        assert (dict(head.outbox), dict(head.counters)) == ({}, {"messages": 0})
        assert await store.records(life.id, Collection.CONNECTION) == []

    async def test_tombstone_must_be_drained_before_the_next_life(self, store: Store) -> None:
        life = await begin(store)
        await life.destroy()
        with pytest.raises(Conflict):
            await begin(store, life.address)
        assert await store.drain(life.id)
        assert await store.load(life.address) is None
        assert (await begin(store, life.address)).version == 1

    async def test_an_old_life_cannot_touch_the_new_one(self, store: Store) -> None:
        old = await begin(store, state=b"old", puts=(RECORD,))
        await old.destroy()
        assert await store.drain(old.id)
        new = await begin(store, old.address, state=b"new")
        # The same address and, as it happens, the same version.
        with pytest.raises(Gone):
            await store.commit(old.id, changes(state=b"late"), expected=1)
        with pytest.raises(Gone):
            await store.commit(old.id, changes(puts=(RECORD,)), expected=None)
        assert await store.load(old.id) is None
        assert not await store.current(old.id, 1)
        assert await store.drain(old.id)
        head = await store.load(old.address)
        assert head is not None
        assert (head.actor_id, head.version, head.state) == (new.id, 1, b"new")
        assert await store.records(new.id, Collection.CONNECTION) == []

    # -- commutative changes ----------------------------------------------------------------------

    async def test_commutative_commit_moves_no_version(self, store: Store) -> None:
        life = await begin(store, state=b"s")
        commits = (await life.head()).commits
        version = await store.commit(
            life.id,
            changes(puts=(RECORD,), outbox_add=(OUTGOING,), counters={"n": 1}, code_version=9),
            expected=None,
        )
        head = await life.head()
        assert head.version == 1
        assert version in (0, 1)
        assert (head.commits, head.state, head.code_version) == (commits, b"s", 0)
        assert await store.commit(life.id, changes(state=b"t"), expected=1) == 2

    async def test_commutative_commit_checks_a_version_it_names(self, store: Store) -> None:
        life = await begin(store)
        await life.commit(touch=True)
        assert await store.commit(life.id, changes(puts=(RECORD,)), expected=2) == 2
        with pytest.raises(Conflict):
            await store.commit(life.id, changes(counters={"n": 1}), expected=1)
        head = await life.head()
        assert (head.version, dict(head.counters)) == (2, {})

    async def test_commutative_commits_disturb_nobody(self, store: Store, other: Store) -> None:
        life = await begin(store)

        async def connect(number: int) -> None:
            record = Record(Collection.CONNECTION, b"%03d" % number, b"x")
            await (store, other)[number % 2].commit(
                life.id, changes(puts=(record,), counters={"connections": 1}), expected=None
            )

        async def work() -> None:
            for _ in range(20):
                await life.commit(state=b"busy")

        await asyncio.gather(work(), *(connect(number) for number in range(100)))
        head = await life.head()
        assert (head.version, dict(head.counters)) == (21, {"connections": 100})
        assert len(await store.records(life.id, Collection.CONNECTION)) == 100

    async def test_empty_commit_is_a_look_at_the_head(self, store: Store) -> None:
        life = await begin(store)
        before = await everything(life)
        assert await store.commit(life.id, changes(), expected=None) == 1
        assert await store.commit(life.id, changes(), expected=1) == 1
        with pytest.raises(Conflict):
            await store.commit(life.id, changes(), expected=2)
        assert await everything(life) == before

    # -- reading what was written -----------------------------------------------------------------

    async def test_a_head_is_found_by_address_and_by_id(self, store: Store, other: Store) -> None:
        life = await begin(store)
        assert await store.load(life.address) == await store.load(life.id) == await life.head()
        assert await other.load(life.address) == await life.head()

    async def test_heads_of_different_addresses_are_different(self, store: Store) -> None:
        places = [
            address("a", "b"),
            address("a/b"),
            address("a"),
            address("b", "a"),
            address("a", "b", namespace="other"),
            address("a", "b", name="other"),
            address("", "\0", "ü\\/"),
        ]
        lives = [await begin(store, where) for where in places]
        for life in lives:
            head = await store.load(life.address)
            assert head is not None
            assert (head.actor_id, head.address) == (life.id, life.address)
            assert await store.load(life.id) == head

    @pytest.mark.parametrize("ref", ["", "x", "0" * 30, "z" * 30, "ü" * 30, "\0" * 30])
    async def test_unknown_ids_are_nobodys(self, store: Store, ref: str) -> None:
        await begin(store)
        assert await store.load(ref) is None
        assert not await store.current(ref, 1)
        assert await store.records(ref, Collection.CONNECTION) == []

    async def test_an_unknown_address_is_nobodys(self, store: Store) -> None:
        assert await store.load(address()) is None

    async def test_current_knows_the_version(self, store: Store, other: Store) -> None:
        life = await begin(store)
        assert await store.current(life.id, 1)
        assert not await store.current(life.id, 0)
        assert not await store.current(life.id, 2)
        await other.commit(life.id, changes(touch=True), expected=1)
        assert not await store.current(life.id, 1)
        assert await store.current(life.id, 2)
        await other.commit(life.id, changes(puts=(RECORD,)), expected=None)
        assert await store.current(life.id, 2)
        await other.commit(life.id, changes(destroyed_at=START), expected=2)
        assert not await store.current(life.id, 2)
        await other.drain(life.id)
        assert not await store.current(life.id, 3)

    # -- opening and closing ----------------------------------------------------------------------

    async def test_what_was_committed_is_there_after_a_restart(
        self, store: Store, reopen: Reopen
    ) -> None:
        life = await begin(store, state=b"s", alarm=START + 50, puts=(RECORD,))
        await life.commit(outbox_add=(OUTGOING,), counters={"n": 3})
        before = await everything(life)
        due = await store.due(START + 60, limit=10)
        again = Life(await reopen(), life.id, life.address, life.version)
        assert await everything(again) == before
        assert await again.store.due(START + 60, limit=10) == due
        assert await again.commit(state=b"t") == 2

    async def test_closing_waits_for_what_is_under_way(self, store: Store, reopen: Reopen) -> None:
        lives = [await begin(store) for _ in range(50)]
        commits = [asyncio.ensure_future(life.commit(state=b"new")) for life in lives]
        await asyncio.sleep(0)
        again = await reopen()
        assert await asyncio.gather(*commits) == [2] * 50
        for life in lives:
            assert await again.current(life.id, 2)

    async def test_a_store_that_is_closed_says_so(self, store: Store, reopen: Reopen) -> None:
        life = await begin(store)
        await store.__aexit__(None, None, None)
        with pytest.raises(StoreError):
            await store.load(life.id)
        with pytest.raises(StoreError):
            await store.commit(life.id, changes(touch=True), expected=1)
        await store.__aenter__()
        assert await store.current(life.id, 1)
