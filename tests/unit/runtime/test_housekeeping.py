"""What a process does besides turns: it sweeps, forgets actors that it need not know, and ends."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.keys import Address
from rivetless.runtime import sweeper
from rivetless.runtime.commands import ById, ByKey, GetActor
from rivetless.runtime.runtime import Runtime
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.rig import Rig
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World


class Log(BaseModel):
    lines: list[str] = []


GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()


class Plain(Actor[Log]):
    """Does this and that; has no hook that would be missed."""

    notes = Queue[str]()

    @action
    async def note(self, line: str) -> int:
        """Write a line."""
        self.state.lines.append(line)
        return len(self.state.lines)

    @action
    async def plan(self, seconds: float) -> None:
        """Have a line written later."""
        self.schedule.after(seconds, self.note, "planned")

    @action
    async def hold(self, gate: str) -> int:
        """Wait for a gate."""
        await GATES.setdefault(gate, asyncio.Event()).wait()
        return len(self.state.lines)

    @action
    async def tell(self, count: int) -> None:
        """Send many others a message each."""
        for number in range(count):
            other = self.client.get_or_create(Plain, f"other {number}")
            await self.client.send(other, Plain.notes, f"for {number}")

    @action
    async def take(self) -> list[str]:
        """Receive what is there."""
        return [message.body for message in await self.queue.try_next_batch(count=10)]

    @action
    async def destroy_self(self) -> None:
        """End."""
        self.destroy()


# -- sweeping -------------------------------------------------------------------------------------


async def overdue(world: World, count: int) -> None:
    """Make actors whose timers are due, in a process that has died."""
    process = world.process()
    for number in range(count):
        await process.call("plain", "plan", 5, key=str(number))
    process.runtime.abandon()
    world.freeze()
    await world.clock.advance(20)


async def lines(process: Process, count: int) -> list[int]:
    """Count what each actor has written, and one more."""
    return [await process.call("plain", "note", "seen", key=str(n)) for n in range(count)]


async def test_a_pass_that_could_not_see_all_is_followed_by_another_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 3)
    world = await World.open(Plain)
    await overdue(world, 10)
    process = world.staying()
    await world.clock.advance(sweeper.INTERVAL / 2)
    assert await lines(process, 10) == [2] * 10
    await process.runtime.aclose()


async def test_a_pass_that_is_asked_for_once_is_not_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 3)
    world = await World.open(Plain)
    await overdue(world, 10)
    world.store.reset()
    await world.process().runtime.sweeper.sweep()
    await world.clock.advance(3 * sweeper.INTERVAL)
    assert world.store.calls["due"] == 1


async def test_a_pass_ends_before_its_host_does() -> None:
    world = await World.open(Plain)
    await overdue(world, 3)
    process = world.process()
    world.store.reset()
    await process.runtime.sweeper.sweep(world.clock.now() + sweeper.MARGIN / 2)
    assert world.store.calls["load"] == 0
    await process.runtime.sweeper.sweep(world.clock.now() + 100)
    assert world.store.calls["load"] >= 3


async def test_what_ended_meanwhile_is_passed_over() -> None:
    world = await World.open(Plain)
    await overdue(world, 2)
    held = world.faults.inject(Fault.HELD_AFTER, verb="due")
    sweeping = asyncio.create_task(world.process().runtime.sweeper.sweep())
    await held.reached.wait()
    ending = world.process()
    await ending.call("plain", "destroy_self", key="0")
    await settle()
    held.release()
    await sweeping
    assert await world.store.load(Address("default", "plain", ("0",))) is None


async def test_two_passes_do_not_overlap() -> None:
    world = await World.open(Plain)
    held = world.faults.inject(Fault.HELD, verb="due")
    process = world.staying()
    await held.reached.wait()
    world.store.reset()
    await world.clock.advance(3 * sweeper.INTERVAL)
    assert world.store.calls["due"] == 0
    held.release()
    await world.clock.advance(sweeper.INTERVAL)
    assert world.store.calls["due"] >= 1
    await process.runtime.aclose()


# -- forgetting -----------------------------------------------------------------------------------


async def test_actors_with_work_under_way_are_not_forgotten() -> None:
    world = await World.open(Plain)
    process = Process(world)
    process.runtime = Runtime(world.definitions, world.store, clock=world.clock, max_cells=2)
    held = asyncio.create_task(process.call("plain", "hold", "gate", key="held"))
    await settle()
    infos = [
        await process.runtime.dispatch(
            GetActor(ByKey(Address("default", "plain", (str(n),)), create=True))
        )
        for n in range(10)
    ]
    assert len(process.runtime.cells) <= 3
    GATES["gate"].set()
    assert await held == 0
    # Whoever is forgotten is found again, by id too.
    found = await process.runtime.dispatch(GetActor(ById("default", infos[0].actor_id)))
    assert found.address == infos[0].address


async def test_ids_of_lives_that_ended_elsewhere_are_forgotten_too() -> None:
    world = await World.open(Plain)
    process, other = Process(world), world.process()
    process.runtime = Runtime(world.definitions, world.store, clock=world.clock, max_cells=2)
    for _ in range(10):
        await other.call("plain", "note", "x")
        info = await other.runtime.dispatch(GetActor(ByKey(Address("default", "plain", ("a",)))))
        await process.runtime.dispatch(GetActor(ById("default", info.actor_id)))
        await other.call("plain", "destroy_self")
        await settle()
    assert len(process.runtime.cells._addresses) <= 5


# -- sending to many ------------------------------------------------------------------------------


async def test_what_one_turn_sends_to_many_arrives_at_each() -> None:
    async with Rig() as rig:
        await rig.client.get_or_create(Plain, "a").tell(40)
        await rig.settle()
        for number in range(40):
            other = rig.client.get_or_create(Plain, f"other {number}")
            assert await other.take() == [f"for {number}"]


# -- ending ---------------------------------------------------------------------------------------


async def test_a_runtime_that_ends_says_what_it_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    world = await World.open(Plain)
    async with Runtime(world.definitions, world.store, clock=clock) as runtime:
        process = Process(world)
        process.runtime = runtime
        await process.call("plain", "note", "x")
        runtime.begin(asyncio.Event().wait())
        leaving = asyncio.create_task(clock.advance(100))
        with caplog.at_level(logging.WARNING, "rivetless"):
            await asyncio.gather(leaving, runtime.aclose())
    assert "was cancelled" in caplog.text
