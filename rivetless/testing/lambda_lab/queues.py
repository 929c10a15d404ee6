"""SQS queues in memory: standard and FIFO, with the limits, locks and dead letters of SQS."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeAlias

from rivetless.clock import Clock
from rivetless.frozen import frozen
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.function import ACCOUNT, REGION

__all__ = ["MAX_DELAY", "MAX_MESSAGE_BYTES", "Fate", "Queue", "QueuedMessage", "Sent", "faithful"]

MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_DELAY: Final = 900

_DEDUPLICATION_SECONDS: Final = 300.0

Fate: TypeAlias = Callable[[str], Iterable[float]]
"""What becomes of a message: given its body, the seconds that each copy of it is late. No seconds
at all: it is lost; two: it is delivered twice; different ones for different messages: they overtake
each other."""


def faithful(body: str) -> Iterable[float]:
    """Deliver once, at once."""
    return (0.0,)


@frozen
class Sent:
    """The acknowledgement of a message.

    Attributes:
        message_id: names it.
        sequence: its number in a FIFO queue.
    """

    message_id: str
    sequence: str | None


@dataclass(slots=True)
class QueuedMessage:
    """A message in a queue.

    Attributes:
        message_id: names it; copies share it, as redeliveries do.
        body: what was sent.
        group: its group, in a FIFO queue.
        deduplication: what tells it from repetitions, in a FIFO queue.
        sequence: its number in a FIFO queue.
        sent_at: when, in Unix seconds.
        visible_at: from when on it can be received.
        receives: how often it was received.
        first_received_at: when that was for the first time.
    """

    message_id: str
    body: str
    group: str | None
    deduplication: str | None
    sequence: str | None
    sent_at: float
    visible_at: float
    receives: int = 0
    first_received_at: float = 0.0


class Queue:
    """A queue.

    Args:
        name: its name; FIFO if it ends with ``.fifo``, as on SQS.
        clock: measures delays and time-outs.
        visibility: seconds after which a message that was received and not deleted comes again.
        max_receives: how often it comes, before it goes to the dead letters.
        dead: the queue of dead letters.

    Attributes:
        fate: what becomes of messages that are sent; replace it to try a worse world.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        visibility: float = 60.0,
        max_receives: int = 5,
        dead: Queue | None = None,
    ) -> None:
        self.name = name
        self.arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        self.fifo = name.endswith(".fifo")
        self.fate: Fate = faithful
        self._clock = clock
        self._visibility = visibility
        self._max_receives = max_receives
        self._dead = dead
        # Copies of one message are entries of their own.
        self._entries: dict[int, QueuedMessage] = {}
        self._numbers = count(1)
        self._known: dict[str, tuple[float, Sent]] = {}
        self._changed = asyncio.Event()

    @property
    def messages(self) -> list[QueuedMessage]:
        """What is in the queue, received or not, oldest first."""
        return list(self._entries.values())

    def send(
        self,
        body: str,
        *,
        delay: float = 0.0,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> Sent:
        """Put a message into the queue.

        Raises:
            AWSError: SQS would refuse it.
        """
        self._check(body, delay, group, deduplication)
        now = self._clock.now()
        if deduplication is not None:
            since, sent = self._known.get(deduplication, (0.0, None))
            if sent is not None and now - since < _DEDUPLICATION_SECONDS:
                return sent
        number = next(self._numbers)
        sent = Sent(str(uuid.uuid4()), f"{number:020d}" if self.fifo else None)
        if deduplication is not None:
            self._known[deduplication] = now, sent
        for late in self.fate(body):
            self._put(
                QueuedMessage(
                    message_id=sent.message_id,
                    body=body,
                    group=group,
                    deduplication=deduplication,
                    sequence=sent.sequence,
                    sent_at=now,
                    visible_at=now + delay + late,
                )
            )
        return sent

    def receive(self, limit: int) -> dict[str, QueuedMessage]:
        """Take messages, by receipt handle; they come again unless they are deleted in time."""
        now = self._clock.now()
        taken: dict[str, QueuedMessage] = {}
        for number, message in self._available(now):
            if len(taken) == limit:
                break
            if self._dead is not None and message.receives >= self._max_receives:
                del self._entries[number]
                self._dead._put(message)
                continue
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + self._visibility
            taken[str(number)] = message
        return taken

    def delete(self, receipt: str) -> None:
        """Remove a message that was received; without effect when repeated."""
        self._entries.pop(int(receipt), None)
        self._changed.set()

    async def wait(self) -> None:
        """Wait until something can be received."""
        while not self._available(now := self._clock.now()):
            self._changed.clear()
            later = [m.visible_at for m in self._entries.values() if m.visible_at > now]
            if not later:
                await self._changed.wait()
                continue
            timer = self._clock.call_later(min(later) - now, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()

    def _put(self, message: QueuedMessage) -> None:
        self._entries[next(self._numbers)] = message
        self._changed.set()

    def _available(self, now: float) -> list[tuple[int, QueuedMessage]]:
        """Return what can be received. One that cannot keeps back what follows in its group."""
        if not self.fifo:
            return [(n, m) for n, m in self._entries.items() if m.visible_at <= now]
        locked = {m.group for m in self._entries.values() if m.visible_at > now}
        return [(n, m) for n, m in self._entries.items() if m.group not in locked]

    def _check(self, body: str, delay: float, group: str | None, deduplication: str | None) -> None:
        if not body:
            raise AWSError(400, "MissingParameter", "The request must contain a MessageBody.")
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            raise AWSError(
                400,
                "InvalidParameterValue",
                f"One or more parameters are invalid. Reason: Message must be shorter than "
                f"{MAX_MESSAGE_BYTES} bytes.",
            )
        if not 0 <= delay <= MAX_DELAY or delay != int(delay):
            raise AWSError(
                400,
                "InvalidParameterValue",
                f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must "
                f"be >= 0 and <= {MAX_DELAY}.",
            )
        if not self.fifo:
            return
        if delay:
            raise AWSError(
                400,
                "InvalidParameterValue",
                "The request include parameter that is not valid for this queue type: "
                "DelaySeconds.",
            )
        if not group or not deduplication:
            raise AWSError(
                400,
                "MissingParameter",
                "A FIFO queue needs a MessageGroupId and a MessageDeduplicationId.",
            )
