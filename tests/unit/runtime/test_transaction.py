"""What one run of a turn has seen and wants to have written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, action
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, OpenConnection, Subscribe
from rivetless.runtime.records import LISTENED
from rivetless.store.base import Head
from rivetless.testing.clock import settle

from .worlds import Process, World

SEEN: list[Any] = []
GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def clean() -> None:
    SEEN.clear()
    GATES.clear()


class Count(BaseModel):
    count: int = 0
    text: str = ""


class Tally(Actor[Count]):
    notes = Queue[str]()

    def on_state_change(self, state: Count) -> None:
        SEEN.append(state.count)
        if state.count == 13:
            state.count = 14
        elif state.count == 17:
            self.state = Count(count=18)

    @action
    async def set(self, count: int, text: str = "") -> None:
        self.state.count = count
        self.state.text = text

    @action
    async def replace(self, count: int) -> None:
        self.state = Count(count=count)

    @action
    async def get(self) -> int:
        return self.state.count

    @action
    async def set_wrong(self) -> None:
        self.state.count = "many"  # type: ignore[assignment]

    @action
    async def keep(self) -> None:
        SEEN.append(self)

    @action
    async def put_and_look(self, name: str, gate: str = "") -> list[str]:
        """Write a pair, and look at the pairs once the gate is open."""
        await self.kv.put(name, "x")
        if gate:
            await GATES.setdefault(gate, asyncio.Event()).wait()
        return [key for key, _ in await self.kv.list()]

    @action
    async def think_better(self) -> int:
        """Do a lot, and undo it."""
        turn: Any = self._turn
        self.state.count = 1
        undo = turn.savepoint()
        self.state.count = 2
        self.queue.send(self.notes, "undone")
        await self.kv.put("undone", "x")
        self.schedule.after(1, self.get)
        self.wait_until(self._later())
        self.destroy()
        undo()
        return self.state.count

    async def _later(self) -> None:
        SEEN.append("later")


class Nothing(Actor[None]):
    @action
    async def look(self) -> object:
        return self.state

    @action
    async def set(self) -> None:
        self.state = None


async def begin() -> tuple[World, Process]:
    world = await World.open(Tally, Nothing)
    process = world.process()
    await process.call("tally", "get")
    SEEN.clear()
    world.store.reset()
    return world, process


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "tally", ("a",)))
    assert head is not None
    return head


async def told(process: Process, name: str, action: str, *args: object) -> str:
    with pytest.raises(ActorError) as raised:
        await process.call(name, action, *args)
    return raised.value.name


# -- state --------------------------------------------------------------------------------------


async def test_what_is_changed_to_what_it_was_is_not_written() -> None:
    world, process = await begin()
    await process.call("tally", "set", 0)
    await process.call("tally", "replace", 0)
    assert world.store.writes == 0
    assert SEEN == []
    await process.call("tally", "set", 1)
    assert world.store.writes == 1
    assert SEEN == [1]


@pytest.mark.parametrize("count", [13, 17])
async def test_the_hook_of_changes_changes_nothing(count: int) -> None:
    world, process = await begin()
    assert await told(process, "tally", "set", count) == "actor.state_mutation_reentrant"
    assert (await head_of(world)).version == 1
    await process.call("tally", "set", 1)
    assert await process.call("tally", "get") == 1


async def test_a_state_that_does_not_fit_its_type_is_refused() -> None:
    world, process = await begin()
    assert await told(process, "tally", "set_wrong") == "actor.invalid_operation"
    assert (await head_of(world)).version == 1


async def test_how_large_a_state_may_be() -> None:
    world, process = await begin()
    size = len((await head_of(world)).state or b"")
    world.limit(max_state_bytes=size + 10)
    await process.call("tally", "set", 0, "x" * 10)
    assert await told(process, "tally", "set", 0, "x" * 11) == "actor.state_too_large"


async def test_an_actor_without_a_state_has_none() -> None:
    _, process = await begin()
    assert await told(process, "nothing", "look") == "actor.state_not_enabled"
    assert await told(process, "nothing", "set") == "actor.state_not_enabled"


async def test_a_turn_that_has_ended_knows_nothing() -> None:
    _, process = await begin()
    await process.call("tally", "keep")
    (tally,) = SEEN
    for use in lambda: tally.state, lambda: setattr(tally, "state", Count()):
        with pytest.raises(ActorError, match="turn has ended"):
            use()


# -- what it depends on -------------------------------------------------------------------------


async def test_what_has_read_records_runs_again_when_others_have_written() -> None:
    world, process = await begin()
    slow = asyncio.create_task(process.call("tally", "put_and_look", "a", "x"))
    await settle()
    await world.process().call("tally", "set", 5)
    await world.process().call("tally", "put_and_look", "b")
    GATES["x"].set()
    assert await slow == ["a", "b"]
    assert await process.call("tally", "get") == 5


async def test_turns_that_touch_different_things_share_a_version() -> None:
    world, process = await begin()
    target = ByKey(Address("default", "tally", ("a",)))
    await process.runtime.dispatch(OpenConnection(target, "c1", "actor", "host"))
    before = await head_of(world)
    assert before.version == 1
    await process.runtime.dispatch(Subscribe(before.actor_id, "c1", "told", subscribe=True))
    first = await head_of(world)
    # From now on commits know that somebody may listen.
    assert (first.version, first.counters[LISTENED]) == (2, 1)
    await process.runtime.dispatch(Subscribe(before.actor_id, "c1", "more", subscribe=True))
    second = await head_of(world)
    assert (second.version, second.counters[LISTENED]) == (2, 1)


# -- undoing ------------------------------------------------------------------------------------


async def test_all_that_a_turn_thinks_better_of_is_undone() -> None:
    world, process = await begin()
    assert await process.call("tally", "think_better") == 1
    await world.clock.advance(10)
    head = await head_of(world)
    assert (head.destroyed_at, head.alarm, head.sequences) == (None, None, {})
    assert await process.call("tally", "put_and_look", "a") == ["a"]
    assert SEEN == [1]
