"""Serving sockets: the loops that read frames, run commands and answer.

They know a socket as anything that sends, receives and closes; ``ASGISocket`` makes one of an ASGI
server's, ``rivetless.client.sockets.memory_sockets`` one in memory.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable

from rivetless.client.sockets import Socket, SocketClosed
from rivetless.clock import Clock, Timeout
from rivetless.errors import ActorError, public_error
from rivetless.frozen import frozen
from rivetless.gateway.asgi import Receive, Send
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.ends import Ends
from rivetless.gateway.frames import FrameHandler, Wire, is_refusal
from rivetless.gateway.limits import Limits
from rivetless.gateway.outbox import Outbox, Tasks, cut
from rivetless.gateway.table import LiveSocket, SocketTable
from rivetless.protocol.messages import ActionRequest, ErrorFrame, ToServer
from rivetless.runtime.commands import (
    ABNORMAL,
    ActorInfo,
    CloseConnection,
    OpenConnection,
    Origin,
    RawMessage,
    Target,
)

__all__ = ["ASGISocket", "SocketOptions", "SocketService"]

_log = logging.getLogger("rivetless.gateway")

_FAREWELL = 10.0
"""Seconds that a client has to take what was sent before a close."""


def _uuid() -> str:
    return str(uuid.uuid4())


class ASGISocket:
    """An accepted socket of an ASGI server."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def send(self, data: str | bytes) -> None:
        """Send a frame; waits while the client is slow."""
        kind = "text" if isinstance(data, str) else "bytes"
        await self._send({"type": "websocket.send", kind: data})

    async def receive(self) -> str | bytes:
        """Return the next frame.

        Raises:
            SocketClosed: there will be none.
        """
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise SocketClosed(message.get("code") or 1005, message.get("reason") or "")
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket."""
        await self._send({"type": "websocket.close", "code": code, "reason": cut(reason)})


@frozen(kw_only=True)
class SocketOptions:
    """What holds for all sockets of a server.

    Attributes:
        host_id: the id under which its sockets are reachable.
        secure_host: returns that id for one socket, where it can become another.
        limits: how much clients may send.
        max_incoming: bytes a frame of a managed connection may have.
        max_outgoing: bytes an answer or event may have.
        expose: show internal errors to clients, for development.
        fresh_id: makes the ids of connections.
    """

    host_id: str
    limits: Limits
    max_incoming: int
    max_outgoing: int
    expose: bool = False
    secure_host: Callable[[], Awaitable[str]] | None = None
    fresh_id: Callable[[], str] = _uuid


class SocketService:
    """Serves accepted sockets until they close.

    Args:
        dispatcher: runs the commands.
        table: where pushes find the sockets.
        tasks: keeps what outlives a socket.
        clock: bounds farewells, and says when to tell again of an end.
        options: what holds for all of them.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        table: SocketTable,
        tasks: Tasks,
        clock: Clock,
        options: SocketOptions,
    ) -> None:
        self._dispatcher = dispatcher
        self._table = table
        self._tasks = tasks
        self._clock = clock
        self._options = options
        self._ends = Ends(dispatcher, tasks, clock)

    async def serve_events(
        self, socket: Socket, target: Target, wire: Wire, origin: Origin
    ) -> None:
        """Serve a managed connection."""
        outbox = Outbox(socket, self._tasks, self._options.limits.backlog)
        host_id = await self._secure_host(outbox, wire, origin)
        if host_id is None:
            return
        # At once: should the id become another, the table's sockets are closed.
        live = self._table.add(self._options.fresh_id(), outbox, wire)
        actor_id: str | None = None
        code = ABNORMAL
        try:
            info = await self._open(live, host_id, target, "events", origin)
            if info is None:
                return
            actor_id = info.actor_id
            handler = FrameHandler(
                self._dispatcher,
                wire,
                actor_id=actor_id,
                conn_id=live.conn_id,
                max_incoming=self._options.max_incoming,
                max_outgoing=self._options.max_outgoing,
                expose=self._options.expose,
            )
            outbox.open(handler.init())
            await outbox.flush()
            code = await self._listen(socket, outbox, handler)
        finally:
            self._end(live, actor_id, code)

    async def serve_raw(self, socket: Socket, target: Target, origin: Origin) -> None:
        """Serve a raw WebSocket."""
        outbox = Outbox(socket, self._tasks, self._options.limits.backlog)
        host_id = await self._secure_host(outbox, None, origin)
        if host_id is None:
            return
        live = self._table.add(self._options.fresh_id(), outbox, None)
        actor_id: str | None = None
        code = ABNORMAL
        try:
            # There is no Init to wait for: what ``on_websocket`` sends may go at once.
            outbox.open()
            info = await self._open(live, host_id, target, "raw", origin)
            if info is None:
                return
            actor_id = info.actor_id
            code = await self._relay(socket, outbox, actor_id, live.conn_id)
        finally:
            self._end(live, actor_id, code)

    async def _secure_host(self, outbox: Outbox, wire: Wire | None, origin: Origin) -> str | None:
        """Return the id that the socket is written down under; None if it had to be closed."""
        secure = self._options.secure_host
        if secure is None:
            return self._options.host_id
        try:
            return await secure()
        except Exception as failure:
            await self._refuse(outbox, wire, origin, failure)
            return None

    async def _open(
        self, live: LiveSocket, host_id: str, target: Target, kind: str, origin: Origin
    ) -> ActorInfo | None:
        """Open the connection; None if that failed, with the socket closed."""
        command = OpenConnection(target, live.conn_id, kind, host_id, origin)
        try:
            info: ActorInfo = await self._dispatcher.dispatch(command)
        except Exception as failure:
            await self._refuse(live.outbox, live.wire, origin, failure)
            return None
        return info

    async def _refuse(
        self, outbox: Outbox, wire: Wire | None, origin: Origin, failure: Exception
    ) -> None:
        if not isinstance(failure, ActorError):
            _log.error("a connection could not be opened", exc_info=failure)
        error = public_error(failure, expose=self._options.expose)
        reason = error.name
        if not is_refusal(error):
            reason = f"{reason}#{origin.ray_id}"
        elif wire is not None:
            # The actor is left out: there is no connection to it.
            frame = ErrorFrame(error.group, error.code, error.message, error.metadata)
            outbox.open(wire.frame(frame))
            if error.group == "rivetkit":
                reason = "actor.init_error"
        await self._close(outbox, 1011, reason)

    async def _listen(self, socket: Socket, outbox: Outbox, handler: FrameHandler) -> int:
        """Read frames until the socket closes; returns the close code."""
        calls = _Calls(handler, outbox, self._tasks, self._options.limits.frames)
        while True:
            try:
                data = await socket.receive()
            except SocketClosed as closed:
                return closed.code
            try:
                message = handler.read(data)
                await self._take(message, handler, calls)
            except Exception as failure:
                if not isinstance(failure, ActorError):
                    _log.exception("a frame for actor %s failed", handler.actor_id)
                error = public_error(failure, expose=self._options.expose)
                await self._close(outbox, 1011, error.name)
                return 1011

    async def _take(self, message: ToServer, handler: FrameHandler, calls: _Calls) -> None:
        if isinstance(message, ActionRequest):
            await calls.begin(message)
        else:
            # Before the next frame is read: an action sent after it must find it in effect.
            await handler.subscribe(message)

    async def _relay(self, socket: Socket, outbox: Outbox, actor_id: str, conn_id: str) -> int:
        """Hand raw messages to the actor, one after the other; returns the close code."""
        index = 0
        while True:
            try:
                data = await socket.receive()
            except SocketClosed as closed:
                return closed.code
            try:
                await self._dispatcher.dispatch(RawMessage(actor_id, conn_id, index, data))
            except Exception as failure:
                if not isinstance(failure, ActorError):
                    _log.exception("a message for actor %s failed", actor_id)
                error = public_error(failure, expose=self._options.expose)
                await self._close(outbox, 1011, error.name)
                return 1011
            index += 1

    async def _close(self, outbox: Outbox, code: int, reason: str) -> None:
        outbox.close(code, reason)
        try:
            async with Timeout(self._clock, _FAREWELL):
                await outbox.finish()
        except TimeoutError:
            _log.debug("a client did not take its last frames")

    def _end(self, live: LiveSocket, actor_id: str | None, code: int) -> None:
        live.outbox.closed = True
        self._table.remove(live)
        if actor_id is not None and not live.forgotten:
            # Not in this task: servers cancel the one that reads when they shut down.
            self._ends.tell(CloseConnection(actor_id, live.conn_id, code))


class _Calls:
    """The actions of one connection that are being run, a bounded number of them."""

    __slots__ = ("_handler", "_limit", "_outbox", "_room", "_running", "_tasks")

    def __init__(self, handler: FrameHandler, outbox: Outbox, tasks: Tasks, limit: int) -> None:
        self._handler = handler
        self._outbox = outbox
        self._tasks = tasks
        self._limit = limit
        self._running = 0
        self._room: asyncio.Future[None] | None = None

    async def begin(self, request: ActionRequest) -> None:
        """Begin an action, as soon as there is room for one more."""
        while self._running >= self._limit:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._running += 1
        self._tasks.spawn(self._run(request))

    async def _run(self, request: ActionRequest) -> None:
        try:
            self._outbox.put(await self._handler.call(request))
            if self._handler.lost:
                self._outbox.close(1011, "ws.going_away")
            await self._outbox.flush()
        finally:
            self._running -= 1
            if self._room is not None and not self._room.done():
                self._room.set_result(None)
