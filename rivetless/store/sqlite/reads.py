"""What is read from the file. Plain functions of a connection; each sees one snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from rivetless.keys import Address, Key, actor_id, parse, serialise
from rivetless.store.base import (
    RECORD_FORMAT,
    Collection,
    Due,
    Head,
    Host,
    Lease,
    NewerFormat,
    Outgoing,
    Record,
    Reply,
)
from rivetless.store.sqlite.driver import Database, snapshot

# Rows and bytes that a query may bring together on the event loop; larger ones use a thread.
MOST_ROWS: Final = 256
MOST_BYTES: Final = 1024 * 1024

_LAST_LIFE: Final = (1 << 56) - 1

_HEAD: Final = """
    SELECT n, id, version, format, code_version, created_at, destroyed_at, alarm, armed_until,
        outbox_at, spilled, namespace, name, key, lease, counters, commits, state,
        EXISTS (SELECT 1 FROM replies WHERE head = heads.n), sequences
    FROM heads
"""
# A range even for an address: its life is unknown. There is at most one.
_HEAD_BY_RANGE: Final = _HEAD + "WHERE id BETWEEN ? AND ?"
_VERSION: Final = "SELECT version FROM heads WHERE id = ?"
_STATE: Final = "SELECT data FROM states WHERE head = ?"
_REPLIES: Final = "SELECT key, digest, data, expires_at FROM replies WHERE head = ? ORDER BY place"
_OUTBOX: Final = "SELECT id, created_at, data FROM outbox WHERE head = ? ORDER BY created_at, id"
_LIST: Final = """
    SELECT id, version, format, code_version, created_at, destroyed_at, key
    FROM heads
    WHERE namespace = ? AND name = ? {clauses}
    ORDER BY created_at DESC, id DESC LIMIT ?
"""
_RECORDS: Final = """
    SELECT key, data, expires_at, host FROM records
    WHERE head = (SELECT n FROM heads WHERE id = ?) AND collection = ? AND key >= ? {end}
        AND (expires_at IS NULL OR expires_at > ?)
    ORDER BY key {order} LIMIT ?
"""
_RECORDS_IN: Final = {
    (bounded, reverse): _RECORDS.format(
        end="AND key < ?" if bounded else "", order="DESC" if reverse else ""
    )
    for bounded in (False, True)
    for reverse in (False, True)
}
_DUE: Final = "SELECT id, due_at FROM heads WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"
_HOSTED: Final = """
    SELECT id, collection, records.key, data, expires_at, host
    FROM records JOIN heads ON heads.n = records.head
    WHERE host = ? AND (expires_at IS NULL OR expires_at > ?) LIMIT ?
"""
_HOSTS: Final = "SELECT id, url, expires_at FROM hosts"


class TooMuch(Exception):
    """A query has more to bring than the event loop should wait for. Nothing is lost: ask again."""


def id_range(address: Address) -> tuple[str, str]:
    """Return the first and the last actor id that an address may have."""
    return actor_id(address, 1), actor_id(address, _LAST_LIFE)


def is_current(db: Database, actor_id: str, version: int) -> bool:
    """Say whether a life's head is at a version."""
    return bool(db.execute(_VERSION, (actor_id,)).get == version)


def load(db: Database, ref: Address | str, *, bounded: bool) -> Head | None:
    """Read a head by address or by id.

    Raises:
        TooMuch: ``bounded`` is set, and the state is larger than ``MOST_BYTES``.
    """
    if isinstance(ref, Address):
        query, bindings = _HEAD_BY_RANGE, id_range(ref)
    else:
        query, bindings = _HEAD_BY_RANGE, (ref, ref)
    row = db.execute(query, bindings).get
    if row is None:
        return None
    if isinstance(ref, Address):
        namespace, name, key = row[11:14]
        if (namespace, name, key) != (ref.namespace, ref.name, serialise(ref.key)):
            return None  # another address with the same hash
    if row[3] > RECORD_FORMAT:
        raise newer_format(row[1], row[3])
    if bounded and row[10] > MOST_BYTES:
        raise TooMuch
    if not _is_whole(row):
        with snapshot(db):
            row = db.execute(query, bindings).get
            return None if row is None else _head(db, row, ref)
    return _head(db, row, ref)


def _is_whole(row: Sequence[Any]) -> bool:
    """Whether the row has all there is to know of the head."""
    return row[9] is None and not row[10] and not row[18]


def newer_format(actor_id: str, number: int) -> NewerFormat:
    """Return the error for a head that newer code wrote."""
    return NewerFormat(
        f"actor {actor_id} is in record format {number}; "
        f"this version of rivetless knows formats up to {RECORD_FORMAT}"
    )


