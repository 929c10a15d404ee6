"""Turns of one actor that are ready together share a commit: latency bounds commits only."""

import asyncio

import pytest

from rivetless import Actor, action
from rivetless.runtime.cell import Cell
from rivetless.runtime.steps import Step
from rivetless.store.base import Changes, Collection, Record, RecordKey
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault, Injection, SlowStore
from tests.unit.runtime.worlds import Process, World

COMMIT = 0.005


class Sum(Actor[int]):
    """Adds up."""

    initial_state = 0

    @action
    async def add(self) -> int:
        self.state += 1
        return self.state


@pytest.mark.parametrize(("callers", "rounds"), [(32, 10), (5, 4), (1, 10)])
async def test_callers_share_commits(callers: int, rounds: int) -> None:
    world = await World.open(Sum)
    process = world.process()
    await process.call("sum", "add")
    world.store.inner = SlowStore(world.faults, clock=world.clock, seconds=COMMIT)
    world.store.reset()

    async def caller() -> list[int]:
        return [await process.call("sum", "add") for _ in range(rounds)]

    began = world.clock.now()
    calls = asyncio.gather(*(caller() for _ in range(callers)))
    while not calls.done():
        await world.clock.advance(COMMIT / 5)
    seen = [count for counts in calls.result() for count in counts]
    assert sorted(seen) == list(range(2, callers * rounds + 2))
    # The first goes alone. From then on whoever came during one commit is in the next.
    assert world.store.calls["commit"] <= rounds + 1
    assert world.clock.now() - began <= (rounds + 2) * COMMIT


async def test_whoever_waits_for_a_commit_that_is_cancelled_is_told() -> None:
    world = await World.open(Sum)
    process = world.process()
    await process.call("sum", "add")
    (cell,) = process.runtime.cells
    call = asyncio.create_task(process.call("sum", "add"))
    for _ in range(100):
        if cell._flusher is not None:
            cell._flusher.cancel()  # before it could begin, as when a loop is closed
            break
        await asyncio.sleep(0)
    await settle()
    assert call.done()
    assert await call == 2  # nothing was sent, so it was simply run again


async def one_by_one(world: World, process: Process) -> tuple[Cell, list[Step], Injection]:
    """Have a batch of three refused because of its second; return while the first goes singly."""
    await process.call("sum", "add")
    (cell,) = process.runtime.cells
    arrived = Record(Collection.REPLY, b"arrived", b"")
    fresh_id = process.runtime.fresh_commit_id
    await world.store.commit(cell.actor_id, Changes(fresh_id(), puts=(arrived,)), expected=None)
    again = (RecordKey(arrived.collection, arrived.key),)
    steps = [
        Step(Changes(fresh_id(), state=b"11")),
        Step(Changes(fresh_id(), puts=(arrived,), absent=again)),
        Step(Changes(fresh_id(), state=b"12")),
        Step(Changes(fresh_id(), state=b"13")),
    ]
    held = world.faults.inject(Fault.HELD, skip=1)
    for step in steps[:3]:
        cell.stage(step)
    await held.reached.wait()
    cell.stage(steps[3])
    return cell, steps, held


async def state_after(world: World, cell: Cell, held: Injection) -> bytes | None:
    held.release()
    await settle()
    head = await world.store.load(cell.actor_id)
    assert head is not None
    return head.state


async def test_of_a_refused_batch_what_holds_is_committed_one_by_one() -> None:
    world = await World.open(Sum)
    cell, steps, held = await one_by_one(world, world.process())
    cell.forget()  # that the head may be old throws nothing away
    assert await state_after(world, cell, held) == b"13"
    assert [step.landed.result() for step in steps] == [True, False, True, True]


async def test_nothing_is_committed_on_top_of_what_was_given_up() -> None:
    """While the steps of a batch go singly, another process is faster."""
    world = await World.open(Sum)
    process = world.process()
    cell, steps, held = await one_by_one(world, process)
    assert cell.head is not None
    other = Changes("other", state=b"100")
    await world.store.commit(cell.actor_id, other, expected=cell.head.version)
    assert await state_after(world, cell, held) == b"100"
    assert [step.landed.result() for step in steps] == [False] * 4
    assert await process.call("sum", "add") == 101


async def test_nobody_waits_for_ever_for_what_a_cancelled_commit_had_not_sent_yet() -> None:
    world = await World.open(Sum)
    cell, steps, _ = await one_by_one(world, world.process())
    assert cell.flusher is not None
    cell.flusher.cancel()
    await settle()
    assert [step.landed.result() for step in steps] == [False] * 4
