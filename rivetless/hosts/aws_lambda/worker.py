"""The worker: what becomes of a connect, a frame and a disconnect once a queue delivers them.

Every message may come again, and two processes may work on one at the same time. The connection's
record in the actor and its routing head say how far things have come, and a frame's call is
answered from its stored reply, so that nothing happens twice. An exception means that the message
must be delivered again; what is the client's own fault is told to the client instead.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.actor.turn import RequestInfo, latin_headers
from rivetless.client.retry import is_lifecycle
from rivetless.clock import Clock, sleep
from rivetless.errors import ActorError, forbidden, incoming_too_long, make, public_error
from rivetless.frozen import frozen
from rivetless.gateway.cors import Cors
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.frames import FrameHandler, Wire
from rivetless.gateway.origins import actor_url, seen_headers, target_of
from rivetless.hosts.aws_lambda.pushes import MAX_OUTGOING, OPENING, Posts, text_frame
from rivetless.hosts.aws_lambda.sockets import HOST, Phase, Route, Routes, SocketKeeper
from rivetless.hosts.aws_lambda.websocket import Connect, Disconnect, Frame, SocketMessage
from rivetless.keys import Address
from rivetless.protocol import routes as paths
from rivetless.protocol.codec import JSON
from rivetless.protocol.headers import Subprotocols
from rivetless.protocol.messages import ActionRequest, ErrorFrame
from rivetless.protocol.targets import GatewayRequest
from rivetless.runtime.commands import (
    ABNORMAL,
    ById,
    CloseConnection,
    OpenConnection,
    Origin,
    RawMessage,
    Target,
)
from rivetless.runtime.execution import says_nothing
from rivetless.store.base import Conflict, Gone, StoreError

if TYPE_CHECKING:
    from rivetless.registry import Registry

__all__ = ["MAX_INCOMING", "Later", "SocketWorker", "WorkerOptions"]

_log = logging.getLogger("rivetless.hosts")

MAX_INCOMING: Final = 32 * 1024
"""Bytes of a message that are taken: browsers send one frame, and API Gateway takes no longer."""

MAX_TRIES: Final = 6
"""How often a frame is put off because its connection is not there yet."""

_WAIT: Final = 2.0
"""Seconds for which a frame waits on the spot."""

_FIRST_PAUSE: Final = 0.02
_MOMENT: Final = 1.0
"""Seconds after which what failed is tried again."""

_FAILED: Final = 1011

_NO_BINARY: Final = (
    'API Gateway takes no binary frames: create the client with `encoding: "json"`, that is '
    '`createClient({ encoding: "json", ... })`.'
)

Later = Callable[[Frame | Disconnect, float], Awaitable[None]]
"""Puts a message into the queue, to be delivered (again) after so many seconds."""


@frozen(kw_only=True)
class WorkerOptions:
    """What holds for all connections.

    Attributes:
        ordered: whether a connection's messages come in order, through a FIFO queue.
        origins: pages that may open sockets; None lets all.
        max_incoming: bytes a message may have.
        max_outgoing: bytes an answer may have.
        expose: show internal errors to clients, for development.
    """

    ordered: bool = True
    origins: Iterable[str] | None = None
    max_incoming: int = MAX_INCOMING
    max_outgoing: int = MAX_OUTGOING
    expose: bool = False


class SocketWorker:
    """Works the messages about sockets.

    Args:
        registry: the actors.
        dispatcher: runs the commands.
        routes: where connections lead.
        posts: reaches the clients.
        keeper: looks after connections later.
        later: puts off, where messages have no order, frames that come before their connect, and
            ends that could not be told at once.
        clock: tells the time.
        options: the rest.
    """

    def __init__(
        self,
        registry: Registry,
        dispatcher: Dispatcher,
        *,
        routes: Routes,
        posts: Posts,
        keeper: SocketKeeper,
        later: Later,
        clock: Clock,
        options: WorkerOptions,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._routes = routes
        self._posts = posts
        self._keeper = keeper
        self._later = later
        self._clock = clock
        self._options = options
        self._cors = Cors(options.origins)
        self._max_incoming = min(options.max_incoming, MAX_INCOMING)
        self._max_outgoing = min(options.max_outgoing, MAX_OUTGOING)

    async def work(self, message: SocketMessage, *, deadline: float | None = None) -> None:
        """Work one message.

        Args:
            message: what happened.
            deadline: Unix seconds after which the host cannot go on.

        Raises:
            Exception: the message must be delivered again.
        """
        if isinstance(message, Connect):
            await self._connect(message, deadline)
        elif isinstance(message, Frame):
            await self._frame(message, deadline)
        else:
            await self._disconnect(message)

    # -- connect ----------------------------------------------------------------------------------

    async def _connect(self, message: Connect, deadline: float | None) -> None:
        conn_id = message.conn_id
        route = await self._routes.begin(conn_id, message.at, self._where(message))
        if route.phase is Phase.OPEN:
            return  # it was worked before
        if route.phase is Phase.CLOSED:
            await self._keeper.end(route)  # the client has left
            return
        late = self._clock.now() > message.at + OPENING
        if late and not await self._posts.exists(conn_id):
            _log.info("connection %s was gone before its connect was worked", conn_id)
            await self._keeper.end(route)
            return
        raw = False
        try:
            offer = message.offer()
            request = message.request(offer)
            raw = isinstance(paths.socket_route(request.subpath), paths.RawSocket)
            target, origin = self._admit(message, offer, request, deadline)
        except ActorError as error:
            await self._refuse(route, error, raw=raw)
            return
        await self._open(route, target, origin, raw=raw)

    def _admit(
        self,
        message: Connect,
        offer: Subprotocols,
        request: GatewayRequest,
        deadline: float | None,
    ) -> tuple[Target, Origin]:
        """Return what a connect asks for.

        Raises:
            ActorError: it cannot be served.
        """
        page, host = message.headers.get("origin"), message.headers.get("host")
        if page is not None and not self._cors.admits(
            page.encode(errors="replace"), None if host is None else host.encode(errors="replace")
        ):
            raise forbidden("Pages of this origin may not use the server.")
        what = paths.socket_route(request.subpath)
        if isinstance(what, paths.InspectorSocket):
            raise make("inspector.unauthorized")
        if isinstance(what, paths.Connect) and offer.encoding != "json":
            raise ActorError("actor", "unsupported_websocket_encoding", _NO_BINARY)
        url = actor_url(request.subpath, request.query)
        seen = RequestInfo("GET", url, seen_headers(latin_headers(message.headers.items())))
        origin = Origin(seen, offer.params, deadline=deadline, ray_id=message.conn_id)
        return target_of(self._registry, request), origin

    def _where(self, message: Connect) -> Address | str | None:
        """Return the actor that a connect is for, or its life; None if it says none."""
        try:
            target = target_of(self._registry, message.request(message.offer()))
        except ActorError:
            return None
        return target.actor_id if isinstance(target, ById) else target.address

    async def _open(self, route: Route, target: Target, origin: Origin, *, raw: bool) -> None:
        conn_id = route.conn_id
        kind = "raw" if raw else "events"
        command = OpenConnection(target, conn_id, kind, HOST, origin, again=True)
        # What hooks send waits for Init, and for the socket to be open at all.
        self._posts.hold(conn_id)
        try:
            info = await self._dispatcher.dispatch(command)
        except Exception as failure:
            self._posts.drop(conn_id)
            if isinstance(failure, ActorError):
                if is_lifecycle(failure):
                    # Nothing has happened yet. A client would give up for good; the queue does not.
                    raise
                if failure.name == "connection.not_found":
                    # It was open, and has ended while this was about to open it again.
                    await self._posts.close(conn_id)
                    await self._routes.close(conn_id)
                    return
            if not isinstance(failure, ActorError):
                _log.exception("connection %s could not be opened", conn_id)
            await self._refuse(route, failure, raw=raw)
            return
        except BaseException:
            self._posts.drop(conn_id)
            raise
        first = None if raw else text_frame(self._handler(route, info.actor_id).init())
        if not await self._first(route, first):
            await self._keeper.end(replace(route, phase=Phase.OPEN, actor_id=info.actor_id))
            return
        alarm = self._keeper.next_alarm(route.opened_at, raw=raw)
        try:
            route = await self._routes.establish(route, info.actor_id, raw=raw, alarm=alarm)
        except (Conflict, Gone):
            await self._settle(conn_id, info.actor_id)
        else:
            await self._keeper.watch(route, alarm)

    async def _settle(self, conn_id: str, actor_id: str) -> None:
        """Somebody else has changed the route: opened the same connection, or closed it."""
        route = await self._routes.find(conn_id)
        if route is None or route.phase is not Phase.OPEN:
            await self._close(actor_id, conn_id, ABNORMAL)

    async def _first(self, route: Route, frame: bytes | None) -> bool:
        """Send a connection its first frame; False if it is gone."""
        try:
            return await self._posts.open(route.conn_id, frame, until=route.opened_at + OPENING)
        finally:
            self._posts.drop(route.conn_id)

    async def _refuse(self, route: Route, failure: Exception, *, raw: bool) -> None:
        """Refuse a connection: no close code can say why, only a frame before it."""
        error = public_error(failure, expose=self._options.expose)
        _log.warning("connection %s is refused: %s", route.conn_id, error)
        await self._first(route, None if raw else _error_frame(error))
        await self._posts.close(route.conn_id)
        if not says_nothing(failure):
            # Else it may be open, or yet be opened; whoever ends it finds out.
            await self._routes.close(route.conn_id)

    # -- frames -----------------------------------------------------------------------------------

    async def _frame(self, message: Frame, deadline: float | None) -> None:
        route = await self._find(message, deadline)
        if route is None:
            return
        origin = Origin(call_key=_call_key(message), deadline=deadline, ray_id=message.frame_id)
        error: ActorError | None = None
        try:
            if await self._take(route, message, origin):
                return
        except Exception as failure:
            if isinstance(failure, ActorError) and is_lifecycle(failure):
                raise  # nothing has happened yet
            if not isinstance(failure, ActorError):
                _log.exception("a frame for actor %s failed", route.actor_id)
            error = public_error(failure, expose=self._options.expose)
        try:
            await self._hang_up(route, error)
        except (ActorError, StoreError) as failure:
            if origin.call_key is not None:
                raise  # the frame comes again, and its call is answered from the stored answer
            await self._end_later(route, failure)

    async def _take(self, route: Route, message: Frame, origin: Origin) -> bool:
        """Do what a frame says; False if its connection turns out to be gone.

        Raises:
            Exception: it could not be done, and the client must be told.
        """
        if len(message.data) > self._max_incoming:
            raise incoming_too_long(len(message.data), self._max_incoming)
        text = message.text
        if route.raw:
            await self._dispatcher.dispatch(
                RawMessage(route.actor_id, route.conn_id, message.number, text, origin)
            )
            return True
        handler = self._handler(route, route.actor_id, unordered=message.unordered)
        request = handler.read(text)
        if not isinstance(request, ActionRequest):
            await handler.subscribe(request)
            return True
        answer = text_frame(await handler.call(request, origin))
        end = (None,) if handler.lost else ()
        return await self._posts.send(route.conn_id, answer, *end, repeat=True)

    async def _hang_up(self, route: Route, error: ActorError | None) -> None:
        """Close a connection that is gone or, with an error, because of what its client sent."""
        if error is None:
            await self._close(route.actor_id, route.conn_id, ABNORMAL)
            return
        _log.warning("connection %s is closed: %s", route.conn_id, error)
        frames: list[bytes | None] = [None] if route.raw else [_error_frame(error), None]
        await self._posts.send(route.conn_id, *frames)
        # Now, and not when API Gateway says so: nothing that follows in the queue may be worked.
        await self._close(route.actor_id, route.conn_id, _FAILED)
        await self._routes.close(route.conn_id)

    async def _end_later(self, route: Route, failure: Exception) -> None:
        """Leave the end of a connection to the queue.

        A frame that has no stored answer must not come again for it: its call would be made twice.
        """
        _log.warning("connection %s could not be closed yet: %s", route.conn_id, failure)
        try:
            await self._later(Disconnect(route.conn_id, ABNORMAL, ""), _MOMENT)
        except Exception:
            # API Gateway says so too, mostly; else the sweeper finds out.
            _log.exception("the end of connection %s could not be put off", route.conn_id)

    async def _find(self, message: Frame, deadline: float | None) -> Route | None:
        """Return where a frame's connection leads; None if nothing is to be done with it now."""
        conn_id = message.conn_id
        route = await self._routes.known(conn_id)
        pause, waited = _FIRST_PAUSE, 0.0
        while message.unordered and _is_early(route) and waited < _WAIT:
            if deadline is not None and self._clock.now() + pause >= deadline:
                break
            await sleep(self._clock, pause)
            waited, pause = waited + pause, 2 * pause
            route = await self._routes.find(conn_id)
        if not _is_early(route):
            return route if route is not None and route.phase is Phase.OPEN else None
        if message.unordered and message.tries < MAX_TRIES:
            again = Frame(
                conn_id,
                message.frame_id,
                message.data,
                message.at,
                unordered=True,
                tries=message.tries + 1,
            )
            await self._later(again, float(2**message.tries))
            return None
        # Its connect is not to come any more. The client makes a new connection.
        _log.warning("connection %s leads nowhere; it is closed", conn_id)
        await self._posts.close(conn_id)
        return None

    # -- disconnect -------------------------------------------------------------------------------

    async def _disconnect(self, message: Disconnect) -> None:
        route = await self._routes.find(message.conn_id)
        if route is not None:
            # Where messages come in order, none is behind it.
            await self._keeper.end(route, message.code, last=self._options.ordered)
        elif not self._options.ordered:
            # Its connect may be still to come: it must find this.
            await self._routes.close(message.conn_id)

    async def _close(self, actor_id: str, conn_id: str, code: int) -> None:
        await self._dispatcher.dispatch(CloseConnection(actor_id, conn_id, code))

    def _handler(self, route: Route, actor_id: str, *, unordered: bool = False) -> FrameHandler:
        return FrameHandler(
            self._dispatcher,
            Wire(JSON),
            actor_id=actor_id,
            conn_id=route.conn_id,
            max_incoming=self._max_incoming,
            max_outgoing=self._max_outgoing,
            expose=self._options.expose,
            unordered=unordered,
        )


def _call_key(message: Frame) -> str | None:
    """Name the call that a frame makes, if it may be delivered again."""
    if not message.unordered:
        return f"f:{message.conn_id}:{message.frame_id}"
    # Nobody delivers again what API Gateway itself has called us with, unless we put it off.
    return f"d:{message.conn_id}:{message.frame_id}" if message.tries else None


def _is_early(route: Route | None) -> bool:
    """Whether a connection is not open yet, as far as its route tells."""
    return route is None or route.phase is Phase.OPENING


def _error_frame(error: ActorError) -> bytes:
    # The actor is left out: there is no connection to it.
    frame = ErrorFrame(error.group, error.code, error.message, error.metadata)
    return text_frame(Wire(JSON).frame(frame))
