"""Timers in a bad world: processes die, the store fails, wakes come early, late, twice or never.

Each seed is one schedule of what goes wrong. When nothing goes wrong any more, everything that was
acknowledged has happened, once, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import logging
import random

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, action
from rivetless.keys import Address
from rivetless.runtime.commands import Sweep, Wake
from rivetless.store.base import Collection
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault, Injection
from tests.unit.runtime.worlds import Bells, Process, World

KEYS = ("a", "b", "c")
FAULTS = (Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.CONFLICT, Fault.LATE)
VERBS = ("commit", "commit", "commit", "load", "records", "current")


class Log(BaseModel):
    seen: list[str] = []
    cancelled: list[str] = []


class Diary(Actor[Log]):
    """Writes down what was planned, when it is due."""

    @action
    async def note(self, text: str) -> None:
        self.state.seen.append(text)

    @action
    async def tick(self) -> None:
        self.state.seen.append(self.turn_id)

    @action
    async def plan(self, delay: float, text: str) -> str:
        return self.schedule.after(delay, self.note, text)

    @action
    async def cancel(self, schedule_id: str, text: str) -> None:
        if await self.schedule.cancel(schedule_id):
            self.state.cancelled.append(text)

    @action
    async def every(self, seconds: float) -> None:
        self.cron.every("job", seconds, self.tick)

    @action
    async def end(self) -> None:
        self.cron.delete("job")

    @action
    async def read(self) -> Log:
        return self.state

    @action
    async def ok_runs(self) -> int:
        return sum(run.result == "ok" for run in await self.cron.history("job", limit=1000))


class Chaos:
    """One run of everything that can go wrong."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.staying = seed % 2 == 0
        self.processes = [self.start() for _ in range(2)]
        self.planned: dict[str, str] = {}
        self.calls: list[asyncio.Task[None]] = []
        self.late: list[Injection] = []
        self.number = 0

    def start(self) -> Process:
        """Start a process: one that stays, or one that rings elsewhere."""
        if self.staying:
            return self.world.staying()
        return self.world.process(Bells())

    async def plan(self, process: Process, key: str, text: str) -> None:
        try:
            delay = self.rng.choice((0.0, 0.01, 1.0, 7.0, 20.0))
            schedule_id = await process.call("diary", "plan", delay, text, key=key)
        except ActorError:
            return  # nothing was promised
        self.planned[text] = key
        if self.rng.random() < 0.2:
            try:
                await process.call("diary", "cancel", schedule_id, text, key=key)
            except ActorError:
                return

    async def wake(self, process: Process, key: str) -> None:
        head = await self.world.store.inner.load(Address("default", "diary", (key,)))
        if head is not None:
            try:
                await process.runtime.dispatch(Wake(head.actor_id))
            except ActorError:
                return

    async def step(self) -> None:
        """Let one thing happen."""
        rng, process, key = self.rng, self.rng.choice(self.processes), self.rng.choice(KEYS)
        match rng.choice(("plan", "plan", "plan", "fault", "wake", "time", "time", "die", "sweep")):
            case "plan":
                self.number += 1
                work = self.plan(process, key, f"{self.number}")
                self.calls.append(asyncio.create_task(work))
            case "fault":
                fault, verb = rng.choice(FAULTS), rng.choice(VERBS)
                if verb != "commit":
                    fault = Fault.BEFORE
                injection = self.world.faults.inject(fault, verb=verb, skip=rng.randrange(3))
                if fault is Fault.LATE:
                    self.late.append(injection)
            case "wake":
                for _ in range(rng.choice((1, 2))):
                    self.calls.append(asyncio.create_task(self.wake(process, key)))
            case "time":
                await self.world.clock.advance(rng.choice((0.01, 0.5, 5.0)))
            case "die":
                process.runtime.abandon()
                self.processes[self.processes.index(process)] = self.start()
            case "sweep":
                self.calls.append(asyncio.create_task(process.runtime.dispatch(Sweep())))
        if self.late and rng.random() < 0.3:
            self.late.pop(0).release()

    async def finish(self) -> Process:
        """Nothing goes wrong any more; one process that stays does what is left."""
        self.world.faults.clear()
        for injection in self.late:
            injection.release()
        await self.world.clock.advance(100)
        await asyncio.gather(*self.calls, return_exceptions=True)
        for process in self.processes:
            process.runtime.abandon()
        last = self.world.staying()
        await self.world.clock.advance(300)
        await settle()
        return last


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rivetless")


@pytest.mark.parametrize("seed", range(40))
async def test_what_was_planned_happens_once(seed: int) -> None:
    world = await World.open(Diary)
    chaos = Chaos(world, seed)
    for _ in range(120):
        await chaos.step()
    last = await chaos.finish()
    for key in KEYS:
        log = await last.call("diary", "read", key=key)
        seen, cancelled = log["seen"], set(log["cancelled"])
        assert len(seen) == len(set(seen))
        assert not cancelled & set(seen)
        promised = {text for text, where in chaos.planned.items() if where == key}
        assert promised - cancelled <= set(seen)
        head = await world.store.inner.load(Address("default", "diary", (key,)))
        assert head is not None
        assert head.alarm is None
        assert head.counters.get("schedules", 0) == 0
        assert await world.store.inner.records(head.actor_id, Collection.SCHEDULE) == []
    last.runtime.abandon()


@pytest.mark.parametrize("seed", range(20))
async def test_jobs_go_on(seed: int) -> None:
    world = await World.open(Diary)
    chaos = Chaos(world, seed)
    for key in KEYS:
        await chaos.processes[0].call("diary", "every", 5, key=key)
    for _ in range(120):
        await chaos.step()
    last = await chaos.finish()
    for key in KEYS:
        log = await last.call("diary", "read", key=key)
        runs = [each for each in log["seen"] if not each.isdigit()]
        assert len(runs) == len(set(runs))  # no run took effect twice
        assert len(runs) == await last.call("diary", "ok_runs", key=key)
        assert len(runs) >= 300 / 5 - 2  # none was missing when nothing went wrong any more
        await last.call("diary", "end", key=key)
    await world.clock.advance(60)
    for key in KEYS:
        head = await world.store.inner.load(Address("default", "diary", (key,)))
        assert head is not None
        assert (head.alarm, head.counters.get("schedules", 0)) == (None, 0)
        for collection in (Collection.SCHEDULE, Collection.CRON, Collection.HISTORY):
            assert await world.store.inner.records(head.actor_id, collection) == []
    last.runtime.abandon()
