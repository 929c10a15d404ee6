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
from rivetless.runtime.leases import LENGTH
from rivetless.store.base import Changes, Collection, Head, Lease
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .gates import GATES, gate, open_all
from .worlds import Process, World

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
async def clean() -> AsyncIterator[None]:
    SEEN.clear()
    GATES.clear()
    yield
    await open_all()


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

    @action(exclusive=True)
    async def alone(self, name: str) -> int:
        SEEN.append("alone")
        self.state.count += 1
        if name == "fails":
            raise UserError("no")
        await gate(name).wait()
        return self.state.count

    @action
    async def slowly(self, name: str) -> int:
        SEEN.append("slowly")
        self.state.count += 1
        await gate(name).wait()
        return self.state.count

    @action
    async def act(self, calls: int, outside: bool, error: str) -> None:
        """Call others, or reach out, or do nothing; then fail, or not."""
        turn: Any = self._turn
        for number in range(calls):
            turn.call_key("other", "do", str(number).encode())
        if outside:
            await turn.reach_out()
        self.state.count += 1
        if error:
            group, code = error.split(".")
            raise ActorError(group, code, "It failed.")

    @action
    async def tell(self) -> int:
        """Send what was read of the state; the send itself depends on no version."""
        SEEN.append("tell")
        self.queue.send(self.notes, str(self.state.count))
        return self.state.count

    @action
    async def pairs(self, name: str, send: bool = False) -> list[str]:
        """Read pairs, and go on much later."""
        SEEN.append("pairs")
        found = [key for key, _ in await self.kv.list()]
        await gate(name).wait()
        if send:
            self.queue.send(self.notes, ",".join(found))
        return found

    @action
    async def received(self) -> list[str]:
        return [message.body for message in await self.queue.try_next_batch(count=10)]

    @action
    async def keep(self, error: str = "") -> None:
        """Leave the signal behind, and work for later."""
        signal = self.abort_signal
        signal.add_callback(lambda: SEEN.append(signal.reason))
        self.wait_until(self.later())
        if error:
            raise UserError(error)

    async def later(self) -> None:
        SEEN.append("later")

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


async def set_lease(world: World, lease: Lease | None) -> None:
    """Have another process take the actor's lease, or give it back."""
    head = await head_of(world)
    changes = Changes(f"lease{head.version}", lease=lease)
    await world.faults.inner.commit(head.actor_id, changes, expected=head.version)


async def told(call: asyncio.Task[Any]) -> ActorError:
    with pytest.raises(ActorError) as raised:
        await call
    return raised.value


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


@pytest.mark.parametrize("shared", [True, False])
async def test_who_holds_the_actor_runs_alone(shared: bool) -> None:
    world, process = await begin(shared=shared)
    calls = [asyncio.create_task(process.call("tally", "alone", name)) for name in "xy"]
    calls.append(asyncio.create_task(process.call("tally", "add")))
    await settle()
    assert SEEN == ["alone"]
    assert ((await head_of(world)).lease is not None) is shared
    gate("x").set()
    await settle()
    gate("y").set()
    assert sorted(await asyncio.gather(*calls)) == [2, 3, 4]
    await settle()
    assert (await head_of(world)).lease is None


async def test_a_lease_taken_after_conflicts_is_kept_while_the_turn_runs() -> None:
    world, process = await begin()
    gate("x").set()
    for _ in range(3):
        world.faults.inject(Fault.CONFLICT)
    taking = world.faults.inject(Fault.HELD)
    call = asyncio.create_task(process.call("tally", "slowly", "x"))
    await world.clock.advance(1)
    await taking.reached.wait()
    gate("x").clear()
    taking.release()
    for _ in range(5):
        await world.clock.advance(LENGTH / 2)
    assert SEEN == ["slowly"] * 4
    lease = (await head_of(world)).lease
    assert lease is not None
    assert lease.expires_at > world.clock.now()
    gate("x").set()
    assert await call == 2
    await settle()
    assert (await head_of(world)).lease is None


@pytest.mark.parametrize(("outside", "commits"), [(False, 2), (True, 3)])
async def test_what_others_have_seen_once_is_done_again_under_a_lease(
    outside: bool, commits: int
) -> None:
    world, process = await begin()
    world.faults.inject(Fault.CONFLICT)
    await process.call("tally", "act", 0, outside, "")
    await settle()
    assert world.store.calls["commit"] == commits
    head = await head_of(world)
    assert (head.state, head.lease) == (b'{"count":2}', None)


async def test_a_turn_of_its_own_process_costs_what_others_have_seen_one_run_too() -> None:
    world, process = await begin()
    call = asyncio.create_task(process.call("tally", "slowly", "x"))
    await settle()
    await process.call("tally", "add")
    gate("x").set()
    gate("x").clear()
    await settle()
    assert SEEN == ["slowly", "add", "slowly"]
    assert (await head_of(world)).lease is not None  # no other process comes in between
    gate("x").set()
    assert await call == 3
    await settle()
    assert (await head_of(world)).lease is None


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_lease_of_another_process_is_waited_for_and_no_longer(fresh: bool) -> None:
    world, process = await begin()
    await set_lease(world, Lease("t9", world.clock.now() + 60))
    process = world.process() if fresh else process
    runs = [] if fresh else ["add"]  # it learns of the lease when its commit is refused
    call = asyncio.create_task(process.call("tally", "add"))
    for _ in range(20):
        await world.clock.advance(0.25)
    assert (call.done(), SEEN) == (False, runs)
    await set_lease(world, None)
    await world.clock.advance(0.5)
    assert await call == 2
    assert [*runs, "add"] == SEEN


