"""WebSockets over API Gateway, the whole way: clients, a front, queues and real processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from rivetless.client import Client, HTTPTransport
from rivetless.errors import ActorError
from rivetless.testing.lambda_lab import LambdaLab
from rivetless.testing.lambda_lab.environment import EnvironmentState
from tests.behaviour.world import NO_TLS
from tests.unit.hosts.aws_lambda.sockets import HTTP, Hall

pytestmark = pytest.mark.timeout(60)

APP = "tests.unit.hosts.aws_lambda.sockets:registry"
ROOT = Path(__file__).parents[2]
TALK = 8

New: TypeAlias = Callable[..., Any]


@pytest.fixture
async def new() -> AsyncIterator[New]:
    async with AsyncExitStack() as stack:

        async def make(encoding: Any = "json", **options: Any) -> tuple[LambdaLab, Client]:
            lab = LambdaLab(APP, folder=ROOT, **options)
            await stack.enter_async_context(lab)
            http = await stack.enter_async_context(httpx.AsyncClient(verify=NO_TLS))
            transport = HTTPTransport(lab.endpoint, encoding=encoding, http=http)
            client = Client(transport=transport)
            return lab, await stack.enter_async_context(client)

        yield make


async def counts(client: Client, **wanted: int) -> dict[str, int]:
    """Look at what the actor has counted until it is what is wanted."""
    hall = client.get_or_create(Hall, "a", params=HTTP)
    found = await hall.counts()
    for _ in range(100):
        if found | wanted == found:
            break
        await asyncio.sleep(0.1)
        found = await hall.counts()
    return found


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
async def test_clients_talk_and_leave(new: New, ordered: bool) -> None:
    lab, client = await new(ordered=ordered)
    hall = client.get_or_create(Hall, "a")
    heard: list[str] = []
    async with client.connect(hall) as one, client.connect(hall) as two:
        two.on(Hall.said, heard.append)
        one.on(Hall.said, heard.append)
        assert await two.actor.counts() == {"joined": 2, "left": 0, "said": 0}
        for number in range(3):
            assert await one.actor.say(f"hi {number}") == number + 1
        with pytest.raises(ActorError, match=r"user\.no"):
            await one.actor.fail()
        # Its own events come before its answers; those of others when they come.
        assert heard.count("hi 2") >= 1
        assert await two.actor.say("last") == 4
    assert await counts(client, left=2) == {"joined": 2, "left": 2, "said": 4}
    assert lab.sockets.connections == {}


async def test_a_refusal_says_why(new: New) -> None:
    _, client = await new()
    hall = client.get_or_create(Hall, "a")
    with pytest.raises(ActorError, match=r"user\.banned: You are banned\."):
        async with client.connect(hall, {"banned": True}):
            pass


async def test_binary_encodings_are_closed(new: New) -> None:
    lab, client = await new("cbor")
    hall = client.get_or_create(Hall, "a", params=HTTP)
    assert await hall.say("over HTTP it works") == 1
    conn = client.connect(hall)
    conn.start()
    for _ in range(100):
        if lab.sockets.connections:
            break
        await asyncio.sleep(0.05)
    for _ in range(100):
        if not lab.sockets.connections:
            break
        await asyncio.sleep(0.05)
    assert lab.sockets.connections == {}
    await conn.close()
    assert (await counts(client))["joined"] == 0


async def test_raw_sockets(new: New) -> None:
    _, client = await new()
    hall = client.get_or_create(Hall, "a")
    async with client.web_socket(hall, "chat?q=1") as socket:
        assert await socket.receive() == "open http://127.0.0.1/websocket/chat?q=1"
        await socket.send("hi")
        assert await socket.receive() == "echo hi 1"
        await socket.send("fail")
        with pytest.raises(ActorError, match="connection_lost"):
            await socket.receive()
    assert await counts(client, left=1) == {"joined": 1, "left": 1, "said": 1, "code": 1011}


async def test_killed_processes_lose_nothing_and_repeat_nothing(new: New) -> None:
    lab, client = await new(visibility=1.0, max_receives=50, environments=3)
    hall = client.get_or_create(Hall, "a")
    over = asyncio.Event()

    async def kill() -> None:
        while not over.is_set():
            await asyncio.sleep(0.4)
            for environment in lab.function.environments:
                if environment.state is EnvironmentState.BUSY:
                    environment.kill()
                    break

    async def talk(conn: Any) -> None:
        for number in range(TALK):
            await conn.actor.say(f"{number}")

    async with AsyncExitStack() as stack:
        # What is asked over HTTP in between would fail with the process that was asked.
        conns = [await stack.enter_async_context(client.connect(hall)) for _ in range(3)]
        killing = asyncio.create_task(kill())
        await asyncio.gather(*map(talk, conns))
        over.set()
        await killing
    # That a socket is gone is told once; what is lost of it is for the sweeper, in two hours.
    found = await counts(client)
    assert (found["joined"], found["said"]) == (3, 3 * TALK)


async def test_an_actor_that_is_gone_closes_its_sockets(new: New) -> None:
    lab, client = await new()
    hall = client.get(Hall, "a")
    await client.get_or_create(Hall, "a", params=HTTP).say("hi")
    async with client.connect(hall) as conn:
        await conn.actor.counts()
        with suppress(ActorError):  # the answer and the end of the socket race each other
            await conn.actor.end()
        for _ in range(100):
            if not lab.sockets.connections:
                break
            await asyncio.sleep(0.05)
        assert lab.sockets.connections == {}
