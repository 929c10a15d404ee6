"""The file of the SQLite store: who may open it, what it looks like, what else may be in it."""

import asyncio
import os
import re
import stat
from pathlib import Path

import apsw
import pytest

from rivetless.store.base import (
    RECORD_FORMAT,
    Changes,
    Collection,
    Conflict,
    Creation,
    NewerFormat,
    Record,
    StoreError,
    Unavailable,
)
from rivetless.store.sqlite import SQLiteStore
from rivetless.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from rivetless.testing.contracts.base import address, begin, changes, life_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "actors.db"


def raw(path: Path, sql: str) -> object:
    """Do something behind the store's back."""
    db = apsw.Connection(os.fspath(path))
    try:
        return db.execute(sql).get
    finally:
        db.close()


def write(path: Path, content: bytes) -> None:
    """Write a file, as another program does."""
    path.write_bytes(content)


def read(path: Path) -> bytes:
    """Read a file, as another program does."""
    return path.read_bytes()


async def test_only_the_owner_may_read_the_files(path: Path) -> None:
    before = os.umask(0)
    try:
        async with SQLiteStore(path) as store:
            await begin(store)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"actors.db": 0o600, "actors.db-wal": 0o600, "actors.db-shm": 0o600}


async def test_closing_leaves_one_file(path: Path) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store)
    assert [file.name for file in path.parent.iterdir()] == ["actors.db"]
    async with SQLiteStore(str(path)) as store:
        assert await store.current(life.id, 1)


async def test_file_says_what_it_is(path: Path) -> None:
    async with SQLiteStore(path):
        pass
    assert raw(path, "PRAGMA application_id") == APPLICATION_ID
    assert raw(path, "PRAGMA user_version") == len(MIGRATIONS)
    assert raw(path, "PRAGMA journal_mode") == "wal"
    strict = raw(path, "SELECT count(*) FROM pragma_table_list WHERE strict AND schema = 'main'")
    assert strict == raw(path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'")


async def test_newer_schema_is_refused(path: Path) -> None:
    async with SQLiteStore(path):
        pass
    raw(path, "PRAGMA user_version = 99")
    with pytest.raises(NewerFormat, match=r"schema version 99; .* up to 3\. Install"):
        await SQLiteStore(path).__aenter__()
    assert raw(path, "PRAGMA user_version") == 99


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE mine (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"],
)
async def test_foreign_databases_are_left_alone(path: Path, sql: str) -> None:
    raw(path, sql)
    content = read(path)
    with pytest.raises(Unavailable, match="a database of another program"):
        await SQLiteStore(path).__aenter__()
    assert read(path) == content
    assert [file.name for file in path.parent.iterdir()] == ["actors.db"]


async def test_other_files_are_left_alone(path: Path) -> None:
    write(path, b"Dear diary, " * 100)
    with pytest.raises(Unavailable, match="damaged, or is none"):
        await SQLiteStore(path).__aenter__()
    assert read(path) == b"Dear diary, " * 100


async def test_empty_file_is_taken(path: Path) -> None:
    write(path, b"")
    async with SQLiteStore(path) as store:
        await begin(store)


async def test_missing_folder_is_made(tmp_path: Path) -> None:
    async with SQLiteStore(tmp_path / "a" / "b" / "actors.db") as store:
        await begin(store)


async def test_a_folder_that_cannot_be_made_is_named(path: Path) -> None:
    write(path, b"")
    with pytest.raises(Unavailable, match=re.escape(f"cannot create {path}/a/b")):
        await SQLiteStore(path / "a" / "b").__aenter__()


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        await SQLiteStore(tmp_path).__aenter__()


async def test_place_without_shared_memory_is_refused(path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot keep a write-ahead log \(memory\)"):
        await SQLiteStore(path, vfs="memdb").__aenter__()


@pytest.mark.parametrize("path", ["", ":memory:"])
async def test_memory_is_another_store(path: str) -> None:
    with pytest.raises(ValueError, match="MemoryStore"):
        SQLiteStore(path)


async def test_unknown_ways_to_sync_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="'full', 'normal' or 'off', not 'FULL'"):
        SQLiteStore(path, synchronous="FULL")  # type: ignore[arg-type]


async def test_a_store_is_opened_once(path: Path) -> None:
    async with SQLiteStore(path) as store:
        with pytest.raises(RuntimeError, match="is open already"):
            await store.__aenter__()
    assert repr(store) == f"SQLiteStore('{path}', synchronous='full')"


async def test_closing_twice_is_fine(path: Path) -> None:
    async with SQLiteStore(path) as store:
        await begin(store)
        await store.__aexit__(None, None, None)
    with pytest.raises(Unavailable, match="not open"):
        await store.hosts()


async def test_many_open_a_new_file_at_once(path: Path) -> None:
    stores = [SQLiteStore(path, synchronous="normal") for _ in range(8)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    lives = [await begin(store) for store in stores]
    for store in stores:
        for life in lives:
            assert await store.current(life.id, 1)
    await asyncio.gather(*(store.__aexit__(None, None, None) for store in stores))


async def test_closing_goes_on_when_nobody_waits(path: Path) -> None:
    store = SQLiteStore(path)
    await store.__aenter__()
    life = await begin(store)
    commit = asyncio.ensure_future(store.commit(life.id, changes(state=b"x"), expected=1))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.__aexit__(None, None, None))
    await asyncio.sleep(0)
    closing.cancel()
    assert await commit == 2
    await asyncio.wait([closing])
    assert closing.cancelled()
    async with SQLiteStore(path) as again:
        assert await again.current(life.id, 2)


async def test_another_address_with_the_same_hash_is_another(path: Path) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store)
        raw(path, "UPDATE heads SET key = 'twin'")
        assert await store.load(life.address) is None
        with pytest.raises(Conflict):
            await begin(store, life.address)


