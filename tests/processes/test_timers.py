"""``kill -9`` while actions are planned and run: each that was acknowledged happens, once."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from rivetless import ActorError
from rivetless.client import Client, HTTPTransport
from tests.behaviour.actors.timely import Planner
from tests.behaviour.world import NO_TLS
from tests.figures import Figures
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = pytest.mark.timeout(1200)

APP = "tests.behaviour.actors:registry"
KILLS = 12
KEYS = ("a", "b", "c")


async def done(planner: Planner) -> None:
    """Wait until nothing is planned any more; pytest ends a wait in vain."""
    for _ in range(1000):
        if not await planner.planned():
            return
        await asyncio.sleep(0.05)


async def test_kills_lose_and_double_no_timer(tmp_path: Path, figures: Figures) -> None:
    rng = random.Random(7)
    server = ForkedServer(APP, f"sqlite:{tmp_path / 'actors.db'}", tmp_path / "log.txt")
    planned: dict[str, set[str]] = {key: set() for key in KEYS}
    numbers = iter(range(10_000))

    async def plan(client: Client) -> None:
        while not over.is_set():
            key, text = rng.choice(KEYS), str(next(numbers))
            with suppress(ActorError):
                await client.get_or_create(Planner, key).after(rng.uniform(0, 0.6), text)
                planned[key].add(text)
            await asyncio.sleep(0.01)

    over = asyncio.Event()
    with Zygote() as server.zygote, server:
        async with (
            httpx.AsyncClient(timeout=20, verify=NO_TLS) as http,
            Client(transport=HTTPTransport(server.endpoint, http=http)) as client,
        ):
            planning = [asyncio.create_task(plan(client)) for _ in range(3)]
            for _ in range(figures.at_least(KILLS)):
                await asyncio.sleep(rng.uniform(0.05, 0.4))
                server.kill()
                server.start()
            over.set()
            await asyncio.gather(*planning)
            for key in KEYS:
                planner = client.get_or_create(Planner, key)
                await done(planner)
                lines = await planner.read()
                assert len(lines) == len(set(lines))
                assert planned[key] <= set(lines)
                assert await planner.letters() == []
    timers = sum(map(len, planned.values()))
    assert timers > KILLS
    figures.tell(
        "kill -9 of a server with timers",
        kills=figures.at_least(KILLS),
        timers=timers,
        lost=0,
        doubled=0,
    )
