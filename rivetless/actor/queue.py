"""Queues: what an actor class declares of them, and the messages that handlers receive."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, Protocol, Self, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from rivetless.actor.declare import allowed, check_async
from rivetless.actor.declared import Declared, refuse
from rivetless.errors import ActorError, DefinitionError, make
from rivetless.frozen import frozen
from rivetless.serde import Schema, schema_of, type_name

BodyT = TypeVar("BodyT", default=Any)
ReplyT = TypeVar("ReplyT", default=None)

MAX_DELIVERIES: Final = 5
"""How often a message is tried whose handler fails, unless its queue says otherwise."""

_ANYTHING: Final = schema_of(Any)
_NOTHING: Final = object()


class Queue(Declared, Generic[BodyT, ReplyT]):
    """A queue of messages: ``jobs = Queue[Job, int]()``.

    The type arguments are the types of a message's body and of the reply that it is completed
    with. A queue whose reply has a type is *completable*: its messages stay until ``complete``.

    Args:
        name: its name on the wire; camelCase of the attribute's name by default.
        can_publish: an async function that gets the actor and says whether ``actor.conn`` may send.
            Without it everybody may; the actor itself always may.
        max_deliveries: how often a message is tried whose handler fails; then it becomes a dead
            letter.

    Attributes:
        name: on the wire.
        python_name: the attribute's name.
        can_publish: as given.
        max_deliveries: as given.
    """

    defaults: ClassVar[tuple[Any, ...]] = (Any, type(None))

    def __init__(
        self,
        *,
        name: str | None = None,
        can_publish: Callable[[Any], Awaitable[bool]] | None = None,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        super().__init__(name)
        if inspect.isroutine(can_publish):
            check_async(can_publish, can_publish.__name__, "`can_publish`")
        if isinstance(max_deliveries, bool) or max_deliveries < 1:
            raise DefinitionError(
                f"Queue: `max_deliveries` is a number above zero, not {max_deliveries!r}."
            )
        self.can_publish = can_publish
        self.max_deliveries = max_deliveries

    def __repr__(self) -> str:
        body, reply = map(type_name, self.types)
        return f"Queue[{body}, {reply}]({self.name!r})"

    @property
    def body(self) -> Schema[Any]:
        """The schema of a message's body."""
        return (self._schemas or self.resolve())[0]

    @property
    def reply(self) -> Schema[Any]:
        """The schema of the reply."""
        return (self._schemas or self.resolve())[1]

    @property
    def completable(self) -> bool:
        """Whether its messages stay until they are completed, unless a receiver says otherwise."""
        return self.reply.annotation is not type(None)

    def _again(self) -> Self:
        return type(self)(
            name=self.name or None,
            can_publish=self.can_publish,
            max_deliveries=self.max_deliveries,
        )

    def encode(self, body: BodyT) -> object:
        """Check a body and make it plain.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        try:
            return self.body.encode(body)
        except (ValidationError, TypeError) as error:
            refuse(f"The body of a message for the queue `{self.python_name}`", error)

    def encode_reply(self, reply: object) -> object:
        """Check a reply and make it plain. A queue without a type for it takes any.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        schema = self.reply if self.completable else _ANYTHING
        try:
            return schema.encode(reply)
        except (ValidationError, TypeError) as error:
            refuse(f"The reply to a message of the queue `{self.python_name}`", error)

    async def allows(self, actor: object) -> bool:
        """Ask ``can_publish`` whether ``actor.conn`` may send.

        Raises:
            TypeError: the answer is no bool (a mistake of the actor, masked for clients).
        """
        return await allowed(
            self.can_publish, actor, f"`can_publish` of the queue `{self.python_name}`"
        )


def as_queue(value: object) -> Queue[Any, Any] | None:
    """Return ``value`` if it is a queue."""
    return value if isinstance(value, Queue) else None  # pyright: ignore[reportUnknownVariableType]


@frozen
class Delivery:
    """A message on its way to a handler.

    Attributes:
        id: rises from 1 in each life of the actor; no id is given twice.
        queue: the queue's name on the wire.
        body: plain.
        created_at: Unix seconds.
        attempt: 1 for the first time a handler gets it; conflicts and aborts do not count.
        completable: whether it stays until it is completed.
    """

    id: int
    queue: str
    body: object
    created_at: float
    attempt: int
    completable: bool


class Completes(Protocol):
    """What takes the completion of a message: the turn that has received it."""

    @abstractmethod
    def complete(self, id: int, reply: object) -> None:
        """Remove a message with the turn's commit, and answer whoever waits for it.

        Args:
            id: the message's.
            reply: plain.
        """


class Message(Generic[BodyT, ReplyT]):
    """A message that a handler has received.

    A plain message is gone with the commit of what the handler does. A completable one stays until
    ``complete``; whoever has sent it may wait for the reply.

    Attributes:
        id: rises from 1 in each life of the actor; no id is given twice.
        name: the queue's name on the wire.
        body: what was sent.
        created_at: when it was sent.
        attempt: 1 for the first time a handler gets it. What fails is delivered again.
    """

    __slots__ = (
        "_completable",
        "_completed",
        "_queue",
        "_turn",
        "attempt",
        "body",
        "created_at",
        "id",
        "name",
    )

    def __init__(self, turn: Completes, queue: Queue[BodyT, ReplyT], delivery: Delivery) -> None:
        self._turn = turn
        self._queue = queue
        self._completable = delivery.completable
        self._completed = False
        self.id = delivery.id
        self.name = delivery.queue
        self.body: BodyT = queue.body.validate(delivery.body)
        self.created_at = datetime.fromtimestamp(delivery.created_at, UTC)
        self.attempt = delivery.attempt

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.name}>"

    @overload
    def complete(self: Message[Any, None], /) -> None: ...
    @overload
    def complete(self, reply: ReplyT, /) -> None: ...
    def complete(self, reply: Any = _NOTHING, /) -> None:
        """Remove the message with this turn's commit, and answer whoever waits for it.

        Raises:
            ActorError: ``queue.already_completed``; ``queue.complete_not_configured`` if the
                message was received as a plain one; ``actor.validation_error``: the reply does not
                fit.
        """
        if not self._completable:
            raise make("queue.complete_not_configured", name=self.name)
        if self._completed:
            raise make("queue.already_completed")
        if reply is _NOTHING:
            if self._queue.completable:
                raise TypeError(f"The reply of the queue `{self._queue.python_name}` is missing.")
            reply = None
        self._turn.complete(self.id, self._queue.encode_reply(reply))
        self._completed = True


def not_declared(owner: str, name: str) -> ActorError:
    """An actor means a queue that it does not have."""
    return ActorError(
        "queue",
        "message_invalid",
        f"{owner} has no queue `{name}`. Declare it: `{name} = Queue()`.",
    )
