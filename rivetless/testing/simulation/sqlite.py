"""The production store over a SQLite file, in one thread."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.store.sqlite.store import SQLiteStore, Synchronous
from rivetless.store.sqlite.threads import Worker
from rivetless.testing.simulation.stores import SimStore

if TYPE_CHECKING:
    from rivetless.testing.simulation.choices import Choices
    from rivetless.testing.simulation.network import Network
    from rivetless.testing.simulation.recorder import Recorder
    from rivetless.testing.simulation.vitality import Vitality

__all__ = ["InlineWorker", "SQLiteBackend"]

T = TypeVar("T")

_DURABLE: Final = 0.3
"""The part of all seeds whose commits sync."""

_MEMORY: Final = Path("/dev/shm")
"""Where files are kept that need no disk, on systems that have that."""


class InlineWorker(Worker):
    """Does in the event loop what a thread would do, at once, and tells of it a little later."""

    @property
    def used(self) -> bool:
        """Always: it costs nothing."""
        return True

    def submit(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do some work, and tell of it in the next pass of the event loop."""
        asyncio.get_running_loop().call_soon(done, work())

    async def call(self, work: Callable[[], T]) -> T:
        """Do some work."""
        return work()

    def stop(self) -> None:
        """There is nothing to stop."""


class SQLiteBackend:
    """One file, which every process opens with a store of its own.

    What happens to a file that loses its power is tested elsewhere (``rivetless.testing.disk``);
    here it is what happens to processes.

    Args:
        clock: the right time.
        choices: decides whether commits sync, in which case they are made in two steps.
        network: lies between processes and their stores.
        recorder: is told of commits.
    """

    def __init__(
        self, clock: Clock, choices: Choices, network: Network, recorder: Recorder
    ) -> None:
        self._network = network
        self._recorder = recorder
        folder = _MEMORY if _MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="rivetless-", dir=folder)
        # Files that sync are written in advance to be quick, which here costs more than all else.
        durable = choices.draw("sqlite").whether < _DURABLE
        self._synchronous: Synchronous = "full" if durable else "normal"
        self._stores: list[SQLiteStore] = []
        self._plain = self._store(clock)

    def _store(self, clock: Clock) -> SQLiteStore:
        store = SQLiteStore(
            Path(self._folder.name, "actors.db"),
            synchronous=self._synchronous,
            clock=clock,
            worker=InlineWorker,
            patience=0.0,
        )
        self._stores.append(store)
        return store

    @property
    def plain(self) -> Store:
        """A store of nobody's."""
        return self._plain

    async def open(self) -> None:
        """Make the file."""
        await self._plain.__aenter__()

    async def store_for(self, name: str, vitality: Vitality, clock: Clock) -> Store:
        """Open the file for a process."""
        store = await self._store(clock).__aenter__()
        return SimStore(store, name, vitality, self._network, self._recorder)

    async def close(self) -> None:
        """Close all stores and remove the file."""
        try:
            for store in reversed(self._stores):
                await store.__aexit__(None, None, None)
        finally:
            self._folder.cleanup()
