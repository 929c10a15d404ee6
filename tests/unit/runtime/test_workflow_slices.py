"""Workflows where processes do not stay, and where several are at one workflow."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Queue, WorkflowContext, action, workflow
from rivetless.keys import Address
from rivetless.runtime.commands import Wake
from rivetless.runtime.runtime import Runtime
from rivetless.testing.clock import settle
from tests.unit.runtime.worlds import Bells, World

GATES: dict[str, asyncio.Event] = {}


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
        await GATES["long"].wait()

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

    async def wake(self, seconds: float = 30.0, hops: int = 0) -> None:
        """Invoke it for the actor, with so much time; let that time pass if it takes it."""
        head = await self._world.store.load(ADDRESS)
        assert head is not None
        deadline = self._world.clock.now() + seconds
        call = asyncio.ensure_future(self.runtime.dispatch(Wake(head.actor_id, hops, deadline)))
        await settle()
        if not call.done():
            await self._world.clock.advance(seconds)
        await call


ADDRESS = Address("default", "sliced", ("a",))


async def lines(world: World) -> Any:
    return await world.process().call("sliced", "read")


async def test_a_step_that_the_host_cuts_off_is_done_elsewhere() -> None:
    world = await World.open(Sliced)
    GATES["long"] = asyncio.Event()
    await lines(world)
    first = Slice(world)
    await first.wake()
    assert await lines(world) == ["first"]
    await settle()
    assert [ring.hops for ring in first.bells.rings][-1:] == [1]  # it goes on somewhere at once
    GATES["long"].set()
    await Slice(world).wake(hops=1)
    assert await lines(world) == ["first", "long"]
    await world.process().call("sliced", "give", "job")
    await Slice(world).wake()
    assert await lines(world) == ["first", "long"]  # the hour has not come
    await world.clock.advance(61)
    await Slice(world).wake()
    assert await lines(world) == ["first", "long", "job"]


async def test_a_warm_process_does_not_read_history_again() -> None:
    world = await World.open(Sliced)
    GATES["long"] = asyncio.Event()
    GATES["long"].set()
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
    GATES["long"] = asyncio.Event()
    await lines(world)
    frozen, other = Slice(world), Slice(world)
    await frozen.wake(5)
    GATES["long"].set()
    await other.wake()
    await world.clock.advance(61)
    await frozen.wake()  # its history is older than what the other one has written
    await world.process().call("sliced", "give", "job")
    await other.wake()
    await frozen.wake()
    assert await lines(world) == ["first", "long", "job"]
