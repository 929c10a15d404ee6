"""The file: how it is created, its tables, and how older files are brought up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import apsw

from rivetless.store.base import NewerFormat, Unavailable
from rivetless.store.sqlite.driver import Database, close_database, open_database, snapshot

APPLICATION_ID: Final = 0x52765473
"""Marks the file as ours, where ``file`` and we look for it ("RvTs")."""

MIGRATIONS: Final = (
    # -- 1 ---------------------------------------------------------------------------------------
    # heads: one row a life; at most one life of an address exists. It has a short number, by which
    #   the other tables name it. Ids begin with the hash of the address, so the lives of an address
    #   are a range of ids and one index finds a head by either. What is large or rare is in tables
    #   of its own, because SQLite writes a row as a whole: a large state must not be written again
    #   when an alarm moves. due_at is the least of alarm, outbox_at and destroyed_at.
    #   spilled is the size of a state that has a row in states, else 0.
    # replies, outbox, records: not WITHOUT ROWID, although their keys are no numbers. In such a
    #   table a search reads whole rows to compare their keys, and a value may have megabytes.
    """
    CREATE TABLE heads (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        format INTEGER NOT NULL,
        code_version INTEGER NOT NULL,
        created_at REAL NOT NULL,
        destroyed_at REAL,
        alarm REAL,
        armed_until REAL,
        outbox_at REAL,
        due_at REAL,
        spilled INTEGER NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        key TEXT NOT NULL,
        lease TEXT,
        counters TEXT,
        commits TEXT NOT NULL,
        state BLOB
    ) STRICT;
    CREATE INDEX heads_by_name ON heads (namespace, name, created_at, id);
    CREATE INDEX heads_due ON heads (due_at, id) WHERE due_at IS NOT NULL;

    CREATE TABLE states (
        head INTEGER PRIMARY KEY,
        data BLOB NOT NULL
    ) STRICT;

    CREATE TABLE replies (
        head INTEGER NOT NULL,
        place INTEGER NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        expires_at REAL NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (head, place)
    ) STRICT;

    CREATE TABLE outbox (
        head INTEGER NOT NULL,
        id TEXT NOT NULL,
        created_at REAL NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (head, id)
    ) STRICT;

    CREATE TABLE records (
        head INTEGER NOT NULL,
        collection TEXT NOT NULL,
        key BLOB NOT NULL,
        expires_at REAL,
        host TEXT,
        data BLOB NOT NULL,
        UNIQUE (head, collection, key)
    ) STRICT;
    CREATE INDEX records_expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX records_hosted ON records (host) WHERE host IS NOT NULL;

    CREATE TABLE hosts (
        id TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # -- 2: the last number given in each collection that was appended to, as JSON ---------------
    "ALTER TABLE heads ADD COLUMN sequences TEXT;",
    # -- 3: lives that were drained, and until when that is remembered --------------------------
    """
    CREATE TABLE drained (id TEXT PRIMARY KEY, until REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX drained_until ON drained (until);
    """,
)
"""What brings a file from each schema version to the next; ``user_version`` counts them."""

WARM_PAGES: Final = 1000
"""How long a write-ahead log is made in advance, in pages (4 KiB)."""


def create_file(path: Path) -> None:
    """Create the file and its folder, if they are not there, so that only its owner can read it.

    SQLite gives its side files (``-wal``, ``-shm``) the same permissions.
    """
    # O_EXCL: to open and close a file that is in use would take away the locks SQLite has on it.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise Unavailable(f"cannot create {path}: {error.strerror}") from error
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # pragma: no cover - a system that does not open folders (Windows)
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def connect(path: Path, *, vfs: str | None, synchronous: str, cache_kib: int) -> Database:
    """Open one connection, set up the way all of them are.

    Raises:
        NewerFormat: a newer version of rivetless wrote the file.
        Unavailable: the file is somebody else's.
    """
    db = open_database(os.fspath(path), vfs)
    try:
        db.set_busy_timeout(5_000)
        # Plans depend on no values. Else SQLite compiles many statements anew for every execution,
        # in case new values had a better one: that takes several times what the execution does.
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        # First of all: another program's file is not to be touched.
        with snapshot(db):
            _version(db, path)
        mode = db.pragma("journal_mode", "wal")
        if mode != "wal":
            raise Unavailable(f"{path} is where SQLite cannot keep a write-ahead log ({mode})")
        # Checkpoints are made beside the commits, not by one of them.
        db.wal_autocheckpoint(0)
        db.pragma("synchronous", synchronous)
        # On macOS an ordinary fsync leaves data in the drive's cache.
        db.pragma("fullfsync", 1)
        db.pragma("cache_size", -cache_kib)
        db.pragma("temp_store", "memory")
        db.pragma("trusted_schema", 0)
        # A log that a long read made long is cut when it is used again.
        db.pragma("journal_size_limit", 64 * 1024 * 1024)
    except BaseException:
        close_database(db)
        raise
    return db


def migrate(db: Database, path: Path) -> None:
    """Create the tables, or bring those of an older version up to date."""
    with snapshot(db):
        if _version(db, path) == len(MIGRATIONS):
            return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        for script in MIGRATIONS[_version(db, path) :]:
            db.execute(script)
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", len(MIGRATIONS))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: Database, path: Path) -> int:
    """Return the schema version, 0 for an empty file. In a transaction, for several reads."""
    version, application = db.pragma("user_version"), db.pragma("application_id")
    if application != APPLICATION_ID:
        if version or application or db.execute("SELECT count(*) FROM sqlite_schema").get:
            raise Unavailable(f"{path} is a database of another program")
        return 0
    if version > len(MIGRATIONS):
        raise NewerFormat(
            f"{path} has schema version {version}; this version of rivetless knows versions up "
            f"to {len(MIGRATIONS)}. Install the version that wrote it, or a newer one."
        )
    return int(version)


def warm_log(db: Database, path: Path) -> None:
    """Make the write-ahead log longer than the next commits need.

    To sync a file that has grown, the file system writes its journal too; to sync one whose blocks
    are overwritten it need not, which halves the latency of a durable commit. A transaction that is
    larger than the cache and rolled back leaves a long log behind and nothing in it.
    """
    size = WARM_PAGES * 4096
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size >= size:
        return
    cache = db.pragma("cache_size")
    db.pragma("cache_size", 10)
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO states (head, data) VALUES (-1, zeroblob(?))", (size,))
    except (apsw.BusyError, apsw.FullError):
        return  # it works without, only slower
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.pragma("cache_size", cache)
