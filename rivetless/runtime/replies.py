"""Stored answers: a call that carries a key is answered once and then from what was stored.

Small answers live in a ring in the head, so remembering them costs no further write; larger ones,
and those that the ring has no room for, are records with an expiry. An answer is looked for in what
this process is about to commit as well, and given only when that is durable.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.job import digest
from rivetless.runtime.records import find_record
from rivetless.store.base import RECENT_REPLIES, Changes, Collection, Record, Reply, Store

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.job import Job

KEPT: Final = 48 * 3600.0
"""Seconds for which an answer is kept."""

KEPT_FRAMES: Final = 900.0
"""The same for frames of connections: longer than a queue goes on delivering one again."""

FRAMES_TOGETHER: Final = 10
"""How many frames of one connection a queue delivers together, at most; so it is with SQS."""

SMALL: Final = 512
"""Bytes up to which an answer has a place in the head."""

STARTED: Final = b""
"""Stands for the answer of a turn that made a checkpoint and has not ended."""

LARGE: Final = b"\x01"
"""Stands for an answer that is a record. No encoded answer is like it."""


def check(callee: str, action: str, args: bytes) -> str:
    """Hash what a call asks for."""
    return digest(callee, action, args.hex())


def encode(output: object) -> bytes:
    """Write a plain answer down."""
    return json.dumps(tag(output, JSON), separators=(",", ":")).encode()


def decode(data: bytes) -> object:
    """Read an answer back."""
    return untag(json.loads(data))


def _record(reply: Reply) -> Record:
    data = len(reply.check).to_bytes(1, "big") + reply.check.encode() + reply.data
    return Record(Collection.REPLY, _key(reply.key), data, expires_at=reply.expires_at)


def _key(call_key: str) -> bytes:
    return digest("reply", call_key).encode()


def remember(changes: Changes, clock: Clock, cell: Cell, job: Job, data: bytes) -> Changes:
    """Add to a commit what it takes to answer the job's call with ``data`` from now on.

    That is a place in the head's ring; a record, where the answer is too large for it; and a record
    of the oldest answer in a full ring, which would otherwise be forgotten.
    """
    key = job.origin.call_key
    if key is None:
        return changes
    now = clock.now()
    kept = KEPT_FRAMES if key.startswith(("f:", "d:")) else KEPT
    reply = Reply(key, job.check, data, now + kept)
    puts: list[Record] = []
    if len(data) > SMALL:
        puts.append(_record(reply))
        reply = replace(reply, data=LARGE)
    ring = cell.replies
    if len(ring) >= RECENT_REPLIES and _is_last(ring[0], (*ring[1:], reply), now):
        puts.append(_record(ring[0]))
    changes = replace(changes, replies=(*changes.replies, reply))
    if puts:
        changes = replace(
            changes,
            puts=(*changes.puts, *puts),
            counters={**changes.counters, "replies": len(puts)},
        )
    return changes


def _is_last(reply: Reply, later: tuple[Reply, ...], now: float) -> bool:
    """Whether nobody else remembers what a reply says."""
    return (
        reply.expires_at > now
        and reply.data != LARGE
        and all(other.key != reply.key for other in later)
        and not _is_outdated(reply.key, later)
    )


def _is_outdated(key: str, later: tuple[Reply, ...]) -> bool:
    """Whether a call cannot come again, because it was a frame of a connection that has gone on.

    A queue delivers frames of one connection in order: the next ones come when those before are
    done with, or at most ``FRAMES_TOGETHER`` together.
    """
    if not key.startswith("f:"):
        return False
    lane = key.rpartition(":")[0] + ":"
    return sum(other.key.startswith(lane) for other in later) >= FRAMES_TOGETHER


async def find(store: Store, clock: Clock, cell: Cell, key: str, check: str) -> bytes | None:
    """Look for the stored answer of a call, be it durable or about to be.

    Args:
        store: where it would be.
        clock: tells what has expired.
        cell: the actor.
        key: of the call.
        check: hash of what it asks for.

    Raises:
        ActorError: ``actor.idempotency_mismatch`` if the key was used for another call;
            ``actor.interrupted`` if the call made a checkpoint and never ended.
    """
    found: tuple[str, bytes] | None = None
    for reply in reversed(cell.replies):
        if reply.key == key and reply.expires_at > clock.now():
            found = reply.check, reply.data
            break
    if found is None or found[1] == LARGE:
        record = await _find_record(store, cell, _key(key))
        if record is not None:
            size = record.data[0]
            found = record.data[1 : size + 1].decode(), record.data[size + 1 :]
    if found is None:
        return None
    if found[0] != check:
        raise errors.make("actor.idempotency_mismatch")
    if found[1] == STARTED:
        raise errors.make("actor.interrupted", {"reason": "the first attempt did not end"})
    return found[1]


async def _find_record(store: Store, cell: Cell, key: bytes) -> Record | None:
    pending = cell.pending(Collection.REPLY, key)
    if pending is not None:
        return pending
    head = cell.head
    if head is None or not head.counters.get("replies"):
        return None
    return await find_record(store, head.actor_id, Collection.REPLY, key)
