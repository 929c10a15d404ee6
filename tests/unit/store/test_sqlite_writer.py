"""How the SQLite store brings commits to the disk, and what it says when it cannot."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import apsw
import pytest

from rivetless.store.base import Changes, Collection, OutcomeUnknown, Record, Unavailable
from rivetless.store.sqlite import SQLiteStore, checkpoints, pace, reads, writer, writes
from rivetless.store.sqlite.driver import Database
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import Life, begin, changes
from rivetless.testing.disk import Disk

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "actors.db"


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk() as disk:
        yield disk


@pytest.fixture
def waits_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every sync made in the thread, however quick the disk is."""
    monkeypatch.setattr(pace, "QUICK", -1.0)


@pytest.fixture
async def store(path: Path, disk: Disk, waits_elsewhere: None) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(path, vfs=disk.name) as store:
        yield store


def fail_with(disk: Disk, kind: str, error: Exception, *, times: int = 1) -> None:
    """Let the next operations of a kind fail."""
    left = times

    def fail(operation: str, _path: str) -> None:
        nonlocal left
        if operation == kind and left:
            left -= 1
            raise error

    disk.on_operation = fail


def count(disk: Disk, kind: str) -> Callable[[], int]:
    """Count the operations of a kind from now on."""
    seen = 0

    def note(operation: str, _path: str) -> None:
        nonlocal seen
        seen += operation == kind

    disk.on_operation = note
    return lambda: seen


def size_of(path: Path) -> int:
    """Return the size of a file."""
    return path.stat().st_size


class Blocker:
    """Another process that writes."""

    def __init__(self, path: Path) -> None:
        self._db = apsw.Connection(os.fspath(path))
        self._db.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._db.execute("ROLLBACK")
        self._db.close()


# -- batches ---------------------------------------------------------------------------------------


async def test_commits_of_different_actors_share_a_sync(store: SQLiteStore, disk: Disk) -> None:
    lives = [await begin(store) for _ in range(100)]
    syncs = count(disk, "sync")
    await asyncio.gather(*(life.commit(state=b"x") for life in lives))
    assert syncs() == 1


async def test_what_arrives_during_a_sync_shares_the_next(store: SQLiteStore, disk: Disk) -> None:
    lives = [await begin(store) for _ in range(100)]
    loop = asyncio.get_running_loop()
    begun, go_on = asyncio.Event(), threading.Event()
    syncs = 0

    def hold(kind: str, _path: str) -> None:
        nonlocal syncs
        if kind == "sync":
            syncs += 1
            loop.call_soon_threadsafe(begun.set)
            go_on.wait()

    disk.on_operation = hold
    commits = [asyncio.ensure_future(lives[0].commit(state=b"x"))]
    await begun.wait()
    for life in lives[1:]:
        commits.append(asyncio.ensure_future(life.commit(state=b"x")))
        await asyncio.sleep(0)
    assert await store.current(lives[0].id, 1), "seen before it is durable"
    assert not any(commit.done() for commit in commits), "acknowledged before it is durable"
    go_on.set()
    assert await asyncio.gather(*commits) == [2] * 100
    assert syncs == 2


async def test_refusals_need_no_sync(store: SQLiteStore, disk: Disk) -> None:
    life = await begin(store)
    syncs = count(disk, "sync")
    await asyncio.gather(
        *(store.commit(life.id, changes(touch=True), expected=9) for _ in range(5)),
        return_exceptions=True,
    )
    assert syncs() == 0


