"""The parts of the SQLite store, where a whole one is hard to bring into trouble."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from rivetless.errors import MissingExtraError
from rivetless.store.base import Collection, OutcomeUnknown, Record, Unavailable
from rivetless.store.sqlite import SQLiteStore, reads, schema
from rivetless.store.sqlite.checkpoints import Checkpoints
from rivetless.store.sqlite.driver import Database, Rows, Value, close_database, open_database
from rivetless.store.sqlite.errors import translate, translate_commit
from rivetless.store.sqlite.threads import Worker
from rivetless.store.sqlite.writer import Writer
from rivetless.testing.contracts.base import begin, changes
from rivetless.testing.disk import Disk

pytestmark = pytest.mark.anyio


class BrokenDatabase(Database):
    """Fails at the statements it is told to."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = failures
        self._in_transaction = False

    @property
    def in_transaction(self) -> bool:
        return self._in_transaction

    def execute(self, statements: str, bindings: Sequence[Value] | None = None) -> Rows:
        if (error := self.failures.get(statements.split()[0])) is not None:
            raise error
        self._in_transaction = statements.startswith("BEGIN")
        return open_database("", None).execute("SELECT 1")

    def pragma(self, name: str, value: str | int | None = None) -> object:
        raise NotImplementedError

    def config(self, op: int, *args: int) -> int:
        return 0

    def total_changes(self) -> int:
        return 0

    def status(self, op: int, reset: bool = False) -> tuple[int, int]:
        return (0, 0)

    def set_busy_timeout(self, milliseconds: int) -> None:
        pass

    def wal_autocheckpoint(self, n: int) -> None:
        pass

    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]:
        raise NotImplementedError

    def close(self, force: bool = False) -> None:
        raise self.failures.get("close", apsw.IOError("close"))


def writer_of(db: Database) -> Writer:
    """Return a writer to a database that is broken."""
    return Writer(
        db,
        Worker("test-writer"),
        durable=False,
        patience=0.01,
        checkpoints=Checkpoints(db, lambda: db, Worker("test-checkpoint")),
        upkeep=lambda _: None,
    )


async def test_transaction_that_cannot_begin_is_unavailable() -> None:
    writer = writer_of(BrokenDatabase(BEGIN=apsw.IOError("x")))
    for _ in range(2):
        with pytest.raises(Unavailable, match="SQLite: x"):
            await writer.write(lambda _: None)
    await writer.close()


async def test_failed_rollback_is_told(caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_of(BrokenDatabase(ROLLBACK=apsw.IOError("x"), COMMIT=apsw.IOError("y")))
    with pytest.raises(OutcomeUnknown, match="SQLite: y"):
        await writer.write(lambda _: None)
    assert "could not be rolled back" in caplog.text
    await writer.close()


async def test_nothing_happens_when_all_give_up(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "actors.db") as store:
        life = await begin(store)
        commit = asyncio.ensure_future(store.commit(life.id, changes(touch=True), expected=1))
        await asyncio.sleep(0)
        commit.cancel()
        await asyncio.wait([commit])
        assert await life.commit(touch=True) == 2


async def test_checkpoint_gives_way_to_another() -> None:
    def connect() -> Database:
        raise apsw.BusyError("busy")

    checkpoints = Checkpoints(BrokenDatabase(), connect, Worker("test-checkpoint"))
    done = asyncio.get_running_loop().create_future()
    checkpoints.begin(done.set_result)
    await done
    await checkpoints.close()


async def test_failure_to_close_is_told(caplog: pytest.LogCaptureFixture) -> None:
    close_database(BrokenDatabase())
    assert "closing the database: close" in caplog.text


async def test_worker_raises_what_the_work_raised() -> None:
    worker = Worker("test-worker")
    used = [worker.used]
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 / 0)
    used.append(worker.used)
    assert used == [False, True]
    for work in (lambda: 1, lambda: 1 / 0):
        call = asyncio.ensure_future(worker.call(work))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    assert await worker.call(lambda: 2) == 2
    worker.stop()


