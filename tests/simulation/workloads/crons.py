"""Recurring jobs: no overlap, no double run, no storm."""

import asyncio
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, FireInfo, action
from rivetless.testing.simulation.checkers import timers
from rivetless.testing.simulation.history import Ok
from tests.simulation.workloads.base import SKEW, Program, Workload


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

    @action
    async def beat(self, name: str, fire: FireInfo | None = None) -> None:
        """Take some time, sometimes too much of it."""
        assert fire is not None
        due = fire.scheduled_at.timestamp()
        began = fire.fired_at.timestamp()
        if name == "long":
            await asyncio.sleep(6.0)
        elif name == "slow":
            await asyncio.sleep(0.02)
        elif int(due / 5) % 5 == 0:
            raise RuntimeError("injected: skipped a beat")
        self.state.runs.append((name, due, began, began))

    @action
    async def runs(self) -> list[tuple[str, float, float, float]]:
        """Return name, due time, beginning and end of all runs."""
        return self.state.runs

    @action
    async def jobs(self) -> list[str]:
        """Return the jobs there are."""
        return [job.name for job in await self.cron.list()]


class Crons(Workload):
    """Jobs that are set, set again, and deleted."""

    name = "crons"
    actors = (Heart,)

    def programs(self) -> Iterable[Program]:
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

    async def check(self) -> None:
        runs = await self.read(Heart, "a", "runs")
        timers.recur(
            [
                timers.Run(
                    job=name,
                    due=self.since_start(due),
                    began=self.since_start(began),
                    ended=None,
                )
                for name, due, began, _ in runs
            ],
            skew=SKEW,
        )

    async def settle(self) -> None:
        """End all jobs, or there is no end of them."""
        self.sim.world.weather.calm = True
        for name in ("slow", "quick", "long"):
            outcome = None
            while not isinstance(outcome, Ok):
                outcome = await self.call("end", Heart, "a", "end", name)
                await self.pause(1.0)
