"""``kill -9``, freezes and faults of queues in the Lambda lab: totals exact, nothing twice."""

import asyncio
import random

import httpx
import pytest

from rivetless.testing.lambda_lab import LambdaLab
from tests.behaviour.world import NO_TLS
from tests.processes.load import Load
from tests.servers import ROOT

pytestmark = pytest.mark.timeout(120)

APP = "tests.behaviour.actors:registry"
CALLERS = 8
ROUNDS = 12


async def test_kills_and_freezes_under_load_lose_and_double_nothing() -> None:
    rng = random.Random(7)
    async with (
        # Frozen in the middle of a commit, a process keeps everybody from the file until its time
        # is over.
        LambdaLab(APP, environments=3, timeout=2, folder=ROOT) as lab,
        httpx.AsyncClient(base_url=lab.endpoint, timeout=20, verify=NO_TLS) as door,
    ):
        load = Load([door])
        callers = [asyncio.ensure_future(load.caller(number)) for number in range(CALLERS)]
        for number in range(ROUNDS):
            await load.more(rng.randint(1, 30))
            victim = rng.choice(lab.function.environments)
            if number % 4 == 3:
                victim.freeze()
                await load.more(10)
                victim.thaw()
            else:
                victim.kill()
        await load.more(50)
        load.end()
        await asyncio.gather(*callers)
        await load.check()
        assert load.tries > load.acknowledged
        assert lab.function.cold_starts > ROUNDS // 2
