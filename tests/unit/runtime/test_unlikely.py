"""What happens seldom, and must be right all the same: two rare things at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, Queue, action
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ById,
    ByKey,
    OpenConnection,
    Origin,
    SendMessage,
    SendResult,
    Subscribe,
)
from rivetless.runtime.messages import MARK, write_message
from rivetless.runtime.ports import Push
from rivetless.runtime.runtime import Runtime
from rivetless.runtime.schedules import MOST_ATTEMPTS
from rivetless.runtime.waking import MAX_HOPS
from rivetless.store.base import Append, Changes, Collection, Head, Outgoing, Record, RecordKey
from rivetless.testing.clock import settle
from rivetless.testing.rig import Rig
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Bells, Mailbox, Process, World

OUTSIDE: list[str] = []


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    OUTSIDE.clear()
    caplog.set_level(logging.CRITICAL, "rivetless")


class Purse(BaseModel):
    coins: int = 0
    seen: list[str] = []


class Payer(Actor[Purse], action_timeout=60):
    """Pays somebody who is not there (any more)."""

    @action
    async def pay(self) -> None:
        OUTSIDE.append("pay")
        raise ActorError("actor", "not_found", "The payee does not exist.")

    @action
    async def plan(self) -> None:
        self.schedule.after(1, self.pay)

    @action
    async def cancel_and_look(self) -> None:
        (planned,) = await self.schedule.list()
        await self.schedule.cancel(planned.id)
        await self.refresh()

    @action
    async def repeat(self) -> None:
        self.cron.every("pay", 100, self.pay)

    @action
    async def history(self) -> list[str]:
        return [run.result for run in await self.cron.history("pay")]

    @action
    async def letters(self) -> list[str]:
        return [f"{x.attempts} {x.error}" for x in await self.dead_letters.list()]


class Box(Actor[Purse], action_timeout=60):
    notes = Queue[str]()
    tasks = Queue[str, int]()
    token = Event[int]()

    @action
    async def messages(self) -> list[str]:
        return [message.body for message in await self.queue.next_batch(count=10, timeout=0)]

    @action
    async def fill(self, count: int) -> None:
        for number in range(count):
            self.queue.send(self.notes, str(number))
        await self.save_state()

    @action
    async def look_twice(self) -> None:
        message = await self.queue.next(timeout=0)
        assert message is not None
        await self.refresh()
        message.complete(1)

    @action
    async def put(self, coins: int) -> None:
        self.state.coins += coins

    @action
    async def read(self) -> int:
        return self.state.coins

    @action
    async def pay_in_parts(self) -> None:
        self.state.coins += 1
        self.broadcast(self.token, self.state.coins)
        await self.save_state()
        self.state.coins += 1


class Guarded(Actor[Purse]):
    """Counts who comes by: a send to it changes its state."""

    notes = Queue[str]()

    async def on_connect(self, conn: object) -> None:
        self.state.coins += 1

    @action
    async def messages(self) -> list[str]:
        return [message.body for message in await self.queue.next_batch(count=10, timeout=0)]


class Loop(Actor[Purse]):
    tasks = Queue[str, int](max_deliveries=3)

    async def run(self) -> None:
        async for message in self.queue.iter():
            OUTSIDE.append(message.body)
            if message.body == "bad" and message.attempt == 1:
                raise ValueError("as asked")
            if message.body == "worse":
                raise ValueError("as asked")
            self.state.seen.append(message.body)
            message.complete(1)

    @action
    async def read(self) -> list[str]:
        return self.state.seen


class Pair(Actor[Purse], action_timeout=60):
    """Two plans that plan themselves anew, a little later each time."""

    @action
    async def again(self, name: str) -> None:
        OUTSIDE.append(name)
        self.schedule.after(0.001, self.again, name)

    @action
    async def begin(self) -> None:
        for name in ("a", "b", "c"):
            self.schedule.after(0, self.again, name)

    @action
    async def later(self) -> None:
        async def work() -> None:
            OUTSIDE.append("later")
            self.schedule.after(0, self.later)

        self.wait_until(work())


async def send(
    process: Process, name: str, queue: str, body: str, call_key: str | None = None, **more: Any
) -> SendResult:
    target = ByKey(Address("default", name, ("a",)), create=True)
    origin = Origin(call_key=call_key)
    return await process.runtime.dispatch(SendMessage(target, queue, body, origin=origin, **more))


async def head_of(world: World, name: str) -> Head:
    head = await world.store.inner.load(Address("default", name, ("a",)))
    assert head is not None
    return head


# -- schedules -------------------------------------------------------------------------------------


async def test_what_finds_nobody_is_a_failure_like_others() -> None:
    world = await World.open(Payer)
    process = world.staying()
    await process.call("payer", "plan")
    await world.clock.advance(3 * 3600)
    assert len(OUTSIDE) == MOST_ATTEMPTS
    assert await process.call("payer", "letters") == [f"{MOST_ATTEMPTS} actor.not_found"]
    process.runtime.abandon()


async def test_a_job_that_finds_nobody_has_failed() -> None:
    world = await World.open(Payer)
    process = world.staying()
    await process.call("payer", "repeat")
    await world.clock.advance(101)
    assert await process.call("payer", "history") == ["error"]
    process.runtime.abandon()


@pytest.mark.parametrize("first", ["begin", "later"])
async def test_plans_that_renew_themselves_come_to_an_end(first: str) -> None:
    world = await World.open(Pair)
    process = world.staying()
    process.runtime.sweeper.stop()
    await process.call("pair", first)
    await world.clock.advance(5)
    assert 3 <= len(OUTSIDE) <= 5 * MAX_HOPS
    process.runtime.abandon()


# -- queues ----------------------------------------------------------------------------------------


async def test_a_send_is_not_taken_for_another_that_had_arrived() -> None:
    world = await World.open(Box)
    process = world.process(Bells())
    await send(process, "box", "notes", "first", "o:1")
    held = world.faults.inject(Fault.HELD)
    world.faults.inject(Fault.VANISHED)
    busy = asyncio.create_task(send(process, "box", "notes", "busy", "o:2"))
    await held.reached.wait()
    # These two join one commit. It is lost on the way, and one of them has arrived long ago.
    both = [
        asyncio.create_task(send(process, "box", "notes", "first", "o:1")),
        asyncio.create_task(send(process, "box", "notes", "second", "o:3")),
    ]
    await settle()
    held.release()
    await asyncio.gather(busy, *both)
    assert world.faults.planned == 0
    assert await process.call("box", "messages") == ["first", "busy", "second"]


async def test_a_repeated_send_to_an_actor_that_counts_visits_is_known() -> None:
    world = await World.open(Guarded)
    process = world.process(Bells())
    first = await send(process, "guarded", "notes", "hello", "o:1")
    assert await send(process, "guarded", "notes", "hello", "o:1") == first
    assert await process.call("guarded", "messages") == ["hello"]


async def test_two_may_wait_for_one_reply() -> None:
    world = await World.open(Box)
    process = world.process(Bells())
    first = asyncio.create_task(
        send(process, "box", "tasks", "work", "i:1", wait=True, timeout=1.0)
    )
    await settle()
    held = world.faults.inject(Fault.HELD)
    second = asyncio.create_task(
        send(process, "box", "tasks", "work", "i:1", wait=True, timeout=1.0)
    )
    await held.reached.wait()
    await world.clock.advance(2)
    assert (await first).status == "timedOut"
    held.release()
    await settle()
    await world.clock.advance(2)
    assert (await second).status == "timedOut"


async def test_a_message_that_is_held_is_not_lost_by_looking_again() -> None:
    world = await World.open(Box)
    process = world.process(Bells())
    await send(process, "box", "tasks", "work")
    with pytest.raises(ActorError, match="refresh"):
        await process.call("box", "look_twice")
    assert await process.call("box", "messages") == ["work"]


async def test_what_was_cancelled_is_not_forgotten_by_looking_again() -> None:
    async with Rig() as rig:
        payer = rig.client.get_or_create(Payer, "a")
        await payer.plan()
        with pytest.raises(ActorError, match=r"actor\.invalid_operation"):
            await payer.cancel_and_look()


async def test_a_checkpoint_says_that_the_queue_is_full() -> None:
    world = await World.open(Box)
    process = world.process(Bells())
    await process.call("box", "put", 1)
    with pytest.raises(ActorError) as caught:
        await process.call("box", "fill", 5000)
    assert caught.value.name == "queue.full"


async def test_a_loop_goes_on_although_the_wake_for_it_was_lost() -> None:
    world = await World.open(Loop)
    process = world.staying()
    await send(process, "loop", "tasks", "bad")
    await settle()
    assert OUTSIDE == ["bad"]
    world.faults.inject(Fault.BEFORE, verb="load")
    await world.clock.advance(5)
    assert world.faults.planned == 0
    await send(process, "loop", "tasks", "good")
    await settle()
    await world.clock.advance(5)
    assert await process.call("loop", "read") == ["bad", "good"]
    process.runtime.abandon()


async def test_nobody_is_told_that_a_message_was_done_that_was_given_up() -> None:
    world = await World.open(Loop)
    process = world.staying()
    sent = asyncio.create_task(
        send(process, "loop", "tasks", "worse", "i:1", wait=True, timeout=40.0)
    )
    await settle()
    await world.clock.advance(50)
    assert OUTSIDE == ["worse"] * 3
    with pytest.raises(ActorError, match=r"rivetkit\.internal_error"):
        await sent
    process.runtime.abandon()


async def test_the_note_of_messages_stays_while_there_is_one_that_others_have_sent() -> None:
    world = await World.open(Loop)
    process = world.staying()
    await send(process, "loop", "tasks", "one")
    await world.clock.advance(1)
    other = world.process(Bells())
    await send(other, "loop", "tasks", "two")
    await world.clock.advance(3)
    assert OUTSIDE == ["one", "two"]
    cell = await process.runtime.cells.of(ByKey(Address("default", "loop", ("a",))))
    pump = cell.pump
    assert pump is not None
    # A message that is sent now, by a process that dies at once, which nobody has seen yet.
    head = await head_of(world, "loop")
    data = write_message("tasks", '"three"', world.clock.now(), None)
    mark = Outgoing(MARK, world.clock.now(), f"{MARK}\0{world.clock.now()!r}\x001\0".encode())
    changes = Changes(
        "dies",
        appends=(Append(Collection.MESSAGE, data),),
        outbox_add=(mark,),
        counters={"messages": 1},
    )
    await world.store.inner.commit(head.actor_id, changes, expected=None)
    await pump.take_back_mark()
    assert MARK in (await head_of(world, "loop")).outbox
    process.runtime.abandon()
    other.runtime.abandon()


async def test_the_note_of_messages_stays_while_the_loop_has_not_looked() -> None:
    """A frozen process thawed: its timer came first, cleared the note, and then it died."""
    world = await World.open(Loop)
    process = world.staying()
    await send(process, "loop", "tasks", "one")
    await world.clock.advance(4)
    cell = await process.runtime.cells.of(ByKey(Address("default", "loop", ("a",))))
    pump = cell.pump
    assert pump is not None
    head = await head_of(world, "loop")
    data = write_message("tasks", '"two"', world.clock.now(), None)
    changes = Changes("told", appends=(Append(Collection.MESSAGE, data),), counters={"messages": 1})
    assert MARK in head.outbox
    await world.store.inner.commit(head.actor_id, changes, expected=None)
    # As after a commit of this process, from which its loop has not woken yet.
    cell.head = await head_of(world, "loop")
    assert not await pump.take_back_mark()
    assert MARK in (await head_of(world, "loop")).outbox
    await world.clock.advance(10)
    assert OUTSIDE == ["one", "two"]
    assert MARK not in (await head_of(world, "loop")).outbox
    process.runtime.abandon()


# -- checkpoints, and what must not be repeated ----------------------------------------------------


class SlowSockets(Mailbox):
    """Lets nothing out before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        self.reached.set()
        await self.open.wait()
        return await super().push(host, pushes)


