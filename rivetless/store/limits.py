"""What a store checks before it looks at anything: that a commit makes sense and is not too large.

Every store calls ``check`` first, so that all of them refuse the same things with the same words.
"""

from __future__ import annotations

import re
from typing import Final

from rivetless.keys import partition_of_address, split_actor_id
from rivetless.store.base import Capabilities, Changes, TooLarge

_COMMIT_ID: Final = re.compile(r"[!-~]{1,64}", re.ASCII)


def commit_size(changes: Changes) -> int:
    """Return how many bytes a commit carries: values and the keys of records, no overhead."""
    size = len(changes.state) if isinstance(changes.state, bytes) else 0
    if changes.puts:
        size += sum(len(record.key) + len(record.data) for record in changes.puts)
    if changes.deletes:
        size += sum(len(record.key) for record in changes.deletes)
    if changes.replies:
        size += sum(len(reply.key) + len(reply.data) for reply in changes.replies)
    if changes.outbox_add:
        size += sum(len(entry.id) + len(entry.data) for entry in changes.outbox_add)
    return size


def check(actor_id: str, changes: Changes, expected: int | None, capabilities: Capabilities) -> int:
    """Refuse a commit that makes no sense or is too large; return its size.

    Raises:
        TooLarge: over one of the capabilities.
        ValueError: a versioned commit names no version; a creation expects another than 0, or its
            actor id belongs to another address; the commit id is not 1 to 64 visible characters.
    """
    if _COMMIT_ID.fullmatch(changes.commit_id) is None:
        raise ValueError(f"{changes.commit_id!r} is no commit id: 1 to 64 visible ASCII characters")
    if changes.create is not None:
        if expected != 0:
            raise ValueError(f"a commit that creates a life expects version 0, not {expected}")
        if split_actor_id(actor_id).partition != partition_of_address(changes.create.address):
            raise ValueError(f"{actor_id} is no id of {changes.create.address}")
    elif expected is None and changes.versioned:
        raise ValueError("a commit that moves the version has to name the one it was prepared on")
    return _check_size(changes, capabilities)


def _check_size(changes: Changes, capabilities: Capabilities) -> int:
    if isinstance(changes.state, bytes):
        _within("state", len(changes.state), capabilities.max_state_bytes)
    for record in changes.puts:
        _within("record", len(record.data), capabilities.max_record_bytes)
        _within("record key", len(record.key), capabilities.max_key_bytes)
    for name in changes.deletes:
        _within("record key", len(name.key), capabilities.max_key_bytes)
    records = len(changes.puts) + len(changes.deletes)
    _within("number of records", records, capabilities.max_commit_records)
    size = commit_size(changes)
    _within("commit", size, capabilities.max_commit_bytes)
    return size


def _within(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(what, size, limit)
