"""Turns of one actor that are ready together share a commit: latency bounds commits only."""

import asyncio

import pytest

from rivetless import Actor, action
from rivetless.runtime.steps import Step
from rivetless.store.base import Changes, Collection, Record, RecordKey
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault, SlowStore
from tests.unit.runtime.worlds import World

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


async def test_nothing_is_committed_on_top_of_what_was_given_up() -> None:
    """One of a batch is refused; while the others go singly, the head comes to be distrusted."""
    world = await World.open(Sum)
    process = world.process()
    await process.call("sum", "add")
    (cell,) = process.runtime.cells
    arrived = Record(Collection.REPLY, b"arrived", b"")
    fresh_id = process.runtime.fresh_commit_id
    await world.store.commit(cell.actor_id, Changes(fresh_id(), puts=(arrived,)), expected=None)
    again = (RecordKey(arrived.collection, arrived.key),)
    first, doubled, second, third = (
        Step(Changes(fresh_id(), state=b"11")),
        Step(Changes(fresh_id(), puts=(arrived,), absent=again)),
        Step(Changes(fresh_id(), state=b"12")),
        Step(Changes(fresh_id(), state=b"13")),
    )
    held = world.faults.inject(Fault.HELD, skip=1)
    for step in (first, doubled, second):
        cell.stage(step)
    await held.reached.wait()  # the first, by itself, after all three were refused
    cell.stage(third)
    cell.forget()
    held.release()
    await settle()
    landed = [step.landed.result() for step in (first, doubled, second, third)]
    assert landed == [True, False, False, False]
    head = await world.store.load(cell.actor_id)
    assert head is not None
    assert head.state == b"11"
