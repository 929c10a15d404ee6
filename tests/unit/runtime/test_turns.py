"""What a turn reads and writes, when it runs again, and what it costs."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, UserError, action
from rivetless.runtime.commands import Origin
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import World


class Count(BaseModel):
    count: int = 0


runs: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()
    runs.clear()


class Counter(Actor[Count]):
    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        runs.append("increment")
        self.state.count += amount
        self.broadcast(self.changed, self.state.count)
        return self.state.count

    @action
    async def get(self) -> int:
        return self.state.count

    @action
    async def same(self) -> int:
        self.state.count = int(self.state.count)
        return self.state.count

    @action
    async def fail(self) -> None:
        self.state.count += 100
        self.broadcast(self.changed, self.state.count)
        raise UserError("no", code="refused")

    @action
    async def slow(self, name: str) -> int:
        runs.append(name)
        before = self.state.count
        await gate(name).wait()
        self.state.count = before + 1
        return self.state.count

    @action
    async def slow_get(self, name: str) -> int:
        before = self.state.count
        await gate(name).wait()
        return before

    @action(exclusive=True)
    async def alone(self, name: str) -> int:
        runs.append(name)
        self.state.count += 1
        await gate(name).wait()
        return self.state.count

    @action
    async def in_parts(self, name: str) -> int:
        self.state.count += 1
        await self.save_state()
        await gate(name).wait()
        self.state.count += 10
        return self.state.count

    @action
    async def in_parts_then_fail(self) -> None:
        self.state.count += 1
        await self.save_state()
        self.state.count += 10
        raise UserError("no")

    @action
    async def delete(self) -> None:
        self.destroy()


async def test_counts_of_a_shared_store() -> None:
    world = await World.open(Counter)
    process = world.process()
    assert await process.call("counter", "increment") == 1
    assert (world.store.calls["load"], world.store.writes) == (1, 1)
    world.store.reset()
    await process.call("counter", "increment")
    assert world.store.calls == {"commit": 1}  # nobody has ever listened
    world.store.reset()
    assert await process.call("counter", "get") == 2
    assert (world.store.reads, world.store.writes) == (1, 0)
    world.store.reset()
    await process.call("counter", "same")
    assert world.store.writes == 0

    other = world.process()
    world.store.reset()
    await other.call("counter", "increment")
    assert (world.store.calls["load"], world.store.calls["current"], world.store.writes) == (
        1,
        0,
        1,
    )


async def test_a_store_of_one_process_needs_no_validation() -> None:
    world = await World.open(Counter, shared=False)
    process = world.process()
    await process.call("counter", "increment")
    world.store.reset()
    assert await process.call("counter", "get") == 1
    assert (world.store.reads, world.store.writes) == (0, 0)


async def test_turns_that_end_together_share_a_commit() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    world.store.reset()
    held = world.faults.inject(Fault.HELD)
    first = asyncio.create_task(process.call("counter", "increment"))
    await held.reached.wait()
    others = [asyncio.create_task(process.call("counter", "increment")) for _ in range(31)]
    await asyncio.sleep(0)
    held.release()
    results = await asyncio.gather(first, *others)
    assert sorted(results) == list(range(2, 34))
    assert world.store.calls["commit"] == 2


async def test_a_reply_waits_for_the_state_it_has_seen() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    held = world.faults.inject(Fault.HELD)
    writer = asyncio.create_task(process.call("counter", "increment"))
    await held.reached.wait()
    reader = asyncio.create_task(process.call("counter", "get"))
    failing = asyncio.create_task(process.call("counter", "fail"))
    done, _ = await asyncio.wait({reader, failing}, timeout=0)
    assert not done
    held.release()
    assert await writer == await reader == 2
    with pytest.raises(ActorError, match="refused"):
        await failing


async def test_an_error_rolls_everything_back() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    process.mailbox.pushes.clear()
    with pytest.raises(UserError) as raised:
        await process.call("counter", "fail")
    assert raised.value.code == "refused"
    assert await process.call("counter", "get") == 1
    assert not process.mailbox.pushes


async def test_processes_conflict_and_end_exact() -> None:
    world = await World.open(Counter)
    processes = [world.process() for _ in range(4)]
    calls = [p.call("counter", "increment") for _ in range(25) for p in processes]
    tasks = [asyncio.create_task(c) for c in calls]
    while not all(t.done() for t in tasks):
        await world.clock.advance(0.05)
    results = [t.result() for t in tasks]
    assert sorted(results) == list(range(1, 101))
    assert await processes[0].call("counter", "get") == 100


async def test_a_slow_turn_runs_again_on_what_others_have_written() -> None:
    world = await World.open(Counter)
    process = world.process()
    slow = asyncio.create_task(process.call("counter", "slow", "x"))
    await settle()
    assert await process.call("counter", "increment", 5) == 5
    gate("x").set()
    assert await slow == 6
    assert runs == ["x", "increment", "x"]


async def test_a_slow_reader_delays_nobody_and_sees_one_snapshot() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    slow = asyncio.create_task(process.call("counter", "slow_get", "x"))
    await asyncio.sleep(0)
    assert await process.call("counter", "increment") == 2
    gate("x").set()
    assert await slow in (1, 2)


async def test_a_stale_cache_is_noticed() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    await one.call("counter", "increment")
    await two.call("counter", "increment")
    assert await one.call("counter", "get") == 2
    await two.call("counter", "delete")
    with pytest.raises(ActorError) as raised:
        await one.call("counter", "get", create=False)
    assert raised.value.name == "actor.not_found"


async def test_exclusive_turns_run_one_after_the_other() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    await one.call("counter", "get")
    first = asyncio.create_task(one.call("counter", "alone", "first"))
    await settle()
    second = asyncio.create_task(two.call("counter", "alone", "second"))
    third = asyncio.create_task(one.call("counter", "increment"))
    await world.clock.advance(1)
    assert runs == ["first"]
    gate("first").set()
    gate("second").set()
    assert await first == 1
    while not (second.done() and third.done()):
        await world.clock.advance(0.1)
    assert {await second, await third} == {2, 3}
    assert await two.call("counter", "get") == 3


async def test_a_lease_is_renewed_while_its_turn_runs() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    await one.call("counter", "get")
    first = asyncio.create_task(one.call("counter", "alone", "first"))
    await settle()
    second = asyncio.create_task(two.call("counter", "alone", "second"))
    await world.clock.advance(30)
    assert runs == ["first"]
    gate("first").set()
    gate("second").set()
    assert await first == 1
    while not second.done():
        await world.clock.advance(0.1)
    assert await second == 2


async def test_the_lease_of_a_dead_process_runs_out() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    await one.call("counter", "get")
    first = asyncio.create_task(one.call("counter", "alone", "never"))
    await settle()
    world.freeze()  # the process is frozen: nothing renews
    second = asyncio.create_task(two.call("counter", "increment"))
    while not second.done():
        await world.clock.advance(1)
    assert await second == 1
    # It thaws: its commit is fenced, and it runs again.
    gate("never").set()
    while not first.done():
        await world.clock.advance(1)
    assert await first == 2


async def test_waiting_for_others_ends_with_the_deadline() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    await one.call("counter", "get")
    first = asyncio.create_task(one.call("counter", "alone", "never"))
    await settle()
    origin = Origin(deadline=world.clock.now() + 3)
    second = asyncio.create_task(two.call("counter", "increment", origin=origin))
    third = asyncio.create_task(one.call("counter", "increment", origin=origin))
    await world.clock.advance(5)
    for task in (second, third):
        with pytest.raises(ActorError) as raised:
            await task
        assert raised.value.name == "actor.conflict"
    gate("never").set()
    assert await first == 1


async def test_an_action_has_a_time_limit() -> None:
    world = await World.open(Counter)
    process = world.process()
    slow = asyncio.create_task(process.call("counter", "slow", "never"))
    await settle()
    await world.clock.advance(61)
    with pytest.raises(ActorError) as raised:
        await slow
    assert raised.value.name == "actor.action_timed_out"
    assert await process.call("counter", "get") == 0


async def test_a_checkpoint_keeps_what_came_before_it() -> None:
    world = await World.open(Counter)
    process = world.process()
    with pytest.raises(UserError):
        await process.call("counter", "in_parts_then_fail")
    await world.clock.advance(0)  # the lease is given back behind the answer
    assert await world.process().call("counter", "get") == 1


async def test_after_a_checkpoint_others_wait() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    first = asyncio.create_task(one.call("counter", "in_parts", "x"))
    await settle()
    second = asyncio.create_task(two.call("counter", "increment"))
    third = asyncio.create_task(one.call("counter", "increment"))
    await world.clock.advance(2)
    assert not second.done()
    assert not third.done()
    gate("x").set()
    assert await first == 11
    while not (second.done() and third.done()):
        await world.clock.advance(0.1)
    assert {await second, await third} == {12, 13}


async def test_a_turn_that_loses_its_fence_after_a_checkpoint_is_interrupted() -> None:
    world = await World.open(Counter)
    one, two = world.process(), world.process()
    first = asyncio.create_task(one.call("counter", "in_parts", "x"))
    await settle()
    world.freeze()
    second = asyncio.create_task(two.call("counter", "increment"))
    while not second.done():
        await world.clock.advance(1)
    assert await second == 2
    gate("x").set()
    with pytest.raises(ActorError) as raised:
        await first
    assert raised.value.name == "actor.interrupted"
    assert raised.value.metadata == {"checkpoints": 1}
    assert await two.call("counter", "get") == 2


# -- commits whose acknowledgement is lost --------------------------------------------------------


async def test_a_lost_acknowledgement_is_found() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    world.faults.inject(Fault.UNACKNOWLEDGED)
    assert await process.call("counter", "increment") == 2
    assert await process.call("counter", "increment") == 3
    assert await world.process().call("counter", "get") == 3


async def test_a_lost_commit_is_made_again() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    world.faults.inject(Fault.VANISHED)
    assert await process.call("counter", "increment") == 2
    assert await world.process().call("counter", "get") == 2


async def test_a_commit_that_arrives_late_is_fenced_off() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    late = world.faults.inject(Fault.LATE)
    assert await process.call("counter", "increment") == 2
    late.release()
    await late.finished.wait()
    assert await world.process().call("counter", "get") == 2


@pytest.mark.parametrize("fault", [Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.LATE])
async def test_a_creation_with_an_unknown_outcome(fault: Fault) -> None:
    world = await World.open(Counter)
    process = world.process()
    injection = world.faults.inject(fault)
    assert await process.call("counter", "increment") == 1
    if fault is Fault.LATE:
        injection.release()
        await injection.finished.wait()
    assert await world.process().call("counter", "get") == 1


async def test_an_outcome_that_cannot_be_known_is_told() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    held = world.faults.inject(Fault.HELD_LOST)
    unlucky = asyncio.create_task(process.call("counter", "increment"))
    await held.reached.wait()
    # So many commits follow that the head no longer remembers the one in question.
    other = world.process()
    for _ in range(40):
        await other.call("counter", "increment")
    held.release()
    with pytest.raises(ActorError) as raised:
        await unlucky
    assert raised.value.name == "actor.outcome_unknown"


async def test_a_store_that_is_away_is_told_so_that_clients_try_again() -> None:
    world = await World.open(Counter)
    process = world.process()
    await process.call("counter", "increment")
    world.faults.inject(Fault.BEFORE)
    with pytest.raises(ActorError) as raised:
        await process.call("counter", "increment")
    assert raised.value.name == "guard.service_unavailable"
    assert await process.call("counter", "increment") == 2


class Sender(Actor[Count]):
    @action
    async def answer(self, value: str) -> object:
        self.state.count += 1
        return {"surrogate": "\ud800", "object": object(), "fine": 1}[value]

    @action
    async def tell(self) -> None:
        self.state.count += 1
        self.broadcast("odd", object())


@pytest.mark.parametrize(
    ("name", "args"), [("answer", ["surrogate"]), ("answer", ["object"]), ("tell", [])]
)
async def test_what_cannot_be_sent_fails_before_the_commit(name: str, args: list[str]) -> None:
    world = await World.open(Sender)
    process = world.process()
    with pytest.raises(TypeError):
        await process.call("sender", name, *args)
    await process.call("sender", "answer", "fine")
    head = await world.store.load(
        (await world.store.list("default", "sender", limit=1))[0].actor_id
    )
    assert head is not None
    assert head.state == b'{"count":1}'
