"""``SQLiteStore``: the verbs of a store over one SQLite file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

import apsw

from rivetless.clock import Clock, SystemClock
from rivetless.keys import Address
from rivetless.store.base import (
    Capabilities,
    Changes,
    Collection,
    Due,
    Head,
    Host,
    Record,
    Store,
    Unavailable,
)
from rivetless.store.limits import check
from rivetless.store.repeats import Repeats
from rivetless.store.sqlite import reads, schema, writes
from rivetless.store.sqlite.checkpoints import Checkpoints
from rivetless.store.sqlite.driver import Database, close_database
from rivetless.store.sqlite.errors import translate
from rivetless.store.sqlite.threads import Worker
from rivetless.store.sqlite.writer import Writer

T = TypeVar("T")

Synchronous = Literal["full", "normal", "off"]

CAPABILITIES: Final = Capabilities()

_WRITER_CACHE_KIB: Final = 16 * 1024
_READER_CACHE_KIB: Final = 4 * 1024
_PURGED_AT_ONCE: Final = 1000


class _Open:
    """What a store has while it is open.

    Attributes:
        db: the writer's connection. While the writer is not using it, point reads do, because its
            cache is the warmest.
        reader: the event loop's connection for reads while the writer is busy.
        checkpoints: copies the log into the database.
        writer: the one that writes.
        thread: the writer's.
        readers: a thread for reads that take longer.
        long_reader: that thread's connection, once it was needed.
    """

    def __init__(
        self,
        db: Database,
        reader: Database,
        checkpoints: Checkpoints,
        writer: Writer,
        thread: Worker,
        readers: Worker,
    ) -> None:
        self.db: Final = db
        self.reader: Final = reader
        self.checkpoints: Final = checkpoints
        self.writer: Final = writer
        self.thread: Final = thread
        self.readers: Final = readers
        self.long_reader: Database | None = None

    async def close(self) -> None:
        """Finish what is under way and close everything."""
        await self.writer.close()
        await self.checkpoints.close()
        if self.readers.used:
            await self.readers.call(self._close_long_reader)
        self.readers.stop()
        # The last connection to the file makes a checkpoint as it closes: not on the event loop.
        await self.thread.call(self._close)
        self.thread.stop()

    def _close_long_reader(self) -> None:
        if self.long_reader is not None:
            close_database(self.long_reader)

    def _close(self) -> None:
        close_database(self.reader)
        close_database(self.db)


class SQLiteStore(Store):
    """Keeps actors in one SQLite file. The store to begin with: nothing to install or to run.

    Any number of processes of one machine may open the file, and each sees what the others commit.
    It must be on a local disk: SQLite's locks do not work on network file systems.

    Args:
        path: the file. It is created if it is not there, readable for its owner only.
        synchronous: what a commit that was acknowledged outlasts.

            - ``"full"``: everything, a power cut too. Each batch of commits syncs the disk.
            - ``"normal"``: the end of the process, also by ``kill -9``. A power cut may lose the
              last commits, the newest first; what is left is whole.
            - ``"off"``: the same, but a power cut may damage the file. For tests.
        clock: where the time comes from.
        vfs: name of a registered SQLite VFS to use instead of the operating system's files.
        patience: how many seconds a commit waits for other processes that are writing, before it is
            refused with ``Unavailable``.
        worker: makes what does the waiting, given a name; a thread of its own each by default. The
            simulator has one that does it at once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "full",
        clock: Clock | None = None,
        vfs: str | None = None,
        patience: float = 5.0,
        worker: Callable[[str], Worker] | None = None,
    ) -> None:
        if synchronous not in ("full", "normal", "off"):
            raise ValueError(f"synchronous is 'full', 'normal' or 'off', not {synchronous!r}")
        if os.fspath(path) in ("", ":memory:"):
            raise ValueError("SQLiteStore needs a file; MemoryStore keeps actors in memory")
        self._path = Path(path)
        self._synchronous: Synchronous = synchronous
        self._clock = clock or SystemClock()
        self._vfs = vfs
        self._patience = patience
        self._worker = worker or Worker
        self._repeats = Repeats()
        self._state: _Open | None = None
        self._closing: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"SQLiteStore({os.fspath(self._path)!r}, synchronous={self._synchronous!r})"

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # -- open and close ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._state is not None:
            raise RuntimeError(f"{self!r} is open already")
        thread = self._worker("rivetless-writer")
        try:
            db, reader = await thread.call(self._connect)
        except BaseException:
            thread.stop()
            raise
        checkpoints = Checkpoints(
            db,
            lambda: self._connection(_READER_CACHE_KIB),
            self._worker("rivetless-checkpoint"),
        )
        writer = Writer(
            db,
            thread,
            durable=self._synchronous == "full",
            patience=self._patience,
            checkpoints=checkpoints,
            upkeep=lambda db: writes.purge(db, self._clock.now(), _PURGED_AT_ONCE),
        )
        self._state = _Open(
            db, reader, checkpoints, writer, thread, self._worker("rivetless-reader")
        )
        return self

    def _connect(self) -> tuple[Database, Database]:
        path = self._path.absolute()
        try:
            if self._vfs is None:
                schema.create_file(path)
            db = self._connection(_WRITER_CACHE_KIB)
        except apsw.Error as error:
            raise translate(error) from error
        try:
            schema.migrate(db, path)
            if self._synchronous == "full":
                schema.warm_log(db, path)
            reader = self._connection(_READER_CACHE_KIB)
            # These two are used on the event loop, which must not wait.
            db.set_busy_timeout(0)
            reader.set_busy_timeout(0)
        except BaseException as error:
            close_database(db)
            if isinstance(error, apsw.Error):
                raise translate(error) from error
            raise
        return db, reader

    def _connection(self, cache_kib: int) -> Database:
        return schema.connect(
            self._path.absolute(),
            vfs=self._vfs,
            synchronous=self._synchronous,
            cache_kib=cache_kib,
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state, self._state = self._state, None
        if state is None:
            return
        # Whoever is in a hurry need not wait, but what was begun is finished.
        self._closing = asyncio.ensure_future(state.close())
        await asyncio.shield(self._closing)

    # -- the verbs --------------------------------------------------------------------------------

    async def load(self, ref: Address | str) -> Head | None:
        return await self._read(
            lambda db: reads.load(db, ref, bounded=True),
            lambda db: reads.load(db, ref, bounded=False),
        )

    async def current(self, actor_id: str, version: int) -> bool:
        return await self._read(lambda db: reads.is_current(db, actor_id, version))

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        size = check(actor_id, changes, expected, CAPABILITIES)
        now = self._clock.now()
        if expected is None and changes in self._repeats:
            return 0
        version = await self._writer.write(
            lambda db: writes.commit(db, actor_id, changes, expected, now), size
        )
        self._repeats.note(changes)
        return version

    async def records(
        self,
        actor_id: str,
        collection: Collection,
        *,
        start: bytes = b"",
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Record]:
        now = self._clock.now()

        def query(db: Database, bounded: bool) -> list[Record]:
            return reads.records(
                db, actor_id, collection, start, end, limit, reverse, now, bounded=bounded
            )

        return await self._read(lambda db: query(db, True), lambda db: query(db, False))

    async def list(
        self,
        namespace: str,
        name: str,
        *,
        limit: int,
        before: float | tuple[float, str] | None = None,
        include_destroyed: bool = False,
    ) -> Sequence[Head]:
        return await self._read_many(
            limit,
            lambda db: reads.list_heads(db, namespace, name, limit, before, include_destroyed),
        )

    async def due(self, now: float, *, limit: int) -> Sequence[Due]:
        return await self._read_many(limit, lambda db: reads.due(db, now, limit))

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        now = self._clock.now()
        return await self._writer.write(lambda db: writes.drain(db, actor_id, limit, now))

    async def announce(self, host: Host) -> None:
        await self._writer.write(lambda db: writes.announce(db, host))

    async def hosts(self) -> Sequence[Host]:
        return await self._read(reads.hosts)

    async def hosted(self, host: str, *, limit: int = 100) -> Sequence[tuple[str, Record]]:
        now = self._clock.now()
        return await self._read_many(limit, lambda db: reads.hosted(db, host, limit, now))

    # -- reading ----------------------------------------------------------------------------------

    @property
    def _writer(self) -> Writer:
        return self._opened.writer

    @property
    def _opened(self) -> _Open:
        if self._state is None:
            raise Unavailable("the store is not open")
        return self._state

    async def _read(
        self,
        query: Callable[[Database], T],
        unbounded: Callable[[Database], T] | None = None,
    ) -> T:
        """Read on the event loop; in a thread if that would make it wait.

        Args:
            query: what to read; may raise ``TooMuch``.
            unbounded: what to read then.
        """
        state = self._opened
        try:
            return query(state.reader if state.writer.away else state.db)
        except (apsw.BusyError, reads.TooMuch):
            # Busy: another process is opening or closing the file.
            return await self._read_long(unbounded or query)
        except apsw.Error as error:
            raise translate(error) from error

    async def _read_many(self, limit: int, query: Callable[[Database], T]) -> T:
        if limit <= reads.MOST_ROWS:
            return await self._read(query)
        return await self._read_long(query)

    async def _read_long(self, query: Callable[[Database], T]) -> T:
        state = self._opened

        def work() -> T:
            if state.long_reader is None:
                state.long_reader = self._connection(_READER_CACHE_KIB)
            return query(state.long_reader)

        try:
            return await state.readers.call(work)
        except apsw.Error as error:
            raise translate(error) from error
