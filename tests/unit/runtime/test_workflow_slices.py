"""Workflows where processes do not stay, and where several are at one workflow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Queue, WorkflowContext, action, workflow
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, Origin, Wake
from rivetless.runtime.messages import MARK
from rivetless.runtime.pump import Pump
from rivetless.runtime.runtime import Runtime
from rivetless.store.base import Collection
from rivetless.testing.clock import settle
from rivetless.workflow.journal import read_entry
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import Bells, World


@pytest.fixture(autouse=True)
def clean() -> None:
    GATES.clear()


class Lines(BaseModel):
    lines: list[str] = []


class Sliced(Actor[Lines], name="sliced"):
    """Has a step that takes long."""

    jobs = Queue[str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.step("first", self.note, "first")
        await ctx.step("long", self.take_long, timeout=None)
        await ctx.sleep("a while", 60)
        job = await ctx.queue.next("job", self.jobs)
        await ctx.step("last", self.note, job.body)

    async def note(self, line: str) -> None:
        self.state.lines.append(line)

    async def take_long(self) -> None:
        self.state.lines.append("long")
        await gate("long").wait()

    @action
    async def give(self, body: str) -> None:
        """Send the workflow what it waits for."""
        self.queue.send(self.jobs, body)

    @action
    async def read(self) -> list[str]:
        """Return what steps have done."""
        return self.state.lines


class Slice:
    """A function's process: it does nothing between its invocations."""

    def __init__(self, world: World) -> None:
        self.bells = Bells()
        self._world = world
        self.runtime = Runtime(
            world.definitions,
            world.store,
            clock=world.clock,
            doorbells=self.bells,
            resident=False,
        )

    async def wake(
        self, seconds: float = 30.0, hops: int = 0, longest: float | None = None
    ) -> None:
        """Invoke it for the actor, with so much time; let that time pass if it takes it."""
        head = await self._world.store.load(ADDRESS)
        assert head is not None
        deadline = self._world.clock.now() + seconds
        wake = Wake(head.actor_id, hops, deadline, longest)
        call = asyncio.ensure_future(self.runtime.dispatch(wake))
        await settle()
        if not call.done():
            await self._world.clock.advance(seconds)
        await call

    async def lines(self) -> Any:
        """Read what steps have done; nothing stays behind that goes on with them."""
        call = CallAction(ByKey(ADDRESS, create=True), "read", [], Origin())
        return (await self.runtime.dispatch(call)).output


ADDRESS = Address("default", "sliced", ("a",))


async def lines(world: World) -> Any:
    return await world.process().call("sliced", "read")


async def test_a_step_that_the_host_cuts_off_is_done_elsewhere() -> None:
    world = await World.open(Sliced)
    await lines(world)
    first = Slice(world)
    await first.wake()
    assert await lines(world) == ["first"]
    await settle()
    assert [ring.hops for ring in first.bells.rings][-1:] == [1]  # it goes on somewhere at once
    gate("long").set()
    await Slice(world).wake(hops=1)
    assert await lines(world) == ["first", "long"]
    await world.process().call("sliced", "give", "job")
    await Slice(world).wake()
    assert await lines(world) == ["first", "long"]  # the hour has not come
    await world.clock.advance(61)
    await Slice(world).wake()
    assert await lines(world) == ["first", "long", "job"]


async def errors_in(world: World) -> list[str]:
    head = await world.store.load(ADDRESS)
    assert head is not None
    records = await world.store.records(head.actor_id, Collection.HISTORY)
    entries = [read_entry(record.key, record.data) for record in records]
    return [str(entry.error) for entry in entries if entry.error is not None and entry.location]


async def test_a_step_that_takes_all_the_time_there_is_has_failed() -> None:
    world = await World.open(Sliced)
    await Slice(world).lines()
    await Slice(world).wake(20, longest=30)
    assert await errors_in(world) == []  # another one may have more time
    await Slice(world).wake(30, hops=1, longest=30)
    assert await errors_in(world) == [
        "StepTimeoutError: no result within 27.75 s, which is all that a function here has"
    ]
    assert await Slice(world).lines() == ["first"]


async def test_a_step_that_wants_more_time_than_there_is_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Greedy(Sliced, name="sliced"):
        @workflow
        async def run(self, ctx: WorkflowContext) -> None:
            await ctx.step("first", self.note, "first")
            await ctx.step("usual", self.note, "usual", timeout=30)
            await ctx.step("long", self.note, "long", timeout=600)

    world = await World.open(Greedy)
    await Slice(world).lines()
    await Slice(world).wake(longest=20)
    assert await Slice(world).lines() == ["first", "usual"]
    assert "`long` has a `timeout` of 600 s, and a function here has 18 s for it" in caplog.text
    await Slice(world).wake(seconds=900, longest=900)  # a function with more time
    assert await Slice(world).lines() == ["first", "usual", "long"]


async def test_the_note_of_messages_stays_for_those_that_nobody_has_looked_for() -> None:
    world = await World.open(Sliced)
    process = Slice(world)
    await process.lines()
    await process.runtime.dispatch(CallAction(ByKey(ADDRESS), "give", ["job"], Origin()))
    pump = Pump(process.runtime, await process.runtime.cells.of(ByKey(ADDRESS)))
    assert not await pump.take_back_mark(0)
    head = await world.store.load(ADDRESS)
    assert head is not None
    assert MARK in head.outbox
    assert await pump.take_back_mark(1)
    head = await world.store.load(ADDRESS)
    assert head is not None
    assert MARK not in head.outbox


async def test_a_warm_process_does_not_read_history_again() -> None:
    world = await World.open(Sliced)
    gate("long").set()
    await lines(world)
    warm = Slice(world)
    await warm.wake()
    await world.clock.advance(61)
    await warm.wake()
    before = world.store.calls["records"]
    await warm.wake()
    first = world.store.calls["records"] - before
    await Slice(world).wake()
    assert world.store.calls["records"] - before - first == first + 1


async def test_what_another_process_has_done_is_not_done_again() -> None:
    world = await World.open(Sliced)
    await lines(world)
    frozen, other = Slice(world), Slice(world)
    await frozen.wake(5)
    gate("long").set()
    await other.wake()
    await world.clock.advance(61)
    await frozen.wake()  # its history is older than what the other one has written
    await world.process().call("sliced", "give", "job")
    await other.wake()
    await frozen.wake()
    assert await lines(world) == ["first", "long", "job"]
