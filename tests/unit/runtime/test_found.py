"""What the simulator has found, each told directly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import (
    Actor,
    ActorError,
    Conn,
    Queue,
    UserError,
    WorkflowContext,
    action,
    workflow,
)
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ByKey,
    CloseConnection,
    OpenConnection,
    SendMessage,
    SendResult,
)
from rivetless.runtime.steps import Step
from rivetless.store.base import Changes, Collection, Record, RecordKey
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import Bells, Process, World


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()


class Count(BaseModel):
    count: int = 0


class Shelf(Actor[Count]):
    @action
    async def put(self, name: str) -> None:
        self.state.count += 1
        await self.kv.put(name, "there")

    @action
    async def look(self, wait: str = "") -> list[object]:
        """Read the state, then, perhaps much later, the pairs."""
        count = self.state.count
        if wait:
            await gate(wait).wait()
        return [count, [name for name, _ in await self.kv.list()]]


async def test_pairs_read_later_belong_to_the_state_read_before() -> None:
    """The call that wakes the actor was taken to have seen the newest state, whenever it read."""
    world = await World.open(Shelf)
    reader, writer = world.process(), world.process()
    looking = asyncio.create_task(reader.call("shelf", "look", "later"))
    await settle()
    await writer.call("shelf", "put", "a")
    gate("later").set()
    assert await looking == [1, ["a"]]


# -- queues ------------------------------------------------------------------------------------


class Log(BaseModel):
    log: list[str] = []


class Clerk(Actor[Log]):
    """Notes down what is sent to it."""

    notes = Queue[str]()
    asks = Queue[str, str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            if message.body in GATES:
                await gate(message.body).wait()
            self.state.log.append(message.body)
            if message.name == "asks":
                message.complete(f"re: {message.body}")

    @action
    async def touch(self) -> None:
        self.state.log.append("touch")

    @action
    async def ask(self) -> str:
        """Ask the own loop; something else once it has answered."""
        self.state.log.append("ask")
        body = "second" if len(self.state.log) > 1 else "first"
        return await self.queue.enqueue_and_wait(self.asks, body, timeout=5)

    @action(exclusive=True)
    async def ask_alone(self) -> str:
        return await self.queue.enqueue_and_wait(self.asks, "alone", timeout=5)

    @action
    async def read(self) -> list[str]:
        return self.state.log


async def send(process: Process, queue: str, body: str, *, wait: bool = False) -> SendResult:
    target = ByKey(Address("default", "clerk", ("a",)), create=True)
    return await process.runtime.dispatch(SendMessage(target, queue, body, wait, 5.0))


async def test_a_message_that_was_stored_is_not_refused_because_its_reply_cannot_be_read() -> None:
    """Who waited was told to try again, and would have sent the message twice."""
    world = await World.open(Shelf)
    process = world.process(Bells())
    await process.call("shelf", "put", "a")
    head = await world.store.load(Address("default", "shelf", ("a",)))
    assert head is not None
    replies = process.runtime.queues.replies
    waiting = asyncio.create_task(replies.wait(head.actor_id, "waiter", 5))
    world.faults.inject(Fault.BEFORE, verb="records")
    await world.clock.advance(0.06)
    assert world.faults.planned == 0
    replies.tell({"waiter": "done"})
    assert await waiting == "done"


async def test_who_waits_for_the_own_loop_does_not_hold_the_actor() -> None:
    """A turn that had lost to its own loop took the lease, and the loop waited for its end."""
    world = await World.open(Clerk)
    process = world.staying()
    await process.call("clerk", "read")
    asking = asyncio.create_task(process.call("clerk", "ask"))
    await world.clock.advance(2)
    assert await asking == "re: second"
    assert await process.call("clerk", "read") == ["first", "second", "ask"]


async def test_who_must_hold_the_actor_cannot_wait_for_the_own_loop() -> None:
    world = await World.open(Clerk)
    process = world.staying()
    with pytest.raises(ActorError, match=r"actor\.deadlock"):
        await process.call("clerk", "ask_alone")


@pytest.mark.parametrize("skip", range(3))
async def test_an_actor_is_let_go_when_its_loop_cannot_be_begun(skip: int) -> None:
    """The loop took the actor in memory, its lease failed, and nobody got in ever again."""
    world = await World.open(Clerk)
    process, other = world.staying(), world.process(Bells())
    GATES["m"] = asyncio.Event()
    await send(process, "notes", "m")
    await settle()
    await other.call("clerk", "touch")
    world.faults.inject(Fault.BEFORE, skip=skip)
    GATES["m"].set()
    await settle()
    world.faults.clear()
    async with asyncio.timeout(1):
        await process.call("clerk", "touch")


async def test_the_note_of_messages_from_elsewhere_is_taken_back() -> None:
    """It stayed for a day, and sweepers looked after the actor every half minute."""
    world = await World.open(Clerk)
    worker, sender = world.staying(), world.process(Bells())
    await worker.call("clerk", "touch")
    await world.clock.advance(10)
    await send(sender, "notes", "m")
    await world.clock.advance(100)
    assert await worker.call("clerk", "read") == ["touch", "m"]
    head = await world.store.load(Address("default", "clerk", ("a",)))
    assert head is not None
    assert head.outbox == {}


# -- what callers are told ---------------------------------------------------------------------


class Caller(Actor[Count]):
    @action
    async def touch_and_fail(self) -> None:
        await self.client.get_or_create(Clerk, "a").touch()
        raise UserError("No.")


async def test_a_call_that_was_made_is_not_to_be_tried_again() -> None:
    """One call was taken for one that may have failed; clients would have repeated it."""
    world = await World.open(Caller, Clerk)
    process = world.process(Bells())
    with pytest.raises(ActorError):
        await process.call("caller", "touch_and_fail")
    world.faults.inject(Fault.BEFORE, verb="current")
    with pytest.raises(ActorError, match=r"actor\.interrupted"):
        await process.call("caller", "touch_and_fail")


class Impatient(Actor[Count]):
    asks = Queue[str, str]()

    @action
    async def wait_for(self, name: str) -> None:
        await gate(name).wait()

    @action
    async def give_up(self, way: str) -> None:
        """Have something done, and do not wait for its end."""
        begun = asyncio.ensure_future(self._ask() if way == "ask" else self._call())
        await gate("over").wait()
        begun.cancel()
        await asyncio.wait([begun])
        raise UserError("No.")

    async def _ask(self) -> None:
        await self.queue.enqueue_and_wait(self.asks, "", timeout=5)

    async def _call(self) -> None:
        await self.client.get_or_create(Impatient, "other").wait_for("never")


@pytest.mark.parametrize("way", ["call", "ask"])
async def test_a_call_that_was_given_up_is_not_to_be_tried_again(way: str) -> None:
    """The handler's time was over while its message was sent, and the store was away."""
    world = await World.open(Impatient)
    process = world.process(Bells())
    gate("open").set()
    await process.call("impatient", "wait_for", "open")
    held = world.faults.inject(Fault.HELD, verb="commit")
    calling = asyncio.create_task(process.call("impatient", "give_up", way))
    await held.reached.wait()
    world.faults.inject(Fault.BEFORE, verb="current")
    gate("over").set()
    with pytest.raises(ActorError, match=r"actor\.interrupted"):
        await calling
    held.release()


