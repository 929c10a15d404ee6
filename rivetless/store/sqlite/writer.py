"""Brings the commits of many actors into few transactions, without holding up the event loop.

Statements run on the event loop, in batches: into a write-ahead log they are a matter of
microseconds, while to hand each to a thread costs more than that. Only what waits is left to a
thread: the sync of a durable commit (unless the disk is quicker than a thread, see ``Pace``),
another process that is writing, a batch of megabytes. While a thread has the connection, new jobs
queue for the next batch; so a sync is shared by all that arrived during the one before.

When a checkpoint has been made beside the commits, a short pause between two batches lets the log
begin anew; else it would grow for ever under load.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, TypeVar

import apsw

from rivetless.store.base import StoreError, Unavailable
from rivetless.store.sqlite.checkpoints import Checkpoints
from rivetless.store.sqlite.driver import Database
from rivetless.store.sqlite.errors import translate, translate_commit
from rivetless.store.sqlite.pace import Pace
from rivetless.store.sqlite.threads import Worker

T = TypeVar("T")

MOST_JOBS: Final = 256
MOST_INLINE_BYTES: Final = 512 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024

_FIRST_PAUSE: Final = 0.000_2
_LONGEST_PAUSE: Final = 0.002

log = logging.getLogger("rivetless.store")


class Job(Generic[T]):
    """Something to do in a write transaction.

    Attributes:
        run: does it; it refuses with a ``StoreError`` before it has written anything. It may be
            run again, in another transaction, if the first was rolled back.
        size: roughly how many bytes it writes.
        done: its result, once it is durable.
        result: what ``run`` returned.
        error: what it raised, or why it has come to nothing.
    """

    __slots__ = ("done", "error", "result", "run", "size")

    def __init__(self, run: Callable[[Database], T], size: int, done: asyncio.Future[T]) -> None:
        self.run: Final = run
        self.size: Final = size
        self.done: Final = done
        self.result: T | None = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Tell whoever waits."""
        if self.done.done():
            return  # it was cancelled; nobody waits
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type]


