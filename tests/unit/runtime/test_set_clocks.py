"""A clock that is put back while something is under way."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from rivetless import Actor, FireInfo, action
from rivetless.runtime.schedules import KIND, ScheduleRunner
from rivetless.runtime.waking import Firing
from rivetless.testing.clock import settle
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import World


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()


class Fires(BaseModel):
    fires: list[tuple[float, float]] = []


class Alarm(Actor[Fires]):
    @action
    async def plan(self, seconds: float) -> None:
        self.schedule.after(seconds, self.ring)

    @action
    async def repeat(self, seconds: float) -> None:
        self.cron.every("work", seconds, self.work)

    @action
    async def ring(self, fire: FireInfo | None = None) -> None:
        assert fire is not None
        self.state.fires.append((fire.scheduled_at.timestamp(), fire.fired_at.timestamp()))

    @action
    async def work(self) -> None:
        await gate("work").wait()

    @action
    async def fires(self) -> list[tuple[float, float]]:
        return self.state.fires

    @action
    async def runs(self) -> list[tuple[float, float | None]]:
        found: list[tuple[float, float | None]] = []
        for run in await self.cron.history("work"):
            ended = None if run.ended_at is None else run.ended_at.timestamp()
            found.append((run.fired_at.timestamp(), ended))
        return found


async def test_a_timer_has_never_fired_before_it_was_due() -> None:
    world = await World.open(Alarm)
    process = world.staying()
    runner = ScheduleRunner(process.runtime)

    async def put_back(firing: Firing) -> None:
        world.clock.jump(-1.0)
        await runner.fire(firing)

    process.runtime.waking.on_timer(KIND, put_back)
    await process.call("alarm", "plan", 5.0)
    await world.clock.advance(5.0)
    [(scheduled_at, fired_at)] = await process.call("alarm", "fires")
    assert fired_at == scheduled_at


async def test_a_run_has_never_ended_before_it_began() -> None:
    world = await World.open(Alarm)
    process = world.staying()
    await process.call("alarm", "repeat", 5.0)
    await world.clock.advance(5.0)
    world.clock.jump(-1.0)
    gate("work").set()
    await settle()
    [(fired_at, ended_at)] = await process.call("alarm", "runs")
    assert ended_at == fired_at