async def test_a_checkpoint_goes_on_from_what_it_has_committed() -> None:
    world = await World.open(Box)
    process, sockets = world.process(Bells()), SlowSockets()
    process.runtime = Runtime(world.definitions, world.store, clock=world.clock, pusher=sockets)
    await process.call("box", "put", 10)
    actor_id = (await head_of(world, "box")).actor_id
    target = ById("default", actor_id)
    await process.runtime.dispatch(OpenConnection(target, "c1", "events", "host"))
    await process.runtime.dispatch(Subscribe(actor_id, "c1", "token", True))
    await settle()
    # The checkpoint's commit is made; before its answer is lost, its lease runs out, and another
    # process puts something in.
    answer = world.faults.inject(Fault.HELD_LOST)
    paying = asyncio.create_task(process.call("box", "pay_in_parts"))
    await answer.reached.wait()
    await settle()
    head = await head_of(world, "box")
    state = head.state
    assert state is not None
    assert b"11" in state
    more = Changes("others", state=state.replace(b"11", b"99"), lease=None)
    await world.store.inner.commit(actor_id, more, expected=head.version)
    answer.release()
    await sockets.reached.wait()
    # While its events go out, somebody else has this process read the head again.
    reading = asyncio.create_task(process.call("box", "read"))
    await settle()
    sockets.open.set()
    with pytest.raises(ActorError) as caught:
        await paying
    assert caught.value.name == "actor.interrupted"
    assert await reading == 99
    assert await process.call("box", "read") == 99