# -- connections -------------------------------------------------------------------------------


class Porch(Actor[Log]):
    """Writes down who goes."""

    async def on_disconnect(self, conn: Conn) -> None:
        self.state.log.append(f"{conn.id} has gone")

    @action(exclusive=True, timeout=600)
    async def keep(self) -> None:
        await gate("kept").wait()

    @action
    async def read(self) -> list[str]:
        return [line for line in self.state.log if "c1" in line]


async def open_porch(process: Process) -> CloseConnection:
    """Open a connection; return what closes it."""
    target = ByKey(Address("default", "porch", ("a",)), create=True)
    info = await process.runtime.dispatch(OpenConnection(target, "c1", "events", "h1"))
    return CloseConnection(info.actor_id, "c1", 1000)


async def test_the_hook_of_an_end_is_not_passed_over_because_others_keep_the_actor() -> None:
    """It was given up like a hook that fails, and the connection was gone without it."""
    world = await World.open(Porch)
    process = world.process()
    close = await open_porch(process)
    keeping = asyncio.create_task(process.call("porch", "keep"))
    await settle()
    closing = asyncio.create_task(process.runtime.dispatch(close))
    await world.clock.advance(60)
    with pytest.raises(ActorError, match=r"actor\.conflict"):
        await closing
    gate("kept").set()
    await keeping
    await process.runtime.dispatch(close)
    assert await process.call("porch", "read") == ["c1 has gone"]


