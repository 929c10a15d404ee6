"""Sockets in memory, and what close reasons say."""

import asyncio

import pytest

from rivetless.client.sockets import SocketClosed, close_error, memory_sockets
from rivetless.testing.clock import settle


async def test_frames_go_both_ways_in_order() -> None:
    client, server = memory_sockets()
    await client.send("a")
    await client.send(b"b")
    await server.send("c")
    assert [await server.receive(), await server.receive()] == ["a", b"b"]
    assert await client.receive() == "c"


async def test_a_close_comes_after_what_was_sent() -> None:
    client, server = memory_sockets()
    await server.send("last")
    await server.close(1011, "user.bye")
    assert await client.receive() == "last"
    for end in (client, server):
        with pytest.raises(SocketClosed) as caught:
            await end.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "user.bye")
        with pytest.raises(SocketClosed):
            await end.send("x")


async def test_who_waits_hears_of_the_close() -> None:
    client, server = memory_sockets()
    waiting = asyncio.ensure_future(client.receive())
    await settle()
    await server.close()
    with pytest.raises(SocketClosed, match="code 1000"):
        await waiting


async def test_the_first_close_counts() -> None:
    client, server = memory_sockets()
    await client.close(1000, "one")
    await server.close(1011, "two")
    assert (server.close_code, server.close_reason) == (1000, "one")


@pytest.mark.parametrize("reason", ["", "bye", "See you. Soon", "a.", ".b", "a b.c", "ü.x"])
def test_other_reasons_name_no_error(reason: str) -> None:
    assert close_error(SocketClosed(1000, reason)) is None


def test_a_reason_names_an_error() -> None:
    error = close_error(SocketClosed(1011, "guard.service_unavailable#ray1"))
    assert error is not None
    assert error.name == "guard.service_unavailable"
    assert error.__notes__ == ["ray id: ray1"]
