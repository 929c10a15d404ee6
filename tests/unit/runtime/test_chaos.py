"""Many calls, several processes, a store that fails at random: what was acknowledged has happened.

Each seed is one schedule. The counter's state is the log of the calls that took effect, so that
every answer can be compared with it afterwards.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, action
from rivetless.clock import sleep
from rivetless.runtime.commands import Origin
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World

FAULTS = (Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.LATE, Fault.CONFLICT)
REFUSALS = ("guard.service_unavailable", "actor.conflict")
"""What a caller may be told when nothing has happened."""

PAUSES: set[asyncio.Future[None]] = set()


class Log(BaseModel):
    calls: list[str] = []


class Ledger(Actor[Log]):
    """Writes down which calls took effect, in order."""

    @action
    async def note(self, call: str, pause: bool = False) -> int:
        self.state.calls.append(call)
        if pause:
            await _pause()
        return len(self.state.calls)

    @action(exclusive=True)
    async def note_alone(self, call: str, pause: bool = False) -> int:
        self.state.calls.append(call)
        if pause:
            await _pause()
        return len(self.state.calls)

    @action
    async def forward(self, call: str, pause: bool = False) -> int:
        other = self.client.get_or_create(Ledger, "other")
        await other.note(call)
        if pause:
            await _pause()
        self.state.calls.append(call)
        return len(self.state.calls)

    @action
    async def calls(self) -> list[str]:
        return self.state.calls


async def _pause() -> None:
    """Wait for something outside."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    PAUSES.add(future)
    try:
        await future
    finally:
        PAUSES.discard(future)


class Run:
    """One seed's schedule, and what its callers were told."""

    def __init__(self, seed: int, world: World) -> None:
        self.rng = random.Random(seed)
        self.world = world
        self.processes = [world.process() for _ in range(3)]
        self.late: list[Any] = []
        self.answers: dict[str, tuple[str, int]] = {}
        self.refused: set[str] = set()
        self.unknown: set[str] = set()

    async def call(self, number: int) -> None:
        rng = self.rng
        await sleep(self.world.clock, rng.random() * 3)
        if rng.random() < 0.3:
            await self.look(rng.choice(self.processes))
            return
        name = rng.choice(["note", "note", "note", "note_alone", "forward"])
        call = f"{name}-{number}"
        keyed = rng.random() < 0.4
        origin = Origin(call_key=f"i:{call}") if keyed else Origin()
        process: Process = rng.choice(self.processes)
        pause = rng.random() < 0.3
        for _ in range(8 if keyed else 1):
            try:
                result = await process.call("ledger", name, call, pause, origin=origin)
            except ActorError as error:
                if error.name in ("actor.outcome_unknown", "actor.interrupted"):
                    self.unknown.add(call)
                elif error.name not in REFUSALS:
                    raise
                else:
                    if name == "forward":
                        self.unknown.add(call)  # the other actor may have been told
                    self.refused.add(call)
                process = rng.choice(self.processes)
            else:
                self.answers[call] = (name, result)
                self.unknown.discard(call)
                self.refused.discard(call)
                return

    async def look(self, process: Process) -> None:
        """Read; whatever was acknowledged before must be seen."""
        least = max((position for _, position in self.answers.values()), default=0)
        try:
            seen = await process.call("ledger", "calls")
        except ActorError as error:
            if error.name not in REFUSALS:
                raise
        else:
            assert len(seen) >= least, "a read was stale"

    async def drive(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let time pass, inject faults, and let late things arrive, until every call has ended."""
        rng = self.rng
        for _ in range(3000):
            if all(task.done() for task in tasks):
                break
            if rng.random() < 0.25 and self.world.faults.planned < 3:
                fault = rng.choice(FAULTS)
                injection = self.world.faults.inject(fault, skip=rng.randrange(3))
                if fault is Fault.LATE:
                    self.late.append(injection)
            if self.late and rng.random() < 0.3:
                self.late.pop(rng.randrange(len(self.late))).release()
            for future in list(PAUSES):
                if rng.random() < 0.5 and not future.done():
                    future.set_result(None)
            if rng.random() < 0.03:
                victim = rng.randrange(3)
                self.processes[victim] = self.world.process()
            await self.world.clock.advance(rng.choice([0, 0.001, 0.02, 0.3]))
        for injection in self.late:
            injection.release()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("seed", range(60))
async def test_what_was_acknowledged_has_happened_once(seed: int) -> None:
    PAUSES.clear()
    world = await World.open(Ledger)
    run = Run(seed, world)
    tasks = [asyncio.create_task(run.call(n)) for n in range(40)]
    await run.drive(tasks)
    world.faults.clear()
    reader = asyncio.create_task(world.process().call("ledger", "calls"))
    other = asyncio.create_task(world.process().call("ledger", "calls", key="other"))
    while not (reader.done() and other.done()):
        await world.clock.advance(1)
    log: list[str] = reader.result()
    assert len(log) == len(set(log)), "a call took effect twice"
    for call, (_, position) in run.answers.items():
        assert log[position - 1] == call, "an answer does not fit the state"
    for call in run.refused - run.unknown:
        assert call not in log, "a call that was refused took effect"
    assert set(log) <= set(run.answers) | run.unknown
    forwarded: list[str] = other.result()
    assert len(forwarded) == len(set(forwarded)), "a call between actors took effect twice"
    assert {c for c in run.answers if c.startswith("forward")} <= set(forwarded)
