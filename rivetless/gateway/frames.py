"""The protocol of managed connections, without any socket: frame in, command, frames out.

The ASGI host keeps a loop around it; a host whose frames arrive as single events calls it once for
each.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from rivetless.errors import ActorError, incoming_too_long, outgoing_too_long, public_error
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.protocol.codec import Codec
from rivetless.protocol.messages import (
    CURRENT_VERSION,
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from rivetless.runtime.commands import NOWHERE, ActionResult, ConnectionAction, Origin, Subscribe

__all__ = ["EventEncoder", "FrameHandler", "Wire", "is_refusal", "size_of"]

_log = logging.getLogger("rivetless.gateway")

_LIFECYCLE: Final = frozenset(
    {
        "actor.destroyed_during_creation",
        "actor.destroyed_while_waiting_for_ready",
        "actor.destroying",
        "actor.dropped_reply",
        "actor.not_configured",
        "actor.not_found",
        "actor.not_registered",
        "actor.restarting",
        "actor.starting",
        "actor.stopped",
        "actor.stopping",
    }
)
"""Failures to reach an actor, which a client reads from the close alone; not refusals by it."""


def is_refusal(error: ActorError) -> bool:
    """Tell whether an actor itself refused a connection: the client is owed an Error frame."""
    return error.group not in ("guard", "ws") and error.name not in _LIFECYCLE


@dataclass(slots=True)
class Wire:
    """How one client speaks.

    Attributes:
        codec: its encoding.
        version: of the client protocol; that of its newest frame.
    """

    codec: Codec
    version: int = CURRENT_VERSION

    def frame(self, message: ToClient) -> str | bytes:
        """Write a frame for this client."""
        return self.codec.frame(message, self.version)


def size_of(data: str | bytes) -> int:
    """Return the bytes that a frame has on its way."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())


class FrameHandler:
    """Understands the frames of one connection and answers them.

    Args:
        dispatcher: runs the commands.
        wire: how the client speaks.
        actor_id: the actor that the connection leads to.
        conn_id: the connection.
        max_incoming: bytes a frame may have.
        max_outgoing: bytes an answer may have.
        expose: show internal errors to the client, for development.
        unordered: frames of the connection may overtake each other.
    """

    __slots__ = (
        "_dispatcher",
        "_expose",
        "_max_incoming",
        "_max_outgoing",
        "_unordered",
        "actor_id",
        "conn_id",
        "lost",
        "wire",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        wire: Wire,
        *,
        actor_id: str,
        conn_id: str,
        max_incoming: int,
        max_outgoing: int,
        expose: bool = False,
        unordered: bool = False,
    ) -> None:
        self._dispatcher = dispatcher
        self._unordered = unordered
        self._max_incoming = max_incoming
        self._max_outgoing = max_outgoing
        self._expose = expose
        self.wire = wire
        self.actor_id = actor_id
        self.conn_id = conn_id
        self.lost = False
        """The store knows the connection no more; the client must make a new one."""

    def init(self) -> str | bytes:
        """Return the frame that begins the connection."""
        return self.wire.frame(Init(self.actor_id, self.conn_id))

    def read(self, data: str | bytes) -> ToServer:
        """Understand a frame.

        Raises:
            ActorError: ``message.incoming_too_long`` or ``actor.invalid_request``; the socket must
                be closed with it.
        """
        if size_of(data) > self._max_incoming:
            raise incoming_too_long(size_of(data), self._max_incoming)
        message, self.wire.version = self.wire.codec.decode_to_server(data)
        return message

    async def call(self, request: ActionRequest, origin: Origin = NOWHERE) -> str | bytes:
        """Run an action and return the frame that answers it, failures included."""
        try:
            result: ActionResult = await self._dispatcher.dispatch(
                ConnectionAction(
                    self.actor_id,
                    self.conn_id,
                    request.id,
                    request.name,
                    request.args,
                    origin,
                    self._unordered,
                )
            )
            frame = self.wire.frame(ActionResponse(request.id, result.output))
            if len(frame) > self._max_outgoing or size_of(frame) > self._max_outgoing:
                raise outgoing_too_long(size_of(frame), self._max_outgoing)
        except ActorError as error:
            self.lost = self.lost or error.name == "connection.not_found"
            return self.error(error, request.id)
        except Exception as error:
            _log.exception("action %s of actor %s failed", request.name, self.actor_id)
            return self.error(error, request.id)
        return frame

    async def subscribe(self, request: SubscriptionRequest) -> None:
        """Start or stop to listen.

        Raises:
            ActorError: it was refused, and the socket must be closed with it.
        """
        await self._dispatcher.dispatch(
            Subscribe(self.actor_id, self.conn_id, request.event_name, request.subscribe)
        )

    def error(self, error: BaseException, action_id: int | None = None) -> str | bytes:
        """Return the frame that tells the client of an error."""
        shown = public_error(error, expose=self._expose)
        return self.wire.frame(ErrorFrame.of(shown, action_id))


class EventEncoder:
    """Writes one event for many clients, once for each way of speaking among them."""

    __slots__ = ("_event", "_frames", "_limit")

    def __init__(self, event: Event, limit: int) -> None:
        self._event = event
        self._limit = limit
        self._frames: dict[tuple[str, int], str | bytes] = {}

    def frame(self, wire: Wire) -> str | bytes:
        """Return the frame for a client.

        Raises:
            ActorError: ``message.outgoing_too_long``.
        """
        way = (wire.codec.name, wire.version)
        frame = self._frames.get(way)
        if frame is None:
            frame = wire.frame(self._event)
            if size_of(frame) > self._limit:
                raise outgoing_too_long(size_of(frame), self._limit)
            self._frames[way] = frame
        return frame
