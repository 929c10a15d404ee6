"""An HTTP server on loopback that does what a test tells it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

Reply = Callable[[bytes], bytes | None]


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers each request with what ``reply`` returns; closes, or resets, at ``None``."""

    def __init__(self) -> None:
        self.reply: Reply = lambda body: answer(b"{}")
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.lines: list[str] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.resets = False
        self.hold: Callable[[], Awaitable[object]] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hang_up(self) -> None:
        """Close every connection at once, without a pass of the event loop."""
        for writer in self.writers:
            writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.lines.append(head.partition(" HTTP/1.1")[0])
                lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((headers, body))
                if self.hold is not None:
                    await self.hold()
                reply = self.reply(body)
                if reply is None:
                    if self.resets:
                        writer.transport.abort()
                    return
                writer.write(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
