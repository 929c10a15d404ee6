"""The contract of what looks across actors: lists, dues, draining, hosts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rivetless.store.base import (
    DRAINED_FOR,
    OVER,
    Collection,
    Conflict,
    Creation,
    Due,
    Gone,
    Host,
    Outgoing,
    Record,
    RecordKey,
    Store,
)
from rivetless.testing.clock import START, FakeClock
from rivetless.testing.contracts.base import (
    LATER,
    Contract,
    Life,
    address,
    as_listed,
    begin,
    changes,
    everything,
    life_of,
)


class SweepContract(Contract):
    """Lists of actors, and what the sweeper finds and clears."""

    # -- lists ------------------------------------------------------------------------------------

    async def test_list_is_newest_first(self, store: Store) -> None:
        lives = [
            await begin(store, address(name="listed"), created_at=START + at) for at in (3, 1, 2)
        ]
        found = await store.list("default", "listed", limit=10)
        assert [head.actor_id for head in found] == [lives[0].id, lives[2].id, lives[1].id]
        assert [as_listed(head) for head in found] == [
            as_listed(await lives[n].head()) for n in (0, 2, 1)
        ]

    async def test_list_is_of_one_name_and_namespace(self, store: Store) -> None:
        life = await begin(store, address("k", name="one"))
        await begin(store, address("k", name="two"))
        await begin(store, address("k", name="one", namespace="elsewhere"))
        found = await store.list("default", "one", limit=10)
        assert [head.actor_id for head in found] == [life.id]
        assert await store.list("default", "three", limit=10) == []
        assert await store.list("nowhere", "one", limit=10) == []

    async def test_list_goes_on_before_an_instant(self, store: Store) -> None:
        lives = [await begin(store, address(name="n"), created_at=START + at) for at in range(5)]
        found = await store.list("default", "n", limit=2, before=START + 3)
        assert [head.actor_id for head in found] == [lives[2].id, lives[1].id]
        assert await store.list("default", "n", limit=2, before=START) == []

    async def test_pages_lose_nobody(self, store: Store) -> None:
        lives = [
            await begin(store, address(name="n"), created_at=START + at // 3) for at in range(10)
        ]
        seen: list[str] = []
        before: tuple[float, str] | None = None
        while found := await store.list("default", "n", limit=2, before=before):
            assert len(found) <= 2
            seen += [head.actor_id for head in found]
            before = (found[-1].created_at, found[-1].actor_id)
        assert sorted(seen) == sorted(life.id for life in lives)

    async def test_list_leaves_out_tombstones_unless_asked(self, store: Store) -> None:
        lives = [await begin(store, address(name="n"), created_at=START + at) for at in range(3)]
        await lives[1].destroy()
        found = await store.list("default", "n", limit=10)
        assert [head.actor_id for head in found] == [lives[2].id, lives[0].id]
        found = await store.list("default", "n", limit=2)
        assert len(found) == 2
        found = await store.list("default", "n", limit=10, include_destroyed=True)
        assert [head.actor_id for head in found] == [life.id for life in lives[::-1]]
        assert found[1].destroyed_at is not None
        await store.drain(lives[1].id)
        assert len(await store.list("default", "n", limit=10, include_destroyed=True)) == 2

    async def test_long_lists(self, store: Store) -> None:
        for at in range(300):
            await begin(store, address(name="n"), created_at=START + at)
        found = await store.list("default", "n", limit=290)
        assert [head.created_at for head in found] == [START + at for at in range(299, 9, -1)]

    # -- what is due ------------------------------------------------------------------------------

    async def test_alarms_are_found_when_they_are_due(self, store: Store) -> None:
        late = await begin(store, alarm=START + 20)
        early = await begin(store, alarm=START + 10)
        await begin(store)
        assert await store.due(START + 9, limit=10) == []
        assert await store.due(START + 10, limit=10) == [Due(early.id, START + 10)]
        both = [Due(early.id, START + 10), Due(late.id, START + 20)]
        assert await store.due(LATER, limit=10) == both
        assert await store.due(LATER, limit=1) == both[:1]

    async def test_an_alarm_that_moves_is_found_where_it_is(self, store: Store) -> None:
        life = await begin(store, alarm=START + 10)
        await life.commit(alarm=START + 30)
        assert await store.due(START + 29, limit=10) == []
        assert await store.due(START + 30, limit=10) == [Due(life.id, START + 30)]
        await life.commit(state=b"x")
        await life.commit(alarm=START + 5)
        assert await store.due(START + 5, limit=10) == [Due(life.id, START + 5)]
        await life.commit(alarm=None)
        assert await store.due(LATER, limit=10) == []

    async def test_outboxes_that_are_left_are_found(self, store: Store) -> None:
        life = await begin(store)
        await life.commit(
            outbox_add=(Outgoing("1", START + 10, b""), Outgoing("2", START + 5, b""))
        )
        assert await store.due(START + 4, limit=10) == []
        assert _ids(await store.due(START + 10, limit=10)) == [life.id]
        await life.commit(outbox_clear=("2",))
        assert _ids(await store.due(START + 10, limit=10)) == [life.id]
        await life.commit(outbox_clear=("1",))
        assert await store.due(LATER, limit=10) == []

    async def test_tombstones_are_found_until_they_are_drained(self, store: Store) -> None:
        life = await begin(store, alarm=START + 1, puts=_records(2))
        await life.destroy(START + 50, outbox_add=(Outgoing("1", START + 50, b""),))
        assert await store.due(START + 49, limit=10) == []
        assert await store.due(START + 50, limit=10) == [Due(life.id, START + 50)]
        await life.commit(outbox_clear=("1",))
        assert _ids(await store.due(LATER, limit=10)) == [life.id]
        assert await store.drain(life.id)
        assert await store.due(LATER, limit=10) == []

    async def test_a_life_is_found_once(self, store: Store) -> None:
        life = await begin(store, alarm=START + 3)
        await life.commit(outbox_add=tuple(Outgoing(str(n), START + 1 + n, b"") for n in range(5)))
        assert await store.due(LATER, limit=10) == [Due(life.id, START + 1)]
        await life.commit(alarm=START)
        assert await store.due(LATER, limit=10) == [Due(life.id, START)]

    # -- draining ---------------------------------------------------------------------------------

    async def test_drain_leaves_the_living_alone(self, store: Store) -> None:
        life = await begin(store, puts=_records(3))
        before = await everything(life)
        assert not await store.drain(life.id)
        assert await everything(life) == before

    async def test_drain_of_nobody_is_done(self, store: Store) -> None:
        life = await begin(store)
        await life.destroy()
        assert await store.drain(life.id)
        assert await store.drain(life.id)

    async def test_drain_goes_in_steps(self, store: Store) -> None:
        life = await begin(store, puts=_records(7))
        await life.destroy()
        left: list[int] = []
        while not await store.drain(life.id, limit=3):
            left.append(await _count(life))
            assert await store.load(life.address) is not None
        assert left == [4, 1]
        assert await _count(life) == 0
        assert await store.load(life.address) is None
        assert await store.load(life.id) is None

    async def test_drain_ends_with_the_last_record(self, store: Store) -> None:
        life = await begin(store, puts=_records(4))
        await life.destroy()
        assert not await store.drain(life.id, limit=2)
        assert await store.drain(life.id, limit=2)

    async def test_drain_waits_for_the_outbox(self, store: Store) -> None:
        life = await begin(store, puts=_records(2))
        await life.destroy(outbox_add=(Outgoing("1", START, b"x"),))
        assert not await store.drain(life.id)
        assert await _count(life) == 0
        assert list((await life.head()).outbox) == ["1"]
        await life.commit(outbox_clear=("1",))
        assert await store.drain(life.id)
        assert await store.load(life.address) is None

    async def test_nothing_of_a_drained_life_comes_back(self, store: Store) -> None:
        life = await begin(store, state=bytes(5000), puts=_records(3), counters={"n": 3})
        await life.destroy()
        assert await store.drain(life.id)
        again = await begin(store, life.address, state=None)
        head = await again.head()
        assert (head.state, dict(head.counters), len(head.commits)) == (None, {}, 1)
        assert await _count(again) == 0
        await again.commit(deletes=(RecordKey(Collection.CONNECTION, b"0"),))

    async def test_a_drained_life_cannot_begin_again(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        """Its creation, whose acknowledgement was lost, may arrive for a second time."""
        where = address()
        lives = [life_of(where) for _ in range(3)]
        for life in lives:
            made = changes(create=Creation(where, START), state=b"s", puts=_records(1))
            await store.commit(life, made, expected=0)
            for late in lives:
                with pytest.raises(Conflict):
                    await other.commit(late, changes(create=Creation(where, START)), expected=0)
            await store.commit(life, changes(destroyed_at=clock.now()), expected=1)
            assert await store.drain(life)
            for late in lives[: lives.index(life) + 1]:
                for puts in ((), _records(2)):
                    made = changes(create=Creation(where, START), puts=puts)
                    with pytest.raises(Gone):
                        await other.commit(late, made, expected=0)
            clock.jump(DRAINED_FOR / 4)
        assert await other.load(where) is None
        assert await store.list("default", "counter", limit=10, include_destroyed=True) == []
        assert await store.due(LATER, limit=10) == []

    async def test_a_drained_life_is_gone_for_everybody(self, store: Store) -> None:
        life = await begin(store, counters={"n": 1})
        await life.destroy()
        assert await store.drain(life.id)
        for fields in ({"counters": {"n": 1}}, {"outbox_clear": ("o",)}, {"armed_until": 1.0}, {}):
            with pytest.raises(Gone):
                await store.commit(life.id, changes(**fields), expected=None)
        with pytest.raises(Gone):
            await store.commit(life.id, changes(touch=True), expected=life.version)
        assert await store.load(life.id) is None
        assert not await store.current(life.id, life.version)
        assert await store.drain(life.id)

    # -- hosts ------------------------------------------------------------------------------------

    async def test_hosts_are_known_by_their_heartbeat(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        assert await store.hosts() == []
        one = Host("h1", "http://127.0.0.1:1", clock.now() + 10)
        two = Host("h2", "http://127.0.0.1:2", clock.now() + 20)
        await store.announce(one)
        await other.announce(two)
        assert sorted(await store.hosts(), key=lambda host: host.id) == [one, two]
        renewed = Host("h1", "http://127.0.0.1:3", clock.now() + 30)
        await store.announce(renewed)
        assert sorted(await other.hosts(), key=lambda host: host.id) == [renewed, two]

    async def test_expired_hosts_stay_until_they_are_removed(
        self, store: Store, clock: FakeClock
    ) -> None:
        host = Host("h1", "http://127.0.0.1:1", clock.now() + 10)
        await store.announce(host)
        clock.jump(100)
        assert await store.hosts() == [host]
        await store.announce(Host("h1", "", 0.0))
        assert await store.hosts() == []
        await store.announce(Host("unknown", "", 0.0))
        assert await store.hosts() == []

    async def test_a_heartbeat_that_comes_late_takes_nothing_back(
        self, store: Store, other: Store, clock: FakeClock
    ) -> None:
        first = Host("h1", "http://127.0.0.1:1", clock.now() + 10)
        second = Host("h1", "http://127.0.0.1:1", clock.now() + 20)
        over = Host("h1", OVER, clock.now() + 20)
        await store.announce(second)
        await other.announce(first)
        assert await store.hosts() == [second]
        clock.jump(15)
        await other.announce(first)  # it has expired meanwhile, and removes nothing either
        assert await store.hosts() == [second]
        await other.announce(over)
        assert await store.hosts() == [over]
        assert [host.over for host in (second, over)] == [False, True]
        await store.announce(Host("h1", "", 0.0))
        await store.announce(first)  # what comes late to nobody is late all the same
        assert await other.hosts() == [first]
        await store.announce(Host("h1", "", 0.0))
        assert await store.hosts() == []


def _records(count: int) -> tuple[Record, ...]:
    places = list(Collection)
    return tuple(Record(places[n % len(places)], b"%d" % n, b"data") for n in range(count))


async def _count(life: Life) -> int:
    return sum([len(await life.store.records(life.id, where)) for where in Collection])


def _ids(found: Sequence[Due]) -> list[str]:
    return [due.actor_id for due in found]
