"""``self.queue`` within a turn: what it sends and receives, until it is committed.

A message that a turn received is removed by the turn's commit, which moves the version: of two
turns that received one message, wherever they ran, one is run again and finds it gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rivetless import errors
from rivetless.actor.mailbox import QueuePort
from rivetless.actor.queue import Delivery
from rivetless.runtime import messages
from rivetless.runtime.dead import Failure, Letter, Letters
from rivetless.runtime.messages import COUNTER, FAILING, Stored
from rivetless.runtime.parts import Part
from rivetless.runtime.records import find_record
from rivetless.runtime.timers import rounded
from rivetless.store.base import Append, Changes, Record, RecordKey
from rivetless.store.base import Collection as Records

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.queue import Queue
    from rivetless.runtime.inbox import Inbox
    from rivetless.runtime.turn import ActorTurn


class TurnQueue(Part, QueuePort):
    """The messages of one run.

    Attributes:
        held: those that were received and have to be completed.
        taken: those that the commit removes.
    """

    __slots__ = (
        "_arrivals",
        "_failed",
        "_inbox",
        "_listening",
        "_marks",
        "_received",
        "_replies",
        "_sends",
        "held",
        "taken",
    )

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self.held: dict[int, Stored] = {}
        self.taken: dict[int, Stored] = {}
        self._sends: list[bytes] = []
        self._arrivals: list[Record] = []
        self._replies: dict[str, object] = {}
        self._failed: dict[int, int] = {}
        self._marks: dict[int, int] = {}
        self._inbox: Inbox | None = None
        self._listening: set[int] = set()
        self._received: set[int] = set()

    @property
    def definition(self) -> ActorDefinition:
        return self.turn.definition

    @property
    def inbox(self) -> Inbox:
        """The actor's messages in this process."""
        if self._inbox is None:
            self._inbox = self.turn.runtime.queues.inbox(self.turn.cell)
        return self._inbox

    # -- sending ----------------------------------------------------------------------------------

    def send(self, queue: Queue[object, object], body: object) -> None:
        self.turn.check_open()
        self.add(queue.name, self.turn.runtime.queues.encode(self.definition, body))

    def add(self, queue: str, body: str, waiter: str | None = None) -> None:
        """Add a message whose body is written already."""
        now, hops = self.turn.runtime.clock.now(), self.turn.job.hops
        self._sends.append(messages.write_message(queue, body, now, waiter, hops))

    def arrived(self, key: str, check: str) -> None:
        """Note that a send with a key arrives with this commit, which fails if it already has."""
        now = self.turn.runtime.clock.now()
        self._arrivals.append(messages.arrival_record(key, check, now))

    async def send_and_wait(
        self,
        queue: Queue[object, object],
        body: object,
        *,
        timeout: float | None,
        signal: AbortSignal | None,
    ) -> object:
        turn = self.turn
        turn.check_open()
        turn.check_not_beginning("queue.enqueue_and_wait")
        text = turn.runtime.queues.encode(turn.definition, body)
        # Like a call to another actor: it is made at once, and a re-run does not make it again.
        key = turn.call_key(turn.actor_id, f"queue {queue.name}", text.encode())
        await turn.port_call(turn.reach_out())
        return await turn.port_call(
            turn.runtime.queues.deliver_and_wait(turn, queue.name, text, key, timeout, signal)
        )

    # -- receiving --------------------------------------------------------------------------------

    async def receive(
        self,
        names: Collection[str],
        count: int,
        *,
        timeout: float | None,
        signal: AbortSignal | None,
        completable: bool | None,
    ) -> list[Delivery]:
        turn = self.turn
        turn.check_open()
        turn.check_not_beginning("queue.next")
        if self.held:
            raise errors.make("queue.previous_message_not_completed")
        clock = turn.runtime.clock
        end = None if timeout is None else clock.now() + timeout
        tries = 0
        while True:
            pokes = self.inbox.pokes
            found = await turn.port_call(self.inbox.take(names, count))
            if found:
                return await self._hand_over(found, completable)
            left = None if end is None else end - clock.now()
            if left is not None and left <= 0:
                return []
            if not tries:
                await self._before_waiting()
            await self._wait(partial(self.inbox.wait, pokes, left, tries), left, signal)
            tries += 1

    async def _before_waiting(self) -> None:
        # An actor that another process has created meanwhile is where senders send to.
        await self.turn.port_call(self.turn.reach_out())

    async def _hand_over(self, found: list[Stored], completable: bool | None) -> list[Delivery]:
        """Make deliveries of messages that were claimed."""
        deliveries: list[Delivery] = []
        self._received.update(message.number for message in found)
        for message in found:
            stays = self._stays(message) if completable is None else completable
            (self.held if stays else self.taken)[message.number] = message
        self.turn.job.hops = max(self.turn.job.hops, *(message.hops for message in found))
        for message in found:
            failed = await self._count_failures(message.number)
            deliveries.append(
                Delivery(
                    id=message.number,
                    queue=message.queue,
                    body=message.body,
                    created_at=message.created_at,
                    attempt=failed + 1,
                    completable=message.number in self.held,
                )
            )
        return deliveries

    def _stays(self, message: Stored) -> bool:
        queue = self.definition.find_queue(message.queue)
        return queue is not None and queue.completable

    async def _count_failures(self, number: int) -> int:
        turn = self.turn
        if not turn.cell.counter(FAILING):
            return 0
        key = messages.failures_key(number)
        record = await turn.port_call(
            find_record(turn.runtime.store, turn.actor_id, key.collection, key.key)
        )
        if record is not None:
            self._failed[number] = int(record.data)
        return self._failed.get(number, 0)

    async def _wait(
        self,
        wait: Callable[[], Awaitable[None]],
        seconds: float | None,
        signal: AbortSignal | None,
    ) -> None:
        """Wait until there may be a message, for ``seconds`` at most.

        Raises:
            ActorError: ``actor.aborted``: the actor stops, or ``signal`` has fired.
        """
        turn = self.turn
        stopping = turn.destroying or turn.abort.aborted
        if stopping or (signal is not None and signal.aborted):
            raise errors.make("actor.aborted")
        turn.runtime.cells.listens(turn.cell)
        self._listen(turn.abort)
        if signal is not None:
            self._listen(signal)
        # Nobody can send to an actor that is only being created.
        await turn.port_call(turn.cell.durable(turn.base))
        await turn.port_call(wait())

    def _listen(self, signal: AbortSignal) -> None:
        if id(signal) not in self._listening:
            self._listening.add(id(signal))
            signal.add_callback(self.inbox.poke)

    @property
    def failing(self) -> tuple[Stored, ...]:
        """The messages that were handed to the handler and are not done with: it has failed."""
        have = {**self.held, **self.taken}
        return tuple(message for number, message in have.items() if number in self._received)

    async def note_failure(self, message: Stored, most: int, failure: Failure) -> None:
        """Count that a message has failed; with the ``most``-th time it becomes a dead letter."""
        number, key = message.number, message.key.key
        if not await self.stored(Records.MESSAGE, start=key, end=key + b"\0", limit=1):
            return
        count = 1 + await self._count_failures(number)
        if count < most:
            self._marks[number] = count
            return
        self.taken[number] = message
        at = rounded(self.turn.runtime.clock.now())
        body = [message.queue, message.body]
        self.turn.part(Letters).add(Letter("message", str(number), at, count, failure, body))
        if message.waiter is not None:
            self._replies[message.waiter] = failure

    def complete(self, id: int, reply: object) -> None:
        turn = self.turn
        turn.check_open()
        message = self.held.pop(id, None)
        if message is None:
            raise errors.make("queue.already_completed")
        self.taken[id] = message
        if message.waiter is not None:
            self._replies[message.waiter] = reply

    # -- the commit -------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Let a turn that has read nothing else remove its messages on top of whatever came."""
        turn, cell = self.turn, self.turn.cell
        if self.taken and not turn.has_read and cell.snapshot().epoch == turn.base.epoch:
            turn.base = cell.snapshot()

    def contribute(self, changes: Changes) -> Changes:
        sends, taken = self._sends, self.taken
        if not (sends or taken or self._arrivals or self._marks):
            return changes
        turn = self.turn
        deletes: list[RecordKey] = [message.key for message in taken.values()]
        failing = [number for number in taken if self._failed.get(number)]
        deletes += map(messages.failures_key, failing)
        counters = dict(changes.counters)
        if count := len(sends) - len(taken):
            counters[COUNTER] = counters.get(COUNTER, 0) + count
        first = sum(count == 1 for count in self._marks.values())
        if failing or first:
            counters[FAILING] = counters.get(FAILING, 0) + first - len(failing)
        limits = dict(changes.at_most)
        outbox = changes.outbox_add
        if sends:
            limits[COUNTER] = turn.definition.options.max_queue_size
            if "run" in turn.definition.hooks:
                outbox = (*outbox, messages.mark(turn.runtime.clock.now()))
        return replace(
            changes,
            # A counter that may be raised twice, or not at all, needs a version to fence it.
            touch=changes.touch or bool(taken or self._marks),
            puts=(*changes.puts, *self._arrivals, *self._reply_records(), *self._mark_records()),
            deletes=(*changes.deletes, *deletes),
            appends=(*changes.appends, *(Append(Records.MESSAGE, data) for data in sends)),
            outbox_add=outbox,
            counters=counters,
            absent=(
                *changes.absent,
                *(RecordKey(record.collection, record.key) for record in self._arrivals),
            ),
            at_most=limits,
        )

    def _all_replies(self) -> dict[str, object]:
        """Return the replies by who waits for them: a plain message is answered with nothing."""
        nothing = {m.waiter: None for m in self.taken.values() if m.waiter is not None}
        return {**nothing, **self._replies}

    @property
    def answers(self) -> bool:
        """Whether somebody waits for what the commit says of a message."""
        return bool(self._all_replies())

    def _reply_records(self) -> list[Record]:
        replying, now = self.turn.runtime.queues.replies, self.turn.runtime.clock.now()
        return [
            messages.reply_record(waiter, reply, now)
            for waiter, reply in self._all_replies().items()
            if not replying.wanted_here(waiter)
        ]

    def _mark_records(self) -> list[Record]:
        until = self.turn.runtime.clock.now() + messages.FAILURES_KEPT
        return [messages.failures_record(n, count, until) for n, count in self._marks.items()]

    def savepoint(self) -> Callable[[], None]:
        held, taken, replies = dict(self.held), dict(self.taken), dict(self._replies)
        sends, arrivals = len(self._sends), len(self._arrivals)

        def undo() -> None:
            back = {*self.held, *self.taken} - {*held, *taken}
            self.held, self.taken, self._replies = held, taken, replies
            del self._sends[sends:], self._arrivals[arrivals:]
            if back:
                self.inbox.release(back)

        return undo

    def released(self) -> None:
        self.committed()

    def committed(self) -> None:
        self.staged()(True)

    def staged(self) -> Callable[[bool], None]:
        """Begin anew; the function returned is to be told whether the commit became durable."""
        turn, cell, queues = self.turn, self.turn.cell, self.turn.runtime.queues
        taken, replies, sent = tuple(self.taken), self._all_replies(), bool(self._sends)
        self.taken, self._replies, self._failed, self._marks = {}, {}, {}, {}
        self._sends, self._arrivals = [], []

        def landed(durable: bool) -> None:
            if not durable:
                self.inbox.release(taken)
                return
            if taken:
                self.inbox.removed(taken)
                elsewhere = queues.replies.tell(replies)
                turn.runtime.hints.replies(turn.actor_id, elsewhere)
            if sent:
                queues.sent(cell, turn.actor_id)

        return landed

    def ended(self) -> None:
        """The run is over: what it has not removed is there for others."""
        back = (*self.held, *self.taken)
        self.held, self.taken = {}, {}
        if back:
            self.inbox.release(back)
