"""``kill -9``: what was acknowledged is there, once; what died is cleared away.

``--real-faults 200`` kills two hundred servers in each way.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from rivetless.client import Client
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.world import NO_TLS
from tests.figures import Figures
from tests.ministack import make_table
from tests.processes.load import Load
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = pytest.mark.timeout(1200)

APP = "tests.behaviour.actors:registry"
CALLERS = 8
SPEED = 60.0


async def eventually(room: Room, line: str) -> list[str]:
    """Wait until the room's log says so."""
    for _ in range(1000):
        log = await room.log_of_hooks()
        if line in log:
            return log
        await asyncio.sleep(0.02)
    raise AssertionError(f"this is all there is: {log}")


async def test_connections_of_a_dead_server_are_cleared_away(tmp_path: Path) -> None:
    where = f"sqlite:{tmp_path / 'actors.db'}"
    one = ForkedServer(APP, where, tmp_path / "one.txt", speed=SPEED)
    two = ForkedServer(APP, where, tmp_path / "two.txt", speed=SPEED)
    with Zygote() as one.zygote:
        two.zygote = one.zygote
        with one, two:
            async with Client(one.endpoint) as first, Client(two.endpoint) as second:
                conn = first.connect(first.get_or_create(Room, "r"), JoinParams(name="ada"))
                assert (await conn.actor.me())["name"] == "ada"
                room = second.get_or_create(Room, "r")
                assert (await room.members()) == ["ada", "anonymous"]
                one.kill()
                await conn.close()
                log = await eventually(room, "disconnect:ada:0")
                assert [line for line in log if "ada" in line] == [
                    "before:ada:0",
                    "state:ada:0",
                    "connect:ada:1",
                    "disconnect:ada:0",
                ]
                assert (await room.members()) == ["anonymous"]


@pytest.mark.parametrize(("servers", "kills"), [(1, 50), (2, 20)])
async def test_kills_under_load_lose_and_double_nothing(
    tmp_path: Path, servers: int, kills: int, figures: Figures
) -> None:
    where = f"sqlite:{tmp_path / 'actors.db'}"
    acknowledged = await kill_under_load(where, tmp_path, servers, figures.at_least(kills))
    figures.tell(
        "kill -9 of servers on one SQLite file",
        kills=figures.at_least(kills),
        acknowledged_calls=acknowledged,
        lost=0,
        doubled=0,
    )


@pytest.mark.aws
async def test_nor_do_they_over_dynamodb(tmp_path: Path, ministack: str, figures: Figures) -> None:
    where = f"dynamodb:{make_table(ministack)}?endpoint={ministack}"
    kills = figures.at_least(6)
    acknowledged = await kill_under_load(where, tmp_path, servers=2, kills=kills)
    figures.tell(
        "kill -9 of servers on one DynamoDB table",
        kills=kills,
        acknowledged_calls=acknowledged,
        lost=0,
        doubled=0,
    )


async def kill_under_load(where: str, tmp_path: Path, servers: int, kills: int) -> int:
    """Kill servers of a store while they are called; check that what they said is so.

    Returns:
        How many calls were acknowledged.
    """
    running = [ForkedServer(APP, where, tmp_path / f"{number}.txt") for number in range(servers)]
    rng = random.Random(7)
    async with AsyncExitStack() as stack:
        zygote = stack.enter_context(Zygote())
        doors: list[httpx.AsyncClient] = []
        for server in running:
            server.zygote = zygote
            stack.enter_context(server)
            http = httpx.AsyncClient(base_url=server.endpoint, timeout=20, verify=NO_TLS)
            doors.append(await stack.enter_async_context(http))
        load = Load(doors)
        callers = [asyncio.ensure_future(load.caller(number)) for number in range(CALLERS)]
        for kill in range(kills):
            # Every fifth dies as it starts, with everybody's calls at its door.
            await load.more(0 if kill % 5 == 4 else rng.randint(1, 40))
            victim = running[kill % servers]
            victim.kill()
            victim.launch()
        await load.more(100)
        load.end()
        await asyncio.gather(*callers)
        await load.check()
        assert load.tries > load.acknowledged
        return load.acknowledged