async def test_heads_of_a_newer_format_are_refused(path: Path) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store, address("k", name="listed"))
        raw(path, f"UPDATE heads SET format = {RECORD_FORMAT + 1}")
        for ref in (life.id, life.address):
            with pytest.raises(NewerFormat, match=r"record format 2; .* up to 1"):
                await store.load(ref)
        with pytest.raises(NewerFormat):
            await life.commit(state=b"x")
        with pytest.raises(Conflict) as conflict:
            await store.commit(life.id, changes(touch=True), expected=7)
        assert conflict.value.current is None
        # What does not touch what may be new still works.
        assert await life.commit(counters={"n": 1}) == 1
        listed = await store.list("default", "listed", limit=1)
        assert listed[0].format == RECORD_FORMAT + 1
        raw(path, "UPDATE heads SET format = 0")
        await life.commit(touch=True)
        assert (await life.head()).format == RECORD_FORMAT


async def test_conflict_brings_small_heads_only(path: Path) -> None:
    async with SQLiteStore(path) as store:
        life = await begin(store, state=bytes(2_000_000))
        with pytest.raises(Conflict) as conflict:
            await store.commit(life.id, changes(touch=True), expected=7)
        assert conflict.value.current is None
        await life.commit(state=b"small")
        with pytest.raises(Conflict) as conflict:
            await store.commit(life.id, changes(touch=True), expected=7)
        assert conflict.value.current == await life.head()


async def test_long_reads_leave_the_event_loop(path: Path) -> None:
    async with SQLiteStore(path, synchronous="off") as store:
        record = Record(Collection.REPLY, b"k", bytes(2_000_000))
        life = await begin(store, state=bytes(2_000_000), puts=(record,))
        head, records, listed, due = await asyncio.gather(
            store.load(life.id),
            store.records(life.id, Collection.REPLY),
            store.list("default", "counter", limit=1000),
            store.due(0.0, limit=1000),
        )
        assert head is not None
        assert (records, due) == ([record], [])
        assert [head.actor_id for head in listed] == [life.id]


async def test_damaged_file_is_an_error_of_the_store(path: Path) -> None:
    async with SQLiteStore(path) as store:
        for _ in range(50):
            await begin(store, state=bytes(2000))
    content = bytearray(read(path))
    content[4096:] = b"\xff" * (len(content) - 4096)
    write(path, bytes(content))
    with pytest.raises(StoreError, match="damaged"):
        async with SQLiteStore(path) as store:
            await store.commit(
                life_of(address("x")),
                Changes("c", create=Creation(address("x"), 1.0)),
                expected=0,
            )
