"""The stores that processes share, with everything between a process and its store going wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from rivetless.clock import Clock
from rivetless.store.base import Capabilities, Changes, OutcomeUnknown, Store, Unavailable
from rivetless.store.memory import MemoryStore
from rivetless.testing.simulation.network import Network, Port
from rivetless.testing.simulation.weather import Fault, menu
from rivetless.testing.stores import WRITES, StoreWrapper

if TYPE_CHECKING:
    from rivetless.testing.simulation.choices import Choices
    from rivetless.testing.simulation.recorder import Recorder
    from rivetless.testing.simulation.vitality import Vitality
    from rivetless.testing.simulation.weather import Weather

__all__ = ["Backend", "MemoryBackend", "SimStore"]

T = TypeVar("T")

_ALWAYS: Final = (
    Fault.DELAYED,
    Fault.REFUSED,
    Fault.DIED_BEFORE,
    Fault.DIED_AFTER,
    Fault.FROZE_BEFORE,
    Fault.FROZE_AFTER,
)
READING: Final = menu(*_ALWAYS, Fault.ANSWER_DELAYED)
WRITING: Final = menu(
    *_ALWAYS,
    Fault.UNACKNOWLEDGED,
    Fault.VANISHED,
    Fault.LATE,
    Fault.DUPLICATED,
    Fault.ANSWER_DELAYED,
)
VERBS: Final = (
    "load",
    "current",
    "commit",
    "records",
    "list",
    "due",
    "drain",
    "announce",
    "hosts",
    "hosted",
)

DRAINED_AT_ONCE: Final = 25
"""How many records a pass over what a life has left deletes at most."""


def _refused() -> Exception:
    return Unavailable("injected: nothing was done")


def _lost() -> Exception:
    return OutcomeUnknown("injected: the answer was lost")


PORTS: Final = {
    verb: Port(
        f"store.{verb}",
        WRITING if verb in WRITES else READING,
        _refused,
        # Whoever asks what is there only learns that it cannot be had.
        _lost if verb == "commit" else _refused,
        fails=True,
    )
    for verb in VERBS
}


class SimStore(StoreWrapper):
    """The store as one process sees it.

    Args:
        store: what is behind it.
        name: of the process.
        vitality: of the process.
        network: lies between them; None where the faults happen further down.
        recorder: is told of commits.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        vitality: Vitality,
        network: Network | None,
        recorder: Recorder,
    ) -> None:
        super().__init__(store)
        self._name = name
        self._vitality = vitality
        self._network = network
        self._recorder = recorder
        self._capabilities = replace(store.capabilities, single_writer=False)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        if self._network is None:
            with self._recorder.committing(self._name, actor_id, changes, expected):
                return await self.inner.commit(actor_id, changes, expected=expected)

        async def call() -> int:
            version = await self.inner.commit(actor_id, changes, expected=expected)
            self._recorder.committed(self._name, actor_id, changes, version)
            return version

        # A commit that moves the version, or begins a life, can take effect once only; bare records
        # count once.
        again = (changes.versioned and expected is not None) or changes.bare
        return await self._network.carry(
            self._vitality, self._name, PORTS["commit"], call, again=again
        )

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        # Few at a time, so that what a test has left is more than that.
        return await super().drain(actor_id, limit=min(limit, DRAINED_AT_ONCE))

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        if self._network is None:
            return await call()
        return await self._network.carry(self._vitality, self._name, PORTS[verb], call)


class Backend(Protocol):
    """What lasts when processes die."""

    @abstractmethod
    async def open(self) -> None:
        """Make it ready."""

    @abstractmethod
    async def store_for(self, name: str, vitality: Vitality, clock: Clock) -> Store:
        """Return a store, open, for a process."""

    @property
    @abstractmethod
    def plain(self) -> Store:
        """A store over the same content to which nothing happens."""

    @abstractmethod
    async def close(self) -> None:
        """Throw everything away."""


class MemoryBackend:
    """One store in memory, shared by all processes."""

    def __init__(self, clock: Clock, network: Network, recorder: Recorder) -> None:
        self._store = MemoryStore(clock=clock)
        self._network = network
        self._recorder = recorder

    @property
    def plain(self) -> Store:
        """The store itself."""
        return self._store

    async def open(self) -> None:
        """Open it."""
        await self._store.__aenter__()

    async def store_for(self, name: str, vitality: Vitality, clock: Clock) -> Store:
        """Return the store as a process sees it."""
        return SimStore(self._store, name, vitality, self._network, self._recorder)

    async def close(self) -> None:
        """Close it."""
        await self._store.__aexit__(None, None, None)


StoreKind = Literal["memory", "sqlite", "dynamodb"]
"""Kinds of stores that can be simulated."""


def open_backend(
    kind: StoreKind,
    clock: Clock,
    choices: Choices,
    weather: Weather,
    network: Network,
    recorder: Recorder,
) -> Backend:
    """Return what lasts in a simulation.

    Args:
        kind: what kind of store it is.
        clock: the right time.
        choices: chance.
        weather: what goes wrong.
        network: lies between processes and their stores.
        recorder: is told of commits.
    """
    if kind == "memory":
        return MemoryBackend(clock, network, recorder)
    if kind == "sqlite":
        from rivetless.testing.simulation.sqlite import SQLiteBackend

        return SQLiteBackend(clock, choices, network, recorder)
    from rivetless.testing.simulation.table import DynamoDBBackend

    return DynamoDBBackend(clock, choices, weather, network, recorder)
