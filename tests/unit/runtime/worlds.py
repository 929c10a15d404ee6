"""A world for tests of the runtime: one store, some processes, a clock that stands still."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from rivetless import Actor
from rivetless.keys import Address
from rivetless.runtime.alarms import LocalDoorbells
from rivetless.runtime.commands import ByKey, CallAction, Origin
from rivetless.runtime.ports import (
    Doorbells,
    EventPush,
    Hint,
    Neighbours,
    Push,
    Pusher,
    Ring,
    WakeError,
)
from rivetless.runtime.runtime import Runtime
from rivetless.store.base import Capabilities
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.stores import CountingStore, FaultyStore


class SharedStore(FaultyStore):
    """A store that several processes write to, so nobody may trust a cache."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.limits: dict[str, Any] = {}

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, **{"single_writer": False, **self.limits})


class Mailbox(Pusher):
    """Collects pushes instead of delivering them."""

    def __init__(self) -> None:
        self.pushes: list[tuple[str, Push]] = []
        self.gone: set[str] = set()

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        self.pushes.extend((host, push) for push in pushes)
        return frozenset(self.gone.intersection(c for p in pushes for c in p.conns))

    @property
    def events(self) -> list[tuple[str, list[object]]]:
        """What was sent, as (event, args)."""
        contents = [push.content for _, push in self.pushes]
        return [(c.name, list(c.args)) for c in contents if isinstance(c, EventPush)]


class Bells(Doorbells):
    """Collects rings instead of sending them."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.broken = False

    async def ring(self, rings: Sequence[Ring]) -> None:
        if self.broken:
            raise WakeError("injected")
        self.rings.extend(rings)


class Neighbourhood:
    """Processes that hear each other at once.

    Attributes:
        told: every hint, and who gave it.
    """

    def __init__(self) -> None:
        self.homes: dict[str, Process] = {}
        self.told: list[tuple[str, Hint]] = []


class Neighbour(Neighbours):
    """One process's view of a neighbourhood; ``name`` is empty before it is known there."""

    name = ""

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        self._all = neighbourhood

    def tell(self, hints: Sequence[Hint]) -> None:
        self._all.told += [(self.name, hint) for hint in hints]
        for name, process in self._all.homes.items():
            if name != self.name:
                process.runtime.hints.hear(hints)

    async def lives(self, name: str) -> bool:
        return name in self._all.homes


class World:
    """Some actor classes on one store."""

    def __init__(self, *actors: type[Actor[Any, Any, Any]], shared: bool = True) -> None:
        self.clock = FakeClock()
        memory = MemoryStore(clock=self.clock)
        self.faults = SharedStore(memory) if shared else FaultyStore(memory)
        self.store = CountingStore(self.faults)
        self.definitions = {a.__definition__.name: a.__definition__ for a in actors}
        self.neighbourhood = Neighbourhood()
        self._seeds = iter(range(1000))

    @classmethod
    async def open(cls, *actors: type[Actor[Any, Any, Any]], shared: bool = True) -> Self:
        """Make a world whose store is open. A ``MemoryStore`` needs no closing."""
        world = cls(*actors, shared=shared)
        await world.store.__aenter__()
        return world

    def limit(self, **limits: int) -> None:
        """Narrow what a shared store declares."""
        assert isinstance(self.faults, SharedStore)
        self.faults.limits.update(limits)

    def freeze(self) -> None:
        """Take back every timer that is set: whoever set it is frozen, or dead."""
        while self.clock.next_at is not None:
            self.clock.drop_next()

    def process(self, doorbells: Doorbells | None = None) -> Process:
        """Start another process."""
        return Process(self, doorbells)

    def neighbour(self, name: str) -> Process:
        """Start another process that stays, and that hears hints and gives them."""
        view = Neighbour(self.neighbourhood)
        process = Process(self, LocalDoorbells(self.clock), view)
        view.name = name
        self.neighbourhood.homes[name] = process
        return process

    def kill(self, name: str) -> None:
        """Have a neighbour die."""
        self.neighbourhood.homes.pop(name).runtime.abandon()

    def staying(self) -> Process:
        """Start another process, one that keeps timers of its own and sweeps."""
        process = Process(self, LocalDoorbells(self.clock))
        process.runtime.sweeper.start()
        return process


class Process:
    """One process of a world."""

    def __init__(
        self,
        world: World,
        doorbells: Doorbells | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.world = world
        self.mailbox = Mailbox()
        self.runtime = Runtime(
            world.definitions,
            world.store,
            clock=world.clock,
            pusher=self.mailbox,
            neighbours=neighbours,
            doorbells=doorbells,
            rng=random.Random(next(world._seeds)),
        )

    async def call(
        self,
        name: str,
        action: str,
        *args: object,
        key: str = "a",
        create: bool = True,
        input: object = None,
        origin: Origin | None = None,
    ) -> Any:
        """Call an action the way a gateway does."""
        target = ByKey(Address("default", name, (key,)), create=create, input=input)
        command = CallAction(target, action, list(args), origin or Origin())
        return (await self.runtime.dispatch(command)).output
