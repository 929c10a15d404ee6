"""Recurring jobs: no overlap, no double run, no storm, no drift, and a history that is true."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel

from rivetless import Actor, FireInfo, action
from rivetless.testing.simulation.checkers import timers
from rivetless.testing.simulation.clock import EPOCH
from rivetless.testing.simulation.history import Ok
from rivetless.testing.simulation.process import Process
from rivetless.testing.simulation.simulation import Simulation
from tests.simulation.workloads.base import SKEW, Program, Workload, witness

EVERY = 5.0
"""Seconds from one run of the job that is watched to the next."""

TIMEOUT = 6.5
"""Seconds that a run may take; 20 s later it counts as dead."""

FOUND = TIMEOUT + 20 + 60
"""Seconds after which a sweeper has found a run that is dead."""


class Runs(BaseModel):
    runs: list[tuple[str, float, float, float]] = []
    touched: int = 0


class Heart(Actor[Runs]):
    """Beats."""

    @action
    async def begin(self, name: str, every: float) -> None:
        """Beat every so often."""
        self.cron.every(name, every, self.beat, name)

    @action
    async def end(self, name: str) -> None:
        """Beat no more."""
        self.cron.delete(name)

    @action
    async def touch(self) -> int:
        """Change the state, so that what beats conflicts."""
        self.state.touched += 1
        return self.state.touched

    @action(timeout=TIMEOUT)
    async def beat(self, name: str, fire: FireInfo | None = None) -> None:
        """Take some time, sometimes too much of it."""
        assert fire is not None
        due = fire.scheduled_at.timestamp()
        began = fire.fired_at.timestamp()
        if name == "long":
            await asyncio.sleep(6.0)
        elif name == "watched":
            witness("beats", name)
            await asyncio.sleep(3.5)
        elif name == "slow":
            await asyncio.sleep(0.02)
        elif int(due / 5) % 5 == 0:
            raise RuntimeError("injected: skipped a beat")
        ended = EPOCH + Simulation.current().now
        self.state.runs.append((name, due, began, ended))

    @action
    async def runs(self) -> list[tuple[str, float, float, float]]:
        """Return name, due time, beginning and end of all runs."""
        return self.state.runs

    @action
    async def past(self, name: str) -> tuple[list[tuple[str, float]], list[float]]:
        """Return what the job's history says, oldest first, and the runs that took effect."""
        history = await self.cron.history(name, limit=100)
        told = [(str(run.result), run.scheduled_at.timestamp()) for run in reversed(history)]
        return told, [due for own, due, _, _ in self.state.runs if own == name]

    @action
    async def jobs(self) -> list[str]:
        """Return the jobs there are."""
        return [job.name for job in await self.cron.list()]


class Crons(Workload):
    """Jobs that are set, set again, and deleted."""

    name = "crons"
    actors = (Heart,)
    watched: ClassVar = 0.03
    """In which part of the seeds one job is watched, and nothing else is done."""

    past: Any = None
    """What the watched job's history says, and what was done; None where that is not known."""

    def programs(self) -> Iterable[Program]:
        if self.dice("watched").random() < self.watched:
            return [self.watch("c0")]
        return [self.client(f"c{n}") for n in range(self.between(1, 2))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(dice.randint(2, 4)):
            name = dice.choice(("slow", "quick", "long"))
            chance = dice.random()
            if chance < 0.6:
                await self.call(client, Heart, "a", "begin", name, dice.choice((5.0, 7.0)))
            elif chance < 0.7:
                await self.call(client, Heart, "a", "end", name)
            else:
                await self.call(client, Heart, "a", "touch")
            await self.pause(dice.random() * 6)
        await self.pause(10)

    async def watch(self, client: str) -> None:
        """Have something happen to the process that runs a job, and see how it goes on."""
        dice = self.dice(client)
        while not isinstance(await self.call(client, Heart, "a", "begin", "watched", EVERY), Ok):
            await self.pause(1.0)
        for _ in range(dice.randint(0, 1)):
            await self.pause(EVERY)
        runs = len(self.seen("beats"))
        for _ in range(300):
            if len(self.seen("beats")) > runs:
                break
            await self.pause(0.4)
        await self.pause(dice.random())
        victim = next((one for one in self.sim.world.processes if self.beats(one)), None)
        if victim is not None and dice.random() < 0.4:
            victim.vitality.die()
        elif victim is not None:
            victim.vitality.freeze()
            for _ in range(round(FOUND)):
                await self.pause(1.0)
                if not self.beats(victim):
                    break  # another process has found out, and runs it
            victim.vitality.thaw()
        await self.pause(FOUND)

    def beats(self, process: Process) -> bool:
        """Whether a process is the last one in which the job was run."""
        return any(one.process == process.name for one in self.seen("beats")[-1:])

    def check_watched(self, told: list[tuple[str, float]], effects: list[float]) -> None:
        """History is of what was done, each time once, and all times are on one grid."""
        where = f"history {told}, took effect {effects}"
        times = [at for _, at in told]
        self.must(len(set(times)) == len(times), f"two runs for one time: {where}")
        grid = {round(at * 1000) % round(EVERY * 1000) for at in (*times, *effects)}
        self.must(len(grid) <= 1, f"times off the grid: {where}")
        self.must(effects == sorted(effects), f"runs took effect out of order: {where}")
        done = [at for result, at in told if result == "ok"]
        self.must(effects == done, f"what is told is not what was done: {where}")

    async def check(self) -> None:
        if self.past is not None:
            self.check_watched(*self.past)
        runs = await self.read(Heart, "a", "runs")
        timers.recur(
            [
                timers.Run(
                    job=name,
                    due=self.since_start(due),
                    began=self.since_start(began),
                    ended=self.since_start(ended),
                )
                for name, due, began, ended in runs
            ],
            skew=SKEW,
        )

    async def settle(self) -> None:
        """End all jobs, or there is no end of them."""
        self.sim.world.weather.calm = True
        if self.seen("beats"):
            outcome = await self.call("end", Heart, "a", "past", "watched")
            self.past = outcome.value if isinstance(outcome, Ok) else None
        for name in ("slow", "quick", "long", "watched"):
            while not isinstance(await self.call("end", Heart, "a", "end", name), Ok):
                await self.pause(1.0)
