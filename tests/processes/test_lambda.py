"""``kill -9``, freezes and faults of queues in the Lambda lab: totals exact, nothing twice."""

import asyncio
import itertools
import random

import httpx
import pytest

from rivetless.client import Client
from rivetless.testing.lambda_lab import LambdaLab, Unreliable
from tests.behaviour.actors.counting import Counter
from tests.behaviour.world import NO_TLS
from tests.processes.load import Load
from tests.servers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

APP = "tests.behaviour.actors:registry"
CALLERS = 8
ROUNDS = 12
TALKERS = 4
CALLS = 25
KILL_AT = 15


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


async def test_frames_are_worked_once_although_they_come_twice_and_workers_die() -> None:
    rng = random.Random(7)
    async with (
        LambdaLab(APP, environments=3, folder=ROOT, visibility=1, max_receives=20) as lab,
        Client(lab.endpoint, encoding="json") as client,
    ):
        lab.frames.fate = Unreliable(7, doubled=0.3)
        calls = itertools.count(1)

        async def talk() -> list[int]:
            seen: list[int] = []
            async with client.connect(client.get_or_create(Counter, "k")) as conn:
                for _ in range(CALLS):
                    if next(calls) % KILL_AT == 0:
                        rng.choice(lab.function.environments).kill()
                    seen.append(await conn.actor.increment())
            return seen

        seen = await asyncio.gather(*(talk() for _ in range(TALKERS)))
        assert sorted(itertools.chain(*seen)) == list(range(1, TALKERS * CALLS + 1))
        assert all(numbers == sorted(numbers) for numbers in seen)
        assert await client.get_or_create(Counter, "k").get() == TALKERS * CALLS
        assert lab.dead_frames.messages == []
