"""``self.queue`` and sends: their mistakes, their waits, and what comes twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Message, Queue, UserError, action
from rivetless.actor.abort import AbortSignal
from rivetless.actor.mailbox import Mailbox
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, Origin, SendMessage, SendResult
from rivetless.runtime.queueing import TurnQueue
from rivetless.store.base import Collection, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .worlds import Bells, Process, World

SEEN: list[Any] = []
ABORTS: dict[str, AbortSignal] = {}


@pytest.fixture(autouse=True)
def clean() -> None:
    SEEN.clear()
    ABORTS.clear()


class Log(BaseModel):
    lines: list[str] = []


class Desk(Actor[Log], max_queue_size=3, max_queue_message_size=20):
    """Has no loop: its messages wait until an action takes them."""

    notes = Queue[str]()
    asks = Queue[str, str]()

    @action
    async def touch(self) -> None:
        self.state.lines.append("touch")

    @action
    async def take(self, timeout: float = 0.0) -> str | None:
        message = await self.queue.next(self.notes, timeout=timeout)
        return None if message is None else message.body

    @action
    async def answer(self, reply: str) -> str:
        message = await self.queue.next(self.asks)
        self.state.lines.append(message.body)
        message.complete(reply)
        return message.body

    @action
    async def keep(self) -> None:
        """Take a message, and keep all that only works in a turn."""
        message = await self.queue.next(self.asks)
        SEEN.extend([self.queue, message])

    @action
    async def wait_with_signal(self, name: str) -> str:
        ABORTS[name] = signal = AbortSignal()
        message = await self.queue.next(self.notes, signal=signal)
        return message.body

    @action
    async def ask_itself(self, body: str, timeout: float, name: str = "") -> str:
        ABORTS[name] = signal = AbortSignal()
        reply: str = await self.queue.enqueue_and_wait(
            self.asks, body, timeout=timeout, signal=signal
        )
        return reply

    @action
    async def take_all(self, fail: bool = False) -> list[list[Any]]:
        found = await self.queue.next_batch(self.notes, count=9, timeout=0)
        if fail:
            raise ValueError("as asked")
        return [[message.body, message.attempt] for message in found]

    @action
    async def think_better(self) -> str | None:
        """Take a message and send one, and undo both; then take one."""
        part: TurnQueue = self._turn.part(TurnQueue)  # type: ignore[attr-defined]
        self.queue.send(self.notes, "kept")
        undo = part.savepoint()
        self.queue.send(self.notes, "undone")
        first = await self.queue.next(self.notes, timeout=0)
        undo()
        again = await self.queue.next(self.notes, timeout=0)
        return None if first is None or again is None or first.id != again.id else again.body

    @action
    async def complete_what_was_undone(self) -> str:
        """Take a message, undo that as a step of a workflow that fails does, and complete it."""
        part: TurnQueue = self._turn.part(TurnQueue)  # type: ignore[attr-defined]
        undo = part.savepoint()
        message = await self.queue.next(self.asks)
        undo()
        message.complete("too late")
        return message.body

    @action
    async def hops(self) -> float:
        await self.queue.next(self.notes, timeout=0)
        return float(self._turn.job.hops)  # type: ignore[attr-defined]

    @action
    async def send_many(self, count: int) -> None:
        for number in range(count):
            self.queue.send(self.notes, str(number))

    @action
    async def send_and_fail(self) -> None:
        self.queue.send(self.notes, "never")
        raise UserError("no")


class Hasty(Actor[Log]):
    """Asks for messages before it is there."""

    notes = Queue[str]()
    asks = Queue[str, str]()

    async def on_create(self) -> None:
        for wait in self.queue.next(self.notes), self.queue.enqueue_and_wait(self.asks, "x"):
            try:
                await wait
            except ActorError as error:
                SEEN.append(error.message.split("`")[1])

    @action
    async def touch(self) -> None:
        """Do nothing."""


async def begin(*, shared: bool = True) -> tuple[World, Process]:
    world = await World.open(Desk, Hasty, shared=shared)
    process = world.process(Bells())
    await process.call("desk", "touch")
    return world, process


async def send(
    process: Process,
    queue: str,
    body: str,
    *,
    wait: bool = False,
    timeout: float | None = None,
    origin: Origin | None = None,
) -> SendResult:
    target = ByKey(Address("default", "desk", ("a",)), create=True)
    command = SendMessage(target, queue, body, wait, timeout, origin=origin or Origin())
    return await process.runtime.dispatch(command)


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "desk", ("a",)))
    assert head is not None
    return head


async def told(call: asyncio.Task[Any]) -> str:
    with pytest.raises(ActorError) as raised:
        await call
    return raised.value.name


# -- mistakes -----------------------------------------------------------------------------------


async def test_nothing_works_once_the_turn_has_ended() -> None:
    _, process = await begin()
    await send(process, "asks", "x")
    await process.call("desk", "keep")
    mailbox, message = SEEN
    assert isinstance(mailbox, Mailbox)
    assert isinstance(message, Message)
    with pytest.raises(ActorError, match="turn has ended"):
        mailbox.send(Desk.notes, "late")
    with pytest.raises(ActorError, match="turn has ended"):
        message.complete("late")
    for waiting in (
        mailbox.next(Desk.notes, timeout=0),
        mailbox.enqueue_and_wait(Desk.asks, "late"),
    ):
        with pytest.raises(ActorError, match="turn has ended"):
            await waiting


async def test_an_actor_that_is_being_created_waits_for_no_messages() -> None:
    _, process = await begin()
    await process.call("hasty", "touch")
    assert SEEN == ["self.queue.next", "self.queue.enqueue_and_wait"]


@pytest.mark.parametrize(("size", "fits"), [(18, True), (19, False)])
async def test_how_large_a_message_may_be(size: int, fits: bool) -> None:
    _, process = await begin()
    call = asyncio.create_task(send(process, "notes", "x" * size))
    if fits:
        await call
    else:
        assert await told(call) == "queue.message_too_large"


async def test_a_queue_nobody_declared_tells_whose_it_is_not() -> None:
    world, process = await begin()
    result = await send(process, "unknown", "x")
    assert (result.status, result.response) == ("completed", None)
    assert (result.actor_id, result.key) == ((await head_of(world)).actor_id, ("a",))
    assert (await head_of(world)).counters.get("messages", 0) == 0


# -- waiting for messages -----------------------------------------------------------------------


async def test_a_wait_for_a_message_ends_with_its_time() -> None:
    world, process = await begin(shared=False)
    call = asyncio.create_task(process.call("desk", "take", 5.0))
    await world.clock.advance(4.9)
    assert not call.done()
    await world.clock.advance(0.2)
    assert await call is None


async def test_a_wait_for_a_message_ends_with_its_signal() -> None:
    world, process = await begin(shared=False)
    call = asyncio.create_task(process.call("desk", "wait_with_signal", "x"))
    await world.clock.advance(1)
    ABORTS["x"].fire("enough")
    await settle()
    assert await told(call) == "actor.aborted"
    await send(process, "notes", "hi")
    assert await process.call("desk", "take") == "hi"


async def test_who_waits_gets_what_is_sent_meanwhile_elsewhere() -> None:
    world, process = await begin()
    call = asyncio.create_task(process.call("desk", "take", 60.0))
    await world.clock.advance(10)
    await send(world.process(Bells()), "notes", "hi")
    await world.clock.advance(3)
    assert await call == "hi"


async def test_what_a_turn_that_failed_had_sent_is_not_there() -> None:
    world, process = await begin()
    with pytest.raises(UserError):
        await process.call("desk", "send_and_fail")
    assert await process.call("desk", "take") is None
    assert (await head_of(world)).sequences == {}


async def test_news_of_other_queues_do_not_end_a_wait() -> None:
    world, process = await begin(shared=False)
    call = asyncio.create_task(process.call("desk", "take", 5.0))
    await world.clock.advance(4.5)
    await send(process, "asks", "why")
    await settle()
    assert not call.done()
    await send(process, "notes", "hi")
    assert await call == "hi"


async def test_who_waits_looks_less_and_less_often() -> None:
    world, process = await begin()
    await process.call("desk", "take")
    world.store.reset()
    call = asyncio.create_task(process.call("desk", "take", 10.0))
    await world.clock.advance(10.1)
    assert await call is None
    # After 0.05 s, 0.1 s, ... 1.6 s, and then every 2 s.
    assert 10 <= world.store.calls["records"] <= 13


# -- what a commit takes away and leaves --------------------------------------------------------


async def test_of_two_processes_one_gets_a_message() -> None:
    world, one = await begin()
    two = world.process(Bells())
    await two.call("desk", "touch")
    await send(one, "notes", "hi")
    taken = await asyncio.gather(one.call("desk", "take"), two.call("desk", "take"))
    assert sorted(taken, key=str) == [None, "hi"]


async def test_what_was_not_committed_is_taken_again() -> None:
    world, process = await begin(shared=False)
    await send(process, "notes", "hi")
    world.faults.inject(Fault.BEFORE)
    with pytest.raises(ActorError):
        await process.call("desk", "take")
    assert await process.call("desk", "take") == "hi"


async def test_what_a_turn_thinks_better_of_is_undone() -> None:
    world, process = await begin()
    await send(process, "notes", "hi")
    assert await process.call("desk", "think_better") == "hi"
    assert await process.call("desk", "take") == "kept"
    assert await process.call("desk", "take") is None
    assert (await head_of(world)).counters["messages"] == 0


async def test_a_message_whose_taking_was_undone_cannot_be_completed() -> None:
    _, process = await begin()
    await send(process, "asks", "a")
    with pytest.raises(ActorError, match=r"queue\.already_completed"):
        await process.call("desk", "complete_what_was_undone")
    assert await process.call("desk", "answer", "b") == "a"


async def test_each_message_counts_its_own_failures_until_it_is_done_with() -> None:
    world, process = await begin()
    await send(process, "notes", "first")
    with pytest.raises(ValueError, match="as asked"):
        await process.call("desk", "take_all", True)
    assert (await head_of(world)).counters["failing"] == 1
    await send(process, "notes", "second")
    assert await process.call("desk", "take_all") == [["first", 2], ["second", 1]]
    head = await head_of(world)
    assert (head.counters["failing"], head.counters["messages"]) == (0, 0)
    for collection in Collection:
        left = await world.store.records(head.actor_id, collection)
        assert left == [], collection


async def test_who_receives_a_message_is_as_far_away_as_its_sender() -> None:
    _, process = await begin()
    await send(process, "notes", "hi", origin=Origin(hops=5.0))
    assert await process.call("desk", "hops") == 5.0
    await send(process, "notes", "hi", origin=Origin(hops=1.0))
    assert await process.call("desk", "hops", origin=Origin(hops=3.0)) == 3.0


@pytest.mark.parametrize(("count", "fits"), [(3, True), (4, False)])
async def test_how_many_messages_may_wait(count: int, fits: bool) -> None:
    _, process = await begin()
    call = asyncio.create_task(process.call("desk", "send_many", count))
    if fits:
        await call
    else:
        assert await told(call) == "queue.full"


# -- waiting for replies ------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_sender_gets_the_reply_wherever_it_waits(elsewhere: bool) -> None:
    world, process = await begin()
    sender = world.process(Bells()) if elsewhere else process
    asking = asyncio.create_task(send(sender, "asks", "why", wait=True))
    await settle()
    assert await process.call("desk", "answer", "so") == "why"
    await world.clock.advance(3)
    result = await asking
    assert (result.status, result.response) == ("completed", "so")
    assert result.actor_id == (await head_of(world)).actor_id
    replies = await world.store.records((await head_of(world)).actor_id, Collection.REPLY)
    assert len(replies) == elsewhere  # nobody has to look for one that was handed over


@pytest.mark.parametrize(
    ("timeout", "left", "status"),
    [
        (5.0, None, "timedOut"),
        (5.0, 100.0, "timedOut"),
        (None, 5.5, "timedOut"),  # the host could not wait any longer
        (50.0, 5.5, "timedOut"),
    ],
)
async def test_a_sender_waits_as_long_as_it_wants_and_its_host_can(
    timeout: float | None, left: float | None, status: str
) -> None:
    world, process = await begin(shared=False)
    end = None if left is None else world.clock.now() + left
    asking = asyncio.create_task(
        send(process, "asks", "why", wait=True, timeout=timeout, origin=Origin(deadline=end))
    )
    await world.clock.advance(4.9)
    assert not asking.done()
    await world.clock.advance(0.2)
    result = await asking
    assert (result.status, result.response) == (status, None)


@pytest.mark.parametrize("timeout", [None, 1000.0])
async def test_a_sender_waits_no_longer_than_an_action_may_take(timeout: float | None) -> None:
    world, process = await begin(shared=False)
    limit = Desk.__definition__.options.action_timeout
    assert limit is not None
    asking = asyncio.create_task(send(process, "asks", "why", wait=True, timeout=timeout))
    await world.clock.advance(limit - 0.1)
    assert not asking.done()
    await world.clock.advance(0.2)
    assert await told(asking) == "actor.action_timed_out"


async def test_an_actor_that_asks_itself_is_told_when_the_time_is_over() -> None:
    world, process = await begin(shared=False)
    asking = asyncio.create_task(process.call("desk", "ask_itself", "why", 5.0))
    await world.clock.advance(4.9)
    assert not asking.done()
    await world.clock.advance(0.2)
    assert await told(asking) == "queue.timed_out"


async def test_an_actor_that_asks_itself_may_think_better_of_it() -> None:
    world, process = await begin(shared=False)
    asking = asyncio.create_task(process.call("desk", "ask_itself", "why", 50.0, "x"))
    await world.clock.advance(1)
    ABORTS["x"].fire("enough")
    await settle()
    assert await told(asking) == "actor.aborted"


async def test_an_actor_that_asks_itself_may_find_its_queue_full() -> None:
    _, process = await begin()
    for number in range(3):
        await send(process, "notes", str(number))
    asking = asyncio.create_task(process.call("desk", "ask_itself", "why", 5.0))
    assert await told(asking) == "queue.full"


async def test_an_actor_that_asks_itself_again_has_asked_once() -> None:
    """Its first run has lost a race after the message was sent."""
    world, process = await begin()
    asking = asyncio.create_task(process.call("desk", "ask_itself", "why", 50.0))
    await world.clock.advance(1)
    assert (await head_of(world)).counters["messages"] == 1
    assert await process.call("desk", "answer", "so") == "why"
    await world.clock.advance(3)
    assert await asking == "so"
    assert (await head_of(world)).counters["messages"] == 0
    assert (await head_of(world)).sequences == {"q": 1}


# -- sends that are repeated --------------------------------------------------------------------


async def test_a_send_with_a_key_arrives_once_and_is_answered_each_time() -> None:
    world, process = await begin()
    origin = Origin(call_key="i:k")
    asking = asyncio.create_task(send(process, "asks", "why", wait=True, origin=origin))
    await settle()
    await process.call("desk", "answer", "so")
    again = asyncio.create_task(send(process, "asks", "why", wait=True, origin=origin))
    await world.clock.advance(3)
    results = [await asking, await again]
    assert [result.response for result in results] == ["so", "so"]
    assert len({result.actor_id for result in results}) == 1
    assert (await head_of(world)).sequences == {"q": 1}


@pytest.mark.parametrize(("queue", "body"), [("asks", "what"), ("notes", "why")])
async def test_a_key_names_one_message(queue: str, body: str) -> None:
    _, process = await begin()
    origin = Origin(call_key="i:k")
    await send(process, "asks", "why", origin=origin)
    await send(process, "asks", "why", origin=origin)
    again = asyncio.create_task(send(process, queue, body, origin=origin))
    assert await told(again) == "actor.idempotency_mismatch"


async def test_a_send_whose_acknowledgement_was_lost_arrives_once() -> None:
    world, process = await begin()
    world.faults.inject(Fault.UNACKNOWLEDGED)
    call = asyncio.create_task(send(process, "notes", "hi", origin=Origin(call_key="i:k")))
    await world.clock.advance(10)
    assert (await call).status == "completed"
    assert await process.call("desk", "take") == "hi"
    assert await process.call("desk", "take") is None
