"""The life of a socket while the store fails at each of its calls, and processes die at any time.

Whatever goes wrong, the queue delivers the message again, to another process; in the end everything
has happened once.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rivetless.hosts.aws_lambda.websocket import Disconnect, SocketMessage
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.sockets import CID, Hall, Sockets
from tests.unit.runtime.worlds import World

ONCE = {"joined": 1, "left": 1, "said": 1}
MAX_RECEIVES = 5


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    world = await World.open(Hall)
    async with world.store:
        yield Sockets(world)


def life(sockets: Sockets) -> list[SocketMessage]:
    """Return what happens on a socket, in the order of its queue."""
    return [
        sockets.connect(),
        sockets.subscribe("said"),
        sockets.action("say", "hi"),
        Disconnect(CID, 1000, ""),
    ]


async def deliver(sockets: Sockets, message: SocketMessage) -> None:
    """Deliver a message until somebody has worked it."""
    for _ in range(MAX_RECEIVES):
        function = sockets.function()
        work = asyncio.ensure_future(function.work(message))
        while not work.done():
            await sockets.clock.advance(0.5)
        if work.exception() is None:
            await function.runtime.settle()
            return
    raise AssertionError(f"{message} was never worked: {work.exception()!r}")


FAULTS = [
    ("commit", Fault.BEFORE),
    ("commit", Fault.UNACKNOWLEDGED),
    ("commit", Fault.VANISHED),
    ("load", Fault.BEFORE),
    ("records", Fault.BEFORE),
    ("drain", Fault.BEFORE),
]


@pytest.mark.parametrize(("verb", "fault"), FAULTS)
@pytest.mark.parametrize("skip", range(8))
async def test_the_store_fails_at_one_call(
    sockets: Sockets, verb: str, fault: Fault, skip: int
) -> None:
    messages = life(sockets)
    sockets.world.faults.inject(fault, verb=verb, skip=skip)
    for message in messages:
        await deliver(sockets, message)
    found = await sockets.state()
    answers = [got for got in sockets.got() if isinstance(got, tuple) and got[0] in ("=", "Error")]
    if ("=", 1) in answers:
        assert found == ONCE
    else:
        # The action's own call failed; its client was told, and nothing is half done.
        assert found["joined"] == found["left"] == 1
        assert any("unavailable" in str(got) or "unknown" in str(got) for got in sockets.got())
    assert sockets.got()[0] == "Init"
    assert await sockets.function().routes.find(CID) is None


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_a_process_dies_while_it_works(sockets: Sockets, steps: int) -> None:
    for message in life(sockets):
        dying = sockets.function()
        work = asyncio.ensure_future(dying.work(message))
        for _ in range(steps):
            await asyncio.sleep(0)
        work.cancel()
        dying.runtime.abandon()
        await settle()
        await deliver(sockets, message)
        await deliver(sockets, message)
    assert await sockets.state() == ONCE
    assert ("=", 1) in sockets.got()
    assert await sockets.function().routes.find(CID) is None
