"""How queue messages and their replies are written down beside a head.

A message is one record whose key the store chooses: the next number of the actor. Its name, body
and date never change. How often it has failed is a mark of its own, which goes with the message;
the reply to a message that somebody in another process waits for is a record that expires.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from rivetless.frozen import frozen
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.dead import Failure
from rivetless.store.base import Append, Changes, Collection, Outgoing, Record, RecordKey

COUNTER: Final = "messages"
"""The head's counter of messages that wait."""

FAILING: Final = "failing"
"""The head's counter of messages that have failed at least once."""

REPLY_KEPT: Final = 3600.0
"""Seconds for which the reply to a message is kept for whoever waits for it."""

FAILURES_KEPT: Final = 7 * 24 * 3600.0
"""Seconds for which it is remembered how often a message has failed."""

ARRIVAL_KEPT: Final = 48 * 3600.0
"""Seconds for which it is remembered which sends have arrived."""

MARK: Final = "queue"
"""Id and kind of the outbox entry of an actor that has messages for its ``run``."""


# ``json.dumps`` with options of one's own makes an encoder each time.
_write_body: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_write_text: Final = json.JSONEncoder().encode


@frozen
class Stored:
    """A message that waits.

    Attributes:
        number: its place in the actor's one order, from 1.
        queue: the queue's name on the wire.
        body: plain.
        created_at: Unix seconds.
        waiter: names who waits for the reply, if anybody does.
        hops: how many wakes that actors made themselves led to it, sends counted as parts of one.
    """

    number: int
    queue: str
    body: object
    created_at: float
    waiter: str | None
    hops: float = 0.0

    @property
    def key(self) -> RecordKey:
        """Names the record."""
        return RecordKey(Collection.MESSAGE, Append.key(self.number))


def encode_body(body: object) -> str:
    """Write a plain body down."""
    return _write_body(tag(body, JSON))


def write_message(
    queue: str, body: str, created_at: float, waiter: str | None, hops: float = 0.0
) -> bytes:
    """Write a message down, whose body is written already."""
    # Not as one list: to write a lone text takes a tenth of the time.
    name, waits = _write_text(queue), "null" if waiter is None else _write_text(waiter)
    last = f",{hops!r}" if hops else ""
    return f"[{name},{round(created_at * 1000)},{waits},{body}{last}]".encode()


def read_message(record: Record) -> Stored:
    """Read a message back."""
    queue, created_at, waiter, body, *hops = json.loads(record.data)
    number = Append.number(record.key)
    return Stored(number, queue, untag(body), created_at / 1000, waiter, *hops)


def failures_key(number: int) -> RecordKey:
    """Name the mark of a message that has failed."""
    return RecordKey(Collection.REPLY, b"failed:" + Append.key(number))


def failures_record(number: int, count: int, expires_at: float) -> Record:
    """Write down how often a message has failed."""
    key = failures_key(number)
    return Record(key.collection, key.key, str(count).encode(), expires_at=expires_at)


def reply_key(waiter: str) -> bytes:
    """Name the record of a reply."""
    return b"done:" + waiter.encode()


def reply_record(waiter: str, reply: object, now: float) -> Record:
    """Write down a plain reply, or the ``Failure`` of a message that was given up."""
    if isinstance(reply, Failure):
        answer: list[object] = [reply.group, reply.code, reply.message]
    else:
        answer = [tag(reply, JSON)]
    data = json.dumps(answer, separators=(",", ":")).encode()
    return Record(Collection.REPLY, reply_key(waiter), data, expires_at=now + REPLY_KEPT)


def read_reply(record: Record) -> Any:
    """Read a reply back; it may be a ``Failure``."""
    answer: list[Any] = json.loads(record.data)
    return untag(answer[0]) if len(answer) == 1 else Failure(*answer)


def arrival_key(key: str) -> RecordKey:
    """Name the note that a send with a key has arrived."""
    return RecordKey(Collection.REPLY, b"sent:" + key.encode())


def arrival_record(key: str, check: str, now: float) -> Record:
    """Note that a send with a key has arrived."""
    name = arrival_key(key)
    return Record(name.collection, name.key, check.encode(), expires_at=now + ARRIVAL_KEPT)


def mark(now: float) -> Outgoing:
    """Note in the head that there are messages for ``run``, should this process die.

    It counts as tried already: a process that commits it also sees to the messages. Its date is in
    whole seconds, so that the marks of messages that come close together are one, and a store that
    has it already need not write it again.
    """
    at = float(math.floor(now))
    return Outgoing(MARK, at, f"{MARK}\0{at!r}\x001\0".encode())


def unmark(commit_id: str, last: int) -> Changes:
    """Take that note back, on the condition that no message has come after number ``last``.

    It moves the version: one that arrives late, when a message has come and is gone again, would
    else take back the note of the next.
    """
    later = RecordKey(Collection.MESSAGE, Append.key(last + 1))
    return Changes(commit_id, touch=True, outbox_clear=(MARK,), absent=(later,))
