"""Workflows that go on while their steps are on the way to the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import (
    Actor,
    Event,
    Failed,
    Queue,
    UserError,
    WorkflowContext,
    action,
    workflow,
)
from rivetless.runtime.flight import WINDOW
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.rig import Rig
from rivetless.testing.stores import CountingStore, Fault, FaultyStore, Injection
from tests.unit.runtime.worlds import Process, World

OUTSIDE: list[str] = []
"""What has been seen outside of actors."""

BEGUN = asyncio.Event()
"""Set when a workflow has begun."""

HELD: list[Injection] = []
"""The commits that are held."""


class Lines(BaseModel):
    lines: list[str] = []


class Written(Actor[Lines], sleep_timeout=3600, max_queue_size=3):
    """Its workflow begins when it is told to."""

    go = Queue[str]()
    spare = Queue[int]()
    written = Event[str]()

    async def note(self, line: str) -> str:
        self.state.lines.append(line)
        self.broadcast(self.written, line)
        return line

    async def tell(self, line: str) -> None:
        await self.note(line)
        await self.reach(line)

    async def reach(self, line: str) -> None:
        await asyncio.sleep(0.000_001)
        OUTSIDE.append(line)

    @action
    async def begin(self) -> None:
        """Let the workflow begin."""
        self.queue.send(self.go, "go")

    @action
    async def read(self) -> list[str]:
        """Return what steps have done."""
        return self.state.lines

    @action
    async def add(self, line: str) -> None:
        """Write a line."""
        self.state.lines.append(line)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    OUTSIDE.clear()
    clock = FakeClock()
    async with Rig(store=FaultyStore(CountingStore(MemoryStore(clock=clock))), clock=clock) as rig:
        yield rig
        while HELD:
            HELD.pop().release()


def store_of(rig: Rig) -> FaultyStore:
    assert isinstance(rig.store, FaultyStore)
    return rig.store


def hold(rig: Rig, skip: int = 0) -> Injection:
    """Hold a commit until it is released, at the end of the test at the latest."""
    HELD.append(store_of(rig).inject(Fault.HELD, skip=skip))
    return HELD[-1]


def commits(rig: Rig) -> int:
    inner = store_of(rig).inner
    assert isinstance(inner, CountingStore)
    return inner.calls["commit"]


async def until_it_goes_on() -> None:
    """Let what waits for a moment of real time have it."""
    for _ in range(20):
        await asyncio.sleep(0.000_01)
        await settle()


async def test_steps_follow_each_other_before_they_are_durable(rig: Rig) -> None:
    class Quick(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            for number in range(100):
                await ctx.step(str(number), self.note, str(number))

    actor = rig.client.get_or_create(Quick, "a")
    seen: list[str] = []
    async with rig.client.connect(actor) as connection:
        connection.on(Written.written, seen.append)
        await rig.settle()
        await actor.begin()
        await rig.settle()
    assert seen == [str(number) for number in range(100)]
    assert await actor.read() == seen
    assert commits(rig) < 50


async def test_nothing_is_seen_of_steps_that_are_not_durable(rig: Rig) -> None:
    class Quick(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            await ctx.step("one", self.note, "one")
            await ctx.step("two", self.note, "two")
            await ctx.step("three", self.tell, "three")
            await ctx.step("four", self.tell, "four")

    actor = rig.client.get_or_create(Quick, "a")
    seen: list[str] = []
    async with rig.client.connect(actor) as connection:
        connection.on(Written.written, seen.append)
        await rig.settle()
        held = hold(rig, 1)  # the first is the message's
        await actor.begin()
        reading = asyncio.ensure_future(actor.read())
        await until_it_goes_on()
        assert held.reached.is_set()
        assert not reading.done()
        assert (seen, OUTSIDE) == ([], [])
        held.release()
        await until_it_goes_on()
        assert OUTSIDE == ["three", "four"]
        assert (await reading)[:2] == ["one", "two"]
    assert seen == ["one", "two", "three", "four"]


async def test_the_function_itself_waits_before_it_reaches_outside(rig: Rig) -> None:
    class Careless(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            await ctx.step("one", self.note, "one")
            await self.outside("between")
            await ctx.loop("loop", self.turn_over)

        async def turn_over(self, ctx: WorkflowContext) -> None:
            await ctx.step("two", self.note, "two")
            await self.outside("in a loop")
            await ctx.sleep("for good", 3600)

        async def outside(self, line: str) -> None:
            await asyncio.sleep(0.000_001)
            OUTSIDE.append(line)

    actor = rig.client.get_or_create(Careless, "a")
    await actor.read()
    await rig.settle()
    held = hold(rig, 1)
    await actor.begin()
    await until_it_goes_on()
    assert held.reached.is_set()
    assert OUTSIDE == []
    later = hold(rig)
    held.release()
    await until_it_goes_on()
    assert OUTSIDE == ["between"]
    later.release()
    await until_it_goes_on()
    assert OUTSIDE == ["between", "in a loop"]


async def test_nothing_is_built_on_a_step_that_has_reached_outside(rig: Rig) -> None:
    done: list[str] = []

    class Telling(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            await ctx.step("one", self.tell, "one")
            await ctx.step("two", self.remember)

        async def remember(self) -> None:
            done.append("two")

    actor = rig.client.get_or_create(Telling, "a")
    await actor.read()
    await rig.settle()
    held = hold(rig, 2)  # that of the first step
    await actor.begin()
    await until_it_goes_on()
    assert held.reached.is_set()
    assert (OUTSIDE, done) == (["one"], [])
    held.release()
    await until_it_goes_on()
    assert done == ["two"]


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.BEFORE, Fault.UNACKNOWLEDGED])
@pytest.mark.parametrize("at", range(1, 8))
async def test_what_was_built_on_a_lost_step_is_done_again(rig: Rig, fault: Fault, at: int) -> None:
    class Quick(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            for number in range(40):
                await ctx.step(str(number), self.note, str(number))
            await ctx.sleep("for good", 3600)

    actor = rig.client.get_or_create(Quick, "a")
    seen: list[str] = []
    async with rig.client.connect(actor) as connection:
        connection.on(Written.written, seen.append)
        await rig.settle()
        injected = store_of(rig).inject(fault, skip=at)
        await actor.begin()
        for _ in range(10):
            await rig.advance(5)
        assert injected.reached.is_set()
    assert await actor.read() == [str(number) for number in range(40)]
    assert seen == await actor.read()


async def test_a_step_that_cannot_be_committed_fails_alone(rig: Rig) -> None:
    class Greedy(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            for number in range(5):
                await ctx.step(f"before {number}", self.note, f"before {number}")
            sent = await ctx.try_step("send", self.send, retries=0)
            assert isinstance(sent, Failed)
            await ctx.step("after", self.note, sent.error.name)

        async def send(self) -> None:
            self.state.lines.append("never seen")
            for number in range(4):
                self.queue.send(self.spare, number)

    actor = rig.client.get_or_create(Greedy, "a")
    await actor.read()
    await actor.begin()
    await rig.advance(5)
    assert await actor.read() == [*(f"before {number}" for number in range(5)), "ActorError"]


async def test_not_too_many_steps_are_on_their_way(rig: Rig) -> None:
    done: list[int] = []

    class Endless(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            for number in range(3 * WINDOW):
                await ctx.step(str(number), self.count, number)

        async def count(self, number: int) -> None:
            self.state.lines = [str(number)]
            done.append(number)

    actor = rig.client.get_or_create(Endless, "a")
    await actor.read()
    await rig.settle()
    held = hold(rig, 1)
    await actor.begin()
    await rig.settle()
    assert WINDOW <= len(done) <= WINDOW + 2
    held.release()
    await rig.settle()
    assert done == list(range(3 * WINDOW))


async def test_events_are_not_made_faster_than_they_are_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    gate = asyncio.Event()

    class Loud(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            for number in range(3 * WINDOW):
                await ctx.step(str(number), self.shout, number)
            await ctx.sleep("for good", 3600)

        async def shout(self, number: int) -> None:
            self.broadcast(self.written, str(number))
            done.append(number)

    async def deliver(*args: object) -> None:
        await gate.wait()
        OUTSIDE.append("sent")

    actor = rig.client.get_or_create(Loud, "a")
    await actor.read()
    monkeypatch.setattr(rig.runtime.effects, "_deliver", deliver)
    await actor.begin()
    await rig.settle()
    assert WINDOW <= len(done) <= WINDOW + 2
    gate.set()
    await rig.settle()
    assert done == list(range(3 * WINDOW))
    assert len(OUTSIDE) == len(done)


async def test_a_step_may_destroy_its_actor(rig: Rig) -> None:
    class Brief(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            await ctx.step("one", self.note, "one")
            await ctx.step("end", self.end)
            await ctx.step("never", self.reach, "never")

        async def end(self) -> None:
            self.destroy()

    actor = rig.client.get_or_create(Brief, "a")
    await actor.begin()
    await until_it_goes_on()
    assert OUTSIDE == []
    assert await actor.read() == []  # another life


async def test_a_loser_of_a_race_gives_nothing_back_that_was_removed(rig: Rig) -> None:
    class Racing(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.race("race", {"one": self.take, "other": self.win})
            await ctx.step("after", self.note, "after")
            message = await ctx.queue.next("again", self.go, timeout=10)
            await ctx.step("end", self.note, "nothing" if message is None else message.body)

        async def take(self, ctx: WorkflowContext) -> None:
            message = await ctx.queue.next("go", self.go)
            await ctx.step("took", self.note, message.body)
            await ctx.sleep("long", 3600)

        async def win(self, ctx: WorkflowContext) -> None:
            await ctx.sleep("short", 1)

    actor = rig.client.get_or_create(Racing, "a")
    await actor.begin()
    await rig.settle()
    held = hold(rig)
    await rig.advance(1)
    held.release()
    await rig.advance(20)
    assert await actor.read() == ["go", "after", "nothing"]


class Shared(Written, name="shared"):
    """Is used by several processes."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.queue.next("go", self.go)
        for number in range(200):
            await ctx.step(str(number), self.note, str(number))
            BEGUN.set()


