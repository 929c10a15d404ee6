"""Stores against the model of a store: memory."""

import itertools
from pathlib import Path

import pytest
from hypothesis import settings

from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.contracts.model import compare_with_memory


def test_memory_agrees_with_itself() -> None:
    compare_with_memory(lambda clock: MemoryStore(clock=clock), settings(max_examples=10))


@pytest.mark.timeout(120)
def test_sqlite_agrees_with_memory(tmp_path: Path) -> None:
    numbers = itertools.count()

    def open_store(clock: Clock) -> Store:
        path = tmp_path / f"{next(numbers)}.db"
        return SQLiteStore(path, synchronous="off", clock=clock)

    compare_with_memory(open_store, settings(max_examples=40, stateful_step_count=40))
