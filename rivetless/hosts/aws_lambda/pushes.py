"""Posts to the connections that API Gateway holds, and the delivery of pushes by them.

Each connection gets its frames one after the other, in the order in which they were given; several
connections get theirs at the same time. Nothing here is durable: what fails is lost, as on any
socket, and never sent twice.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

from rivetless.aws.client import AnswerLost, CallError
from rivetless.aws.management import ConnectionGone
from rivetless.clock import Clock, sleep
from rivetless.errors import ActorError, internal_error
from rivetless.gateway.frames import EventEncoder, Wire
from rivetless.hosts.aws_lambda.sockets import HOST, Phase, Routes
from rivetless.protocol.codec import JSON
from rivetless.protocol.messages import ErrorFrame, Event
from rivetless.runtime.ports import EventPush, Push, RawPush
from rivetless.store.base import StoreError

__all__ = ["AT_ONCE", "MAX_OUTGOING", "ApiGatewayPusher", "Management", "Posts", "text_frame"]

_log = logging.getLogger("rivetless.hosts")

MAX_OUTGOING: Final = 128 * 1024
"""Bytes that API Gateway takes in one post."""

AT_ONCE: Final = 64
"""Posts under way at once: at 10 ms each, a thousand of them take a sixth of a second."""

OPENING: Final = 30.0
"""Seconds for which a connection that API Gateway does not know may be one that is not open yet."""

_PATIENCE: Final = 1.0
"""Seconds for which a push waits for a connection that somebody else is opening."""

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_MOST_REACHED: Final = 100_000
_REPEATS: Final = 3

_WIRE: Final = Wire(JSON)


class Management(Protocol):
    """What is used of ``aws.management.Management``, which sends again what was refused."""

    @abstractmethod
    async def post(self, connection_id: str, data: bytes, *, deadline: float | None = None) -> None:
        """Send a message, at most once."""

    @abstractmethod
    async def get(self, connection_id: str, *, deadline: float | None = None) -> object:
        """Return what is known of a connection."""

    @abstractmethod
    async def delete(self, connection_id: str, *, deadline: float | None = None) -> None:
        """Close a connection."""


def text_frame(frame: str | bytes) -> bytes:
    """Return a frame as it is posted."""
    return frame.encode() if isinstance(frame, str) else frame


class _Lane:
    """What is on its way to one connection."""

    __slots__ = ("held", "lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.held: list[bytes | None] | None = None


class Posts:
    """Posts frames: in order for each connection, to several connections at once.

    Args:
        management: API Gateway.
        routes: tell a connection that is gone from one that is not open yet.
        clock: bounds the waits.
        at_once: how many posts may be under way.

    Attributes:
        deadline: Unix seconds after which the host cannot go on; set for each event it handles.
    """

    def __init__(
        self, management: Management, routes: Routes, clock: Clock, *, at_once: int = AT_ONCE
    ) -> None:
        self._management = management
        self._routes = routes
        self._clock = clock
        self._places = asyncio.Semaphore(at_once)
        self._lanes: dict[str, _Lane] = {}
        # The connections that have got something from here: if such a one is not known, it is gone.
        self._reached: OrderedDict[str, None] = OrderedDict()
        self.deadline: float | None = None

    # -- a connection that is being opened --------------------------------------------------------

    def hold(self, conn_id: str) -> None:
        """Keep what is sent to a connection until ``open``: its first frame comes first."""
        lane = self._lane(conn_id)
        if lane.held is None:
            lane.held = []

    def drop(self, conn_id: str) -> None:
        """Forget what was held back for a connection."""
        lane = self._lanes.get(conn_id)
        if lane is not None:
            lane.held = None
            self._tidy(conn_id, lane)

    async def open(self, conn_id: str, first: bytes | None, *, until: float) -> bool:
        """Send the first frame as soon as the connection is open, then what was held back.

        Args:
            conn_id: the connection.
            first: the frame; without one it is only made sure that the connection is open.
            until: Unix seconds until which it may be not open yet.

        Returns:
            Whether the connection is there.

        Raises:
            CallError: nobody knows; the frame may not have been sent.
            TimeoutError: the host cannot wait for it.
        """
        lane = self._lane(conn_id)
        lane.users += 1
        try:
            async with lane.lock:
                if not await self._open(conn_id, first, until):
                    lane.held = None
                    return False
                while lane.held:
                    if not await self._send(conn_id, lane.held.pop(0)):
                        lane.held = None
                        return False
                lane.held = None
                return True
        finally:
            lane.users -= 1
            self._tidy(conn_id, lane)

    async def _open(self, conn_id: str, first: bytes | None, until: float) -> bool:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._places:
                    if first is None:
                        await self._management.get(conn_id, deadline=self.deadline)
                    else:
                        await self._management.post(conn_id, first, deadline=self.deadline)
            except ConnectionGone:
                now = self._clock.now()
                if now >= until:
                    return False
                if self.deadline is not None and now + pause >= self.deadline:
                    raise TimeoutError("the connection is not open yet") from None
                await sleep(self._clock, min(pause, until - now))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._reach(conn_id)
                return True

    # -- connections that are there ---------------------------------------------------------------

    async def send(self, conn_id: str, *frames: bytes | None, repeat: bool = False) -> bool:
        """Send frames one after the other; ``None`` closes the connection.

        Args:
            conn_id: the connection.
            frames: what to send.
            repeat: the client knows a frame that it gets twice, so one whose arrival is unknown
                is sent again.

        Returns:
            False if there is no such connection (any more). What fails otherwise is lost.
        """
        lane = self._lane(conn_id)
        if lane.held is not None:
            lane.held.extend(frames)
            return True
        lane.users += 1
        try:
            async with lane.lock:
                for frame in frames:
                    if not await self._send(conn_id, frame, repeat=repeat):
                        return False
                return True
        finally:
            lane.users -= 1
            self._tidy(conn_id, lane)

    async def close(self, conn_id: str) -> None:
        """Close a connection; without effect on one that is gone."""
        await self.send(conn_id, None)

    async def exists(self, conn_id: str) -> bool:
        """Ask whether a connection is there.

        Raises:
            CallError: there is no answer.
        """
        try:
            async with self._places:
                await self._management.get(conn_id, deadline=self.deadline)
        except ConnectionGone:
            return False
        return True

    async def _send(self, conn_id: str, frame: bytes | None, *, repeat: bool = False) -> bool:
        pause, waited = _FIRST_PAUSE, 0.0
        repeats = _REPEATS if repeat else 0
        while True:
            try:
                await self._call(conn_id, frame)
            except ConnectionGone:
                gone = frame is None or await self._is_gone(conn_id)
                if gone or waited >= _PATIENCE:
                    # One that is not open yet is none that is lost: who opens it sees to it.
                    return not gone
                await sleep(self._clock, pause)
                waited, pause = waited + pause, 2 * pause
            except AnswerLost as error:
                repeats -= 1
                if repeats < 0:
                    _log.warning("connection %s may have missed a frame: %s", conn_id, error)
                    return True
            except CallError as error:
                _log.warning("connection %s missed a frame: %s", conn_id, error)
                return True
            else:
                self._reach(conn_id)
                return True

    async def _call(self, conn_id: str, frame: bytes | None) -> None:
        async with self._places:
            if frame is None:
                await self._management.delete(conn_id, deadline=self.deadline)
            else:
                await self._management.post(conn_id, frame, deadline=self.deadline)

    async def _is_gone(self, conn_id: str) -> bool:
        """Say whether a connection that API Gateway does not know was open before."""
        if conn_id in self._reached:
            return True
        try:
            route = await self._routes.find(conn_id)
        except StoreError:
            _log.warning("the route of %s could not be read", conn_id, exc_info=True)
            return False
        return route is None or route.phase is not Phase.OPENING

    def _reach(self, conn_id: str) -> None:
        self._reached[conn_id] = None
        if len(self._reached) > _MOST_REACHED:
            self._reached.popitem(last=False)

    def _lane(self, conn_id: str) -> _Lane:
        lane = self._lanes.get(conn_id)
        if lane is None:
            lane = self._lanes[conn_id] = _Lane()
        return lane

    def _tidy(self, conn_id: str, lane: _Lane) -> None:
        if not lane.users and lane.held is None:
            self._lanes.pop(conn_id, None)


class ApiGatewayPusher:
    """Delivers pushes to API Gateway's connections. Implements ``runtime.ports.Pusher``.

    Args:
        posts: sends the frames.
        max_outgoing: bytes an event may have; a larger one closes the connections it is for.
    """

    def __init__(self, posts: Posts, *, max_outgoing: int = MAX_OUTGOING) -> None:
        self._posts = posts
        self._max_outgoing = min(max_outgoing, MAX_OUTGOING)

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver pushes in order to the connections they are for."""
        if host != HOST:
            return frozenset()  # sockets that some process holds are out of a function's reach
        frames: dict[str, list[bytes | None]] = {}
        for push in pushes:
            # Written once, for however many: all speak JSON here.
            content = self._frames(push)
            for conn_id in push.conns:
                frames.setdefault(conn_id, []).extend(content)
        sent = await asyncio.gather(*[self._posts.send(c, *f) for c, f in frames.items()])
        return frozenset([c for c, there in zip(frames, sent, strict=True) if not there])

    def _frames(self, push: Push) -> list[bytes | None]:
        content = push.content
        if isinstance(content, EventPush):
            return self._event(content)
        if isinstance(content, RawPush):
            return [self._raw(content.data, push.actor_id)]
        # API Gateway closes with a code of its own and no reason.
        return [None]

    def _event(self, content: EventPush) -> list[bytes | None]:
        event = Event(content.name, list(content.args))
        try:
            return [text_frame(EventEncoder(event, self._max_outgoing).frame(_WIRE))]
        except ActorError as failure:
            error = failure
            _log.warning("event %s: %s", content.name, error)
        except TypeError:
            error = internal_error()
            _log.exception("an event has no form on the wire")
        return [text_frame(_WIRE.frame(ErrorFrame.of(error))), None]

    def _raw(self, data: str | bytes, actor_id: str) -> bytes | None:
        if isinstance(data, bytes):
            _log.error(
                "actor %s sent bytes over a raw WebSocket, which API Gateway cannot carry: send "
                "text. The socket is closed.",
                actor_id,
            )
            return None
        frame = data.encode()
        if len(frame) > self._max_outgoing:
            _log.warning(
                "actor %s sent %d bytes over a raw WebSocket, more than %d. The socket is closed.",
                actor_id,
                len(frame),
                self._max_outgoing,
            )
            return None
        return frame