def test_worker_outlives_its_loop() -> None:
    worker = Worker("test-worker")
    go_on, done = threading.Event(), threading.Event()

    async def leave() -> None:
        worker.submit(go_on.wait, lambda _: pytest.fail("nobody is there any more"))

    asyncio.run(leave())
    go_on.set()

    async def come_back() -> None:
        await worker.call(done.set)

    asyncio.run(come_back())
    assert done.is_set()
    worker.stop()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (apsw.BusyError("x"), "another process is using the database file"),
        (apsw.FullError("x"), "the disk is full"),
        (apsw.ReadOnlyError("x"), "the database file cannot be written to"),
        (apsw.CantOpenError("x"), "the database file cannot be opened"),
        (apsw.CorruptError("x"), "the database file is damaged, or is none: x"),
        (apsw.IOError("x"), "SQLite: x"),
    ],
)
def test_errors_are_told_in_sentences(error: apsw.Error, sentence: str) -> None:
    told = translate(error)
    assert isinstance(told, Unavailable)
    assert (str(told), told.__cause__) == (sentence, error)
    assert str(translate_commit(error)) == sentence


def test_mistakes_are_not_translated() -> None:
    error = TypeError()
    assert translate(error) is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (apsw.FullError(), Unavailable),
        (apsw.BusyError(), Unavailable),
        (apsw.IOError(), OutcomeUnknown),
        (apsw.CorruptError(), OutcomeUnknown),
        (OSError(), OutcomeUnknown),
    ],
)
def test_commit_is_open_unless_it_cannot_be(error: Exception, kind: type[Exception]) -> None:
    assert type(translate_commit(error)) is kind


async def test_failed_migration_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "actors.db"
    async with SQLiteStore(path) as store:
        life = await begin(store)
    migrations = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*migrations, "CREATE TABLE new (x); nonsense"))
    with pytest.raises(Unavailable, match="nonsense"):
        await SQLiteStore(path).__aenter__()
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    async with SQLiteStore(path) as store:
        assert await store.current(life.id, 1)


async def test_older_file_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "actors.db"
    async with SQLiteStore(path) as store:
        life = await begin(store)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE heads ADD COLUMN colour TEXT")
    )
    async with SQLiteStore(path) as store:
        assert await store.current(life.id, 1)
    with apsw.Connection(os.fspath(path)) as db:
        assert db.pragma("user_version") == len(schema.MIGRATIONS)
        assert db.execute("SELECT colour FROM heads").fetchall() == [(None,)]


async def test_statements_are_compiled_once(tmp_path: Path) -> None:
    compiled: list[str] = []

    def note(*what: object) -> int:
        compiled.append(repr(what))
        return apsw.SQLITE_OK

    async with SQLiteStore(tmp_path / "actors.db") as store:
        life = await begin(store)
        await life.commit(puts=(Record(Collection.KV, b"a", b"1"),))
        db = schema.connect(tmp_path / "actors.db", vfs=None, synchronous="normal", cache_kib=100)
        assert isinstance(db, apsw.Connection)
        db.authorizer = note
        for start in (b"a", b"b"):
            compiled.clear()
            reads.records(db, life.id, Collection.KV, start, None, 8, False, 0.0, bounded=True)
            reads.load(db, life.id, bounded=True)
            assert bool(compiled) is (start == b"a")
        close_database(db)


async def test_log_that_cannot_be_warmed_is_used_cold(tmp_path: Path) -> None:
    path = tmp_path / "actors.db"
    async with SQLiteStore(path) as store:
        life = await begin(store)
    with Disk() as disk:
        failures = 0

        def fail(kind: str, file: str) -> None:
            nonlocal failures
            if kind == "write" and file.endswith("-wal") and failures < 1:
                failures += 1
                raise apsw.FullError("full")

        disk.on_operation = fail
        async with SQLiteStore(path, vfs=disk.name) as store:
            assert failures == 1
            life.store = store
            assert await life.commit(state=b"x") == 2


def test_missing_apsw_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("rivetless.store.sqlite")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apsw", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rivetless\[server\]'"):
        import rivetless.store.sqlite  # noqa: F401
