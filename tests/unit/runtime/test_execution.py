"""How a turn gets to its commit: what it may rely on, and what is told when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, UserError, action
from rivetless.keys import Address
from rivetless.runtime.commands import ById, CallAction, DestroyActor, Origin
from rivetless.runtime.job import MAX_CHAIN
from rivetless.store.base import Changes, Collection, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .worlds import Process, World

SEEN: list[Any] = []
GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
async def clean() -> AsyncIterator[None]:
    SEEN.clear()
    GATES.clear()
    yield
    for gate in GATES.values():
        gate.set()
    await settle()


def gate(name: str) -> asyncio.Event:
    return GATES.setdefault(name, asyncio.Event())


class Count(BaseModel):
    count: int = 0


class Tally(Actor[Count], max_queue_size=2):
    notes = Queue[str]()

    @action
    async def add(self) -> int:
        SEEN.append("add")
        self.state.count += 1
        return self.state.count

    @action
    async def get(self) -> int:
        SEEN.append("get")
        return self.state.count

    @action
    async def refreshed(self, name: str = "") -> list[int]:
        """Look at the state, and perhaps much later at the newest."""
        before = self.state.count
        if name:
            await gate(name).wait()
        await self.refresh()
        return [before, self.state.count]

    @action
    async def in_parts(self, parts: int, name: str = "") -> int:
        """Commit in the middle; then add 10."""
        SEEN.append("in parts")
        for _ in range(parts):
            await self.save_state()
            self.state.count += 1
        if name:
            await gate(name).wait()
        self.state.count += 10
        return self.state.count

    @action
    async def saved_or_not(self) -> str:
        """Commit in the middle, and go on if that fails."""
        self.state.count += 1
        try:
            await self.save_state()
        except ActorError as error:
            SEEN.append(error.name)
        raise ActorError("guard", "service_unavailable", "somebody else is away")

    @action
    async def pay(self, name: str = "") -> str:
        async def charge() -> str:
            SEEN.append("charge")
            if name:
                await gate(name).wait()
            return "paid"

        receipt = await self.once("pay", charge)
        self.state.count += 1
        return receipt

    @action
    async def put(self, count: int) -> None:
        self.state.count += 1
        for number in range(count):
            await self.kv.put(str(number), "x")

    @action
    async def overfill(self) -> None:
        for number in range(3):
            self.queue.send(self.notes, str(number))
        try:
            await self.save_state()
        except ActorError as error:
            SEEN.append(error.name)

    @action
    async def fail(self) -> None:
        SEEN.append("fail")
        if self.state.count < 100:
            raise UserError(f"There are {self.state.count}.")

    @action(timeout=2)
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @action
    async def abort(self) -> None:
        raise TimeoutError("its own")


class Slow(Actor[Count], on_wake_timeout=3):
    async def on_wake(self) -> None:
        await asyncio.Event().wait()

    @action
    async def get(self) -> int:
        return self.state.count


async def begin(*actors: type[Actor[Any, Any, Any]], shared: bool = True) -> tuple[World, Process]:
    world = await World.open(*(actors or (Tally,)), shared=shared)
    process = world.process()
    if not actors:
        await process.call("tally", "add")
    SEEN.clear()
    world.store.reset()
    return world, process


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "tally", ("a",)))
    assert head is not None
    return head


async def others_commit(world: World, count: int = 1) -> None:
    """Have another process change the state."""
    for _ in range(count):
        head = await head_of(world)
        changes = Changes(f"other{head.version}", state=b'{"count":100}')
        await world.faults.inner.commit(head.actor_id, changes, expected=head.version)


async def told(call: asyncio.Task[Any]) -> ActorError:
    with pytest.raises(ActorError) as raised:
        await call
    return raised.value


# -- refresh ------------------------------------------------------------------------------------


async def test_a_turn_can_move_to_the_newest_state() -> None:
    world, process = await begin()
    looking = asyncio.create_task(process.call("tally", "refreshed", "later"))
    await settle()
    await others_commit(world)
    gate("later").set()
    assert await looking == [1, 100]


async def test_to_refresh_what_is_new_costs_one_look() -> None:
    """It stands for the look that every turn that has only read takes at its end."""
    world, process = await begin()
    assert await process.call("tally", "refreshed") == [1, 1]
    assert world.store.calls == {"current": 1}


async def test_a_turn_cannot_move_to_another_life() -> None:
    world, process = await begin()
    life = (await head_of(world)).actor_id
    looking = asyncio.create_task(process.call("tally", "refreshed", "later"))
    await settle()
    other = world.process()
    await other.runtime.dispatch(DestroyActor(ById(None, life)))
    await other.call("tally", "get")
    gate("later").set()
    assert await looking == [0, 0]  # it has begun again, in the new life


# -- commits in the middle ----------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 3])
async def test_a_turn_that_has_committed_is_not_run_again(parts: int) -> None:
    world, process = await begin()
    call = asyncio.create_task(process.call("tally", "in_parts", parts, "x"))
    await settle()
    await others_commit(world)
    gate("x").set()
    error = await told(call)
    assert error.name == "actor.interrupted"
    assert error.metadata == {"checkpoints": parts}
    assert SEEN == ["in parts"]


async def test_what_was_committed_in_the_middle_stays() -> None:
    world, process = await begin()
    assert await process.call("tally", "in_parts", 2) == 13
    head = await head_of(world)
    assert (head.state, head.version) == (b'{"count":13}', 4)


@pytest.mark.parametrize(
    ("fault", "names"),
    [(Fault.BEFORE, ["guard.service_unavailable"]), (Fault.UNACKNOWLEDGED, [])],
)
async def test_callers_do_not_repeat_what_may_have_been_committed(
    fault: Fault, names: list[str]
) -> None:
    world, process = await begin()
    world.faults.inject(fault)
    call = asyncio.create_task(process.call("tally", "saved_or_not"))
    await world.clock.advance(60)
    error = await told(call)
    assert (error.name, error.metadata) == (
        "actor.interrupted",
        {"cause": "guard.service_unavailable"},
    )
    assert names == SEEN
    assert (await head_of(world)).state == b'{"count":2}'


async def test_what_is_full_in_the_middle_is_full_at_the_end() -> None:
    world, process = await begin()
    error = await told(asyncio.create_task(process.call("tally", "overfill")))
    assert error.name == "queue.full"
    assert SEEN == ["queue.full"]
    assert (await head_of(world)).counters.get("messages", 0) == 0


# -- once ---------------------------------------------------------------------------------------


async def test_while_something_is_done_once_the_actor_is_leased() -> None:
    world, process = await begin()
    call = asyncio.create_task(process.call("tally", "pay", "x"))
    await settle()
    lease = (await head_of(world)).lease
    assert lease is not None
    gate("x").set()
    assert await call == "paid"
    await settle()
    assert (await head_of(world)).lease is None
    assert SEEN == ["charge"]


async def test_nothing_is_done_once_on_a_state_that_is_old() -> None:
    world, process = await begin()
    await others_commit(world)
    assert await process.call("tally", "pay") == "paid"
    assert SEEN == ["charge"]
    assert (await head_of(world)).state == b'{"count":101}'


async def test_what_was_done_once_for_a_key_is_known_to_other_processes() -> None:
    world, one = await begin()
    life = (await head_of(world)).actor_id
    origin = Origin(call_key="o:k")
    world.faults.inject(Fault.BEFORE, skip=2)
    with pytest.raises(ActorError):
        await one.call("tally", "pay", origin=origin)
    (record,) = await world.store.records(life, Collection.REPLY)
    assert record.key == b"once:ddbc2fd0d73a8c0411a2730e22148a55:pay"
    two = asyncio.create_task(world.process().call("tally", "pay", origin=origin))
    await world.clock.advance(120)
    assert await two == "paid"
    assert SEEN == ["charge"]


# -- what is refused ----------------------------------------------------------------------------


async def test_a_turn_that_writes_too_much_fails_alone() -> None:
    world, process = await begin()
    world.limit(max_commit_records=5)
    held = world.faults.inject(Fault.HELD)
    first = asyncio.create_task(process.call("tally", "put", 2))
    await held.reached.wait()
    too_much = asyncio.create_task(process.call("tally", "put", 6))
    third = asyncio.create_task(process.call("tally", "put", 2))
    await settle()
    held.release()
    await asyncio.gather(first, third)
    assert (await told(too_much)).name == "actor.invalid_operation"
    assert (await head_of(world)).state == b'{"count":3}'


async def test_a_failure_because_of_an_old_state_is_told_to_nobody() -> None:
    world, process = await begin()
    await others_commit(world)
    await process.call("tally", "fail")
    assert SEEN == ["fail", "fail"]


async def test_an_action_that_takes_too_long() -> None:
    world, process = await begin()
    call = asyncio.create_task(process.call("tally", "hang"))
    await world.clock.advance(1.9)
    assert not call.done()
    await world.clock.advance(0.2)
    assert (await told(call)).name == "actor.action_timed_out"


async def test_a_hook_that_takes_too_long_is_named() -> None:
    world, process = await begin(Slow)
    call = asyncio.create_task(process.call("slow", "get"))
    await world.clock.advance(4)
    error = await told(call)
    assert error.name == "actor.callback_timed_out"
    assert error.metadata == {"callback": "on_wake", "timeout": 3000}


async def test_a_handlers_own_timeout_is_its_own() -> None:
    _, process = await begin()
    with pytest.raises(TimeoutError, match="its own"):
        await process.call("tally", "abort")


@pytest.mark.parametrize(("length", "goes_on"), [(MAX_CHAIN - 1, True), (MAX_CHAIN, False)])
async def test_a_chain_of_calls_has_an_end(length: int, goes_on: bool) -> None:
    _, process = await begin()
    origin = Origin(chain=tuple(f"other[{n}]@t{n}" for n in range(length)))
    call = asyncio.create_task(process.call("tally", "add", origin=origin))
    if goes_on:
        assert await call == 2
    else:
        assert (await told(call)).name == "actor.deadlock"


async def test_a_life_that_is_named_by_its_id_must_be_that() -> None:
    world, process = await begin()
    life = (await head_of(world)).actor_id
    target = ById(None, life)
    assert (await process.runtime.dispatch(CallAction(target, "get", []))).output == 1
    other = world.process()
    await other.runtime.dispatch(DestroyActor(target))
    await other.call("tally", "get")
    error = await told(asyncio.create_task(process.runtime.dispatch(CallAction(target, "add", []))))
    assert error.name == "actor.not_found"
    assert (await head_of(world)).state == b'{"count":0}'


# -- conflicts ----------------------------------------------------------------------------------


async def test_a_turn_that_loses_is_run_again_and_pauses_after_the_second_time() -> None:
    world, process = await begin()
    for _ in range(2):
        world.faults.inject(Fault.CONFLICT)
    call = asyncio.create_task(process.call("tally", "add"))
    await settle()
    assert SEEN == ["add", "add"]
    assert process.runtime.execution.conflicts == 2
    assert not call.done()
    await world.clock.advance(0.02)
    assert await call == 2
    assert SEEN == ["add"] * 3


async def test_a_turn_that_keeps_losing_to_others_takes_the_lease() -> None:
    world, process = await begin()
    for _ in range(3):
        world.faults.inject(Fault.CONFLICT)
    held = world.faults.inject(Fault.HELD, skip=1)
    call = asyncio.create_task(process.call("tally", "add"))
    await world.clock.advance(1)
    await held.reached.wait()
    assert (await head_of(world)).lease is not None
    held.release()
    assert await call == 2
    await settle()
    assert (await head_of(world)).lease is None
