"""Servers on one store tell each other what is new.

Their clocks are slow, so that what they would find by looking again comes too late for these tests.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rivetless.client import Client
from rivetless.runtime.claim import LENGTH, WATCH
from rivetless.runtime.inbox import POLLS
from tests.behaviour.actors.queueing import Streamer
from tests.behaviour.world import Ear
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = pytest.mark.timeout(120)

APP = "tests.behaviour.actors:registry"


@asynccontextmanager
async def two_servers(
    folder: Path, speed: float
) -> AsyncIterator[tuple[ForkedServer, list[Client]]]:
    """Start two servers, of which the first runs the loop of the streamer ``s``.

    Returns:
        The first server, and a client of each.
    """
    where = f"sqlite:{folder / 'actors.db'}"
    one = ForkedServer(APP, where, folder / "one.txt", speed=speed)
    two = ForkedServer(APP, where, folder / "two.txt", speed=speed)
    with Zygote() as one.zygote:
        two.zygote = one.zygote
        with one, two:
            async with Client(one.endpoint) as first, Client(two.endpoint) as second:
                heard = Ear()
                streamer = first.get_or_create(Streamer, "s")
                await streamer.read()
                async with second.connect(second.get_or_create(Streamer, "s")) as conn:
                    conn.on(Streamer.token, heard)
                    await conn.actor.read()
                    await first.send(streamer, Streamer.prompts, 1)
                    await heard.wait(1)
                yield one, [first, second]


async def test_messages_and_replies_do_not_wait_for_polls(tmp_path: Path) -> None:
    speed = 0.005
    assert POLLS[0] / speed >= 10
    async with two_servers(tmp_path, speed) as (_, clients), asyncio.timeout(20):
        second = clients[1]
        for _ in range(5):
            streamer = second.get_or_create(Streamer, "s")
            reply = await second.send_and_wait(streamer, Streamer.prompts, 0)
            assert reply == "0"


async def test_a_loop_goes_on_elsewhere_soon_after_a_kill(tmp_path: Path) -> None:
    speed = 0.1
    patience = 25
    assert WATCH / speed < patience < LENGTH / speed
    async with two_servers(tmp_path, speed) as (one, clients):
        second = clients[1]
        streamer = second.get_or_create(Streamer, "s")
        await second.send_and_wait(streamer, Streamer.prompts, 0)
        one.kill()
        async with asyncio.timeout(patience):
            assert await second.send_and_wait(streamer, Streamer.prompts, 0) == "0"


async def test_a_server_that_starts_again_does_not_wait_for_its_old_claim(tmp_path: Path) -> None:
    speed = 0.1
    patience = 25
    assert WATCH / speed < patience < LENGTH / speed
    where = f"sqlite:{tmp_path / 'actors.db'}"
    server = ForkedServer(APP, where, tmp_path / "log.txt", speed=speed)
    with Zygote() as server.zygote, server:
        async with Client(server.endpoint) as client:
            streamer = client.get_or_create(Streamer, "s")
            async with client.connect(client.get_or_create(Streamer, "first")):
                pass  # the process can be spoken to now, and its claims say so
            assert await client.send_and_wait(streamer, Streamer.prompts, 0) == "0"
            server.kill()
            server.start()
            async with asyncio.timeout(patience):
                assert await client.send_and_wait(streamer, Streamer.prompts, 0) == "0"
