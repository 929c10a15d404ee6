"""What is written to the file. Plain functions of a connection that is in a write transaction.

Each looks first and writes then: one that refuses has written nothing, so that the others which
share its transaction are not disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rivetless.keys import serialise
from rivetless.store.base import (
    DRAINED_FOR,
    KEEP,
    RECENT_COMMITS,
    RECENT_REPLIES,
    RECORD_FORMAT,
    Append,
    Changes,
    Conflict,
    Creation,
    Duplicate,
    Gone,
    Head,
    Host,
    NewerFormat,
    Record,
    RecordKey,
    Reply,
)
from rivetless.store.changes import numbered
from rivetless.store.limits import check_counters
from rivetless.store.sqlite import reads
from rivetless.store.sqlite.driver import Database

MOST_INLINE_STATE: Final = 2048
"""Bytes; a larger state has a row of its own. One page holds the head with a state of this size."""

_FENCE: Final = """
    SELECT n, version, format, code_version, destroyed_at, alarm, outbox_at, spilled, counters,
        sequences
    FROM heads WHERE id = ?
"""
_PRESENT: Final = "SELECT id FROM heads WHERE id BETWEEN ? AND ?"
_CREATE: Final = """
    INSERT INTO heads (id, version, format, code_version, created_at, spilled, namespace, name, key,
        commits)
    VALUES (?, 0, ?, 0, ?, 0, ?, ?, ?, '')
"""
_FIRST_COMMITS: Final = "commits = commits || ?"
_LATER_COMMITS: Final = "commits = substr(commits, instr(commits, ' ') + 1) || ?"
_PUT_STATE: Final = "INSERT OR REPLACE INTO states (head, data) VALUES (?, ?)"
_DELETE_STATE: Final = "DELETE FROM states WHERE head = ?"
_PUT_REPLY: Final = """
    INSERT INTO replies (head, place, key, digest, expires_at, data) VALUES (?, ?, ?, ?, ?, ?)
"""
_TRIM_REPLIES: Final = f"""
    DELETE FROM replies WHERE head = ?1 AND place <= (
        SELECT place FROM replies WHERE head = ?1
        ORDER BY place DESC LIMIT 1 OFFSET {RECENT_REPLIES}
    )
"""
_DELETE_REPLIES: Final = "DELETE FROM replies WHERE head = ?"
_PUT_OUTGOING: Final = """
    INSERT INTO outbox (head, id, created_at, data) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET created_at = excluded.created_at, data = excluded.data
        WHERE created_at <> excluded.created_at OR data <> excluded.data
"""
_DELETE_OUTGOING: Final = "DELETE FROM outbox WHERE head = ? AND id = ?"
_OLDEST_OUTGOING: Final = "SELECT min(created_at) FROM outbox WHERE head = ?"
_PUT_RECORD: Final = """
    INSERT INTO records (head, collection, key, expires_at, host, data) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at, host = excluded.host,
        data = excluded.data
"""
_HAS_RECORD: Final = """
    SELECT EXISTS (
        SELECT 1 FROM records
        WHERE head = ? AND collection = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)
    )
"""
_DELETE_RECORD: Final = "DELETE FROM records WHERE head = ? AND collection = ? AND key = ?"
_TOMBSTONE: Final = "SELECT n, destroyed_at, outbox_at FROM heads WHERE id = ?"
_DRAIN: Final = """
    DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE head = ? LIMIT ?)
"""
_HAS_RECORDS: Final = "SELECT EXISTS (SELECT 1 FROM records WHERE head = ?)"
_DELETE_HEAD: Final = "DELETE FROM heads WHERE n = ?"
_WAS_DRAINED: Final = "SELECT EXISTS (SELECT 1 FROM drained WHERE id = ? AND until > ?)"
_NOTE_DRAINED: Final = "INSERT OR REPLACE INTO drained (id, until) VALUES (?, ?)"
_FORGET_DRAINED: Final = """
    DELETE FROM drained WHERE id IN (SELECT id FROM drained WHERE until <= ? LIMIT ?)