def _head(db: Database, row: Sequence[Any], ref: Address | str) -> Head:
    n, outbox_at, spilled, has_replies = row[0], row[9], row[10], row[18]
    address = ref if isinstance(ref, Address) else Address(row[11], row[12], _key(row[13]))
    return Head(
        actor_id=row[1],
        address=address,
        version=row[2],
        state=db.execute(_STATE, (n,)).get if spilled else row[17],
        created_at=row[5],
        destroyed_at=row[6],
        alarm=row[7],
        armed_until=row[8],
        lease=None if row[14] is None else decode_lease(row[14]),
        commits=tuple(row[16].split()),
        replies=tuple(Reply(*reply) for reply in db.execute(_REPLIES, (n,))) if has_replies else (),
        outbox={}
        if outbox_at is None
        else {entry[0]: Outgoing(*entry) for entry in db.execute(_OUTBOX, (n,))},
        counters=decode_numbers(row[15]),
        sequences=decode_numbers(row[19]),
        code_version=row[4],
        format=row[3],
    )


def _key(text: str) -> Key:
    return parse(text)


def encode_numbers(numbers: Mapping[str, int]) -> str:
    """Return numbers by name as text."""
    # Every commit writes some, and this is ten times as fast as the standard library's.
    return to_json(numbers).decode()


def decode_numbers(text: str | None) -> dict[str, int]:
    """Return the numbers that ``encode_numbers`` made a text of."""
    return {} if text is None else from_json(text)


def encode_lease(lease: Lease) -> str:
    """Return a lease as text."""
    return json.dumps([lease.holder, lease.expires_at, lease.chain, lease.closed])


def decode_lease(text: str) -> Lease:
    """Return the lease that ``encode_lease`` made a text of."""
    holder, expires_at, chain, closed = json.loads(text)
    return Lease(holder, expires_at, tuple(chain), closed)


def records(
    db: Database,
    actor_id: str,
    collection: Collection,
    start: bytes,
    end: bytes | None,
    limit: int | None,
    reverse: bool,
    now: float,
    *,
    bounded: bool,
) -> list[Record]:
    """Read a range of a collection.

    Raises:
        TooMuch: ``bounded`` is set, and it is more than ``MOST_ROWS`` or ``MOST_BYTES``.
    """
    # SQLite reads a negative limit as none.
    most = -1 if limit is None else limit
    if bounded and not 0 <= most <= MOST_ROWS:
        most = MOST_ROWS + 1
    bindings = [actor_id, collection.value, start, now, most]
    if end is not None:
        bindings.insert(3, end)
    rows = db.execute(_RECORDS_IN[end is not None, reverse], bindings)
    found: list[Record] = []
    size = 0
    for key, data, expires_at, host in rows:
        size += len(data)
        found.append(Record(collection, key, data, expires_at, host))
        if bounded and (size > MOST_BYTES or len(found) > MOST_ROWS):
            rows.close(force=True)
            raise TooMuch
    return found


def list_heads(
    db: Database,
    namespace: str,
    name: str,
    limit: int,
    before: float | tuple[float, str] | None,
    include_destroyed: bool,
) -> list[Head]:
    """List the heads of one name, newest first, with what the list promises and no more."""
    clauses = ""
    bindings: list[str | float] = [namespace, name]
    if before is not None:
        clauses += "AND (created_at, id) < (?, ?)"
        # The empty text comes before every id, so nobody of that instant is listed.
        bindings += before if isinstance(before, tuple) else (before, "")
    if not include_destroyed:
        clauses += " AND destroyed_at IS NULL"
    rows = db.execute(_LIST.format(clauses=clauses), (*bindings, limit))
    return [
        Head(
            actor_id=row[0],
            address=Address(namespace, name, _key(row[6])),
            version=row[1],
            state=None,
            created_at=row[4],
            destroyed_at=row[5],
            code_version=row[3],
            format=row[2],
        )
        for row in rows
    ]


def due(db: Database, now: float, limit: int) -> list[Due]:
    """Find what the sweeper has to look at."""
    return [Due(*row) for row in db.execute(_DUE, (now, limit))]


def hosts(db: Database) -> list[Host]:
    """Read the hosts."""
    return [Host(*row) for row in db.execute(_HOSTS)]


def hosted(db: Database, host: str, limit: int, now: float) -> list[tuple[str, Record]]:
    """Find the records of a host."""
    return [
        (row[0], Record(Collection(row[1]), *row[2:]))
        for row in db.execute(_HOSTED, (host, now, limit))
    ]
