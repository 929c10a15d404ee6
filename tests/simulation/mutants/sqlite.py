"""Mistakes in the SQLite store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rivetless.store.base import Changes, Creation, Duplicate
from rivetless.store.sqlite import reads, writes
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.store.sqlite.driver import Database

Plant = AbstractContextManager[None]
SQLITE: Final[tuple[StoreKind, ...]] = ("sqlite",)


@mutant("SQLite commits whatever version the changes were prepared on.", stores=SQLITE)
def sqlite_commit_without_fence() -> Plant:
    right = writes.commit

    def wrong(
        db: Database, actor_id: str, changes: Changes, expected: int | None, now: float
    ) -> int:
        return right(db, actor_id, changes, None, now)

    return replaced(writes, "commit", wrong)


@mutant("SQLite asks whether a life is there, not at which version.", stores=SQLITE)
def sqlite_version_not_compared() -> Plant:
    def wrong(db: Database, actor_id: str, version: int) -> bool:
        return db.execute(reads._VERSION, (actor_id,)).get is not None

    return replaced(reads, "is_current", wrong)


@mutant(
    "SQLite refuses a record that is there already after the rest was written.",
    stores=SQLITE,
    features=("sends",),
)
def sqlite_refuses_too_late() -> Plant:
    right = writes.commit

    def wrong(
        db: Database, actor_id: str, changes: Changes, expected: int | None, now: float
    ) -> int:
        n = db.execute("SELECT n FROM heads WHERE id = ?", (actor_id,)).get
        there = any(
            db.execute(writes._HAS_RECORD, (n, name.collection.value, name.key, now)).get
            for name in changes.absent
        )
        version = right(db, actor_id, replace(changes, absent=()), expected, now)
        if there:
            raise Duplicate(f"actor {actor_id} has a record that was to be absent")
        return version

    return replaced(writes, "commit", wrong)


@mutant("SQLite remembers the ids of commits that write the state, and no others.", stores=SQLITE)
def sqlite_remembers_some_commits() -> Plant:
    right = writes._update

    def wrong(
        db: Database, n: int, columns: Mapping[str, Any], commits: str | None, commit_id: str
    ) -> None:
        right(db, n, columns, commits if "state" in columns else None, commit_id)

    return replaced(writes, "_update", wrong)


@mutant(
    "SQLite's index of what is due has alarms, and no outboxes without one.",
    stores=SQLITE,
    features=("sends", "deaths"),
)
def sqlite_outbox_not_due() -> Plant:
    right = writes._update

    def wrong(
        db: Database, n: int, columns: Mapping[str, Any], commits: str | None, commit_id: str
    ) -> None:
        due = {"alarm", "destroyed_at"} & set(columns)
        kept = {name: value for name, value in columns.items() if due or name != "due_at"}
        right(db, n, kept, commits, commit_id)

    return replaced(writes, "_update", wrong)


@mutant(
    "SQLite drops a tombstone that still has messages to deliver.",
    stores=SQLITE,
    features=("destroy", "sends"),
)
def sqlite_tombstone_dropped() -> Plant:
    right = writes.drain

    def wrong(db: Database, actor_id: str, limit: int, now: float) -> bool:
        row = db.execute(writes._TOMBSTONE, (actor_id,)).get
        if row is not None and row[1] is not None:
            db.execute("DELETE FROM outbox WHERE head = ?", (row[0],))
            db.execute("UPDATE heads SET outbox_at = NULL WHERE n = ?", (row[0],))
        return right(db, actor_id, limit, now)

    return replaced(writes, "drain", wrong)


@mutant(
    "SQLite lets a drained life begin again.", stores=SQLITE, features=("destroy", "late writes")
)
def sqlite_life_begins_again() -> Plant:
    right = writes._create

    def wrong(db: Database, actor_id: str, creation: Creation, now: float) -> None:
        right(db, actor_id, creation, float("inf"))

    return replaced(writes, "_create", wrong)