"""
_PUT_HOST: Final = """
    INSERT INTO hosts (id, url, expires_at) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET url = excluded.url, expires_at = excluded.expires_at
    WHERE hosts.expires_at <= excluded.expires_at
"""
_DELETE_HOST: Final = "DELETE FROM hosts WHERE id = ?"
_PURGE: Final = """
    DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE expires_at <= ? LIMIT ?)
"""


def commit(db: Database, actor_id: str, changes: Changes, expected: int | None, now: float) -> int:
    """Make a commit; see ``Store.commit``, whose limits the caller has checked.

    Returns:
        The head's version afterwards.
    """
    if changes.create is not None:
        _create(db, actor_id, changes.create, now)
    row = db.execute(_FENCE, (actor_id,)).get
    if row is None:
        raise Gone(f"actor {actor_id} does not exist")
    n, version, form, code_version, destroyed_at, alarm, outbox_at, spilled = row[:8]
    counters, sequences = map(reads.decode_numbers, row[8:])
    versioned = changes.versioned
    if destroyed_at is not None and changes.enriching:
        raise Gone(f"actor {actor_id} was destroyed")
    if expected is not None and expected != version:
        raise Conflict(actor_id, _load_for_conflict(db, actor_id))

    if versioned and form > RECORD_FORMAT:
        raise reads.newer_format(actor_id, form)
    check_counters(changes, counters)
    for name in changes.absent:
        if db.execute(_HAS_RECORD, (n, name.collection.value, name.key, now)).get:
            raise Duplicate(f"actor {actor_id} has record {name.key!r}")

    columns: dict[str, Any] = {}
    commits = None
    if versioned:
        if form != RECORD_FORMAT:
            columns["format"] = RECORD_FORMAT
        # Every versioned commit adds one id, so the version tells how many there are.
        commits = _FIRST_COMMITS if version < RECENT_COMMITS else _LATER_COMMITS
        version += 1
        columns["version"] = version
        if changes.code_version is not None and changes.code_version > code_version:
            columns["code_version"] = changes.code_version
        if changes.lease is not KEEP:
            lease = changes.lease
            columns["lease"] = None if lease is None else reads.encode_lease(lease)
        if changes.state is not KEEP:
            columns.update(_write_state(db, n, changes.state, spilled))
    due_before = (alarm, outbox_at, destroyed_at)
    if changes.alarm is not KEEP:
        columns["alarm"] = alarm = changes.alarm
    if changes.destroyed_at is not None:
        destroyed_at = changes.destroyed_at
        db.execute(_DELETE_STATE, (n,))
        db.execute(_DELETE_REPLIES, (n,))
        alarm = None
        columns.update(destroyed_at=destroyed_at, state=None, spilled=0, lease=None, alarm=None)
    elif changes.replies:
        _write_replies(db, n, version, changes.replies)
    if (changes.outbox_add or changes.outbox_clear) and _write_outbox(db, n, changes):
        columns["outbox_at"] = outbox_at = db.execute(_OLDEST_OUTGOING, (n,)).get
    if (alarm, outbox_at, destroyed_at) != due_before:
        instants = [at for at in (alarm, outbox_at, destroyed_at) if at is not None]
        columns["due_at"] = min(instants, default=None)
    if changes.armed_until is not KEEP:
        columns["armed_until"] = changes.armed_until
    if changes.counters:
        columns["counters"] = _add(counters, changes.counters)
    appended = numbered(changes, sequences)
    if appended:
        last = {record.collection.value: Append.number(record.key) for record in appended}
        columns["sequences"] = reads.encode_numbers(sequences | last)
    if columns:
        _update(db, n, columns, commits, changes.commit_id)
    if changes.deletes or changes.puts or appended:
        _write_records(db, n, changes.deletes, (*changes.puts, *appended))
    return int(version)


def _create(db: Database, actor_id: str, creation: Creation, now: float) -> None:
    address = creation.address
    present = db.execute(_PRESENT, reads.id_range(address)).get
    if present is not None:
        raise Conflict(actor_id, _load_for_conflict(db, present))
    if db.execute(_WAS_DRAINED, (actor_id, now)).get:
        raise Gone(f"actor {actor_id} was destroyed")
    bindings = (address.namespace, address.name, serialise(address.key))
    db.execute(_CREATE, (actor_id, RECORD_FORMAT, creation.created_at, *bindings))


def _load_for_conflict(db: Database, actor_id: str) -> Head | None:
    try:
        return reads.load(db, actor_id, bounded=True)
    except (NewerFormat, reads.TooMuch):
        return None


def _write_state(
    db: Database, n: int, state: bytes | None, spilled: int
) -> Mapping[str, bytes | int | None]:
    """Write the state to its own row if it is large; return the head's columns."""
    if state is not None and len(state) > MOST_INLINE_STATE:
        db.execute(_PUT_STATE, (n, state))
        return {"state": None, "spilled": len(state)}
    if spilled:
        db.execute(_DELETE_STATE, (n,))
        return {"state": state, "spilled": 0}
    return {"state": state}


