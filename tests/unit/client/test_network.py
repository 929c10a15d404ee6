"""The network layer against real sockets on the loopback."""

from __future__ import annotations

import asyncio
import http
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from rivetless.client.network import Network
from rivetless.client.sockets import SocketClosed
from rivetless.clock import SystemClock
from rivetless.errors import ActorError


@asynccontextmanager
async def websocket_server(
    handler: Callable[[ServerConnection], Awaitable[None]],
    answer: Callable[[ServerConnection, Request], Any] | None = None,
) -> AsyncIterator[str]:
    async with serve(
        handler,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("rivet")],
        process_request=answer,
        max_size=None,
    ) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        yield f"ws://{host}:{port}/x"


@asynccontextmanager
async def byte_server(data: bytes) -> AsyncIterator[str]:
    """A server that answers every connection with these bytes and closes it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    network = Network(SystemClock())
    yield network
    await network.aclose()


async def test_frames_both_ways(network: Network) -> None:
    async def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        await connection.send(connection.request.headers["user-agent"])
        async for message in connection:
            await connection.send(message)

    async with websocket_server(echo) as url:
        socket = await network.open_socket(url, ["rivet", "rivet_encoding.bare"])
        agent = await socket.receive()
        assert isinstance(agent, str)
        assert agent.startswith("rivetless/")
        for data in ("text", b"\x00bytes", "x" * 2_000_000):
            await socket.send(data)
            assert await socket.receive() == data
        await socket.close(1000, "Disposed")
        await socket.close()
        for attempt in (socket.receive(), socket.send("x")):
            with pytest.raises(SocketClosed) as caught:
                await attempt
            assert (caught.value.code, caught.value.reason) == (1000, "Disposed")


async def test_close_codes_and_reasons(network: Network) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(1011, "user.no")

    async with websocket_server(close) as url:
        socket = await network.open_socket(url, ["rivet"])
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
    assert (caught.value.code, caught.value.reason) == (1011, "user.no")


async def test_a_server_that_vanishes(network: Network) -> None:
    async def vanish(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with websocket_server(vanish) as url:
        socket = await network.open_socket(url, ["rivet"])
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
    assert caught.value.code == 1006


@pytest.mark.parametrize(
    ("status", "body", "name"),
    [
        (403, b'{"group":"auth","code":"forbidden","message":"No."}', "auth.forbidden"),
        (404, b"nothing", "client.connection_open_failed"),
        (502, b"<html>", "client.connection_failed"),
        (503, b"<html>", "client.connection_failed"),
    ],
)
async def test_an_answer_that_is_no_upgrade(
    network: Network, status: int, body: bytes, name: str
) -> None:
    async def unused(connection: ServerConnection) -> None:
        raise AssertionError

    def refuse(connection: ServerConnection, request: Request) -> Response:
        phrase = http.HTTPStatus(status).phrase
        headers = Headers(
            [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
        )
        return Response(status, phrase, headers, body)

    async with websocket_server(unused, refuse) as url:
        with pytest.raises(ActorError) as caught:
            await network.open_socket(url, ["rivet"])
    assert caught.value.name == name


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n"])
async def test_a_server_that_dies_in_the_handshake(network: Network, data: bytes) -> None:
    async with byte_server(data) as host:
        with pytest.raises(ActorError) as caught:
            await network.open_socket(f"ws://{host}/", ["rivet"])
    assert caught.value.name == "client.connection_failed"


async def test_an_upgrade_that_is_none(network: Network) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n"
    async with byte_server(answer) as host:
        with pytest.raises(ActorError) as caught:
            await network.open_socket(f"ws://{host}/", ["rivet"])
    assert caught.value.name == "client.connection_open_failed"


async def test_nobody_there(network: Network) -> None:
    async with byte_server(b"") as host:
        pass
    for attempt in (
        network.open_socket(f"ws://{host}/", ["rivet"]),
        network.request("GET", f"http://{host}/", {}, b""),
    ):
        with pytest.raises(ActorError) as caught:
            await attempt
        assert caught.value.name == "client.connection_failed"
        assert host in caught.value.message


async def test_requests(network: Network) -> None:
    async with byte_server(b"HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nhi") as host:
        response = await network.request("POST", f"http://{host}/", [("a", "b")], b"body")
    assert (response.status, response.body, response.header("x-a")) == (200, b"hi", "1")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi"])
async def test_an_answer_that_breaks_off(network: Network, data: bytes) -> None:
    async with byte_server(data) as host:
        with pytest.raises(ActorError) as caught:
            await network.request("POST", f"http://{host}/", {}, b"body")
    assert caught.value.name == "client.answer_lost"


@pytest.mark.parametrize("missing", ["httpx", "websockets"])
def test_without_the_extra(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import rivetless.client
from rivetless.client import Client, LocalTransport, MockTransport
from rivetless.errors import MissingExtraError
Client(transport=MockTransport())
try:
    Client("http://h")
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"`{missing}` is not installed. Run: pip install 'rivetless[client]'\n"
