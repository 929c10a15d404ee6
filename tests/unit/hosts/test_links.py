"""The small HTTP client, against servers that behave and that do not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rivetless.clock import SystemClock
from rivetless.hosts.links import HttpLinks, LinkError
from rivetless.testing.clock import FakeClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers every request with the same bytes."""

    def __init__(self, answer: bytes, *, hang_up: bool = False) -> None:
        self.answer = answer
        self.hang_up = hang_up
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()
                if self.hang_up:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    async with listening:
        yield server


async def ask(links: HttpLinks, server: Server, body: bytes = b"body") -> tuple[int, bytes]:
    return await links.request(server.url, "POST", "/p", [("x-a", "b")], body)


async def test_one_connection_for_many_requests() -> None:
    links = HttpLinks(SystemClock())
    async with serving(Server(OK)) as server:
        assert await ask(links, server) == (200, b"hi")
        assert await asyncio.gather(*(ask(links, server) for _ in range(3))) == [(200, b"hi")] * 3
        await links.aclose()

    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /p HTTP/1.1\r\nhost: 127.0.0.1:")
    assert server.requests[0].endswith(b"\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbody")


async def test_a_new_connection_after_a_pause() -> None:
    clock = FakeClock()
    links = HttpLinks(clock)
    async with serving(Server(OK)) as server:
        await ask(links, server)
        await clock.advance(60)
        await ask(links, server)
        await links.aclose()

    assert server.connections == 2


async def test_a_new_connection_where_the_server_wants_one() -> None:
    links = HttpLinks(SystemClock())
    answer = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(Server(answer, hang_up=True)) as server:
        assert await ask(links, server) == (200, b"hi")
        assert await ask(links, server) == (200, b"hi")
        await links.aclose()

    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000,
    ],
)
async def test_answers_that_make_no_sense(answer: bytes) -> None:
    links = HttpLinks(SystemClock())
    async with serving(Server(answer, hang_up=True)) as server:
        with pytest.raises(LinkError):
            await ask(links, server)
        server.answer = OK
        assert await ask(links, server) == (200, b"hi")
        await links.aclose()


async def test_answers_that_never_come() -> None:
    clock = FakeClock()
    links = HttpLinks(clock)
    async with serving(Server(b"HTTP/1.1 200 OK\r\n")) as server:
        asking = asyncio.ensure_future(ask(links, server))
        await until(lambda: bool(server.requests))
        await clock.advance(6)
        with pytest.raises(LinkError):
            await asking
        await links.aclose()


async def test_a_request_that_is_given_up_leaves_no_half_answer() -> None:
    links = HttpLinks(SystemClock())
    async with serving(Server(b"HTTP/1.1 200 OK\r\n")) as server:
        asking = asyncio.ensure_future(ask(links, server))
        await until(lambda: bool(server.requests))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        server.answer = OK
        assert await ask(links, server) == (200, b"hi")
        await links.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://h:1", "http://h", "nonsense"])
async def test_urls_that_lead_nowhere(url: str) -> None:
    links = HttpLinks(SystemClock())
    with pytest.raises(LinkError):
        await links.request(url, "GET", "/", [], b"")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 -- nobody tells us
        await asyncio.sleep(0)
