"""The sockets that this process holds, and the delivery of pushes to them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from rivetless.clock import Clock
from rivetless.errors import ActorError
from rivetless.gateway.frames import EventEncoder, Wire
from rivetless.gateway.outbox import Outbox
from rivetless.protocol.messages import Event
from rivetless.runtime.ports import ClosePush, EventPush, Push, RawPush

__all__ = ["LiveSocket", "SocketTable"]

_log = logging.getLogger("rivetless.gateway")


class LiveSocket:
    """A client's socket in this process.

    Attributes:
        conn_id: the connection it carries.
        outbox: what is on its way to it.
        wire: how its client speaks; None for a raw WebSocket, whose frames are nobody's business.
        since: Unix seconds at which it was accepted.
        forgotten: the runtime has dropped the connection already, so its end need not be reported.
    """

    __slots__ = ("conn_id", "forgotten", "outbox", "since", "wire")

    def __init__(self, conn_id: str, outbox: Outbox, wire: Wire | None, since: float) -> None:
        self.conn_id = conn_id
        self.outbox = outbox
        self.wire = wire
        self.since = since
        self.forgotten = False


class SocketTable:
    """Which connection is on which socket here.

    Args:
        clock: tells since when a socket is open.
        max_outgoing: bytes an event may have; a larger one closes the sockets it is for.
    """

    def __init__(self, clock: Clock, *, max_outgoing: int) -> None:
        self._clock = clock
        self._max_outgoing = max_outgoing
        self._sockets: dict[str, LiveSocket] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[LiveSocket]:
        return iter(list(self._sockets.values()))

    def add(self, conn_id: str, outbox: Outbox, wire: Wire | None) -> LiveSocket:
        """Take a socket in."""
        live = LiveSocket(conn_id, outbox, wire, self._clock.now())
        self._sockets[conn_id] = live
        return live

    def remove(self, live: LiveSocket) -> None:
        """Forget a socket."""
        self._sockets.pop(live.conn_id, None)

    def get(self, conn_id: str) -> LiveSocket | None:
        """Return a connection's socket, if it is here and open."""
        live = self._sockets.get(conn_id)
        return None if live is None or live.outbox.closed else live

    def close_all(self, code: int, reason: str) -> None:
        """Close every socket."""
        for live in self:
            live.outbox.close(code, reason)
            live.outbox.kick()

    def deliver(self, pushes: Sequence[Push]) -> frozenset[str]:
        """Put pushes on their way, in order, and return the connections that have no socket here.

        Nothing is waited for: a client that reads slowly holds nobody else up.
        """
        gone: set[str] = set()
        touched: dict[str, LiveSocket] = {}
        for push in pushes:
            content = push.content
            encoder = (
                EventEncoder(Event(content.name, list(content.args)), self._max_outgoing)
                if isinstance(content, EventPush)
                else None
            )
            for conn_id in push.conns:
                live = self._sockets.get(conn_id)
                if live is None:
                    gone.add(conn_id)
                    continue
                touched[conn_id] = live
                if encoder is not None:
                    _put_event(live, encoder)
                elif isinstance(content, RawPush):
                    live.outbox.put(content.data)
                elif isinstance(content, ClosePush):
                    live.forgotten = live.forgotten or content.forget
                    live.outbox.close(content.code, content.reason)
        for live in touched.values():
            live.outbox.kick()
        return frozenset(gone)


def _put_event(live: LiveSocket, encoder: EventEncoder) -> None:
    if live.wire is None:
        # Events do not reach raw WebSockets.
        return
    try:
        live.outbox.put(encoder.frame(live.wire))
    except ActorError as error:
        live.outbox.close(1011, error.name)
    except TypeError:
        _log.exception("an event has no form on the wire")
        live.outbox.close(1011, "rivetkit.internal_error")