async def test_larger_batches_than_a_transaction_are_split(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_JOBS", 7)
    monkeypatch.setattr(writer, "MOST_BYTES", 5000)
    monkeypatch.setattr(writer, "MOST_INLINE_BYTES", 3000)
    async with SQLiteStore(path) as store:
        lives = [await begin(store) for _ in range(40)]
        await asyncio.gather(
            *(life.commit(state=bytes(number * 300)) for number, life in enumerate(lives))
        )
        for number, life in enumerate(lives):
            assert (await life.head()).state == bytes(number * 300)


async def test_mistake_in_one_commit_is_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SQLiteStore(path) as store:
        lives = [await begin(store) for _ in range(5)]
        commit = writes.commit

        def fail(db: Database, actor: str, made: Changes, expected: int | None, now: float) -> int:
            version = commit(db, actor, made, expected, now)
            if actor == lives[2].id:
                raise ZeroDivisionError
            return version

        monkeypatch.setattr(writes, "commit", fail)
        results = await asyncio.gather(
            *(life.commit(state=b"x") for life in lives), return_exceptions=True
        )
        assert [type(result) for result in results] == [int, int, ZeroDivisionError, int, int]
        with pytest.raises(ZeroDivisionError):
            await lives[2].commit(state=b"x")
        monkeypatch.setattr(writes, "commit", commit)
        assert (await lives[2].head()).state == b"{}"
        assert await lives[2].commit(state=b"y") == 2


async def test_whoever_gives_up_before_the_batch_is_left_out(store: SQLiteStore) -> None:
    life = await begin(store)
    commits = [
        asyncio.ensure_future(store.commit(life.id, changes(counters={"n": n}), expected=None))
        for n in (1, 2, 4)
    ]
    # One pass lets the commits queue up; their batch begins in the next one.
    await asyncio.sleep(0)
    commits[1].cancel()
    await asyncio.wait(commits)
    assert (await life.head()).counters == {"n": 5}


async def test_whoever_gives_up_later_disturbs_nobody(store: SQLiteStore, disk: Disk) -> None:
    lives = [await begin(store) for _ in range(3)]
    commits = [asyncio.ensure_future(life.commit(state=b"x")) for life in lives]
    loop = asyncio.get_running_loop()

    def give_up(kind: str, _path: str) -> None:
        if kind == "sync":
            loop.call_soon_threadsafe(commits[1].cancel)

    disk.on_operation = give_up
    await asyncio.wait(commits)
    disk.on_operation = None
    assert [(await life.head()).version for life in lives] == [2, 2, 2]


# -- where syncs are made --------------------------------------------------------------------------


@pytest.fixture
def threads(disk: Disk) -> list[bool]:
    """Note of each sync whether it was made on the event loop."""
    loop_thread = threading.current_thread()
    seen: list[bool] = []

    def note(operation: str, _path: str) -> None:
        if operation == "sync":
            seen.append(threading.current_thread() is loop_thread)

    disk.on_operation = note
    return seen


class Timing:
    """Stands in for the real time that syncs take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        note = pace.Pace.note
        monkeypatch.setattr(pace.Pace, "note", lambda kept, _: note(kept, self.seconds))


async def test_quick_disk_is_waited_for_on_the_loop(
    path: Path, disk: Disk, threads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    Timing(monkeypatch).seconds = pace.QUICK / 4
    async with SQLiteStore(path, vfs=disk.name) as store:
        life = await begin(store)
        await _commit(life, 100)
        assert threads[-50:] == [True] * 50
        assert (await life.head()).version == 101
    assert not threads[0], "the disk is not known yet"


async def test_disk_that_becomes_slow_is_left_to_the_thread(
    path: Path, disk: Disk, threads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = Timing(monkeypatch)
    timing.seconds = pace.QUICK / 4
    async with SQLiteStore(path, vfs=disk.name) as store:
        life = await begin(store)
        await _commit(life, 100)
        threads.clear()
        timing.seconds = pace.QUICK * 20
        await _commit(life, 10)
        assert threads[:10] == [True] + [False] * 9
        timing.seconds = pace.QUICK / 4
        await _commit(life, 100)
        assert threads[-50:] == [True] * 50, "it is quick again"


async def test_failed_sync_on_the_loop_leaves_the_outcome_open(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Timing(monkeypatch).seconds = pace.QUICK / 4
    async with SQLiteStore(path, vfs=disk.name) as store:
        life = await begin(store)
        await _commit(life, 100)
        fail_with(disk, "sync", apsw.IOError("I/O error"))
        with pytest.raises(OutcomeUnknown):
            await life.commit(state=b"x")
        assert (await life.head()).version == 101
        assert await life.commit(state=b"y") == 102


def test_the_first_syncs_tell_as_much_as_there_is_to_tell() -> None:
    kept = pace.Pace()
    seen = [kept.quick]  # nothing is known yet
    for seconds in (pace.QUICK * 0.9, pace.QUICK * 2, 0.0):
        kept.note(seconds)
        seen.append(kept.quick)
    assert seen == [False, True, False, True]


# -- other processes -------------------------------------------------------------------------------


async def test_another_writer_is_waited_for_off_the_loop(path: Path) -> None:
    async with SQLiteStore(path) as store:
        lives = [await begin(store) for _ in range(3)]
        blocker = Blocker(path)
        commits = [asyncio.ensure_future(life.commit(state=b"x")) for life in lives]
        for _ in range(10):
            await asyncio.sleep(0)
        # Reads go on meanwhile, and see what was before.
        assert await store.current(lives[0].id, 1)
        assert not any(commit.done() for commit in commits)
        blocker.release()
        assert await asyncio.gather(*commits) == [2, 2, 2]


async def test_patience_ends(path: Path) -> None:
    async with SQLiteStore(path, patience=0.03) as store:
        life = await begin(store)
        blocker = Blocker(path)
        with pytest.raises(Unavailable, match=r"other processes .* 0\.03 s"):
            await life.commit(state=b"x")
        blocker.release()
        assert await life.commit(state=b"y") == 2


# -- failures --------------------------------------------------------------------------------------


async def test_full_disk_writes_nothing(store: SQLiteStore, disk: Disk) -> None:
    lives = [await begin(store) for _ in range(3)]
    fail_with(disk, "write", apsw.FullError("full"))
    results = await asyncio.gather(
        *(life.commit(state=b"x") for life in lives), return_exceptions=True
    )
    assert [str(result) for result in results] == ["the disk is full"] * 3
    assert all(isinstance(result, Unavailable) for result in results)
    for life in lives:
        assert (await life.head()).state == b"{}"
        assert await store.commit(life.id, changes(state=b"y"), expected=1) == 2


async def test_failed_sync_leaves_the_outcome_open(store: SQLiteStore, disk: Disk) -> None:
    life = await begin(store)
    fail_with(disk, "sync", apsw.IOError("I/O error"))
    results = await asyncio.gather(
        life.commit(state=b"x"),
        store.commit(life.id, changes(state=b"y"), expected=7),
        return_exceptions=True,
    )
    # The second was refused, and will be: of it, nothing can have been written.
    assert [type(result) for result in results] == [OutcomeUnknown, Unavailable]
    head = await life.head()
    assert head.version == 1
    # Whoever wants to know moves the version: then the lost commit cannot come any more.
    assert await store.commit(life.id, changes(touch=True), expected=1) == 2


async def test_large_transaction_on_a_full_disk(store: SQLiteStore, disk: Disk) -> None:
    life = await begin(store)
    # More than the cache holds is written before the commit.
    fail_with(disk, "write", apsw.FullError("full"))
    with pytest.raises(Unavailable, match="the disk is full"):
        await life.commit(state=bytes(16 * 1024 * 1024), puts=_records(4))
    assert (await life.head()).version == 1
    assert await life.commit(state=b"x") == 2


async def test_broken_disk_is_unavailable(store: SQLiteStore, disk: Disk) -> None:
    life = await begin(store)
    disk.cut()
    with pytest.raises(OutcomeUnknown):
        await life.commit(state=b"x")
    with pytest.raises(OutcomeUnknown):
        await life.commit(state=b"x")
    assert await store.current(life.id, 1)


# -- checkpoints and upkeep ------------------------------------------------------------------------


@pytest.fixture
def few_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(checkpoints, "LOG_PAGES", 50)
    return 50


@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_log_does_not_grow_for_ever(path: Path, few_pages: int, synchronous: str) -> None:
    async with SQLiteStore(path, synchronous=synchronous) as store:  # type: ignore[arg-type]
        log = path.with_name("actors.db-wal")
        lives = [await begin(store) for _ in range(10)]
        sizes = []
        for _ in range(60):
            await asyncio.gather(*(_commit(life, 3) for life in lives))
            sizes.append(size_of(log))
    # 1800 commits write more than 5 MB of pages.
    limit = 4096 * (1000 if synchronous == "full" else 0) + 1_500_000
    assert max(sizes) < limit


async def test_checkpoints_leave_readers_alone(path: Path, few_pages: int) -> None:
    async with SQLiteStore(path, synchronous="normal") as store:
        lives = [await begin(store) for _ in range(10)]
        reader = apsw.Connection(os.fspath(path))
        reader.execute("BEGIN")
        version = reader.execute("SELECT version FROM heads WHERE id = ?", (lives[0].id,)).get
        for _ in range(30):
            await asyncio.gather(*(_commit(life, 3) for life in lives))
        again = reader.execute("SELECT version FROM heads WHERE id = ?", (lives[0].id,)).get
        assert version == again == 1
        reader.execute("COMMIT")
        reader.close()
        assert await store.current(lives[0].id, 91)


async def test_expired_records_are_removed(path: Path, few_pages: int) -> None:
    clock = FakeClock()
    async with SQLiteStore(path, synchronous="off", clock=clock) as store:
        life = await begin(store, puts=_records(20, expires_at=clock.now() + 5))
        await life.commit(puts=_records(3))
        clock.jump(10)
        await _commit(life, 100)
    with apsw.Connection(os.fspath(path)) as db:
        assert db.execute("SELECT count(*) FROM records").get == 3


async def test_failed_checkpoint_is_made_up_for(
    store: SQLiteStore, path: Path, disk: Disk, few_pages: int, caplog: pytest.LogCaptureFixture
) -> None:
    life = await begin(store)
    failures = 0

    def fail(kind: str, file: str) -> None:
        # Nobody but a checkpoint writes to the database itself.
        nonlocal failures
        if kind == "write" and file == str(path):
            failures += 1
            raise apsw.IOError("I/O error")

    disk.on_operation = fail
    await _commit(life, 200)
    assert failures > 1
    assert "could not be copied into the database" in caplog.text
    assert "could not be begun anew" in caplog.text
    disk.on_operation = None
    await _commit(life, 200)
    assert (await life.head()).version == 401


async def test_failed_upkeep_is_told(
    path: Path,
    few_pages: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(db: Database, now: float, limit: int) -> int:
        raise apsw.IOError("no luck")

    monkeypatch.setattr(writes, "purge", fail)
    async with SQLiteStore(path, synchronous="off") as store:
        await _commit(await begin(store), 100)
    assert "upkeep of the database failed: SQLite: no luck" in caplog.text


# -- reads -----------------------------------------------------------------------------------------


async def test_reads_go_on_while_another_locks_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store)
        load = reads.load
        calls = 0

        def busy_once(db: Database, ref: str, *, bounded: bool) -> object:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise apsw.BusyError("busy")
            return load(db, ref, bounded=bounded)

        monkeypatch.setattr(reads, "load", busy_once)
        assert await life.head() is not None
        assert calls == 2


async def test_failed_reads_are_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store)

        for error in (apsw.IOError("x"), apsw.BusyError("x"), apsw.CorruptError("x")):
            monkeypatch.setattr(reads, "load", Mock(side_effect=error))
            with pytest.raises(Unavailable):
                await store.load(life.id)


def _records(count: int, expires_at: float | None = None) -> tuple[Record, ...]:
    prefix = b"k" if expires_at is None else b"x"
    return tuple(
        Record(Collection.REPLY, prefix + b"%d" % n, bytes(100), expires_at) for n in range(count)
    )


async def _commit(life: Life, times: int) -> None:
    for _ in range(times):
        await life.commit(state=b"x" * 100)
