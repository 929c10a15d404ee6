"""What travels between clients and actors, as frozen values.

Frames go over a connection's socket; the ``Http…`` classes are bodies of stateless calls. Payloads
are *plain* values: what ``values.untag`` makes of wire data and ``values.tag`` turns back.
"""

from __future__ import annotations

from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from rivetless.errors import ActorError, ActorSpecifier
from rivetless.frozen import frozen

__all__ = [
    "CURRENT_VERSION",
    "TAGS_SINCE",
    "ActionRequest",
    "ActionResponse",
    "Decoded",
    "ErrorFrame",
    "Event",
    "HttpActionRequest",
    "HttpActionResponse",
    "HttpBody",
    "HttpError",
    "HttpQueueSendRequest",
    "HttpQueueSendResponse",
    "Init",
    "Message",
    "QueueStatus",
    "SubscriptionRequest",
    "ToClient",
    "ToServer",
]

CURRENT_VERSION: Final = 4
"""The newest version of the client protocol; 1 to 4 are understood."""

TAGS_SINCE: Final = 4
"""The first version whose clients know all tags of values."""

QueueStatus = Literal["completed", "timedOut"]


# -- client to server ----------------------------------------------------------------------------


@frozen
class ActionRequest:
    """Call an action over a connection.

    Attributes:
        id: chosen by the client; the answer repeats it.
        name: of the action.
        args: positional arguments.
    """

    id: int
    name: str
    args: list[object]


@frozen
class SubscriptionRequest:
    """Start or stop to listen to an event.

    Attributes:
        event_name: of the event.
        subscribe: start or stop.
    """

    event_name: str
    subscribe: bool


# -- server to client ----------------------------------------------------------------------------


@frozen
class Init:
    """The first frame of a connection.

    Attributes:
        actor_id: which actor it leads to.
        connection_id: its own id.
    """

    actor_id: str
    connection_id: str


@frozen
class ErrorFrame:
    """An action, or the connection itself, failed.

    Attributes:
        group: as ``ActorError``.
        code: as ``ActorError``.
        message: as ``ActorError``.
        metadata: as ``ActorError``.
        action_id: id of the ``ActionRequest``, or None if the error concerns the connection.
        actor: where it comes from.
    """

    group: str
    code: str
    message: str
    metadata: object = None
    action_id: int | None = None
    actor: ActorSpecifier | None = None

    @classmethod
    def of(cls, error: ActorError, action_id: int | None = None) -> ErrorFrame:
        """Return the frame that carries an error, which must be fit for clients already."""
        return cls(error.group, error.code, error.message, error.metadata, action_id, error.actor)

    def to_error(self) -> ActorError:
        """Return the error that the frame carries."""
        return ActorError(self.group, self.code, self.message, self.metadata, actor=self.actor)


@frozen
class ActionResponse:
    """An action's result.

    Attributes:
        id: of the ``ActionRequest``.
        output: what the action returned.
    """

    id: int
    output: object


@frozen
class Event:
    """An event, for connections that listen to it.

    Attributes:
        name: of the event.
        args: its payload, as arguments of the listener.
    """

    name: str
    args: list[object]


# -- HTTP bodies ---------------------------------------------------------------------------------


@frozen
class HttpActionRequest:
    """Body of ``POST /action/{name}``.

    Attributes:
        args: positional arguments.
    """

    args: list[object]


@frozen
class HttpActionResponse:
    """Answer to ``POST /action/{name}``.

    Attributes:
        output: what the action returned.
    """

    output: object


@frozen
class HttpQueueSendRequest:
    """Body of ``POST /queue/{name}``.

    Attributes:
        body: of the message.
        name: of the queue; the path's name wins.
        wait: answer when the message is completed.
        timeout: how long to wait, in milliseconds; None for ever.
    """

    body: object
    name: str | None = None
    wait: bool = False
    timeout: int | None = None


@frozen
class HttpQueueSendResponse:
    """Answer to ``POST /queue/{name}``.

    Attributes:
        status: ``"timedOut"`` only if asked to wait.
        response: what the message was completed with; None if with nothing.
    """

    status: QueueStatus
    response: object = None


@frozen
class HttpError:
    """Body of every answer that is not 2xx.

    Attributes:
        group: as ``ActorError``.
        code: as ``ActorError``.
        message: as ``ActorError``.
        metadata: as ``ActorError``.
        actor: where it comes from.
    """

    group: str
    code: str
    message: str
    metadata: object = None
    actor: ActorSpecifier | None = None

    @classmethod
    def of(cls, error: ActorError) -> HttpError:
        """Return the body that carries an error, which must be fit for clients already."""
        return cls(error.group, error.code, error.message, error.metadata, error.actor)

    def to_error(self) -> ActorError:
        """Return the error that the body carries."""
        return ActorError(self.group, self.code, self.message, self.metadata, actor=self.actor)


ToServer: TypeAlias = ActionRequest | SubscriptionRequest
ToClient: TypeAlias = Init | ErrorFrame | ActionResponse | Event
HttpBody: TypeAlias = (
    HttpActionRequest
    | HttpActionResponse
    | HttpQueueSendRequest
    | HttpQueueSendResponse
    | HttpError
)
Message: TypeAlias = ToServer | ToClient | HttpBody

M_co = TypeVar("M_co", covariant=True)


class Decoded(NamedTuple, Generic[M_co]):
    """A message and the protocol version it was written in, which the answer repeats.

    Attributes:
        message: the message.
        version: 1 to 4; always 4 in JSON and CBOR, which do not carry one.
    """

    message: M_co
    version: int
