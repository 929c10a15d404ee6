"""Where stored examples are, and how they get out of stores and into them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

from rivetless.clock import Clock
from rivetless.keys import Address, Key
from rivetless.store.base import Collection, Head, Lease, Outgoing, Record, Reply, Store
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from rivetless.testing.simulation.sqlite import InlineWorker

FOLDER: Final = Path(__file__).parent
VERSIONS: Final = sorted(path.name for path in FOLDER.iterdir() if re.match(r"\d", path.name))
TABLE: Final = "actors"

ADDRESSES: Final[tuple[Address, ...]] = (
    Address("default", "keeper", ("a/b", "ü")),
    Address("default", "keeper", ("ending",)),
    Address("default", "keeper", ("held",)),
    Address("default", "failing", ("f",)),
    Address("default", "keeper", ("large",)),
    Address("default", "keeper", ("reborn",)),
    Address("default", "keeper", ("coded",)),
    Address("default", "done", ("d",)),
    Address("default", "journey", ("j",)),
)


def read(version: str, name: str) -> Any:
    """Read a file of a version."""
    return json.loads((FOLDER / version / name).read_text(encoding="utf-8"))


# -- values --------------------------------------------------------------------------------------


def plain(value: object) -> Any:
    """Return a value as JSON that people can read."""
    match value:
        case Collection():
            return value.value
        case bytes():
            try:
                shown = value.decode()
            except UnicodeDecodeError:
                return {"hex": value.hex()}
            return {"text": shown} if shown.isprintable() else {"hex": value.hex()}
        case Address():
            return [value.namespace, value.name, list(value.key)]
        case Lease() | Outgoing() | Reply() | Record() | Head():
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case Mapping():
            return {str(name): plain(one) for name, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in cast("list[Any]", value)]
        case _:
            return value


def raw(value: Mapping[str, str]) -> bytes:
    """Return the bytes that ``plain`` has shown."""
    return value["text"].encode() if "text" in value else bytes.fromhex(value["hex"])


async def content(store: Store) -> dict[str, Any]:
    """Return what a store has of the addresses, and its hosts."""
    heads: list[Any] = []
    records: list[Any] = []
    for address in ADDRESSES:
        head = await store.load(address)
        assert head is not None, address
        heads.append(plain(head))
        for collection in Collection:
            found = await store.records(head.actor_id, collection)
            records += [{"actor": head.actor_id} | plain(record) for record in found]
    hosts = [[host.id, host.url, host.expires_at] for host in await store.hosts()]
    return {"heads": heads, "records": records, "hosts": hosts}


def key_of(shown: list[str]) -> Key:
    """Return an address's key."""
    return tuple(shown)


# -- SQLite --------------------------------------------------------------------------------------


def dump_sqlite(path: Path) -> str:
    """Return a database as SQL."""
    db = sqlite3.connect(path)
    try:
        pragmas = [
            f"PRAGMA {name} = {db.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("application_id", "user_version")
        ]
        return "\n".join([*pragmas, *db.iterdump()]) + "\n"
    finally:
        db.close()


def load_sqlite(sql: str, path: Path) -> None:
    """Make the database of a dump."""
    db = sqlite3.connect(path)
    try:
        db.executescript(sql)
    finally:
        db.close()


# -- DynamoDB ------------------------------------------------------------------------------------


def _hexed(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _hexed(one) for name, one in cast("Mapping[str, Any]", value).items()}
    return [_hexed(one) for one in value] if isinstance(value, list | tuple) else value


def _unhexed(value: Any, kind: str = "") -> Any:
    if kind == "B":
        return bytes.fromhex(value)
    if isinstance(value, dict):
        return {name: _unhexed(one, name) for name, one in cast("dict[str, Any]", value).items()}
    return [_unhexed(one) for one in value] if isinstance(value, list) else value


def dump_dynamodb(service: SimulatedDynamoDB) -> list[Any]:
    """Return a table's items, bytes in hexadecimal digits."""
    partitions = service._tables[TABLE]._partitions.values()
    return [_hexed(row.item) for partition in partitions for row in partition.rows.values()]


async def load_dynamodb(items: list[Any], clock: Clock) -> SimulatedDynamoDB:
    """Make the table of a dump."""
    service = SimulatedDynamoDB(clock)
    async with DynamoDBStore(TABLE, client=service, clock=clock) as store:
        await store.create_table()
        for item in items:
            await service.call("PutItem", {"TableName": TABLE, "Item": _unhexed(item)})
    return service


async def load(version: str, kind: str, folder: Path, clock: Clock) -> Store:
    """Return a store, not open yet, with what a version has left behind."""
    if kind == "sqlite":
        path = folder / "actors.db"
        load_sqlite((FOLDER / version / "actors.sql").read_text(encoding="utf-8"), path)
        return SQLiteStore(path, clock=clock, worker=InlineWorker)
    service = await load_dynamodb(read(version, "actors.dynamodb.json"), clock)
    return DynamoDBStore(TABLE, client=service, clock=clock)
