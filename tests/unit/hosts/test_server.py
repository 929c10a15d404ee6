"""Sockets of our own servers."""

import asyncio
import socket

from rivetless.hosts.server import listen


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    nodelay: list[int] = []

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        nodelay.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listen("127.0.0.1", 0)
    async with await asyncio.start_server(accepted, sock=listening):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert len(nodelay) == 1
    assert nodelay[0] != 0