def _write_replies(db: Database, n: int, version: int, added: Sequence[Reply]) -> None:
    # Places that grow with the version keep the order; the oldest make room.
    first = version * RECENT_REPLIES
    for place, reply in enumerate(added[-RECENT_REPLIES:], first):
        bindings = (reply.key, reply.check, reply.expires_at, reply.data)
        db.execute(_PUT_REPLY, (n, place, *bindings))
    db.execute(_TRIM_REPLIES, (n,))


def _write_outbox(db: Database, n: int, changes: Changes) -> bool:
    """Write the outbox; say whether it is another now."""
    before = db.total_changes()
    for entry_id in changes.outbox_clear:
        db.execute(_DELETE_OUTGOING, (n, entry_id))
    for entry in changes.outbox_add:
        db.execute(_PUT_OUTGOING, (n, entry.id, entry.created_at, entry.data))
    return db.total_changes() != before


def _write_records(
    db: Database, n: int, deletes: Sequence[RecordKey], puts: Sequence[Record]
) -> None:
    for name in deletes:
        db.execute(_DELETE_RECORD, (n, name.collection.value, name.key))
    for record in puts:
        bindings = (record.key, record.expires_at, record.host, record.data)
        db.execute(_PUT_RECORD, (n, record.collection.value, *bindings))


def _add(counters: Mapping[str, int], amounts: Mapping[str, int]) -> str:
    totals = dict(counters)
    for name, amount in amounts.items():
        totals[name] = totals.get(name, 0) + amount
    return reads.encode_numbers(totals)


def _update(
    db: Database, n: int, columns: Mapping[str, Any], commits: str | None, commit_id: str
) -> None:
    settings = [f"{name} = ?" for name in columns]
    bindings = list(columns.values())
    if commits is not None:
        settings.append(commits)
        bindings.append(f"{commit_id} ")
    # The names come from this module, so the text is one of a few dozen and stays prepared.
    db.execute(f"UPDATE heads SET {', '.join(settings)} WHERE n = ?", (*bindings, n))


def drain(db: Database, actor_id: str, limit: int, now: float) -> bool:
    """Delete some of a tombstone's records, and with the last one the tombstone."""
    row = db.execute(_TOMBSTONE, (actor_id,)).get
    if row is None:
        return True
    n, destroyed_at, outbox_at = row
    if destroyed_at is None:
        return False
    db.execute(_DRAIN, (n, limit))
    if outbox_at is not None or db.execute(_HAS_RECORDS, (n,)).get:
        return False
    db.execute(_DELETE_HEAD, (n,))
    db.execute(_NOTE_DRAINED, (actor_id, now + DRAINED_FOR))
    return True


def announce(db: Database, host: Host) -> None:
    """Write a host's heartbeat, or remove it."""
    if host.expires_at <= 0:
        db.execute(_DELETE_HOST, (host.id,))
    else:
        db.execute(_PUT_HOST, (host.id, host.url, host.expires_at))


def purge(db: Database, now: float, limit: int) -> int:
    """Delete up to ``limit`` records that have expired, and as many notes; return how many."""
    before = db.total_changes()
    db.execute(_PURGE, (now, limit))
    db.execute(_FORGET_DRAINED, (now, limit))
    return db.total_changes() - before
