"""A function's environment is frozen when nothing is under way in it, and only then."""

from __future__ import annotations

import asyncio

from rivetless.testing.simulation import Simulation
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.outcomes import lost
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.simulation import Deployment
from tests.unit.testing.simulation.counters import Counter

DEPLOYMENT = Deployment(actors=[Counter], processes=1, resident=False, faults={})


def test_what_comes_while_an_environment_is_frozen_is_begun_when_it_thaws() -> None:
    async def two_events(sim: Simulation) -> None:
        (process,) = sim.world.processes
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def first() -> str:
            return await answer

        async def second() -> str:
            return "second"

        one = asyncio.create_task(process._ask(first, lost))
        await sim.sleep(0.1)
        process.vitality.freeze()
        answer.set_result("first")
        await sim.sleep(0.1)
        other = asyncio.create_task(process._ask(second, lost))
        await sim.sleep(0.1)
        assert not one.done()
        process.vitality.thaw()
        assert await asyncio.wait_for(one, 1.0) == "first"
        assert await asyncio.wait_for(other, 1.0) == "second"

    failure = run(two_events, DEPLOYMENT, Plan(seed=0)).failure
    if failure is not None:
        raise failure