LEASED: list[bool] = []
"""Whether its actor was held for a step, for each time that the step has acted outside."""


class Hasty(Written, name="hasty"):
    """Acts outside before it waits for anything, as over a connection that is open already."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.queue.next("go", self.go)
        await ctx.step("one", self.note, "one")
        await ctx.step("two", self.hurry)

    async def hurry(self) -> None:
        turn: Any = self._turn
        LEASED.append(turn.cell.lease is not None)
        await self.tell("two")


async def test_a_step_that_has_reached_outside_in_vain_does_so_again_under_the_lease() -> None:
    seen: list[list[bool]] = []
    for at in range(6):
        LEASED.clear()
        world = await World.open(Hasty)
        process = world.staying()
        await process.call("hasty", "read")
        await settle()
        injected = world.faults.inject(Fault.CONFLICT, skip=at)
        await process.call("hasty", "begin")
        for _ in range(20):
            await until_it_goes_on()
            await world.clock.advance(1)
        assert injected.reached.is_set()
        assert await process.call("hasty", "read") == ["one", "two"]
        seen.append(list(LEASED))

    assert all(leased == [False, True][: len(leased)] for leased in seen), seen
    # Where what it is built on is lost the whole run is, and where its own commit is the turn.
    assert seen.count([False, True]) >= 2


async def add(process: Process, begun: asyncio.Event | None = None) -> None:
    if begun is not None:
        await begun.wait()
    for number in range(30):
        await process.call("shared", "add", f"added {number}")


async def lines_after(world: World, adding: asyncio.Future[None]) -> list[str]:
    """Let time pass, then read what there is."""
    for _ in range(60):
        await world.clock.advance(5)
    await adding
    reading = asyncio.ensure_future(world.process().call("shared", "read"))
    while not reading.done():
        await world.clock.advance(1)
    lines: list[str] = await reading
    assert [line for line in lines if line[0] == "a"] == [f"added {n}" for n in range(30)]
    return [line for line in lines if line[0] != "a"]


async def test_actions_of_other_processes_come_in_between() -> None:
    world = await World.open(Shared)
    one, other = world.staying(), world.process()
    await one.call("shared", "read")
    await settle()
    BEGUN.clear()
    adding = asyncio.ensure_future(add(other, BEGUN))
    await one.call("shared", "begin")
    assert await lines_after(world, adding) == [str(number) for number in range(200)]
    assert one.runtime.execution.conflicts + other.runtime.execution.conflicts


async def test_a_message_that_comes_while_the_loop_is_left_is_found() -> None:
    world = await World.open(Shared)
    one, other = world.staying(), world.process()
    await one.call("shared", "begin")  # the workflow is at its first look for messages
    adding = asyncio.ensure_future(add(other))
    assert await lines_after(world, adding) == [str(number) for number in range(200)]


async def test_an_error_is_told_once_it_is_durable(rig: Rig) -> None:
    class Failing(Written):
        async def told(self, event: object) -> None:
            OUTSIDE.append("told")

        @workflow(on_error=told)
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.queue.next("go", self.go)
            await ctx.step("one", self.note, "one")
            await ctx.step("fail", self.fail, retries=0)

        async def fail(self) -> None:
            raise UserError("no", code="no")

    actor = rig.client.get_or_create(Failing, "a")
    await actor.read()
    await rig.settle()
    held = hold(rig, 1)
    await actor.begin()
    await rig.settle()
    assert held.reached.is_set()
    assert OUTSIDE == []
    held.release()
    await rig.settle()
    assert OUTSIDE[:1] == ["told"]


@pytest.mark.parametrize("verb", ["records", "commit"])
async def test_a_store_that_is_away_for_a_moment_is_no_failure_of_a_workflow(
    rig: Rig, verb: str
) -> None:
    class Patient(Written):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            for number in range(10):
                await ctx.step(str(number), self.note, str(number))
                await ctx.sleep(f"after {number}", 1)

    actor = rig.client.get_or_create(Patient, "a")
    assert await actor.read() == []
    store = store_of(rig)
    for _ in range(8):
        store.inject(Fault.BEFORE, verb=verb, skip=2)
    for _ in range(30):
        await rig.advance(5)
        if verb == "records":
            rig.restart()  # else nothing is read
    store.clear()
    assert await actor.read() == [str(number) for number in range(10)]
