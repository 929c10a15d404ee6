"""The contract of stores, kept by SQLite: durable with a second process, and quick alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import StoreContract


class TestFull(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(tmp_path / "actors.db", clock=clock) as store:
            yield store

    @pytest.fixture
    async def other(
        self, store: SQLiteStore, clock: FakeClock, tmp_path: Path
    ) -> AsyncIterator[SQLiteStore]:
        async with SQLiteStore(tmp_path / "actors.db", clock=clock) as other:
            yield other


class TestNormal(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        path = tmp_path / "actors.db"
        async with SQLiteStore(path, synchronous="normal", clock=clock) as store:
            yield store
