"""What a store checks before it looks at anything: that a commit makes sense and is not too large.

Every store calls ``check`` first, so that all of them refuse the same things with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rivetless.keys import partition_of_address, split_actor_id
from rivetless.store.base import Capabilities, Changes, Duplicate, Full, TooLarge

APPEND_KEY_BYTES: Final = 8

_COMMIT_ID: Final = re.compile(r"[!-~]{1,64}", re.ASCII)


def check(actor_id: str, changes: Changes, expected: int | None, capabilities: Capabilities) -> int:
    """Refuse a commit that makes no sense or is too large; return its size.

    Raises:
        TooLarge: over one of the capabilities.
        Duplicate: a record is to be absent that an earlier part of the commit makes.
        Full: a life is to begin with a counter above its limit.
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
    size = check_size(changes, capabilities)
    names = [(name.collection, name.key) for name in changes.absent]
    if len(set(names)) < len(names):
        raise Duplicate("the commit makes a record twice that is to be made once")
    if changes.create is not None:
        check_counters(changes, {})
    return size


def check_size(changes: Changes, capabilities: Capabilities) -> int:
    """Refuse a commit that is too large; return its size.

    The size is how many bytes the commit carries: values and the keys of records, no overhead.

    Raises:
        TooLarge: over one of the capabilities.
    """
    # Every turn and every commit comes through here: loops, as they cost a third of generators.
    size = 0
    if isinstance(changes.state, bytes):
        size = len(changes.state)
        _within("state", size, capabilities.max_state_bytes)
    for record in changes.puts:
        _within("record", len(record.data), capabilities.max_record_bytes)
        _within("record key", len(record.key), capabilities.max_key_bytes)
        size += len(record.key) + len(record.data)
    for append in changes.appends:
        _within("record", len(append.data), capabilities.max_record_bytes)
        size += APPEND_KEY_BYTES + len(append.data)
    for name in changes.deletes:
        _within("record key", len(name.key), capabilities.max_key_bytes)
        size += len(name.key)
    records = len(changes.puts) + len(changes.deletes) + len(changes.appends)
    if changes.absent:
        written = {(record.collection, record.key) for record in changes.puts}
        written |= {(name.collection, name.key) for name in changes.deletes}
        for name in changes.absent:
            _within("record key", len(name.key), capabilities.max_key_bytes)
            records += (name.collection, name.key) not in written
    _within("number of records", records, capabilities.max_commit_records)
    for reply in changes.replies:
        size += len(reply.key) + len(reply.data)
    for entry in changes.outbox_add:
        size += len(entry.id) + len(entry.data)
    _within("commit", size, capabilities.max_commit_bytes)
    return size


def check_counters(changes: Changes, present: Mapping[str, int]) -> None:
    """Refuse a commit that raises a counter above its limit.

    Raises:
        Full: it does.
    """
    for name, limit in changes.at_most.items():
        amount = changes.counters.get(name, 0)
        if amount > 0 and present.get(name, 0) + amount > limit:
            raise Full(name, limit)


def _within(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(what, size, limit)
