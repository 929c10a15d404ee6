"""Raw WebSockets: the actor's own protocol, frame by frame."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Self

from rivetless.client import failures
from rivetless.client.sockets import Socket, SocketClosed, close_error

__all__ = ["WebSocket", "WebSocketOpening"]


class WebSocketOpening:
    """A raw WebSocket that is not open yet.

    ``async with client.web_socket(handle, "/chat") as ws`` opens and closes it; who writes
    ``ws = await client.web_socket(...)`` closes it with ``await ws.close()``.
    """

    def __init__(self, open: Callable[[], Awaitable[Socket]]) -> None:
        self._open = open
        self._opened: WebSocket | None = None

    def __await__(self) -> Generator[Any, None, WebSocket]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> WebSocket:
        self._opened = WebSocket(await self._open())
        return self._opened

    async def __aexit__(self, *exc_info: object) -> None:
        if self._opened is not None:
            await self._opened.close()


class WebSocket:
    """A raw WebSocket to an actor.

    ``async for`` gives the messages until the socket closes. It is not restored when it breaks.

    Attributes:
        close_code: how it was closed; None while it is open.
        close_reason: the reason given with it.
    """

    def __init__(self, socket: Socket) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self._socket = socket

    async def send(self, data: str | bytes) -> None:
        """Send a message.

        Raises:
            ActorError: the socket is closed: the error that its reason names, or
                ``client.connection_lost``.
        """
        try:
            await self._socket.send(data)
        except SocketClosed as closed:
            self._note(closed)
            raise close_error(closed) or failures.connection_lost(closed) from closed

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        Raises:
            ActorError: the socket is closed: the error that its reason names, or
                ``client.connection_lost``.
        """
        try:
            return await self._socket.receive()
        except SocketClosed as closed:
            self._note(closed)
            raise close_error(closed) or failures.connection_lost(closed) from closed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self._socket.receive()
        except SocketClosed as closed:
            self._note(closed)
            error = close_error(closed)
            if error is not None and closed.code != 1000:
                raise error from closed
            if closed.code == 1006:
                raise failures.connection_lost(closed) from closed
            raise StopAsyncIteration from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; without effect on a closed one."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            await self._socket.close(code, reason)

    def _note(self, closed: SocketClosed) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = closed.code, closed.reason
