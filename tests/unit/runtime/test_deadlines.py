"""Until when ports may try again: as long as somebody waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from rivetless import Actor, ActorError, action
from rivetless.clock import deadline, until
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, OpenConnection, Origin
from rivetless.store.base import Store
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault, StoreWrapper
from tests.unit.runtime.worlds import World

T = TypeVar("T")


class Sum(Actor[int]):
    """Adds up."""

    initial_state = 0

    @action
    async def add(self) -> int:
        self.state += 1
        return self.state

    @action
    async def add_later(self) -> None:
        self.wait_until(self._add())

    async def _add(self) -> None:
        self.state += 1

    @action
    async def hang(self) -> None:
        self.state += 1
        await asyncio.Event().wait()

    @action(timeout=2)
    async def hang_briefly(self) -> None:
        await asyncio.Event().wait()


class Asked(StoreWrapper):
    """Notes until when each verb may take."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.deadlines: list[tuple[str, float | None]] = []

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        self.deadlines.append((verb, deadline()))
        return await call()


async def test_a_turns_reads_and_its_commit_know_its_deadline() -> None:
    world = await World.open(Sum)
    asked = world.store.inner = Asked(world.faults)
    process = world.process()
    end = world.clock.now() + 3
    await process.call("sum", "add", origin=Origin(deadline=end))
    assert asked.deadlines == [("load", end), ("commit", end)]
    assert deadline() is None


async def test_a_commit_of_several_lasts_as_long_as_the_most_patient() -> None:
    world = await World.open(Sum)
    asked = world.store.inner = Asked(world.faults)
    process = world.process()
    await process.call("sum", "add")
    held = world.faults.inject(Fault.HELD)
    ends = [world.clock.now() + seconds for seconds in (1, 2, 9, 5)]
    calls = [
        asyncio.ensure_future(process.call("sum", "add", origin=Origin(deadline=end)))
        for end in ends
    ]
    await held.reached.wait()
    held.release()
    await asyncio.gather(*calls)
    commits = [end for verb, end in asked.deadlines if verb == "commit"]
    assert max(ends) in commits[1:]
    assert len(commits) <= 3


async def test_what_nobody_waits_for_has_no_deadline_of_somebody_elses() -> None:
    world = await World.open(Sum)
    asked = world.store.inner = Asked(world.faults)
    process = world.process()
    with until(world.clock.now() + 1):
        await process.call("sum", "add_later", origin=Origin(deadline=world.clock.now() + 1))
    await settle()
    own = world.clock.now() + Sum.__definition__.options.action_timeout
    assert asked.deadlines[-1] == ("commit", own)
    target = ByKey(Address("default", "sum", ("a",)))
    await process.runtime.dispatch(OpenConnection(target, "c", "events", "h"))
    assert asked.deadlines[-1][0] == "commit"


@pytest.mark.parametrize(("name", "left", "after"), [("hang", 10, 9.5), ("hang", 1, 0.8)])
async def test_a_handler_ends_before_its_host_has_to_give_it_up(
    name: str, left: float, after: float
) -> None:
    world = await World.open(Sum)
    process = world.process()
    await process.call("sum", "add")
    end = world.clock.now() + left
    call = asyncio.ensure_future(process.call("sum", name, origin=Origin(deadline=end)))
    await settle()
    await world.clock.advance(after - 0.01)
    assert not call.done()
    await world.clock.advance(0.01)
    with pytest.raises(ActorError, match="action_timed_out"):
        await call
    assert await process.call("sum", "add") == 2


async def test_a_handlers_own_time_may_be_shorter() -> None:
    world = await World.open(Sum)
    process = world.process()
    origin = Origin(deadline=world.clock.now() + 10)
    call = asyncio.ensure_future(process.call("sum", "hang_briefly", origin=origin))
    await settle()
    await world.clock.advance(2)

    with pytest.raises(ActorError, match="action_timed_out"):
        await call
