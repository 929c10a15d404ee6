"""Sockets as the client sees them, and one that never leaves the process."""

from __future__ import annotations

from abc import abstractmethod
from asyncio import Event
from collections import deque
from typing import Protocol

from rivetless.errors import ActorError
from rivetless.protocol.headers import parse_close_reason

__all__ = ["MemorySocket", "Socket", "SocketClosed", "close_error", "memory_sockets"]


class SocketClosed(Exception):
    """The socket is closed.

    Attributes:
        code: WebSocket close code; 1006 where the other side vanished.
        reason: what it said, often ``group.code``.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"closed with code {self.code}" + (
            f", reason {self.reason!r}" if self.reason else ""
        )


class Socket(Protocol):
    """One open WebSocket. Frames are text or bytes."""

    @abstractmethod
    async def send(self, data: str | bytes) -> None:
        """Send a frame.

        Raises:
            SocketClosed: it can go nowhere.
        """

    @abstractmethod
    async def receive(self) -> str | bytes:
        """Return the next frame. One caller at a time.

        Raises:
            SocketClosed: there will be none.
        """

    @abstractmethod
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; without effect on a closed one. Never raises."""


def close_error(closed: SocketClosed) -> ActorError | None:
    """Return the error that a close reason names, if it does."""
    stated = parse_close_reason(closed.reason)
    # A sentence with a full stop in it is no error's name.
    if stated is None or not (_is_word(stated.group) and _is_word(stated.code)):
        return None
    error = ActorError(stated.group, stated.code, f"Connection closed: {closed.reason}")
    if stated.ray_id:
        error.add_note(f"ray id: {stated.ray_id}")
    return error


def _is_word(text: str) -> bool:
    return text.isascii() and text.replace("_", "a").isalnum()


class MemorySocket:
    """One end of a socket inside the process; ``memory_sockets`` makes both.

    Attributes:
        close_code: how it was closed, by either end; None while it is open.
        close_reason: the reason given with it.
    """

    def __init__(self) -> None:
        self._peer: MemorySocket | None = None
        self._frames: deque[str | bytes] = deque()
        self._changed = Event()
        self.close_code: int | None = None
        self.close_reason = ""

    @property
    def pending(self) -> int:
        """How many frames wait for ``receive``."""
        return len(self._frames)

    async def send(self, data: str | bytes) -> None:
        """Send a frame to the other end."""
        if self.close_code is not None or self._peer is None:
            raise SocketClosed(self.close_code or 1006, self.close_reason)
        self._peer.deliver(data)

    async def receive(self) -> str | bytes:
        """Return the next frame; those that came before the close are still given."""
        while not self._frames:
            if self.close_code is not None:
                raise SocketClosed(self.close_code, self.close_reason)
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends."""
        for end in (self, self._peer):
            if end is not None:
                end.end(code, reason)

    def deliver(self, data: str | bytes) -> None:
        """Put a frame where ``receive`` of this end finds it."""
        if self.close_code is None:
            self._frames.append(data)
            self._changed.set()

    def end(self, code: int, reason: str) -> None:
        """Mark this end as closed."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._changed.set()

    def join(self, peer: MemorySocket) -> None:
        """Make ``peer`` the other end."""
        self._peer = peer


def memory_sockets() -> tuple[MemorySocket, MemorySocket]:
    """Return the two ends of a new socket: the client's and the server's."""
    client, server = MemorySocket(), MemorySocket()
    client.join(server)
    server.join(client)
    return client, server
