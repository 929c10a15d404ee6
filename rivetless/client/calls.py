"""What a client asks for, as frozen values: the vocabulary between handles and transports.

Values in them are *plain*: None, bool, int, float, str, bytes, datetimes, lists, sets, and dicts
with text keys.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.protocol.messages import QueueStatus
from rivetless.protocol.targets import ById, ByKey, Target

__all__ = [
    "ActionCall",
    "ById",
    "ByKey",
    "FetchRequest",
    "FetchResponse",
    "LetterQuery",
    "LetterReplay",
    "LettersPurge",
    "Location",
    "Origin",
    "QueueReply",
    "QueueSend",
    "SocketRequest",
    "Target",
    "describe",
]


def describe(target: Target) -> str:
    """Return a target as people read it: ``counter["a"]``."""
    if isinstance(target, ById):
        return f"actor {target.actor_id}"
    return f"{target.name}[{', '.join(map(repr, target.key))}]"


@frozen
class Origin:
    """Which turn a call belongs to; empty for calls from outside.

    Attributes:
        call_key: identifies the call, so that a repeat is answered from the stored reply.
        chain: ids of the actors that wait for this call, outermost first.
        deadline: Unix seconds after which nobody waits for the answer.
    """

    call_key: str | None = None
    chain: tuple[str, ...] = ()
    deadline: float | None = None


NOWHERE = Origin()


@frozen
class ActionCall:
    """Call an action without a connection.

    Attributes:
        target: which actor.
        action: the action's name on the wire.
        args: plain arguments.
        params: plain connection parameters.
        idempotency_key: the same in every attempt, so that a server that knows it runs the action
            once.
        origin: which turn calls.
    """

    target: Target
    action: str
    args: Sequence[object]
    params: object = None
    idempotency_key: str | None = None
    origin: Origin = NOWHERE


@frozen
class QueueSend:
    """Send a message to a queue.

    Attributes:
        target: which actor.
        queue: the queue's name on the wire.
        body: plain body.
        wait: answer when the message is completed.
        timeout: seconds to wait; None for ever.
        params: plain connection parameters.
        idempotency_key: as in ``ActionCall``.
        origin: which turn sends.
    """

    target: Target
    queue: str
    body: object
    wait: bool = False
    timeout: float | None = None
    params: object = None
    idempotency_key: str | None = None
    origin: Origin = NOWHERE


@frozen
class QueueReply:
    """What became of a message.

    Attributes:
        status: ``"completed"``, or ``"timedOut"`` where the sender waited in vain; the message
            stays queued.
        response: what it was completed with.
    """

    status: QueueStatus
    response: Any = None


@frozen
class FetchRequest:
    """An HTTP request for ``on_request``.

    Attributes:
        target: which actor.
        method: e.g. ``"GET"``.
        path: what the actor sees, percent-encoded, with the query: ``/users?limit=5``.
        headers: lower-case names and values, in order.
        body: the whole body.
        params: plain connection parameters.
        origin: which turn asks.
    """

    target: Target
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    params: object = None
    origin: Origin = NOWHERE


@frozen
class FetchResponse:
    """The answer to ``Client.fetch``.

    Attributes:
        status: HTTP status.
        headers: lower-case names and values, in order; names may repeat.
        body: the whole body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8 text; what is not UTF-8 is replaced."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key == name), None)

    def error(self) -> ActorError | None:
        """Return the error in the body, if it holds one in JSON as servers write them."""
        if self.ok or "application/json" not in (self.header("content-type") or ""):
            return None
        try:
            value: Any = self.json()
            group, code, message = value["group"], value["code"], value["message"]
            metadata = value.get("metadata")
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        if not all(isinstance(part, str) for part in (group, code, message)):
            return None
        return ActorError(group, code, message, metadata)

    def raise_for_status(self) -> FetchResponse:
        """Return the response itself if its status is 2xx.

        Raises:
            ActorError: the body's error, or ``client.unsuccessful_response`` with
                ``metadata.status``.
        """
        if self.ok:
            return self
        raise self.error() or ActorError(
            "client",
            "unsuccessful_response",
            f"The actor answered with status {self.status}.",
            {"status": self.status},
        )


@frozen
class SocketRequest:
    """Open a socket to an actor.

    Attributes:
        target: which actor.
        path: ``/connect`` for a connection, ``/websocket/...`` with the query for a raw WebSocket,
            percent-encoded.
        params: plain connection parameters.
        origin: which turn opens it.
    """

    target: Target
    path: str
    params: object = None
    origin: Origin = NOWHERE


@frozen
class Location:
    """Find an actor's id, or create the actor.

    Attributes:
        target: which actor.
        exclusive: fail with ``actor.duplicate_key`` if it exists.
        origin: which turn asks.
    """

    target: ByKey
    exclusive: bool = False
    origin: Origin = NOWHERE


@frozen
class LetterQuery:
    """List an actor's dead letters, newest first.

    Attributes:
        target: which actor; it is never created.
        limit: how many at most.
        kind: only those of one kind.
        origin: which turn asks.
    """

    target: Target
    limit: int
    kind: str | None = None
    origin: Origin = NOWHERE


@frozen
class LetterReplay:
    """Put one of an actor's dead letters back to be tried anew.

    Attributes:
        target: which actor; it is never created.
        letter_id: which letter.
        origin: which turn asks.
    """

    target: Target
    letter_id: str
    origin: Origin = NOWHERE


@frozen
class LettersPurge:
    """Throw one of an actor's dead letters away, or as many as one commit takes.

    Attributes:
        target: which actor; it is never created.
        letter_id: which letter; None for all.
        origin: which turn asks.
    """

    target: Target
    letter_id: str | None = None
    origin: Origin = NOWHERE
