"""When the units of a loop are committed: with what comes next, in a moment, or at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Event, Queue, action
from rivetless.keys import Address
from rivetless.runtime import cell as cells
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ByKey, SendMessage
from rivetless.store.base import Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .worlds import Process, World

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def clean() -> None:
    SEEN.clear()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have units that nobody waits for held back for as long as a test takes."""
    monkeypatch.setattr(cells, "MOMENT", 600.0)


class Log(BaseModel):
    lines: list[str] = []


class Worker(Actor[Log]):
    notes = Queue[str]()
    tasks = Queue[str, int]()
    heard = Event[str]()

    async def run(self) -> None:
        SEEN.append("begin")
        async for message in self.queue.iter():
            SEEN.append(message.body)
            self.state.lines.append(message.body)
            if message.body == "tell":
                self.broadcast(self.heard, "told")
            elif message.body == "pass on":
                self.queue.send(self.notes, "passed")
            elif message.body == "plan":
                self.schedule.after(3600, self.read)
            if message.name == "tasks":
                message.complete(len(message.body))

    @action
    async def read(self) -> list[str]:
        return self.state.lines


async def send(process: Process, body: str, *, queue: str = "notes", wait: bool = False) -> object:
    target = ByKey(Address("default", "worker", ("a",)), create=True)
    result = await process.runtime.dispatch(SendMessage(target, queue, body, wait=wait))
    return result.response


async def stored(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "worker", ("a",)))
    assert head is not None
    return head


async def cell_of(process: Process) -> Cell:
    return await process.runtime.cells.of(ByKey(Address("default", "worker", ("a",))))


async def begin() -> tuple[World, Process]:
    """Return a world in which the loop waits, and all is durable."""
    world = await World.open(Worker)
    process = world.staying()
    await process.call("worker", "read")
    await settle()
    assert SEEN == ["begin"]
    return world, process


async def test_a_unit_is_committed_with_the_next_send(patient: None) -> None:
    world, process = await begin()
    await send(process, "0")
    await settle()
    world.store.reset()
    for number in range(1, 11):
        await send(process, str(number))
        await settle()
    assert [*map(str, range(11))] == SEEN[1:]
    # A message costs one commit, of its send and of the unit before it, and one read.
    assert world.store.calls == {"commit": 10, "records": 10}
    assert (await stored(world)).counters["messages"] == 1
    assert await process.call("worker", "read") == [*map(str, range(11))]
    assert (await stored(world)).counters["messages"] == 0


async def test_who_reads_what_a_unit_has_changed_waits_for_its_commit(patient: None) -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    held = world.faults.inject(Fault.HELD)
    reading = asyncio.ensure_future(process.call("worker", "read"))
    await settle()
    assert not reading.done()
    held.release()
    assert await reading == ["a"]
    assert (await stored(world)).version > 1


async def test_a_unit_that_nobody_waits_for_is_committed_in_a_moment() -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    await world.clock.advance(cells.MOMENT * 0.7)
    await send(process, "b")  # takes the first unit with it
    await settle()
    await world.clock.advance(cells.MOMENT * 0.7)
    assert (await stored(world)).counters["messages"] == 1, "the second unit has time left"
    await world.clock.advance(cells.MOMENT * 0.7)
    assert (await stored(world)).counters["messages"] == 0


async def test_a_clock_that_was_set_back_holds_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    now = world.clock.now
    monkeypatch.setattr(world.clock, "now", lambda: now() - 3600)
    await world.clock.advance(cells.MOMENT)
    assert (await stored(world)).counters["messages"] == 0


@pytest.mark.parametrize("body", ["tell", "pass on", "plan"])
async def test_what_is_for_others_is_committed_at_once(patient: None, body: str) -> None:
    world, process = await begin()
    await send(process, body)
    await settle()
    head = await stored(world)
    assert head.state is not None
    assert body.encode() in head.state


async def test_a_reply_is_given_at_once(patient: None) -> None:
    world, process = await begin()
    async with asyncio.timeout(30):
        assert await send(process, "four", queue="tasks", wait=True) == 4
    assert (await stored(world)).counters["messages"] == 0


async def test_messages_that_are_there_do_not_wait_for_each_other(patient: None) -> None:
    world, process = await begin()
    await asyncio.gather(*(send(process, str(number)) for number in range(20)))
    await settle()
    assert len(SEEN) == 21
    assert (await stored(world)).counters["messages"] <= 1, "only the last unit waits"


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.BEFORE])
async def test_a_unit_that_is_lost_while_the_loop_waits_is_done_again(
    patient: None, fault: Fault
) -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    assert SEEN == ["begin", "a"]
    world.faults.inject(fault)
    (await cell_of(process)).flush()
    await settle()
    await world.clock.advance(5)
    assert SEEN == ["begin", "a", "begin", "a"]
    assert await process.call("worker", "read") == ["a"]
    assert (await stored(world)).counters["messages"] == 0


async def test_a_unit_is_durable_before_the_actor_sleeps(patient: None) -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    assert (await stored(world)).counters["messages"] == 1
    await process.runtime.lifecycle.sleep(await cell_of(process))
    assert (await stored(world)).counters["messages"] == 0


async def test_a_process_that_ends_leaves_nothing_behind(patient: None) -> None:
    world, process = await begin()
    await send(process, "a")
    await settle()
    await process.runtime.aclose()
    assert (await stored(world)).counters["messages"] == 0


async def test_messages_of_other_processes_are_found_by_polling(patient: None) -> None:
    world, process = await begin()
    other = world.process()
    other.runtime.pumps.stop()
    for number in range(3):
        await send(process, f"own {number}")
        await settle()
        await send(other, f"other {number}")
        await world.clock.advance(0.06)
    assert SEEN[1:] == [f"{who} {n}" for n in range(3) for who in ("own", "other")]
