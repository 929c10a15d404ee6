"""Copies the write-ahead log into the database, beside the commits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import apsw

from rivetless.store.sqlite.driver import Database, close_database
from rivetless.store.sqlite.threads import Worker

LOG_PAGES: Final = 1000
"""How many pages may be written to the log before it is copied."""

_RESTART_PATIENCE_MS: Final = 20

log = logging.getLogger("rivetless.store")


class Checkpoints:
    """Makes checkpoints beside the commits, with a connection of its own.

    Args:
        db: the connection that writes.
        connect: opens another.
        worker: where they are made.
    """

    def __init__(self, db: Database, connect: Callable[[], Database], worker: Worker) -> None:
        self._connect = connect
        self._worker = worker
        self._db: Database | None = None
        self._written = _pages_written(db)
        self.under_way = False
        """Whether one has begun, and the log was not begun anew yet."""

    def wanted(self, db: Database) -> bool:
        """Say whether the connection that writes has written enough since the last one."""
        return not self.under_way and _pages_written(db) - self._written >= LOG_PAGES

    def begin(self, done: Callable[[None], None]) -> None:
        """Copy what is in the log, as far as nobody reads an older state."""
        self.under_way = True
        self._worker.submit(self._copy, done)

    def _copy(self) -> None:
        try:
            if self._db is None:
                self._db = self._connect()
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            return  # another process is at it
        except apsw.Error:
            log.exception("the write-ahead log could not be copied into the database")

    def restart(self, db: Database) -> None:
        """Copy what was added meanwhile and let the next commit begin the log anew; blocks.

        Args:
            db: the connection that writes, with a busy time-out of 0.
        """
        try:
            db.set_busy_timeout(_RESTART_PATIENCE_MS)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.BusyError:
            return  # somebody reads or writes; tried again when the log has grown further
        except apsw.Error:
            log.exception("the write-ahead log could not be begun anew")
        finally:
            db.set_busy_timeout(0)

    def ended(self, db: Database) -> None:
        """Note that a checkpoint is over, begun anew or not."""
        self.under_way = False
        self._written = _pages_written(db)

    async def close(self) -> None:
        """Close the connection; none may be under way."""
        if self._db is not None:
            await self._worker.call(partial(close_database, self._db))
        self._worker.stop()


def _pages_written(db: Database) -> int:
    current, _highest = db.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)
    return current
