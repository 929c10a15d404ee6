"""``self.queue``: sending to the actor's own queues, and receiving what was sent to them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, overload

from typing_extensions import TypeVar, Unpack

from rivetless.actor.queue import Completes, Delivery, Message, Queue, not_declared
from rivetless.errors import ActorAborted, ActorError, make

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.definition import ActorDefinition

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
W = TypeVar("W")
X = TypeVar("X")
Y = TypeVar("Y")
Z = TypeVar("Z")
BodyT = TypeVar("BodyT")
ReplyT = TypeVar("ReplyT")

Time: TypeAlias = float | timedelta
"""Seconds, or a ``timedelta``."""

AnyQueue: TypeAlias = Queue[Any, Any] | str
"""A declared queue, or the name of one."""


class Taking(TypedDict, total=False):
    """How a message is taken from where it waits.

    Attributes:
        completable: whether it stays until ``message.complete``; by default that is so for queues
            whose reply has a type.
    """

    completable: bool


class Receiving(Taking, total=False):
    """How a message is waited for.

    Attributes:
        signal: ends the wait with ``actor.aborted`` when it fires.
    """

    signal: AbortSignal | None


class QueuePort(Completes, Protocol):
    """What the runtime does for ``self.queue``, in one run of a turn."""

    @property
    @abstractmethod
    def definition(self) -> ActorDefinition: ...

    @abstractmethod
    def send(self, queue: Queue[Any, Any], body: object) -> None:
        """Add a message, with a plain body, with the turn's commit.

        Raises:
            ActorError: ``queue.message_too_large``.
        """

    @abstractmethod
    async def send_and_wait(
        self,
        queue: Queue[Any, Any],
        body: object,
        *,
        timeout: float | None,
        signal: AbortSignal | None,
    ) -> object:
        """Add a message at once, and wait for its plain reply.

        Raises:
            ActorError: ``queue.timed_out``, ``queue.full``, ``queue.message_too_large``,
                ``actor.aborted``.
        """

    @abstractmethod
    async def receive(
        self,
        names: Collection[str],
        count: int,
        *,
        timeout: float | None,
        signal: AbortSignal | None,
        completable: bool | None,
    ) -> list[Delivery]:
        """Take the oldest messages; wait until there is one.

        Args:
            names: of the queues, on the wire; none for all.
            count: at most so many.
            timeout: seconds to wait, 0 not to wait, ``None`` for ever. Then nothing is returned.
            signal: ends the wait.
            completable: whether they stay until they are completed; ``None`` as each queue says.

        Raises:
            ActorError: ``actor.aborted``, ``queue.previous_message_not_completed``.
        """


class Mailbox:
    """The actor's queues, as one mailbox: messages come in the order in which they were sent.

    What is received is removed with the turn's commit; a turn that fails puts it back. In ``run``
    each wait commits what was done before it.
    """

    __slots__ = ("_port",)

    def __init__(self, port: QueuePort) -> None:
        self._port = port

    # -- sending ----------------------------------------------------------------------------------

    @overload
    def send(self, queue: Queue[BodyT, Any], body: BodyT, /) -> None: ...
    @overload
    def send(self, queue: str, body: object = None, /) -> None: ...
    def send(self, queue: AnyQueue, body: Any = None, /) -> None:
        """Send a message to this actor when the turn has committed.

        ``queue.full`` is raised by the commit, and fails the turn.

        Raises:
            ActorError: ``actor.validation_error``, ``queue.message_too_large``,
                ``queue.message_invalid`` for a queue that is not declared.
        """
        found = self._declared(queue)
        self._port.send(found, found.encode(body))

    @overload
    async def enqueue_and_wait(
        self,
        queue: Queue[BodyT, ReplyT],
        body: BodyT,
        /,
        *,
        timeout: Time | None = None,
        signal: AbortSignal | None = None,
    ) -> ReplyT: ...
    @overload
    async def enqueue_and_wait(
        self,
        queue: str,
        body: object = None,
        /,
        *,
        timeout: Time | None = None,
        signal: AbortSignal | None = None,
    ) -> Any: ...
    async def enqueue_and_wait(
        self,
        queue: AnyQueue,
        body: Any = None,
        /,
        *,
        timeout: Time | None = None,
        signal: AbortSignal | None = None,
    ) -> Any:
        """Send a message to this actor at once, and return what it is completed with.

        It stays sent if the turn fails; a re-run does not send it again. ``run`` must not wait for
        itself in this way: nobody would receive the message.

        Raises:
            ActorError: ``queue.timed_out`` when the time was over; the message stays queued.
        """
        found = self._declared(queue)
        seconds = in_seconds(timeout)
        plain = await self._port.send_and_wait(
            found, found.encode(body), timeout=seconds, signal=signal
        )
        return found.reply.validate(plain) if found.completable else plain

    # -- receiving --------------------------------------------------------------------------------

    @overload
    async def next(self, a: Queue[A, W], /, **how: Unpack[Receiving]) -> Message[A, W]: ...
    @overload
    async def next(
        self, a: Queue[A, W], b: Queue[B, X], /, **how: Unpack[Receiving]
    ) -> Message[A, W] | Message[B, X]: ...
    @overload
    async def next(
        self, a: Queue[A, W], b: Queue[B, X], c: Queue[C, Y], /, **how: Unpack[Receiving]
    ) -> Message[A, W] | Message[B, X] | Message[C, Y]: ...
    @overload
    async def next(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]: ...
    @overload
    async def next(self, *queues: AnyQueue, **how: Unpack[Receiving]) -> Message[Any, Any]: ...
    @overload
    async def next(
        self, a: Queue[A, W], /, *, timeout: Time | None, **how: Unpack[Receiving]
    ) -> Message[A, W] | None: ...
    @overload
    async def next(
        self, a: Queue[A, W], b: Queue[B, X], /, *, timeout: Time | None, **how: Unpack[Receiving]
    ) -> Message[A, W] | Message[B, X] | None: ...
    @overload
    async def next(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        /,
        *,
        timeout: Time | None,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | None: ...
    @overload
    async def next(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        *,
        timeout: Time | None,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z] | None: ...
    @overload
    async def next(
        self, *queues: AnyQueue, timeout: Time | None, **how: Unpack[Receiving]
    ) -> Message[Any, Any] | None: ...
    async def next(
        self, *queues: AnyQueue, timeout: Time | None = None, **how: Unpack[Receiving]
    ) -> Message[Any, Any] | None:
        """Receive the oldest message of the queues; of any queue where none is named.

        Args:
            *queues: which ones; names that no queue has never match.
            timeout: how long to wait; 0 looks once. Without it the wait has no end of its own.
            **how: ``signal`` and ``completable``.

        Returns:
            The message; ``None`` when the time was over.

        Raises:
            ActorError: ``actor.aborted``; ``queue.previous_message_not_completed``.
        """
        found = await self._receive(queues, 1, in_seconds(timeout), **how)
        return found[0] if found else None

    @overload
    async def next_batch(
        self,
        a: Queue[A, W],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Message[A, W]]: ...
    @overload
    async def next_batch(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Message[A, W] | Message[B, X]]: ...
    @overload
    async def next_batch(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Message[A, W] | Message[B, X] | Message[C, Y]]: ...
    @overload
    async def next_batch(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]]: ...
    @overload
    async def next_batch(
        self,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Message[Any, Any]]: ...
    async def next_batch(
        self,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> list[Any]:
        """Receive the oldest messages, at most ``count``, as soon as there is one.

        The list is empty when the time was over. Arguments as ``next``.
        """
        return await self._receive(queues, count, in_seconds(timeout), **how)

    @overload
    async def try_next(self, a: Queue[A, W], /, **how: Unpack[Taking]) -> Message[A, W] | None: ...
    @overload
    async def try_next(
        self, a: Queue[A, W], b: Queue[B, X], /, **how: Unpack[Taking]
    ) -> Message[A, W] | Message[B, X] | None: ...
    @overload
    async def try_next(
        self, a: Queue[A, W], b: Queue[B, X], c: Queue[C, Y], /, **how: Unpack[Taking]
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | None: ...
    @overload
    async def try_next(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        **how: Unpack[Taking],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z] | None: ...
    @overload
    async def try_next(
        self, *queues: AnyQueue, **how: Unpack[Taking]
    ) -> Message[Any, Any] | None: ...
    async def try_next(self, *queues: AnyQueue, **how: Unpack[Taking]) -> Message[Any, Any] | None:
        """Receive the oldest message that is there; ``None`` if there is none."""
        found = await self._receive(queues, 1, 0.0, **how)
        return found[0] if found else None

    @overload
    async def try_next_batch(
        self, a: Queue[A, W], /, *, count: int = 1, **how: Unpack[Taking]
    ) -> list[Message[A, W]]: ...
    @overload
    async def try_next_batch(
        self, a: Queue[A, W], b: Queue[B, X], /, *, count: int = 1, **how: Unpack[Taking]
    ) -> list[Message[A, W] | Message[B, X]]: ...
    @overload
    async def try_next_batch(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        /,
        *,
        count: int = 1,
        **how: Unpack[Taking],
    ) -> list[Message[A, W] | Message[B, X] | Message[C, Y]]: ...
    @overload
    async def try_next_batch(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        *,
        count: int = 1,
        **how: Unpack[Taking],
    ) -> list[Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]]: ...
    @overload
    async def try_next_batch(
        self, *queues: AnyQueue, count: int = 1, **how: Unpack[Taking]
    ) -> list[Message[Any, Any]]: ...
    async def try_next_batch(
        self, *queues: AnyQueue, count: int = 1, **how: Unpack[Taking]
    ) -> list[Any]:
        """Receive the oldest messages that are there, at most ``count``."""
        return await self._receive(queues, count, 0.0, **how)

    @overload
    async def wait_for(
        self, a: Queue[A, W], /, *, timeout: Time | None = None, **how: Unpack[Receiving]
    ) -> Message[A, W]: ...
    @overload
    async def wait_for(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        /,
        *,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X]: ...
    @overload
    async def wait_for(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        /,
        *,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y]: ...
    @overload
    async def wait_for(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        *,
        timeout: Time | None = None,
        **how: Unpack[Receiving],
    ) -> Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]: ...
    @overload
    async def wait_for(
        self, *queues: AnyQueue, timeout: Time | None = None, **how: Unpack[Receiving]
    ) -> Message[Any, Any]: ...
    async def wait_for(
        self, *queues: AnyQueue, timeout: Time | None = None, **how: Unpack[Receiving]
    ) -> Message[Any, Any]:
        """As ``next``, for those who cannot go on without a message.

        Raises:
            ActorError: ``queue.timed_out`` when the time was over.
        """
        found = await self._receive(queues, 1, in_seconds(timeout), **how)
        if not found:
            raise make("queue.timed_out")
        return found[0]

    @overload
    def iter(self, a: Queue[A, W], /, **how: Unpack[Receiving]) -> AsyncIterator[Message[A, W]]: ...
    @overload
    def iter(
        self, a: Queue[A, W], b: Queue[B, X], /, **how: Unpack[Receiving]
    ) -> AsyncIterator[Message[A, W] | Message[B, X]]: ...
    @overload
    def iter(
        self, a: Queue[A, W], b: Queue[B, X], c: Queue[C, Y], /, **how: Unpack[Receiving]
    ) -> AsyncIterator[Message[A, W] | Message[B, X] | Message[C, Y]]: ...
    @overload
    def iter(
        self,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        **how: Unpack[Receiving],
    ) -> AsyncIterator[Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]]: ...
    @overload
    def iter(
        self, *queues: AnyQueue, **how: Unpack[Receiving]
    ) -> AsyncIterator[Message[Any, Any]]: ...
    async def iter(
        self, *queues: AnyQueue, **how: Unpack[Receiving]
    ) -> AsyncIterator[Message[Any, Any]]:
        """Receive messages one after the other; ends when the actor stops or the signal fires."""
        while True:
            try:
                (message,) = await self._receive(queues, 1, None, **how)
            except ActorAborted:
                return
            except ActorError as error:
                if error.name == "actor.aborted":
                    return
                raise
            yield message

    async def _receive(
        self,
        queues: tuple[AnyQueue, ...],
        count: int,
        timeout: float | None,
        *,
        signal: AbortSignal | None = None,
        completable: bool | None = None,
    ) -> list[Message[Any, Any]]:
        port = self._port
        found = await port.receive(
            [self._name(queue) for queue in queues],
            max(count, 1),
            timeout=timeout,
            signal=signal,
            completable=completable,
        )
        return [Message(port, self._declared(delivery.queue), delivery) for delivery in found]

    def _name(self, queue: AnyQueue) -> str:
        if isinstance(queue, str):
            found = self._port.definition.find_queue(queue)
            return queue if found is None else found.name
        return queue.name

    def _declared(self, queue: AnyQueue) -> Queue[Any, Any]:
        definition = self._port.definition
        found = definition.find_queue(queue if isinstance(queue, str) else queue.name)
        if found is None:
            name = queue if isinstance(queue, str) else queue.python_name
            raise not_declared(definition.python_name, name)
        return found


def in_seconds(time: Time | None) -> float | None:
    """Return a time as seconds; one below zero is none."""
    if isinstance(time, timedelta):
        time = time.total_seconds()
    return None if time is None else max(float(time), 0.0)
