"""``kill -9``: what was acknowledged is there, once; what died is cleared away."""

import asyncio
import contextlib
import itertools
import random
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from rivetless.client import Client
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.world import NO_TLS
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = pytest.mark.timeout(120)

APP = "tests.behaviour.actors:registry"
CALLERS = 8
ACTORS = 3
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


class Load:
    """Callers that increment counters, each call with a key, until they are told to stop.

    Attributes:
        answers: what each actor answered to its calls, by key.
        tries: how many requests that took.
    """

    def __init__(self, doors: list[httpx.AsyncClient]) -> None:
        self._doors = doors
        self._changed = asyncio.Event()
        self._ends = False
        self.answers: list[dict[str, int]] = [{} for _ in range(ACTORS)]
        self.tries = 0

    async def caller(self, number: int) -> None:
        """Make one call after the other; each until it is acknowledged."""
        calls = 0
        while not self._ends:
            calls += 1
            actor = calls % ACTORS
            key = f"{number}-{calls}"
            self.answers[actor][key] = await self._call(number, actor, key)
            self._changed.set()

    async def _call(self, number: int, actor: int, key: str) -> int:
        query = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"
        url = f"/gateway/counter/action/increment?{query}&rvt-key=killed-{actor}"
        for door in itertools.count(number):
            self.tries += 1
            # A call that failed is repeated at the next server, whatever became of it.
            http = self._doors[door % len(self._doors)]
            with contextlib.suppress(httpx.TransportError):
                answer = await http.post(url, json={"args": [1]}, headers={"idempotency-key": key})
                if answer.status_code == 200:
                    output: int = answer.json()["output"]
                    return output
                assert answer.status_code in (500, 503, 504), answer.text
        raise AssertionError("the doors are endless")

    @property
    def acknowledged(self) -> int:
        """How many calls were answered."""
        return sum(map(len, self.answers))

    async def more(self, count: int) -> None:
        """Wait until so many more calls are answered."""
        wanted = self.acknowledged + count
        while self.acknowledged < wanted:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Let every caller finish its call."""
        self._ends = True


@pytest.mark.parametrize(("servers", "kills"), [(1, 50), (2, 20)])
async def test_kills_under_load_lose_and_double_nothing(
    tmp_path: Path, servers: int, kills: int
) -> None:
    where = f"sqlite:{tmp_path / 'actors.db'}"
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
        for number, answers in enumerate(load.answers):
            url = "/gateway/counter/action/get?rvt-namespace=default&rvt-method=get"
            for door in doors:
                answer = await door.post(f"{url}&rvt-key=killed-{number}", json={})
                assert answer.json() == {"output": len(answers)}
            # Each was applied once, and in what it answered all those before it are counted.
            assert sorted(answers.values()) == list(range(1, len(answers) + 1))
        assert load.tries > load.acknowledged