class Writer:
    """The one that writes to the file for this process.

    Args:
        db: a connection of its own, with a busy time-out of 0.
        thread: where it waits.
        durable: whether a commit syncs, and is therefore left to the thread.
        patience: how many seconds to wait for another process that is writing.
        checkpoints: copies the log into the database.
        upkeep: run in a transaction now and then, in proportion to what is written.
    """

    def __init__(
        self,
        db: Database,
        thread: Worker,
        *,
        durable: bool,
        patience: float,
        checkpoints: Checkpoints,
        upkeep: Callable[[Database], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._db = db
        self._thread = thread
        self._durable = durable
        self._patience = patience
        self._checkpoints = checkpoints
        self._restart_due = False
        self._pace = Pace()
        self._upkeep = upkeep
        self._queue: deque[Job[object]] = deque()
        self._idle = True
        self._rest: asyncio.Event = asyncio.Event()
        self.away = False
        """Whether the thread has the connection, so that nobody else may use it."""

    async def write(self, run: Callable[[Database], T], size: int = 0) -> T:
        """Run something in a write transaction; return its result once it is durable."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._add(Job(run, size, done))
        return await done

    async def close(self) -> None:
        """Finish what is queued and under way. The connection stays open."""
        while not self._idle or self._checkpoints.under_way:
            self._rest.clear()
            await self._rest.wait()

    # -- in the event loop ------------------------------------------------------------------------

    def _add(self, job: Job[T]) -> None:
        self._queue.append(job)  # type: ignore[arg-type]
        if self._idle:
            self._idle = False
            # Not at once: whatever else is ready in this pass of the loop joins.
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """Begin the next batch."""
        if self._restart_due:
            self._restart_due = False
            self._send(partial(self._checkpoints.restart, self._db), self._log_restarted)
            return
        batch, size = self._take()
        if not batch:
            self._idle = True
            self._rest.set()
            return
        if size > MOST_INLINE_BYTES:
            self._send(partial(self._do, batch), self._returned)
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            self._send(partial(self._do, batch), self._returned)
            return
        except Exception as error:
            _fail(batch, error)
            self._settle(batch)
            return
        changes = self._db.total_changes()
        if not self._run(batch):
            self._send(partial(self._do_singly, batch), self._returned)
        elif self._durable and self._db.total_changes() != changes:
            if not self._pace.quick:
                self._send(partial(self._sync, batch), self._returned)
                return
            self._sync(batch)
            self._settle(batch)
        else:
            self._commit(batch)
            self._settle(batch)

    def _take(self) -> tuple[list[Job[object]], int]:
        batch: list[Job[object]] = []
        size = 0
        while self._queue and len(batch) < MOST_JOBS:
            job = self._queue[0]
            if batch and size + job.size > MOST_BYTES:
                break
            self._queue.popleft()
            # Whoever gave up before it began need not have it done.
            if not job.done.cancelled():
                batch.append(job)
                size += job.size
        return batch, size

    def _send(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self.away = True
        self._thread.submit(work, done)

    def _returned(self, batch: list[Job[object]]) -> None:
        self.away = False
        self._settle(batch)

    def _settle(self, batch: list[Job[object]]) -> None:
        for job in batch:
            job.settle()
        if self._checkpoints.wanted(self._db):
            self._checkpoints.begin(self._log_copied)
        if self._queue or self._restart_due:
            self._loop.call_soon(self._next)
        else:
            self._idle = True
            self._rest.set()

    def _log_copied(self, _: None) -> None:
        self._restart_due = True
        if self._idle:
            self._idle = False
            self._next()

    def _log_restarted(self, _: None) -> None:
        self.away = False
        self._checkpoints.ended(self._db)
        done: asyncio.Future[object] = self._loop.create_future()
        done.add_done_callback(_report)
        self._queue.append(Job(self._upkeep, 0, done))
        self._next()

    # -- in the event loop or in the thread -------------------------------------------------------

    def _run(self, batch: list[Job[object]]) -> bool:
        """Run a batch in the transaction that is open; say whether it may be committed.

        It may not, and is rolled back, if one of several has failed in a way that is no refusal.
        """
        for job in batch:
            try:
                job.result = job.run(self._db)
            except StoreError as error:
                job.error = error
            except Exception as error:
                self._roll_back()
                if len(batch) > 1:
                    return False
                job.error = translate(error)
        return True

    def _commit(self, batch: list[Job[object]]) -> list[Job[object]]:
        if not self._db.in_transaction:
            return batch  # rolled back, and its one job knows why
        try:
            self._db.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            for job in batch:
                # What was refused was refused for sure, but perhaps for a head that never came.
                wrote = job.error is None
                job.error = translate_commit(error) if wrote else translate(error)
        return batch

    def _sync(self, batch: list[Job[object]]) -> list[Job[object]]:
        """Commit, and note how long that took."""
        # Real time, not the store's clock: it is the disk that is timed.
        began = time.perf_counter()
        self._commit(batch)
        self._pace.note(time.perf_counter() - began)
        return batch

    def _roll_back(self) -> None:
        # After some errors SQLite has done it already.
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except apsw.Error:
                log.exception("a transaction could not be rolled back")

    # -- in the thread ----------------------------------------------------------------------------

    def _do(self, batch: list[Job[object]]) -> list[Job[object]]:
        """Do all of a batch, waiting for other processes."""
        try:
            self._begin()
        except Exception as error:
            _fail(batch, error)
            return batch
        return self._commit(batch) if self._run(batch) else self._do_singly(batch)

    def _do_singly(self, batch: list[Job[object]]) -> list[Job[object]]:
        """Do the jobs of a batch that failed one by one, so that only the culprit fails again."""
        for job in batch:
            job.error = None
            self._do([job])
        return batch

    def _begin(self) -> None:
        # Real time, not the store's clock: what is waited for is the operating system's lock.
        end = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except apsw.BusyError as error:
                if time.monotonic() >= end:
                    raise Unavailable(
                        f"other processes have kept the database file for {self._patience:g} s"
                    ) from error
                # Chance keeps two processes from missing the same gap again and again.
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            else:
                return


def _fail(batch: list[Job[object]], error: Exception) -> None:
    for job in batch:
        job.error = translate(error)


def _report(done: asyncio.Future[object]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("upkeep of the database failed: %s", error)
