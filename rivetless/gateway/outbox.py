"""What is on its way to one socket: in order, bounded, and never waited for by anybody else."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

from rivetless.client.sockets import Socket

__all__ = ["Outbox", "Tasks", "cut"]

_log = logging.getLogger("rivetless.gateway")

_Close = tuple[int, str]

_MAX_REASON_BYTES: Final = 123


def cut(reason: str) -> str:
    """Return a reason cut to what a close frame holds beside the code."""
    return reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")


class Tasks:
    """Tasks that nobody awaits, kept from the garbage collector until they end."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin ``work``, which must handle its own failures."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all of them have ended, also those that they begin."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in self._tasks:
            task.cancel()


class Outbox:
    """Frames for one socket.

    Whoever puts a frame into an idle outbox sends it and what others put meanwhile; everybody else
    goes on at once. Frames that come before ``open`` wait, so that nothing overtakes ``Init``.

    Args:
        socket: where frames go.
        tasks: where sending goes on when nobody has the time for it.
        limit: bytes that may wait; beyond them the socket is closed.
    """

    __slots__ = (
        "_bytes",
        "_idle",
        "_limit",
        "_opened",
        "_queue",
        "_sending",
        "_socket",
        "_tasks",
        "closed",
    )

    def __init__(self, socket: Socket, tasks: Tasks, limit: int) -> None:
        self._socket = socket
        self._tasks = tasks
        self._limit = limit
        self._queue: deque[str | bytes | _Close] = deque()
        self._bytes = 0
        self._sending = False
        self._idle: asyncio.Future[None] | None = None
        self._opened = False
        self.closed = False
        """Whether nothing can be put any more: a close is under way or the socket is gone."""

    def put(self, frame: str | bytes) -> None:
        """Queue a frame; it goes out with the next ``flush`` or ``kick``."""
        if self.closed:
            return
        self._queue.append(frame)
        self._bytes += len(frame)
        if self._bytes > self._limit:
            # A client that does not read must not fill the memory of a server that serves others.
            self._queue.clear()
            self.close(1011, "guard.websocket_pending_limit_reached")

    def close(self, code: int, reason: str) -> None:
        """Queue the end: what was put before goes out first, and nothing after."""
        if not self.closed:
            self.closed = True
            self._queue.append((code, cut(reason)))

    def open(self, *first: str | bytes) -> None:
        """Let frames out from now on; ``first`` before any that wait."""
        self._queue.extendleft(reversed(first))
        self._opened = True

    def kick(self) -> None:
        """Send what is queued, without waiting for it."""
        if self._queue and self._opened and not self._sending:
            self._tasks.spawn(self.flush())

    async def flush(self) -> None:
        """Send what is queued, unless somebody is at it already."""
        if self._sending or not self._opened:
            return
        self._sending = True
        queue = self._queue
        try:
            while queue:
                frame = queue.popleft()
                if isinstance(frame, tuple):
                    await self._socket.close(*frame)
                    return
                self._bytes -= len(frame)
                await self._socket.send(frame)
        except Exception:
            # The socket is gone. Its reader learns the same and says so to the actor.
            _log.debug("a frame could not be sent", exc_info=True)
            self.closed = True
            queue.clear()
        finally:
            self._sending = False
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def finish(self) -> None:
        """Return when all that is queued has been sent, by whomever."""
        self._opened = True
        while self._sending:
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)
        await self.flush()