class Charger(Actor[Purse], action_timeout=60):
    @action
    async def charge(self) -> None:
        async def fn() -> int:
            OUTSIDE.append("charged")
            return 1

        await self.once("charge", fn)

    @action
    async def charge_and_look(self) -> None:
        OUTSIDE.append("charged")
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        loop.call_soon(answer.set_result, None)
        await answer
        await self.kv.get("x")


async def test_what_has_acted_is_not_to_be_tried_again_because_the_store_is_away() -> None:
    world = await World.open(Charger)
    process = world.process(Bells())
    await process.call("charger", "charge")
    OUTSIDE.clear()
    world.faults.inject(Fault.BEFORE, verb="records")
    with pytest.raises(ActorError) as caught:
        await process.call("charger", "charge_and_look")
    assert caught.value.name == "actor.interrupted"
    assert OUTSIDE == ["charged"]


@pytest.mark.parametrize("fault", [Fault.UNACKNOWLEDGED, Fault.VANISHED])
async def test_a_commit_on_its_own_is_looked_for_too(fault: Fault) -> None:
    world = await World.open(Box)
    process = world.process(Bells())
    await process.call("box", "put", 1)
    actor_id = (await head_of(world, "box")).actor_id
    stranger = world.process(Bells()).runtime
    record = Record(Collection.REPLY, b"note", b"", expires_at=world.clock.now() + 10)
    name = RecordKey(record.collection, record.key)
    changes = Changes("n1", puts=(record,), absent=(name,), counters={"notes": 1})
    world.faults.inject(fault)
    await stranger.commit_loose(actor_id, changes)
    assert (await head_of(world, "box")).counters["notes"] == 1


async def test_a_message_is_found_that_came_to_light_behind_a_later_one() -> None:
    # A store may give numbers away in advance: who has the earlier one may write it later.
    world = await World.open(Box)
    process = world.process(Bells())
    await send(process, "box", "notes", "one")
    actor_id = (await head_of(world, "box")).actor_id
    now = world.clock.now()
    late = Record(Collection.MESSAGE, Append.key(2), write_message("notes", '"late"', now, None))
    early = Append(Collection.MESSAGE, write_message("notes", '"early"', now, None))
    store = world.store.inner
    await store.commit(actor_id, Changes("a", appends=(early, early)), expected=None)
    hidden = (RecordKey(late.collection, late.key),)
    await store.commit(actor_id, Changes("b", deletes=hidden), expected=None)
    assert await process.call("box", "messages") == ["one", "early"]
    assert await process.call("box", "messages") == []
    await store.commit(actor_id, Changes("c", puts=(late,)), expected=None)
    assert await process.call("box", "messages") == ["late"]
    assert await process.call("box", "messages") == []
