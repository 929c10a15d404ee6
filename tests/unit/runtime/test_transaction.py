"""What one run of a turn has seen and wants to have written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, WorkflowContext, action, workflow
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, OpenConnection, Origin, Subscribe
from rivetless.runtime.messages import MARK
from rivetless.runtime.records import LISTENED
from rivetless.store.base import Changes, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

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


class Tags(BaseModel):
    tags: set[str] = set()


class Tagged(Actor[Tags]):
    @action
    async def look(self) -> list[str]:
        return sorted(self.state.tags)


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
    async def set_twice(self) -> None:
        self.state.count = 1
        await self.save_state()
        self.state = Count(count=2)

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
    async def beside(self, read: str, gate: str) -> None:
        """Write a pair beside what others write, as the branches of a workflow do."""
        SEEN.append("beside")
        if read == "state":
            SEEN.append(self.state.count)
        elif read == "pairs":
            SEEN.append(len(await self.kv.list()))
        await GATES.setdefault(gate, asyncio.Event()).wait()
        turn: Any = self._turn
        turn.rebase()
        await self.kv.put("beside", "x")

    @action
    async def say(self, text: str, gate: str = "") -> int:
        """Look at the state, broadcast, and end when the gate is open."""
        SEEN.append("say")
        count = self.state.count
        self.broadcast("said", text)
        if gate:
            await GATES.setdefault(gate, asyncio.Event()).wait()
        return count

    @action
    async def nothing(self) -> str:
        return "nothing"

    @action
    async def go_back(self) -> list[Any]:
        """Undo to two places, one after the other; each time look at what is there."""
        turn: Any = self._turn
        await self.kv.put("kept", "x")
        first = turn.savepoint()
        self.state.count = 1
        await self.kv.put("first", "x")
        self.broadcast("said", "first")
        second = turn.savepoint()
        self.state.count = 2
        await self.kv.put("second", "x")
        self.sleep()
        seen: list[Any] = []
        for undo in second, first:
            undo()
            seen += [self.state.count, turn.sleeping, len(turn.effects), await self.kv.get("first")]
        return [*seen, await self.kv.get("kept"), await self.kv.get("second")]

    @action
    async def destroy_or_not(self) -> bool:
        """Ask for the end, before and after a place to go back to."""
        turn: Any = self._turn
        undo = turn.savepoint()
        self.destroy()
        undo()
        self.destroy()
        turn.savepoint()()
        return bool(turn.destroying)

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


class Early(Actor[Count]):
    """Looks at what it is only about to have."""

    async def create_state(self, input: object) -> Count:
        return Count(count=self.state.count + 1)

    @action
    async def get(self) -> int:
        return self.state.count


class Flow(Actor[Count]):
    """A workflow that waits."""

    notes = Queue[str]()

    @workflow
    async def run(self, flow: WorkflowContext) -> None:
        await flow.sleep("long", 1000)

    @action
    async def get(self) -> int:
        return self.state.count


class Receiving(Actor[Count]):
    """Has a loop that does not get to its messages."""

    notes = Queue[str]()

    async def run(self) -> None:
        await self.abort_signal.wait()

    @action
    async def send(self) -> None:
        self.queue.send(self.notes, "hello")

    @action
    async def end(self) -> None:
        self.destroy()


class Nothing(Actor[None]):
    @action
    async def look(self) -> object:
        return self.state

    @action
    async def set(self) -> None:
        self.state = None


async def begin() -> tuple[World, Process]:
    world = await World.open(Tally, Early, Nothing)
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


@pytest.mark.parametrize("stored", [b'{"tags":["a","b"]}', b'{"tags":["b","a"]}'])
async def test_a_set_in_another_order_is_no_change(stored: bytes) -> None:
    world = await World.open(Tagged)
    await world.process().call("tagged", "look")
    address = Address("default", "tagged", ("a",))
    head = await world.store.inner.load(address)
    assert head is not None
    await world.store.inner.commit(head.actor_id, Changes("c", state=stored), expected=1)
    world.store.reset()
    assert await world.process().call("tagged", "look") == ["a", "b"]
    assert world.store.writes == 0


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
        with pytest.raises(ActorError, match="turn has ended") as raised:
            use()
        assert raised.value.name == "actor.invalid_operation"


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


async def test_each_place_to_go_back_to_is_one_of_its_own() -> None:
    world, process = await begin()
    seen = await process.call("tally", "go_back")
    assert seen == [1, False, 1, "x", 0, False, 0, None, "x", None]
    assert (await head_of(world)).state == b'{"count":0,"text":""}'
    assert await process.call("tally", "put_and_look", "a") == ["a", "kept"]


async def test_what_was_asked_before_is_not_undone() -> None:
    world, process = await begin()
    assert await process.call("tally", "destroy_or_not") is True
    assert (await head_of(world)).destroyed_at is not None


# -- what is written ----------------------------------------------------------------------------


async def test_a_state_can_be_set_again_after_the_hook_of_changes() -> None:
    """What locks the state while the hook runs is undone, however it ends."""
    world, process = await begin()
    await process.call("tally", "set_twice")
    assert (await head_of(world)).state == b'{"count":2,"text":""}'
    assert SEEN == [1, 2]


async def test_before_there_is_a_state_nobody_reads_it() -> None:
    world, process = await begin()
    assert await told(process, "early", "get") == "actor.invalid_operation"
    assert await world.store.inner.load(Address("default", "early", ("a",))) is None


@pytest.mark.parametrize(("name", "marked"), [("flow", True), ("tally", False)])
async def test_the_note_of_a_workflow_is_there_from_its_creation_on(
    name: str, marked: bool
) -> None:
    """Else nobody would begin it, should the process that created it die."""
    world = await World.open(Tally, Flow)
    process = world.process()
    created = world.faults.inject(Fault.HELD_AFTER)
    call = asyncio.create_task(process.call(name, "get"))
    await created.reached.wait()
    await settle()
    head = await world.store.inner.load(Address("default", name, ("a",)))
    assert head is not None
    assert (MARK in head.outbox) is marked
    created.release()
    assert await call == 0


async def test_what_was_to_be_received_ends_with_the_life() -> None:
    """A note that stays would keep the address from being free."""
    world = await World.open(Receiving)
    process = world.process()
    await process.call("receiving", "send")
    target = Address("default", "receiving", ("a",))
    head = await world.store.inner.load(target)
    assert head is not None
    assert MARK in head.outbox
    await process.call("receiving", "end")
    head = await world.store.inner.load(target)
    assert head is None or (head.destroyed_at is not None and MARK not in head.outbox)


@pytest.mark.parametrize(("action", "written"), [("nothing", 0), ("say", 1)])
async def test_answers_are_kept_of_what_did_something(action: str, written: int) -> None:
    """One that did nothing can be done again."""
    world, process = await begin()
    args = ["hello"] if action == "say" else []
    await process.call("tally", action, *args, origin=Origin(call_key="i:k"))
    await settle()
    assert world.store.writes == written
    assert len((await head_of(world)).replies) == written


@pytest.mark.parametrize(
    ("read", "others", "again"),
    [
        ("nothing", "set", False),
        ("nothing", "put_and_look", False),
        ("state", "set", True),
        ("state", "put_and_look", False),
        ("pairs", "set", True),
        ("pairs", "put_and_look", True),
    ],
)
async def test_what_is_done_beside_others_depends_on_what_was_read(
    read: str, others: str, again: bool
) -> None:
    world, process = await begin()
    beside = asyncio.create_task(process.call("tally", "beside", read, "x"))
    await settle()
    await process.call("tally", others, 5 if others == "set" else "other")
    GATES["x"].set()
    await beside
    assert SEEN.count("beside") == 1 + again
    count = 5 if others == "set" else 0
    assert (await head_of(world)).state == b'{"count":%d,"text":""}' % count
    assert "beside" in await process.call("tally", "put_and_look", "last")


async def test_a_state_that_is_new_life_by_life_is_nobodys_base() -> None:
    """What was read in one life is not written in the next."""
    world, process = await begin()
    beside = asyncio.create_task(process.call("tally", "beside", "state", "x"))
    await settle()
    await process.call("tally", "destroy_or_not")
    await process.call("tally", "set", 7)
    GATES["x"].set()
    await beside
    assert SEEN == ["beside", 0, 7, "beside", 7]
    assert (await head_of(world)).state == b'{"count":7,"text":""}'
