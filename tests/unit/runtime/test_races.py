"""Two things at once: what a slow store, a second process or a vanished caller must not break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, UserError, action
from rivetless.actor.context import Conn
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ByKey,
    CloseConnection,
    ConnectionAction,
    OpenConnection,
    Origin,
)
from rivetless.runtime.runtime import Runtime
from rivetless.store.base import Collection
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World


class Count(BaseModel):
    count: int = 0


class Seen(BaseModel):
    seen: int = 0


runs: list[str] = []
gates: dict[str, asyncio.Event] = {}


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@pytest.fixture(autouse=True)
def fresh() -> None:
    runs.clear()
    gates.clear()


class Tally(Actor[Count]):
    @action
    async def add(self, amount: int = 1) -> int:
        runs.append("add")
        self.state.count += amount
        return self.state.count

    @action
    async def get(self) -> int:
        return self.state.count

    @action
    async def text(self, size: int) -> str:
        runs.append("text")
        self.state.count += 1
        return "x" * size

    @action
    async def text_in_parts(self, size: int) -> str:
        runs.append("text")
        self.state.count += 1
        await self.save_state()
        return "x" * size

    @action(exclusive=True)
    async def alone(self, name: str = "") -> int:
        self.state.count += 1
        if name:
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
    async def pay(self, name: str) -> str:
        async def once() -> str:
            runs.append("pay")
            await gate(name).wait()
            return "paid"

        receipt = await self.once("pay", once)
        self.state.count += 1
        return receipt

    @action
    async def destroy_in_parts(self) -> None:
        self.destroy()
        self.state.count += 1
        await self.save_state()
        self.state.count += 1


class Waker(Actor[Count]):
    async def on_wake(self) -> None:
        runs.append("wake")
        self.state.count += 1

    async def on_sleep(self) -> None:
        runs.append("sleep")
        if "sleep" in gates:
            await gate("sleep").wait()

    @action
    async def get(self) -> int:
        return self.state.count

    @action(exclusive=True)
    async def alone(self, name: str = "") -> int:
        self.state.count += 1
        if name:
            await gate(name).wait()
        return self.state.count

    @action
    async def go_to_sleep(self) -> None:
        self.sleep()


class Careful(Actor[Count]):
    """Asks for the impossible in a hook; leaves work for later in another."""

    async def on_create(self) -> None:
        try:
            await self.save_state()
        except ActorError as error:
            runs.append(error.name)
        self.wait_until(self._later())

    async def _later(self) -> None:
        runs.append("later")
        self.state.count += 1

    @action
    async def get(self) -> int:
        return self.state.count


class Visits(Actor[Count, Seen, Any]):
    async def on_before_connect(self, params: Any) -> None:
        if params == "refuse":
            raise UserError("no")

    async def create_conn_state(self, params: Any) -> Seen:
        return Seen()

    async def on_disconnect(self, conn: Conn[Seen, Any]) -> None:
        runs.append("disconnect")

    @action
    async def see(self, name: str = "") -> int:
        runs.append("see")
        self.conn.state.seen += 1
        if name:
            await gate(name).wait()
        return self.conn.state.seen

    @action
    async def look(self, name: str) -> tuple[int, int]:
        count = self.state.count
        await gate(name).wait()
        return count, self.conn.state.seen

    @action
    async def both(self) -> None:
        self.state.count += 1
        self.conn.state.seen += 1

    @action
    async def remove(self) -> None:
        self.destroy()


ACTORS = (Tally, Waker, Careful, Visits)


async def open_world(**options: Any) -> World:
    return await World.open(*ACTORS, **options)


async def finish(world: World, *tasks: asyncio.Task[Any]) -> list[Any]:
    for _ in range(1000):
        if all(task.done() for task in tasks):
            break
        await world.clock.advance(0.1)
    return [task.result() for task in tasks]


async def connect(
    process: Process, conn_id: str, params: object = None, name: str = "visits"
) -> str:
    target = ByKey(Address("default", name, ("a",)), create=True)
    command = OpenConnection(target, conn_id, "events", "h1", Origin(params=params))
    return (await process.runtime.dispatch(command)).actor_id


# -- commits and answers --------------------------------------------------------------------------


async def test_a_lost_acknowledgement_with_a_later_commit_on_top() -> None:
    world = await open_world()
    one, two = world.process(), world.process()
    await one.call("tally", "add")
    held = world.faults.inject(Fault.HELD_LOST)
    unlucky = asyncio.create_task(one.call("tally", "add"))
    await held.reached.wait()
    assert await two.call("tally", "add", 10) == 12
    held.release()
    assert await unlucky == 2
    assert await one.call("tally", "add") == 13


async def test_a_slow_acknowledgement_makes_no_stale_read() -> None:
    world = await open_world()
    one, two = world.process(), world.process()
    await one.call("tally", "add")
    held = world.faults.inject(Fault.HELD_AFTER)
    writer = asyncio.create_task(one.call("tally", "add"))
    await held.reached.wait()
    assert await two.call("tally", "add", 10) == 12
    reader = asyncio.create_task(one.call("tally", "get"))
    await settle()
    held.release()
    assert await finish(world, writer, reader) == [2, 12]


async def test_a_reader_beside_a_writer_disturbs_nobody() -> None:
    world = await open_world()
    process = world.process()
    await process.call("tally", "add")
    world.store.reset()
    held = world.faults.inject(Fault.HELD_AFTER)
    reader = asyncio.create_task(process.call("tally", "get"))
    writer = asyncio.create_task(process.call("tally", "add"))
    await held.reached.wait()
    await settle()
    held.release()
    await finish(world, reader, writer)
    assert world.store.calls["load"] == 0


@pytest.mark.parametrize("size", [5, 5000])
async def test_a_repeat_waits_until_the_first_answer_is_durable(size: int) -> None:
    world = await open_world()
    process = world.process()
    await process.call("tally", "add")
    held = world.faults.inject(Fault.HELD)
    origin = Origin(call_key="i:k")
    first = asyncio.create_task(process.call("tally", "text", size, origin=origin))
    await held.reached.wait()
    again = asyncio.create_task(process.call("tally", "text", size, origin=origin))
    await settle()
    assert not again.done()
    held.release()
    await finish(world, first, again)
    assert await process.call("tally", "get") == 2
    assert runs.count("text") == 1


async def test_answers_pushed_out_of_the_ring_are_found_before_they_are_durable() -> None:
    world = await open_world()
    process = world.process()
    await process.call("tally", "add")
    held = world.faults.inject(Fault.HELD)
    origins = [Origin(call_key=f"i:{n}") for n in range(40)]
    calls = [asyncio.create_task(process.call("tally", "add", origin=o)) for o in origins]
    await held.reached.wait()
    await settle()
    calls += [asyncio.create_task(process.call("tally", "add", origin=o)) for o in origins]
    await settle()
    held.release()
    results = await finish(world, *calls)
    assert results[:40] == results[40:]
    assert await process.call("tally", "get") == 41


async def test_a_long_answer_after_a_checkpoint_is_kept() -> None:
    world = await open_world()
    process = world.process()
    origin = Origin(call_key="i:k")
    answer = await process.call("tally", "text_in_parts", 5000, origin=origin)
    for n in range(20):  # now the note of the checkpoint leaves the ring
        assert await process.call("tally", "text_in_parts", 5000, origin=origin) == answer
        await process.call("tally", "add", origin=Origin(call_key=f"i:{n}"))
    assert await world.process().call("tally", "text_in_parts", 5000, origin=origin) == answer
    assert runs.count("text") == 1


async def test_a_result_of_once_outlives_the_commit_it_joined() -> None:
    world = await open_world()
    process = world.process()
    await process.call("tally", "add")
    paying = asyncio.create_task(process.call("tally", "pay", "x"))
    await settle()
    world.faults.inject(Fault.CONFLICT)
    gate("x").set()
    assert await finish(world, paying) == ["paid"]
    assert runs.count("pay") == 1
    assert await process.call("tally", "get") == 2


async def test_what_save_state_commits_does_not_destroy() -> None:
    world = await open_world()
    process = world.process()
    await process.call("tally", "add")
    await process.call("tally", "destroy_in_parts")
    with pytest.raises(ActorError, match="not_found"):
        await process.call("tally", "get", create=False)


# -- holds and leases -----------------------------------------------------------------------------


async def test_a_call_that_is_sent_twice_at_once_holds_the_actor_once() -> None:
    world = await open_world()
    process = world.process()
    origin = Origin(call_key="i:k")
    calls = [
        asyncio.create_task(process.call("tally", "alone", "x", origin=origin)) for _ in range(2)
    ]
    await settle()
    third = asyncio.create_task(process.call("tally", "alone"))
    await settle()
    gate("x").set()
    assert await finish(world, *calls, third) == [1, 1, 2]


@pytest.mark.parametrize("verb", ["in_parts", "pay"])
async def test_a_lease_taken_in_the_middle_is_renewed(verb: str) -> None:
    world = await open_world()
    one, two = world.process(), world.process()
    await one.call("tally", "get")
    first = asyncio.create_task(one.call("tally", verb, "x"))
    await settle()
    second = asyncio.create_task(two.call("tally", "add"))
    await world.clock.advance(30)
    assert not second.done()
    gate("x").set()
    await finish(world, first, second)
    assert await two.call("tally", "get") == (12 if verb == "in_parts" else 2)


async def test_the_holder_of_an_actor_can_wake_it() -> None:
    world = await open_world()
    one, two = world.process(), world.process()
    await one.call("waker", "get")
    held = world.faults.inject(Fault.HELD)
    first = asyncio.create_task(two.call("waker", "alone"))
    await held.reached.wait()
    await one.call("waker", "alone")
    held.release()
    assert await finish(world, first) == [4]


async def test_nobody_wakes_an_actor_that_another_turn_holds() -> None:
    world = await open_world()
    process = world.process()
    await process.call("waker", "get")
    holder = asyncio.create_task(process.call("waker", "alone", "x"))
    await settle()
    sleeping = asyncio.create_task(process.call("waker", "go_to_sleep"))
    await world.clock.advance(1)
    gate("x").set()
    await finish(world, holder, sleeping)
    holder = asyncio.create_task(process.call("waker", "alone", "y"))
    await settle()
    cell = next(iter(process.runtime.cells))
    cell.end_tenure("restarted")
    reader = asyncio.create_task(process.call("waker", "get"))
    await settle()
    assert not reader.done()
    gate("y").set()
    await finish(world, holder, reader)


async def test_a_checkpoint_in_a_lifecycle_hook_is_refused_and_holds_nothing() -> None:
    world = await open_world()
    process = world.process()
    assert await finish(world, asyncio.create_task(process.call("careful", "get"))) == [0]
    await settle()
    assert runs == ["actor.invalid_operation", "later"]
    assert await process.call("careful", "get") == 1


async def test_a_lease_does_not_outlive_a_turn_whose_commit_failed() -> None:
    world = await open_world()
    one, two = world.process(), world.process()
    await one.call("tally", "get")
    first = asyncio.create_task(one.call("tally", "alone", "x"))
    await settle()
    world.faults.inject(Fault.BEFORE)
    gate("x").set()
    with pytest.raises(ActorError, match="interrupted"):
        await first
    await settle()
    assert await asyncio.wait_for(two.call("tally", "add"), 1) == 1


@pytest.mark.parametrize("verb", ["add", "alone", "in_parts", "pay", "text_in_parts"])
async def test_a_caller_that_goes_away_leaves_nothing_behind(verb: str) -> None:
    """Cancelled after every possible number of steps of the loop."""
    arguments = {"in_parts": ("x",), "pay": ("x",), "text_in_parts": (5,)}
    for steps in range(30):
        gates.clear()
        world = await open_world()
        process = world.process()
        task = asyncio.create_task(process.call("tally", verb, *arguments.get(verb, ())))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await settle()
        gate("x").set()
        [cell] = process.runtime.cells or [None]
        assert cell is None or cell.idle, steps
        assert await asyncio.wait_for(world.process().call("tally", "add"), 1) in (1, 2, 3, 12)


# -- tenures --------------------------------------------------------------------------------------


async def test_an_actor_falls_asleep_once() -> None:
    world = await open_world()
    process = world.process()
    await process.call("waker", "get")
    gate("sleep")
    calls = [asyncio.create_task(process.call("waker", "go_to_sleep")) for _ in range(3)]
    await finish(world, *calls)
    await settle()
    gate("sleep").set()
    await settle()
    assert runs == ["wake", "sleep"]


async def test_actors_that_make_room_sleep_in_their_own_tenure() -> None:
    world = await open_world()
    runtime = Runtime(world.definitions, world.store, clock=world.clock, max_cells=3)
    process = Process(world)
    process.runtime = runtime
    for n in range(10):
        await process.call("waker", "get", key=str(n))
        await settle()
    assert (runs.count("wake"), runs.count("sleep")) == (10, 7)
    assert len(runtime.cells) == 3


async def test_closing_waits_for_turns_and_puts_everyone_to_sleep() -> None:
    world = await open_world()
    process = world.process()
    await process.call("waker", "get", key="a")
    turn = asyncio.create_task(process.call("waker", "alone", "x", key="b"))
    await settle()
    closing = asyncio.create_task(process.runtime.aclose())
    await settle()
    assert not closing.done()
    gate("x").set()
    await finish(world, turn, closing)
    assert runs.count("sleep") == 2


# -- connections ----------------------------------------------------------------------------------


async def test_two_turns_that_change_one_connection_at_once() -> None:
    world = await open_world()
    process = world.process()
    actor_id = await connect(process, "c1")
    see = ConnectionAction(actor_id, "c1", 0, "see", ["x"])
    slow = asyncio.create_task(process.runtime.dispatch(see))
    await settle()
    see = ConnectionAction(actor_id, "c1", 1, "see", [])
    assert (await process.runtime.dispatch(see)).output == 1
    gate("x").set()
    [result] = await finish(world, slow)
    assert result.output == 2


async def test_a_connections_state_belongs_to_the_snapshot() -> None:
    world = await open_world()
    process = world.process()
    actor_id = await connect(process, "c1")
    look = ConnectionAction(actor_id, "c1", 0, "look", ["x"])
    slow = asyncio.create_task(process.runtime.dispatch(look))
    await settle()
    await process.runtime.dispatch(ConnectionAction(actor_id, "c1", 1, "both", []))
    gate("x").set()
    [result] = await finish(world, slow)
    assert result.output in ((0, 0), (1, 1))


async def test_a_refused_connection_is_not_remembered() -> None:
    world = await open_world()
    process = world.process()
    await connect(process, "c1")
    for n in range(3):
        with pytest.raises(UserError):
            await connect(process, f"x{n}", "refuse")
    [cell] = process.runtime.cells
    assert set(cell.conns) == {"c1"}


async def test_a_connection_that_two_notice_to_be_gone_ends_once() -> None:
    world = await open_world()
    process = world.process()
    actor_id = await connect(process, "c1")
    runs.clear()
    await asyncio.gather(
        *(process.runtime.dispatch(CloseConnection(actor_id, "c1", code)) for code in (1000, 1006))
    )
    assert runs == ["disconnect"]
    assert await world.store.records(actor_id, Collection.CONNECTION) == []


async def test_an_actor_with_more_connections_than_a_commit_may_hold_can_be_destroyed() -> None:
    world = await open_world()
    process = world.process()
    actor_id = await connect(process, "c1")
    for n in range(60):
        await connect(process, f"x{n}")
    world.limit(max_commit_records=100)
    await process.call("visits", "remove")
    await settle()
    assert await world.store.load(actor_id) is None
