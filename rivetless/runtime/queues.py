"""Sends to queues, from outside and from the actor itself, and who waits for replies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.runtime import messages
from rivetless.runtime.actions import scoped
from rivetless.runtime.commands import GetActor, SendMessage, SendResult
from rivetless.runtime.inbox import Inbox
from rivetless.runtime.job import Job, digest
from rivetless.runtime.messages import COUNTER
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.records import find_record
from rivetless.runtime.replying import KEYED, Replies
from rivetless.store.base import Append, Changes, Duplicate, Full
from rivetless.store.base import Collection as Records

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.definition import ActorDefinition
    from rivetless.keys import Address
    from rivetless.protocol.messages import QueueStatus
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.connections import Connections
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

MARGIN: Final = 0.5
"""Seconds before the host's deadline at which a sender that waits is told that it was in vain."""


class Queues:
    """Handles sends. One for each runtime.

    Attributes:
        replies: who waits for what a message is completed with.
    """

    def __init__(self, runtime: Runtime, connections: Connections) -> None:
        self._runtime = runtime
        self._connections = connections
        self.replies = Replies(runtime.store, runtime.clock)

    def inbox(self, cell: Cell) -> Inbox:
        """Return what this process knows of an actor's messages."""
        if cell.inbox is None:
            cell.inbox = Inbox(cell, self._runtime.store, self._runtime.clock)
        return cell.inbox

    def encode(self, definition: ActorDefinition, body: object) -> str:
        """Write a plain body down.

        Raises:
            ActorError: ``queue.message_too_large``.
        """
        text = messages.encode_body(body)
        limit = definition.options.max_queue_message_size
        if (size := len(text.encode())) > limit:
            raise errors.message_too_large(size, limit)
        return text

    def sent(self, cell: Cell, actor_id: str) -> None:
        """Messages were added here to a life's queue, and are durable."""
        self.arrived(cell)
        self._runtime.hints.messages(cell, actor_id)

    def arrived(self, cell: Cell) -> None:
        """Messages are there: let whoever waits for them look."""
        if cell.inbox is not None:
            cell.inbox.poke()
        self._runtime.pumps.arrived(cell)

    # -- from outside -----------------------------------------------------------------------------

    async def send(self, command: SendMessage) -> SendResult:
        """Add a message to an actor's queue; wait for the reply if asked to.

        What is sent to a queue that nobody has declared is taken and thrown away.
        """
        runtime, target, origin = self._runtime, command.target, command.origin
        definition = await runtime.cells.definition_of(target)
        queue = definition.find_queue(command.queue)
        if queue is None:
            info = await runtime.actions.get_actor(GetActor(target))
            return SendResult("completed", None, info.actor_id, info.address.key)
        body = self.encode(definition, queue.body.plain(queue.body.validate(command.body)))
        key, check = self._key(command, body)
        waiter = self._waiter(key) if command.wait else None
        conn = self._connections.ephemeral(origin)

        async def add(turn: ActorTurn) -> ActorTurn:
            if not await queue.allows(turn.actor):
                raise errors.forbidden()
            part = turn.part(TurnQueue)
            part.add(queue.name, body, waiter)
            if key is not None:
                part.arrived(key, check)
            return turn

        job = Job(
            definition,
            self._connections.briefly(definition, conn, add),
            label=f"a send to {queue.name}",
            deadline=runtime.deadline(definition, origin.deadline),
            origin=origin if origin.call_key is None else replace(origin, call_key=None),
            conn=conn,
            request=origin.request,
            timeout=definition.options.action_timeout,
        )
        if waiter is not None:
            self.replies.expect(waiter)
        try:
            actor_id, address = await self._add(command, job, key, check)
            if waiter is None:
                return SendResult("completed", None, actor_id, address.key)
            status, reply = await self._result(command, definition, actor_id, waiter)
            return SendResult(status, reply, actor_id, address.key)
        finally:
            if waiter is not None:
                self.replies.forget(waiter)

    def _key(self, command: SendMessage, body: str) -> tuple[str | None, str]:
        """Return what identifies the send, and a hash of what it sends."""
        key = scoped(command.origin).call_key
        if key is None:
            return None, ""
        return digest("send", key), digest(command.queue, body)

    def _waiter(self, key: str | None) -> str:
        return self._runtime.fresh_id() if key is None else KEYED + key

    async def _add(
        self, command: SendMessage, job: Job, key: str | None, check: str
    ) -> tuple[str, Address]:
        """Commit the message, unless it has arrived before; return the actor's id and address."""
        runtime = self._runtime
        try:
            turn: ActorTurn = await runtime.execution.run(command.target, job)
        except Duplicate:
            if key is None:
                raise errors.make("actor.conflict") from None
            info = await runtime.actions.get_actor(GetActor(command.target))
            await self._check_repeat(info.actor_id, key, check)
            return info.actor_id, info.address
        return turn.actor_id, turn.address

    async def _check_repeat(self, actor_id: str, key: str, check: str) -> None:
        """Refuse a key that was used for another message.

        Raises:
            ActorError: ``actor.idempotency_mismatch``; ``actor.conflict``: the life that had the
                message has ended since.
        """
        name = messages.arrival_key(key)
        record = await find_record(self._runtime.store, actor_id, name.collection, name.key)
        if record is None:
            raise errors.make("actor.conflict")
        if record.data.decode() != check:
            raise errors.make("actor.idempotency_mismatch")

    async def _result(
        self, command: SendMessage, definition: ActorDefinition, actor_id: str, waiter: str
    ) -> tuple[QueueStatus, object]:
        """Wait for the reply: as long as the sender wants to, and the host can.

        Raises:
            ActorError: ``actor.action_timed_out``: longer than an action may take.
        """
        runtime = self._runtime
        limit = definition.options.action_timeout
        patience = command.timeout
        if command.origin.deadline is not None:
            left = command.origin.deadline - runtime.clock.now() - MARGIN
            patience = left if patience is None else min(patience, left)
        capped = patience is None or patience > limit
        try:
            reply = await self.replies.wait(actor_id, waiter, limit if capped else patience)
        except TimeoutError:
            if capped:
                raise errors.make("actor.action_timed_out") from None
            return "timedOut", None
        return "completed", reply

    # -- from the actor itself --------------------------------------------------------------------

    async def deliver_and_wait(
        self,
        turn: ActorTurn,
        queue: str,
        body: str,
        call_key: str,
        timeout: float | None,
        signal: AbortSignal | None,
    ) -> object:
        """Add a message at once, and wait for the reply.

        Raises:
            ActorError: ``queue.timed_out``, ``queue.full``, ``actor.aborted``.
        """
        key = digest("send", call_key)
        waiter = KEYED + key
        self.replies.expect(waiter)
        if signal is not None:
            signal.add_callback(lambda: self.replies.abort(waiter))
        try:
            with turn.job.calling():
                await self._deliver(turn, queue, body, key, waiter)
            await self._let_others_in(turn, waiter)
            return await self.replies.wait(turn.actor_id, waiter, timeout)
        except TimeoutError:
            raise errors.make("queue.timed_out") from None
        finally:
            self.replies.forget(waiter)

    async def _let_others_in(self, turn: ActorTurn, waiter: str) -> None:
        """Give up the lease while waiting: whoever completes the message has to commit.

        Raises:
            ActorError: ``actor.deadlock``: the turn cannot give it up.
        """
        job = turn.job
        if not job.leased or await self.replies.is_there(turn.actor_id, waiter):
            return
        if job.closed:
            raise errors.deadlock(turn.chain())
        if turn.renewal is not None:
            turn.renewal.cancel()
            turn.renewal = None
        self._runtime.execution.leave(turn.cell, job)

    async def _deliver(self, turn: ActorTurn, queue: str, body: str, key: str, waiter: str) -> None:
        """Add a message that depends on nothing but the life, unless it has arrived before."""
        runtime, now = self._runtime, self._runtime.clock.now()
        data = messages.write_message(queue, body, now, waiter, turn.job.hops)
        definition = turn.definition
        changes = Changes(
            runtime.fresh_commit_id(),
            puts=(messages.arrival_record(key, "", now),),
            appends=(Append(Records.MESSAGE, data),),
            outbox_add=(messages.mark(now),) if "run" in definition.hooks else (),
            counters={COUNTER: 1},
            absent=(messages.arrival_key(key),),
            at_most={COUNTER: definition.options.max_queue_size},
        )
        try:
            await runtime.commit_loose(turn.actor_id, changes, turn.cell)
        except Duplicate:
            return
        except Full as error:
            raise errors.queue_full(error.limit) from error
        self.sent(turn.cell, turn.actor_id)
