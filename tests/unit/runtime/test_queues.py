"""Queues and loops over several processes: crashes, conflicts, claims, slices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorAborted, ActorError, Event, Queue, UserError, action
from rivetless.keys import Address
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ByKey, Origin, SendMessage, Wake
from rivetless.runtime.runtime import Runtime
from rivetless.store.base import Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .gates import GATES, gate
from .worlds import Bells, Process, World

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def clean() -> None:
    SEEN.clear()
    GATES.clear()


class Log(BaseModel):
    lines: list[str] = []
    count: int = 0


class Worker(Actor[Log]):
    notes = Queue[str]()
    tasks = Queue[str, int](max_deliveries=2)
    token = Event[str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            SEEN.append(message.body)
            self.state.lines.append(message.body)
            self.state.count += 1
            if message.name == "tasks":
                if message.body == "bad":
                    raise ValueError("as asked")
                message.complete(len(message.body))

    @action
    async def read(self) -> list[str]:
        return self.state.lines

    @action
    async def touch(self) -> None:
        self.state.lines.append("touch")

    @action
    async def fill(self, count: int) -> None:
        for number in range(count):
            self.queue.send(self.notes, str(number))


class Odd(Actor[Log]):
    """Does what its key says with the state, around an await."""

    notes = Queue[str]()
    token = Event[str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            kept = self.state
            if self.key[0] == "dirty":
                self.state.lines.append(f"{message.body}:{message.attempt}")
            self.broadcast(self.token, message.body)
            await gate(message.body).wait()
            if self.key[0] == "stale":
                SEEN.append(self.state.lines[-1])
                kept.lines.append("lost")
            elif self.key[0] == "live":
                SEEN.append(list(self.state.lines))

    @action
    async def touch(self) -> None:
        self.state.lines.append("touch")

    @action
    async def read(self) -> list[str]:
        return self.state.lines


class Spinner(Actor[Log]):
    """Never waits for a message and never commits."""

    async def run(self) -> None:
        SEEN.append("begin")
        await self.abort_signal.wait()
        SEEN.append(self.aborted)
        raise ActorAborted


class Waiter(Actor[Log]):
    notes = Queue[str]()

    @action
    async def next(self) -> str:
        return (await self.queue.next(self.notes)).body


async def send(
    process: Process,
    name: str,
    queue: str,
    body: str,
    *,
    key: str = "a",
    call_key: str | None = None,
) -> None:
    target = ByKey(Address("default", name, (key,)), create=True)
    origin = Origin(call_key=call_key)
    await process.runtime.dispatch(SendMessage(target, queue, body, origin=origin))


def slices(world: World, bells: Bells) -> Process:
    """Start a process that does not stay."""
    process = world.process(bells)
    process.runtime = Runtime(
        world.definitions,
        world.store,
        clock=world.clock,
        pusher=process.mailbox,
        doorbells=bells,
        resident=False,
    )
    return process


async def head_of(world: World, name: str, key: str = "a") -> Head:
    head = await world.store.load(Address("default", name, (key,)))
    assert head is not None
    return head


def _buffered(cell: Cell) -> bool:
    """Whether the loop holds effects back."""
    pump = cell.pump
    return pump is not None and pump._turn is not None and bool(pump._turn.effects)


async def until_quiet(world: World, seconds: float = 60.0) -> None:
    await settle()
    await world.clock.advance(seconds)


@pytest.mark.parametrize("conflicts", range(1, 9))
async def test_a_loop_that_keeps_losing_lets_others_in(conflicts: int) -> None:
    world = await World.open(Worker)
    process = world.staying()
    await process.call("worker", "read")
    await settle()
    await send(process, "worker", "notes", "a")
    # What meets them are the loop's units; from the third on it takes the lease first.
    for _ in range(conflicts):
        world.faults.inject(Fault.CONFLICT)
    await until_quiet(world)
    world.faults.clear()
    touching = asyncio.create_task(process.call("worker", "touch"))
    await until_quiet(world, 5)
    assert touching.done(), "a call waits for a loop that has died"
    assert await process.call("worker", "read") == ["a", "touch"]
    await send(process, "worker", "notes", "b")
    await until_quiet(world)
    assert await process.call("worker", "read") == ["a", "touch", "b"]


# -- crashes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.CONFLICT]
)
@pytest.mark.parametrize("skip", range(8))
async def test_nothing_is_lost_or_done_twice_when_commits_fail(fault: Fault, skip: int) -> None:
    world = await World.open(Worker)
    process = world.staying()
    await process.call("worker", "read")
    await settle()
    world.faults.inject(fault, skip=skip)
    sent = 0
    for number in range(6):
        try:
            await send(process, "worker", "notes", str(number), call_key=f"i:{number}")
        except ActorError:
            await send(process, "worker", "notes", str(number), call_key=f"i:{number}")
        sent += 1
    await until_quiet(world)
    assert await process.call("worker", "read") == [str(number) for number in range(sent)]
    assert (await head_of(world, "worker")).counters.get("messages") == 0


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_process_may_die_at_any_moment(steps: int) -> None:
    world = await World.open(Worker)
    first = world.staying()
    await first.call("worker", "fill", 5)
    for _ in range(steps):
        await asyncio.sleep(0)
    first.runtime.abandon()
    await settle()
    second = world.staying()
    await until_quiet(world, 120)
    assert await second.call("worker", "read") == ["0", "1", "2", "3", "4"]
    assert (await head_of(world, "worker")).counters["messages"] == 0


async def test_the_sweeper_finds_messages_of_a_process_that_died() -> None:
    world = await World.open(Worker)
    bells = Bells()
    first = slices(world, bells)
    await send(first, "worker", "notes", "left")
    first.runtime.abandon()
    world.staying()
    await until_quiet(world, 120)
    assert SEEN == ["left"]
    assert (await head_of(world, "worker")).outbox == {}


# -- units ------------------------------------------------------------------------------------


async def test_a_unit_that_conflicts_is_undone_and_its_message_comes_again() -> None:
    world = await World.open(Odd)
    process = world.staying()
    await send(process, "odd", "notes", "m", key="dirty")
    await settle()
    await process.call("odd", "touch", key="dirty")
    gate("m").set()
    await until_quiet(world, 1)
    assert await process.call("odd", "read", key="dirty") == ["touch", "m:1"]


async def test_the_state_is_the_newest_while_nothing_was_changed() -> None:
    world = await World.open(Odd)
    process = world.staying()
    await send(process, "odd", "notes", "m", key="live")
    await settle()
    await process.call("odd", "touch", key="live")
    gate("m").set()
    await settle()
    assert SEEN == [["touch"]]


async def test_a_stale_object_is_not_lost_silently(caplog: pytest.LogCaptureFixture) -> None:
    world = await World.open(Odd)
    process = world.staying()
    await send(process, "odd", "notes", "m", key="stale")
    await settle()
    await process.call("odd", "touch", key="stale")
    gate("m").set()
    await settle()
    assert SEEN == ["touch"]
    assert await process.call("odd", "read", key="stale") == ["touch"]
    assert "kept across an await" in caplog.text


async def test_what_is_broadcast_flows_only_while_nothing_is_uncommitted() -> None:
    for key, flows in (("live", True), ("dirty", False)):
        world = await World.open(Odd)
        process = world.staying()
        await process.call("odd", "read", key=key)
        await send(process, "odd", "notes", "m", key=key)
        await settle()
        (cell,) = process.runtime.cells
        assert _buffered(cell) is not flows
        GATES.pop("m").set()
        await settle()


# -- processes --------------------------------------------------------------------------------


async def test_who_waits_is_where_others_send_to() -> None:
    world = await World.open(Waiter)
    one, other = world.staying(), world.staying()
    # It creates the actor and waits; nothing of that may stay in its process.
    waiting = asyncio.ensure_future(one.call("waiter", "next"))
    await settle()
    await send(other, "waiter", "notes", "a")
    await until_quiet(world, 5)
    assert waiting.done()
    assert await waiting == "a"


async def test_one_process_at_a_time_runs_the_loop() -> None:
    world = await World.open(Worker)
    one, other = world.staying(), world.staying()
    for number in range(6):
        await send((one, other)[number % 2], "worker", "notes", str(number))
    await until_quiet(world, 30)
    assert sorted(SEEN) == [str(number) for number in range(6)]
    assert await other.call("worker", "read") == [str(number) for number in range(6)]


async def test_what_fails_is_counted_and_given_up() -> None:
    world = await World.open(Worker)
    process = world.staying()
    await send(process, "worker", "tasks", "bad")
    await send(process, "worker", "notes", "good")
    await until_quiet(world, 30)
    assert SEEN == ["bad", "bad", "good"]
    assert await process.call("worker", "read") == ["good"]
    head = await head_of(world, "worker")
    assert (head.counters["messages"], head.counters["failing"]) == (0, 0)


class Clumsy(Actor[Log]):
    """Takes tasks and fails at each, for as long as its state says so."""

    tasks = Queue[str](max_deliveries=3)

    async def run(self) -> None:
        async for message in self.queue.iter(self.tasks):
            SEEN.append(message.attempt)
            await gate(message.body).wait()
            if self.state.count == 0:
                raise ValueError("as asked")

    @action
    async def take(self) -> None:
        for message in await self.queue.try_next_batch(self.tasks, count=1):
            SEEN.append(message.attempt)
            raise ValueError("as asked")

    @action
    async def learn(self) -> None:
        self.state.count += 1


async def test_a_failure_that_others_have_counted_meanwhile_is_not_counted_twice() -> None:
    world = await World.open(Clumsy)
    process, other = world.staying(), world.process()
    await send(process, "clumsy", "tasks", "bad")
    await settle()
    with pytest.raises(ValueError, match="as asked"):
        await other.call("clumsy", "take")
    gate("bad").set()  # the loop has its message from a head without failures
    await until_quiet(world)

    assert SEEN == [1, 1, 2, 3]
    head = await head_of(world, "clumsy")
    assert (head.counters["messages"], head.counters["failing"]) == (0, 0)


async def test_what_has_failed_on_an_old_state_is_no_failure() -> None:
    world = await World.open(Clumsy)
    process, other = world.staying(), world.process()
    await send(process, "clumsy", "tasks", "later")
    await settle()
    assert SEEN == [1]
    await other.call("clumsy", "learn")
    gate("later").set()  # it finds the state that it knows, and fails
    await until_quiet(world)

    assert SEEN == [1, 1]
    head = await head_of(world, "clumsy")
    assert (head.counters["messages"], head.counters.get("failing", 0)) == (0, 0)


# -- slices -----------------------------------------------------------------------------------


async def test_a_slice_runs_until_the_queue_is_empty() -> None:
    world = await World.open(Worker)
    bells = Bells()
    process = slices(world, bells)
    await process.call("worker", "fill", 3)
    await settle()
    assert SEEN == []
    assert {ring.at for ring in bells.rings} == {None}
    head = await head_of(world, "worker")
    bells.rings.clear()
    await process.runtime.dispatch(Wake(head.actor_id, deadline=world.clock.now() + 30))
    assert SEEN == ["0", "1", "2"]
    await settle()
    assert bells.rings == []
    assert (await head_of(world, "worker")).outbox == {}


async def test_doubled_and_late_wakes_do_nothing() -> None:
    world = await World.open(Worker)
    process = slices(world, Bells())
    await process.call("worker", "fill", 2)
    head = await head_of(world, "worker")
    wake = Wake(head.actor_id, deadline=world.clock.now() + 30)
    other = slices(world, Bells())
    await asyncio.gather(
        process.runtime.dispatch(wake), other.runtime.dispatch(wake), process.runtime.dispatch(wake)
    )
    await other.runtime.dispatch(wake)
    assert sorted(SEEN) == ["0", "1"]
    assert await other.call("worker", "read") == ["0", "1"]


async def test_a_loop_that_spins_is_left_after_three_more_slices() -> None:
    world = await World.open(Spinner)
    bells = Bells()
    process = slices(world, bells)
    await send(process, "spinner", "nothing", "x")
    head = await head_of(world, "spinner")
    await settle()
    bells.rings.clear()
    wakes = [Wake(head.actor_id, deadline=world.clock.now() + 5)]
    while wakes:
        wake = wakes.pop()
        under_way = asyncio.ensure_future(process.runtime.dispatch(wake))
        await world.clock.advance(6)
        await under_way
        await settle()
        deadline = world.clock.now() + 5
        wakes += [Wake(ring.actor_id, ring.hops, deadline) for ring in bells.rings]
        bells.rings.clear()
    assert SEEN == ["begin", True] * 4


# -- what a unit has read ---------------------------------------------------------------------


class Desk(BaseModel):
    open: bool = True


class Clerk(Actor[Desk]):
    """Forwards what it is asked as long as it is open."""

    asks = Queue[str, int]()
    notes = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.asks):
            await gate(message.body).wait()
            if self.state.open:
                self.queue.send(self.notes, message.body)
            SEEN.append((message.body, self.state.open))
            await self.save_state()
            message.complete(1)

    @action
    async def close(self) -> None:
        self.state.open = False

    @action
    async def forwarded(self) -> list[str]:
        return [message.body for message in await self.queue.try_next_batch(self.notes, count=9)]


async def test_a_unit_that_only_sends_has_not_read_what_is_old() -> None:
    world = await World.open(Clerk)
    one, two = world.staying(), world.process()
    for body in ("a", "b"):
        await send(one, "clerk", "asks", body)
    gate("a").set()
    await settle()
    # The second was there at once: nothing was read for it.
    await two.call("clerk", "close")
    gate("b").set()
    await until_quiet(world, 10)

    assert await two.call("clerk", "forwarded") == ["a"]
    assert SEEN[-1] == ("b", False)
    one.runtime.abandon()
    await settle()


# -- messages that fail in actions ------------------------------------------------------------


class Bench(Actor[Log], action_timeout=5):
    """Works off its queue when it is told to."""

    notes = Queue[str](max_deliveries=2)
    tasks = Queue[str, str](max_deliveries=2)

    @action
    async def work(self, how: str) -> int:
        message = await self.queue.next(self.notes, timeout=0)
        if message is None:
            return 0
        self.state.count += 1
        await self._act(how)
        return message.attempt

    @action(exclusive=True)
    async def work_alone(self, how: str) -> int:
        return await self.work(how)

    @action
    async def work_completably(self) -> None:
        message = await self.queue.wait_for(self.tasks, timeout=1)
        raise UserError(message.body)

    async def _act(self, how: str) -> None:
        if how == "raise":
            raise UserError("as asked")
        if how == "hang":
            await asyncio.Event().wait()
        if how == "abort":
            raise ActorAborted
        if how == "restart":
            raise ActorError("actor", "restarting", "in a moment")

    @action
    async def letters(self) -> list[str]:
        return [f"{x.attempts} {x.error} {x.body}" for x in await self.dead_letters.list()]


async def bench(shared: bool = True) -> tuple[World, Process]:
    world = await World.open(Bench, shared=shared)
    process = world.process()
    await send(process, "bench", "notes", "bad")
    return world, process


@pytest.mark.parametrize("name", ["work", "work_alone"])
@pytest.mark.parametrize("shared", [True, False])
async def test_failures_in_actions_are_counted(name: str, shared: bool) -> None:
    world, process = await bench(shared)
    with pytest.raises(UserError):
        await process.call("bench", name, "raise")
    assert (await head_of(world, "bench")).counters["messages"] == 1
    with pytest.raises(UserError):
        await process.call("bench", name, "raise")

    assert await process.call("bench", name, "raise") == 0
    assert await process.call("bench", "letters") == ["2 user.user_error ['notes', 'bad']"]
    counters = (await head_of(world, "bench")).counters
    assert (counters["messages"], counters["failing"]) == (0, 0)


async def test_a_failure_is_told_to_the_next_receiver() -> None:
    _, process = await bench()
    with pytest.raises(UserError):
        await process.call("bench", "work", "raise")

    assert await process.call("bench", "work", "well") == 2


async def test_an_action_that_takes_too_long_has_failed() -> None:
    world, process = await bench()
    working = asyncio.ensure_future(process.call("bench", "work", "hang"))
    await world.clock.advance(5)
    with pytest.raises(ActorError, match="action_timed_out"):
        await working

    assert await process.call("bench", "work", "well") == 2


@pytest.mark.parametrize("how", ["abort", "restart"])
async def test_what_says_nothing_of_a_message_is_no_failure(how: str) -> None:
    _, process = await bench()
    with pytest.raises((ActorError, ActorAborted)):
        await process.call("bench", "work", how)

    assert await process.call("bench", "work", "well") == 1


async def test_a_conflict_is_no_failure() -> None:
    world, process = await bench()
    world.faults.inject(Fault.CONFLICT)

    assert await process.call("bench", "work", "well") == 1


async def test_who_waits_is_told_what_the_last_attempt_failed_with() -> None:
    world = await World.open(Bench)
    process = world.process()
    target = ByKey(Address("default", "bench", ("a",)), create=True)
    command = SendMessage(target, "tasks", "broken", wait=True)
    waiting = asyncio.ensure_future(process.runtime.dispatch(command))
    await settle()
    for _ in range(2):
        assert not waiting.done()
        with pytest.raises(UserError, match="broken"):
            await process.call("bench", "work_completably")
    await settle()

    with pytest.raises(ActorError, match="broken"):
        await waiting


async def test_a_failure_that_cannot_be_counted_hides_no_error() -> None:
    world, process = await bench()
    world.faults.inject(Fault.BEFORE)
    with pytest.raises(UserError, match="as asked"):
        await process.call("bench", "work", "raise")
