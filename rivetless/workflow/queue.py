"""``ctx.queue``: waiting for messages in a workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from rivetless.actor.mailbox import AnyQueue, Taking, Time, in_seconds
from rivetless.actor.queue import Completes, Delivery, Message, Queue
from rivetless.errors import make
from rivetless.workflow.journal import Completion, Entry, Writing, plain_json, read_json, whole

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rivetless.workflow.context import WorkflowContext

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
W = TypeVar("W")
X = TypeVar("X")
Y = TypeVar("Y")
Z = TypeVar("Z")


class WorkflowQueue:
    """The actor's queues, for a workflow: each wait has a name, and what came is remembered.

    A message is removed by the commit that writes it into history. A completable one stays until
    ``complete``, which is committed with whatever the workflow does next.
    """

    __slots__ = ("_ctx",)

    def __init__(self, ctx: WorkflowContext) -> None:
        self._ctx = ctx

    @overload
    def next(
        self, name: str, a: Queue[A, W], /, **how: Unpack[Taking]
    ) -> Awaitable[Message[A, W]]: ...
    @overload
    def next(
        self, name: str, a: Queue[A, W], b: Queue[B, X], /, **how: Unpack[Taking]
    ) -> Awaitable[Message[A, W] | Message[B, X]]: ...
    @overload
    def next(
        self, name: str, a: Queue[A, W], b: Queue[B, X], c: Queue[C, Y], /, **how: Unpack[Taking]
    ) -> Awaitable[Message[A, W] | Message[B, X] | Message[C, Y]]: ...
    @overload
    def next(
        self,
        name: str,
        a: Queue[A, W],
        b: Queue[B, X],
        c: Queue[C, Y],
        d: Queue[D, Z],
        /,
        **how: Unpack[Taking],
    ) -> Awaitable[Message[A, W] | Message[B, X] | Message[C, Y] | Message[D, Z]]: ...
    @overload
    def next(
        self, name: str, /, *queues: AnyQueue, **how: Unpack[Taking]
    ) -> Awaitable[Message[Any, Any]]: ...
    @overload
    def next(
        self, name: str, a: Queue[A, W], /, *, timeout: Time | None, **how: Unpack[Taking]
    ) -> Awaitable[Message[A, W] | None]: ...
    @overload
    def next(
        self,
        name: str,
        a: Queue[A, W],
        b: Queue[B, X],
        /,
        *,
        timeout: Time | None,
        **how: Unpack[Taking],
    ) -> Awaitable[Message[A, W] | Message[B, X] | None]: ...
    @overload
    def next(
        self, name: str, /, *queues: AnyQueue, timeout: Time | None, **how: Unpack[Taking]
    ) -> Awaitable[Message[Any, Any] | None]: ...
    def next(
        self,
        name: str,
        /,
        *queues: AnyQueue,
        timeout: Time | None = None,
        **how: Unpack[Taking],
    ) -> Awaitable[Any]:
        """Wait for the oldest message of the queues; of any queue where none is named.

        Args:
            name: of the wait, unique in its context.
            *queues: which ones.
            timeout: how long to wait at most.
            **how: ``completable``: whether it stays until ``complete``; as its queue says by
                default.

        Returns:
            The message; ``None`` when the time was over.
        """

        async def first() -> Message[Any, Any] | None:
            found = await self._receive(name, queues, 1, timeout, **how)
            return found[0] if found else None

        return self._ctx.helper(name, "message", first)

    @overload
    def next_batch(
        self,
        name: str,
        a: Queue[A, W],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Taking],
    ) -> Awaitable[list[Message[A, W]]]: ...
    @overload
    def next_batch(
        self,
        name: str,
        a: Queue[A, W],
        b: Queue[B, X],
        /,
        *,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Taking],
    ) -> Awaitable[list[Message[A, W] | Message[B, X]]]: ...
    @overload
    def next_batch(
        self,
        name: str,
        /,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Taking],
    ) -> Awaitable[list[Message[Any, Any]]]: ...
    def next_batch(
        self,
        name: str,
        /,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Time | None = None,
        **how: Unpack[Taking],
    ) -> Awaitable[list[Any]]:
        """Wait for messages, and take at most ``count`` of those that are there.

        The list is empty when the time was over. Arguments as ``next``.
        """
        return self._ctx.helper(
            name, "message", lambda: self._receive(name, queues, count, timeout, **how)
        )

    async def _receive(
        self,
        name: str,
        queues: Sequence[AnyQueue],
        count: int,
        timeout: Time | None,
        completable: bool | None = None,
    ) -> list[Message[Any, Any]]:
        ctx, engine, port = self._ctx, self._ctx.engine, self._ctx.engine.port
        journal, location = engine.journal, ctx.place(name)
        old = journal.get(location)
        if old is not None and old.status == "completed":
            return self._messages(old)
        engine.go_on()
        if journal.open_messages:
            raise make("queue.previous_message_not_completed")
        names = [queue if isinstance(queue, str) else queue.name for queue in queues]
        entry = old or engine.new_entry(location, "message", "pending")

        def finish(found: Sequence[Delivery]) -> Writing:
            value = [_stored(delivery) for delivery in found]
            done = replace(entry, status="completed", completed_at=port.now(), value=value, at=None)
            return Writing().put(done, old)

        if not await port.receive(location, names, count, completable, finish):
            now = port.now()
            if old is None and (seconds := in_seconds(timeout)) is not None:
                # How long it waits is decided once.
                entry = replace(entry, at=whole(now + seconds))
                if seconds > 0:
                    journal.mark(entry)
                    await engine.write_dirty()
            if entry.at is None or not engine.over(entry.at):
                raise engine.suspend(entry.at, messages=True)
            over = replace(entry, status="completed", completed_at=now, value=[], at=None)
            journal.mark(over)
        done = journal.get(location)
        assert done is not None
        return self._messages(done)

    def _messages(self, entry: Entry) -> list[Message[Any, Any]]:
        """Return what was received, now or before."""
        self._ctx.passed(entry)
        return [_message(self._ctx, entry.location, one) for one in entry.value or ()]


class _Completes(Completes):
    """Takes the completion of a message that is in history."""

    __slots__ = ("_ctx", "_location")

    def __init__(self, ctx: WorkflowContext, location: str) -> None:
        self._ctx = ctx
        self._location = location

    def complete(self, id: int, reply: object) -> None:
        engine = self._ctx.engine
        if id not in engine.journal.open_messages:
            return  # a replay: it was completed before
        entry = engine.journal.get(self._location)
        if entry is not None:
            value = [{**one, "open": one["open"] and one["id"] != id} for one in entry.value]
            engine.journal.mark(replace(entry, value=value))
        engine.journal.open_messages.pop(id, None)
        engine.journal.dirty.completions.append(Completion(id, reply))


def _stored(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "queue": delivery.queue,
        "body": plain_json(delivery.body),
        "at": delivery.created_at,
        "attempt": delivery.attempt,
        "completable": delivery.completable,
        "open": delivery.completable,
    }


def _message(ctx: WorkflowContext, location: str, data: dict[str, Any]) -> Message[Any, Any]:
    queue = ctx.engine.port.find_queue(data["queue"])
    if queue is None:
        queue = Queue[Any, Any](name=data["queue"])
    delivery = Delivery(
        id=data["id"],
        queue=data["queue"],
        body=read_json(data["body"]),
        created_at=data["at"],
        attempt=data["attempt"],
        completable=data["completable"],
    )
    return Message(_Completes(ctx, location), queue, delivery)
