"""What is used of ``apsw``, with types.

Its own hints leave the values that statements are given half unknown to strict checkers.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import apsw

log = logging.getLogger("rivetless.store")

Value = str | bytes | int | float | None
"""What SQLite stores."""


class Rows(Protocol):
    """The answer to a statement."""

    @property
    @abstractmethod
    def get(self) -> Any:
        """All of it with the least structure: a tuple for one row, a value for one column."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...

    @abstractmethod
    def close(self, force: bool = False) -> None:
        """Read no further."""


class Database(Protocol):
    """One connection to the file. Used by one thread at a time."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool: ...

    @abstractmethod
    def execute(self, statements: str, bindings: Sequence[Value] | None = None) -> Rows: ...

    @abstractmethod
    def pragma(self, name: str, value: str | int | None = None) -> Any: ...

    @abstractmethod
    def config(self, op: int, *args: int) -> int: ...

    @abstractmethod
    def total_changes(self) -> int: ...

    @abstractmethod
    def status(self, op: int, reset: bool = False) -> tuple[int, int]: ...

    @abstractmethod
    def set_busy_timeout(self, milliseconds: int) -> None: ...

    @abstractmethod
    def wal_autocheckpoint(self, n: int) -> None: ...

    @abstractmethod
    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]: ...

    @abstractmethod
    def close(self, force: bool = False) -> None: ...


def open_database(path: str, vfs: str | None) -> Database:
    """Open a connection; creates the file if it is not there."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    return cast("Database", apsw.Connection(path, flags=flags, vfs=vfs))


def close_database(db: Database) -> None:
    """Close a connection. What was committed is safe, so that a failure is not worth an error."""
    try:
        db.close()
    except apsw.Error as error:
        log.warning("closing the database: %s", error)


@contextmanager
def snapshot(db: Database) -> Generator[None, None, None]:
    """See one state of the file in several queries (as in a transaction that is under way)."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")
