"""Newer states and commits in the middle of a turn, and what is done once: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, Queue, action
from rivetless.keys import Address
from rivetless.runtime.commands import ById, ByKey, DestroyActor, OpenConnection, Origin, Subscribe
from rivetless.runtime.leases import LENGTH
from rivetless.store.base import Changes, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .gates import GATES, gate, open_all
from .worlds import Process, World

SEEN: list[Any] = []
CHAINS: list[tuple[str, ...]] = []


@pytest.fixture(autouse=True)
async def clean() -> AsyncIterator[None]:
    for kept in SEEN, GATES, CHAINS:
        kept.clear()
    yield
    await open_all()


class Count(BaseModel):
    count: int = 0


class Till(Actor[Count]):
    """Does its work in parts, with gates between them."""

    notes = Queue[str]()
    said = Event[str]()

    def chain(self) -> tuple[str, ...]:
        """Return what a call of this turn would bring along."""
        turn: Any = self._turn
        chain: tuple[str, ...] = turn.chain()
        return chain

    @action
    async def get(self) -> int:
        return self.state.count

    @action
    async def add(self) -> int:
        SEEN.append("add")
        self.state.count += 1
        return self.state.count

    @action
    async def refreshed(self, name: str = "") -> list[int]:
        """Look at the state, and perhaps much later at the newest."""
        before = self.state.count
        if name:
            await gate(name).wait()
        await self.refresh()
        return [before, self.state.count]

    @action
    async def parts(self, before: str, after: str, saves: int = 1) -> int:
        """Add 10, commit at one gate, and add 10 more at another."""
        SEEN.append("parts")
        self.state.count += 10
        if before:
            await gate(before).wait()
        for _ in range(saves):
            await self.save_state()
        SEEN.append("saved")
        CHAINS.append(self.chain())
        if after:
            await gate(after).wait()
        self.state.count += 10
        return self.state.count

    @action
    async def save_nothing(self, saves: int, name: str) -> None:
        """Commit nothing, several times, then change something."""
        for _ in range(saves):
            await self.save_state()
        await gate(name).wait()
        self.state.count += 1

    @action
    async def say(self, name: str) -> None:
        """Say something in the second part."""
        await self.save_state()
        self.broadcast("said", "hello")
        await self.save_state()
        await gate(name).wait()

    @action
    async def plan(self, name: str) -> None:
        """Set a job up in the first part, and none in the second."""
        self.cron.every("job", 60, self.add)
        await self.save_state()
        await gate(name).wait()

    @action
    async def go_on(self) -> int:
        """Commit, and go on whatever comes of it."""
        SEEN.append("go on")
        self.state.count += 1
        try:
            await self.save_state()
        except ActorError as error:
            SEEN.append(error.name)
        self.state.count += 1
        return self.state.count

    @action
    async def pay(self, before: str = "", during: str = "", times: int = 1) -> int:
        """Count, and charge for it once."""
        SEEN.append("pay")
        count = self.state.count
        if before:
            await gate(before).wait()

        async def charge() -> None:
            SEEN.append("charge")
            CHAINS.append(self.chain())
            if during:
                await gate(during).wait()

        for number in range(times):
            await self.once(f"charge {number}", charge)
        self.state.count = count + 1
        return self.state.count

    @action
    async def pay_and_save(self, name: str) -> None:
        """Charge once, then commit."""
        await self.pay()
        await self.save_state()
        await gate(name).wait()


async def begin(*, shared: bool = True) -> tuple[World, Process]:
    world = await World.open(Till, shared=shared)
    process = world.process()
    await process.call("till", "add")
    SEEN.clear()
    world.store.reset()
    return world, process


def call(process: Process, action: str, *args: object, chain: tuple[str, ...] = ()) -> Any:
    return asyncio.create_task(process.call("till", action, *args, origin=Origin(chain=chain)))


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "till", ("a",)))
    assert head is not None
    return head


async def others_commit(world: World) -> None:
    head = await head_of(world)
    changes = Changes(f"other{head.version}", state=b'{"count":100}')
    await world.faults.inner.commit(head.actor_id, changes, expected=head.version)


async def told(call: asyncio.Task[Any]) -> str:
    with pytest.raises(ActorError) as raised:
        await call
    return raised.value.name


# -- refresh ------------------------------------------------------------------------------------


async def test_a_turn_can_move_to_the_newest_state() -> None:
    world, process = await begin()
    looking = asyncio.create_task(process.call("till", "refreshed", "later"))
    await settle()
    await others_commit(world)
    gate("later").set()
    assert await looking == [1, 100]


async def test_to_refresh_what_is_new_costs_one_look() -> None:
    """It stands for the look that every turn that has only read takes at its end."""
    world, process = await begin()
    assert await process.call("till", "refreshed") == [1, 1]
    assert world.store.calls == {"current": 1}


async def test_a_turn_cannot_move_to_another_life() -> None:
    world, process = await begin()
    life = (await head_of(world)).actor_id
    looking = asyncio.create_task(process.call("till", "refreshed", "later"))
    await settle()
    other = world.process()
    await other.runtime.dispatch(DestroyActor(ById(None, life)))
    await other.call("till", "get")
    gate("later").set()
    assert await looking == [0, 0]  # it has begun again, in the new life


# -- commits in the middle ----------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
async def test_what_was_overtaken_before_its_first_commit_runs_again(shared: bool) -> None:
    _, process = await begin(shared=shared)
    parts = call(process, "parts", "before", "")
    await settle()
    assert await process.call("till", "add") == 2
    gate("before").set()
    assert await parts == 22
    assert SEEN == ["parts", "add", "parts", "saved"]


@pytest.mark.parametrize("shared", [True, False])
async def test_others_wait_for_the_end_of_what_has_committed(shared: bool) -> None:
    _, process = await begin(shared=shared)
    parts = call(process, "parts", "", "after")
    await settle()
    add = call(process, "add")
    await settle()
    assert SEEN == ["parts", "saved"]
    gate("after").set()
    assert (await parts, await add) == (21, 22)


async def test_of_two_that_want_to_commit_in_the_middle_one_begins_again() -> None:
    _, process = await begin(shared=False)
    late = call(process, "parts", "before", "")
    await settle()
    first = call(process, "parts", "", "after")
    await settle()
    gate("before").set()
    await settle()
    assert SEEN == ["parts", "parts", "saved"]
    gate("after").set()
    assert (await first, await late) == (21, 41)


async def test_a_call_that_comes_back_does_not_pass_after_a_commit() -> None:
    world, process = await begin()
    parts = call(process, "parts", "", "after")
    await settle()
    (chain,) = CHAINS
    lease = (await head_of(world)).lease
    assert lease is not None
    assert lease.closed
    assert await told(call(process, "get", chain=chain)) == "actor.deadlock"
    # In another process too, which knows of it from the lease.
    assert await told(call(world.process(), "get", chain=chain)) == "actor.deadlock"
    gate("after").set()
    assert await parts == 21


async def test_a_commit_in_the_middle_keeps_its_lease() -> None:
    world, process = await begin()
    parts = call(process, "parts", "", "after")
    for _ in range(5):
        await world.clock.advance(LENGTH / 2)
    lease = (await head_of(world)).lease
    assert lease is not None
    assert lease.expires_at > world.clock.now()
    gate("after").set()
    assert await parts == 21
    await settle()
    assert (await head_of(world)).lease is None


@pytest.mark.parametrize("saves", [1, 2, 4])
async def test_commits_of_nothing_count_and_cost_nothing(saves: int) -> None:
    world, process = await begin()
    saving = call(process, "save_nothing", saves, "later")
    await settle()
    assert world.store.calls["commit"] == 1  # the lease
    await others_commit(world)
    gate("later").set()
    with pytest.raises(ActorError) as raised:
        await saving
    assert raised.value.name == "actor.interrupted"
    assert raised.value.metadata == {"checkpoints": saves}


async def test_without_a_lease_to_write_a_commit_of_nothing_is_none() -> None:
    world, process = await begin(shared=False)
    saving = call(process, "save_nothing", 3, "later")
    await settle()
    assert world.store.writes == 0
    gate("later").set()
    await saving
    assert (await head_of(world)).state == b'{"count":2}'


async def test_what_is_said_leaves_with_a_commit_that_writes_nothing() -> None:
    _, process = await begin()
    target = ByKey(Address("default", "till", ("a",)))
    await process.runtime.dispatch(OpenConnection(target, "c1", "actor", "host"))
    (life,) = {cell.actor_id for cell in [await process.runtime.cells.of(target)]}
    await process.runtime.dispatch(Subscribe(life, "c1", "said", subscribe=True))
    saying = call(process, "say", "later")
    await settle()
    assert process.mailbox.events == [("said", ["hello"])]
    gate("later").set()
    await saying
    assert process.mailbox.events == [("said", ["hello"])]


async def test_a_job_that_was_set_up_is_committed_in_the_middle() -> None:
    world, process = await begin()
    planning = call(process, "plan", "later")
    await settle()
    assert (await head_of(world)).alarm is not None
    gate("later").set()
    await planning


@pytest.mark.parametrize(
    ("known", "names"), [(True, ["guard.service_unavailable"]), (False, ["actor.outcome_unknown"])]
)
async def test_what_may_have_been_committed_is_not_done_again(
    known: bool, names: list[str]
) -> None:
    world, process = await begin()
    if known:
        world.faults.inject(Fault.BEFORE)
    else:
        world.faults.inject(Fault.UNACKNOWLEDGED)
        for _ in range(100):
            for verb in "load", "commit", "current":
                world.faults.inject(Fault.BEFORE, verb=verb)
    going = call(process, "go_on")
    for _ in range(20):
        await world.clock.advance(1)
        if SEEN[1:]:
            break
    world.faults.clear()
    await world.clock.advance(60)
    if known:
        # Nothing had been done: it is run again.
        assert await going == 3
        assert ["go on", *names, "go on"] == SEEN
    else:
        with pytest.raises(ActorError) as raised:
            await going
        assert raised.value.name == "actor.interrupted"
        assert raised.value.metadata == {"checkpoints": 1}
        assert ["go on", *names] == SEEN


# -- once ---------------------------------------------------------------------------------------


async def test_nothing_is_done_once_by_a_turn_that_was_overtaken() -> None:
    _, process = await begin()
    pay = call(process, "pay", "before")
    await settle()
    assert await process.call("till", "add") == 2
    gate("before").set()
    assert await pay == 3
    assert SEEN == ["pay", "add", "pay", "charge"]


@pytest.mark.parametrize("shared", [True, False])
async def test_others_wait_while_something_is_done_once(shared: bool) -> None:
    world, process = await begin(shared=shared)
    pay = call(process, "pay", "", "during")
    await settle()
    here = call(process, "add")
    await settle()
    assert SEEN == ["pay", "charge"]
    if shared:
        there = call(world.process(), "add")
        for _ in range(5):
            await world.clock.advance(LENGTH / 2)
        assert SEEN == ["pay", "charge"]
        gate("during").set()
        await world.clock.advance(1)
        assert sorted([await here, await there]) == [3, 4]
    gate("during").set()
    assert await pay == 2
    await here


async def test_nothing_is_done_once_on_what_may_yet_be_lost() -> None:
    """Where no lease is written, what is there already still has to be durable before."""
    world, process = await begin(shared=False)
    held = world.faults.inject(Fault.HELD)
    add = call(process, "add")
    await held.reached.wait()
    pay = call(process, "pay")
    await settle()
    assert SEEN == ["add", "pay"]
    held.release()
    assert (await add, await pay) == (2, 3)
    assert SEEN == ["add", "pay", "charge"]


async def test_one_lease_is_enough_for_all_that_a_turn_does_once() -> None:
    world, process = await begin()
    assert await process.call("till", "pay", "", "", 3) == 2
    await settle()
    assert ["pay", *["charge"] * 3] == SEEN
    # The lease, each result, and the turn, which ends the lease.
    assert world.store.calls["commit"] == 5
    assert (await head_of(world)).lease is None


async def test_a_call_that_comes_back_passes_until_there_is_a_commit() -> None:
    _, process = await begin()
    pay = call(process, "pay", "", "during")
    await settle()
    assert await process.call("till", "get", origin=Origin(chain=CHAINS[0])) == 1
    gate("during").set()
    assert await pay == 2
    both = call(process, "pay_and_save", "later")
    await settle()
    assert await told(call(process, "get", chain=CHAINS[-1])) == "actor.deadlock"
    gate("later").set()
    await both


async def test_nobody_writes_beneath_what_is_done_once() -> None:
    """Not even who began before it; else what is done once would have to run again."""
    _, process = await begin(shared=False)
    early = call(process, "parts", "before", "", 0)
    await settle()
    pay = call(process, "pay", "", "during")
    await settle()
    gate("before").set()
    await settle()
    assert not early.done()
    gate("during").set()
    assert (await pay, await early) == (2, 22)
    assert [seen for seen in SEEN if seen in ("pay", "charge")] == ["pay", "charge"]


async def test_a_call_that_comes_back_may_write() -> None:
    """What waits for it then runs again, on what it has written, and knows what it did once."""
    _, process = await begin(shared=False)
    pay = call(process, "pay", "", "during")
    await settle()
    assert await process.call("till", "add", origin=Origin(chain=CHAINS[0])) == 2
    gate("during").set()
    assert await pay == 3
    assert SEEN == ["pay", "charge", "add", "pay"]
