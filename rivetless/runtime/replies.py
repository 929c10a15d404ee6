"""Stored answers: a call that carries a key is answered once and then from what was stored.

Small answers live in a ring in the head, so remembering them costs no further write; larger ones,
and those that the ring has no room for, are records with an expiry.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.job import digest
from rivetless.runtime.records import find_record
from rivetless.store.base import RECENT_REPLIES, Collection, Record, Reply, Store

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.job import Job

KEPT: Final = 48 * 3600.0
"""Seconds for which an answer is kept."""

SMALL: Final = 512
"""Bytes up to which an answer has a place in the head."""

STARTED: Final = b""
"""Stands for the answer of a turn that made a checkpoint and has not ended."""


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


def remember(
    clock: Clock, cell: Cell, job: Job, data: bytes
) -> tuple[tuple[Reply, ...], tuple[Record, ...]]:
    """Say what a commit has to write so that the job's call is answered with ``data`` from now on.

    Returns:
        Replies for the head's ring, and records: the answer itself where it is too large for the
        ring, and the oldest of a full ring, which would otherwise be forgotten.
    """
    key = job.origin.call_key
    if key is None:
        return (), ()
    now = clock.now()
    reply = Reply(key, job.check, data, now + KEPT)
    if len(data) > SMALL:
        return (), (_record(reply),)
    ring = cell.replies
    full = len(ring) >= RECENT_REPLIES
    return (reply,), (_record(ring[0]),) if full and ring[0].expires_at > now else ()


async def find(store: Store, clock: Clock, cell: Cell, job: Job) -> bytes | None:
    """Look for the stored answer of the job's call.

    Raises:
        ActorError: ``actor.idempotency_mismatch`` if the key was used for another call;
            ``actor.interrupted`` if the call made a checkpoint and never ended.
    """
    key = job.origin.call_key
    if key is None:
        return None
    found: tuple[str, bytes] | None = None
    for reply in reversed(cell.replies):
        if reply.key == key and reply.expires_at > clock.now():
            found = reply.check, reply.data
            break
    head = cell.head
    if found is None and head is not None and head.counters.get("replies"):
        record = await find_record(store, head.actor_id, Collection.REPLY, _key(key))
        if record is not None:
            size = record.data[0]
            found = record.data[1 : size + 1].decode(), record.data[size + 1 :]
    if found is None:
        return None
    if found[0] != job.check:
        raise errors.make("actor.idempotency_mismatch")
    if found[1] == STARTED:
        raise errors.make("actor.interrupted", {"reason": "the first attempt did not end"})
    return found[1]