@pytest.mark.parametrize("name", ["x", "fails"])
async def test_a_lease_is_taken_once_and_ends_with_its_turn(name: str) -> None:
    """It ends with what the turn writes, or behind it where that is nothing."""
    world, _ = await begin()
    gate(name).set()
    call = asyncio.create_task(world.process().call("tally", "alone", name))
    if name == "fails":
        await told(call)
    else:
        assert await call == 2
    await settle()
    assert world.store.calls["commit"] == 2
    assert (await head_of(world)).lease is None


async def test_a_lease_that_ran_out_is_taken_away_with_what_is_written() -> None:
    world, _ = await begin()
    await set_lease(world, Lease("t9", world.clock.now() + 5))
    await world.clock.advance(5)
    process = world.process()
    assert await process.call("tally", "get") == 1
    assert (await head_of(world)).lease is not None
    assert await process.call("tally", "add") == 2
    assert (await head_of(world)).lease is None


@pytest.mark.parametrize("closed", [True, False])
async def test_a_call_of_who_has_the_lease_passes_unless_it_is_closed(closed: bool) -> None:
    world, _ = await begin()
    lease = Lease("t9", world.clock.now() + 60, closed=closed)
    await set_lease(world, lease)
    process = world.process()
    origin = Origin(chain=("tally[a]@t9",))
    call = asyncio.create_task(process.call("tally", "add", origin=origin))
    await settle()
    if closed:
        assert (await told(call)).name == "actor.deadlock"
    else:
        assert await call == 2
    assert (await head_of(world)).lease == lease


# -- what callers are told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "outside", "name"),
    [
        (0, False, "actor.restarting"),
        (1, False, "actor.restarting"),
        (1, True, "actor.restarting"),  # the call may be what failed, and then it did nothing
        (2, False, "actor.interrupted"),
        (0, True, "actor.interrupted"),
    ],
)
async def test_to_repeat_is_told_only_where_nothing_was_done(
    calls: int, outside: bool, name: str
) -> None:
    world, process = await begin()
    call = process.call("tally", "act", calls, outside, "actor.restarting")
    assert (await told(asyncio.create_task(call))).name == name
    assert (await head_of(world)).state == b'{"count":1}'


@pytest.mark.parametrize("calls", [0, 1, 2])
async def test_a_commit_that_fails_after_a_call_is_not_to_be_repeated(calls: int) -> None:
    world, process = await begin()
    for _ in range(10):
        world.faults.inject(Fault.BEFORE)
    call = asyncio.create_task(process.call("tally", "act", calls, False, ""))
    await world.clock.advance(60)
    error = await told(call)
    if calls:
        assert error.name == "actor.interrupted"
        assert error.metadata == {"cause": "guard.service_unavailable"}
    else:
        assert error.name == "guard.service_unavailable"


async def test_other_errors_are_told_as_they_are() -> None:
    _, process = await begin()
    call = process.call("tally", "act", 2, True, "shop.sold_out")
    assert (await told(asyncio.create_task(call))).name == "shop.sold_out"


@pytest.mark.parametrize(("error", "seen"), [("", ["later", "ended"]), ("no", ["failed"])])
async def test_what_a_turn_leaves_behind(error: str, seen: list[str]) -> None:
    _, process = await begin()
    call = asyncio.create_task(process.call("tally", "keep", error))
    if error:
        await told(call)
    else:
        await call
    await settle()
    assert sorted(SEEN) == sorted(seen)


@pytest.mark.parametrize(
    ("name", "args", "logged"), [("abort", (), True), ("act", (0, False, "shop.sold_out"), False)]
)
async def test_errors_that_nobody_has_thought_of_are_logged(
    name: str, args: tuple[object, ...], logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, process = await begin()
    with pytest.raises((TimeoutError, ActorError)):
        await process.call("tally", name, *args)
    assert ("unhandled error in" in caplog.text) is logged


# -- what was read ------------------------------------------------------------------------------


async def test_what_is_sent_because_of_an_old_state_is_not_sent() -> None:
    world, process = await begin()
    await others_commit(world)
    assert await process.call("tally", "tell") == 100
    assert SEEN == ["tell", "tell"]
    assert await process.call("tally", "received") == ["100"]


@pytest.mark.parametrize("send", [True, False])
async def test_what_has_read_pairs_runs_again_when_its_process_has_written(send: bool) -> None:
    _, process = await begin()
    call = asyncio.create_task(process.call("tally", "pairs", "x", send))
    await settle()
    await process.call("tally", "put", 1)
    gate("x").set()
    assert await call == ["0"]
    assert SEEN == ["pairs", "pairs"]
    assert await process.call("tally", "received") == (["0"] if send else [])