async def test_the_hook_of_an_end_has_its_time_after_a_freeze(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time that passed before it began counted as its own, and it was passed over."""
    world = await World.open(Porch)
    process = world.process()
    close = await open_porch(process)
    reads, records = count(1), world.faults.records

    async def slow(*args: Any, **kwargs: Any) -> Sequence[Record]:
        found = await records(*args, **kwargs)
        if next(reads) == 3:  # the turn has begun, and looks whether somebody else was faster
            await gate("thawed").wait()
        return found

    monkeypatch.setattr(world.faults, "records", slow)
    closing = asyncio.create_task(process.runtime.dispatch(close))
    await world.clock.advance(60)
    gate("thawed").set()
    await closing
    assert await process.call("porch", "read") == ["c1 has gone"]


# -- exclusive turns ----------------------------------------------------------------------------


class Press(Actor[Log]):
    @action(exclusive=True)
    async def do(self, name: str) -> list[str]:
        runs.append(name)
        await gate(name).wait()
        self.state.log.append(name)
        return self.state.log

    @action
    async def look(self) -> list[str]:
        return self.state.log


runs: list[str] = []


async def presses() -> tuple[World, Process, Process]:
    world = await World.open(Press)
    one, two = world.process(), world.process()
    await one.call("press", "look")
    runs.clear()
    return world, one, two


@pytest.mark.parametrize("fault", [Fault.VANISHED, Fault.LATE])
async def test_an_exclusive_turn_does_not_run_again_for_a_commit_that_got_lost(
    fault: Fault,
) -> None:
    """The commit was fenced off, and the turn ran again: its payment was made twice."""
    world, one, _ = await presses()
    doing = asyncio.create_task(one.call("press", "do", "a"))
    await settle()
    lost = world.faults.inject(fault)
    gate("a").set()
    assert await doing == ["a"]
    lost.release()
    await settle()
    assert await one.call("press", "look") == ["a"]
    assert runs == ["a"]


async def test_a_commit_whose_condition_does_not_hold_any_more_never_arrives() -> None:
    """Another has made meanwhile what was to be absent; no version tells of that."""
    world, one, _ = await presses()
    (cell,) = one.runtime.cells
    record = Record(Collection.KV, b"a", b"")
    names = (RecordKey(record.collection, record.key),)
    fresh_id = one.runtime.fresh_commit_id
    step = Step(Changes(fresh_id(), state=b"late", absent=names))
    late = world.faults.inject(Fault.LATE)
    held = world.faults.inject(Fault.HELD)
    cell.stage(step)
    await held.reached.wait()
    await world.store.commit(cell.actor_id, Changes(fresh_id(), puts=(record,)), expected=None)
    held.release()
    await settle()
    assert step.landed.result() is False
    await world.store.commit(cell.actor_id, Changes(fresh_id(), deletes=names), expected=None)
    late.release()
    await settle()
    head = await world.store.load(cell.actor_id)
    assert head is not None
    assert head.state != b"late"


async def test_who_has_waited_for_another_lease_leaves_the_holder_alone() -> None:
    """A turn here waited for another process's lease, and another one had the actor by then."""
    world, one, two = await presses()
    theirs = asyncio.create_task(two.call("press", "do", "a"))
    await settle()
    ours = [asyncio.create_task(one.call("press", "do", name)) for name in "bc"]
    reading = asyncio.create_task(one.call("press", "look"))
    await world.clock.advance(1)
    gate("a").set()
    assert await theirs == ["a"]
    for _ in range(100):
        await world.clock.advance(0.01)
    assert len(runs) == 2
    gate("b").set()
    gate("c").set()
    while not all(task.done() for task in (*ours, reading)):
        await world.clock.advance(0.1)
    assert sorted(await one.call("press", "look")) == sorted(runs) == ["a", "b", "c"]


async def test_a_turn_outlives_a_lease_that_could_not_be_renewed_at_once() -> None:
    """The store was away at a renewal: the turn lost its base, and ran again."""
    world, one, two = await presses()
    doing = asyncio.create_task(one.call("press", "do", "a"))
    await settle()
    world.faults.inject(Fault.BEFORE)
    await world.clock.advance(5.2)
    assert world.faults.planned == 0
    looking = asyncio.create_task(two.call("press", "do", "b"))
    await world.clock.advance(8)
    assert runs == ["a"], "the lease was made longer nevertheless"
    gate("a").set()
    gate("b").set()
    assert await doing == ["a"]
    await world.clock.advance(1)
    assert await looking == ["a", "b"]
    assert runs == ["a", "b"]


async def test_a_read_during_a_renewal_does_not_disturb_its_turn() -> None:
    """The version had been moved by the renewal, and was taken for another process's doing."""
    world, one, _ = await presses()
    doing = asyncio.create_task(one.call("press", "do", "a"))
    await settle()
    renewal = world.faults.inject(Fault.HELD_AFTER)
    await world.clock.advance(5)
    assert renewal.reached.is_set()
    (cell,) = one.runtime.cells
    assert cell.head is not None
    looking = asyncio.create_task(cell.newest(cell.head))
    await settle()
    renewal.release()
    assert await looking
    gate("a").set()
    assert await doing == ["a"]
    assert runs == ["a"]


# -- workflows ---------------------------------------------------------------------------------


class Trip(Actor[Log]):
    decisions = Queue[str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        ctx.rollback_checkpoint("begin")
        await ctx.step("book", self.note, "booked", rollback=self.cancel)
        await ctx.queue.next("wait", self.decisions, timeout=5)
        await ctx.step("pay", self.note, "paid")

    async def note(self, what: str) -> None:
        self.state.log.append(what)

    async def cancel(self, _: None) -> None:
        self.state.log.append("cancelled")

    @action
    async def read(self) -> list[str]:
        return self.state.log


@pytest.mark.parametrize("skip", range(12))
@pytest.mark.parametrize("verb", ["commit", "current", "records"])
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.VANISHED])
async def test_a_store_that_is_away_is_no_failure_of_a_workflow(
    fault: Fault, verb: str, skip: int
) -> None:
    """The workflow was rolled back, or had failed for good, if it was away at a bad moment."""
    world = await World.open(Trip)
    process = world.staying()
    await process.call("trip", "read")
    world.faults.inject(fault, verb=verb, skip=skip)
    await world.clock.advance(100)
    world.faults.clear()
    assert await process.call("trip", "read") == ["booked", "paid"]
