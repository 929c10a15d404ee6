"""A cell by itself: on a store that others write to as well, with nobody running turns on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rivetless import Actor
from rivetless.clock import Timer
from rivetless.keys import Address, actor_id
from rivetless.runtime.cell import Cell
from rivetless.runtime.effects import Effect
from rivetless.runtime.steps import Step
from rivetless.store.base import Changes, Creation, Head
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.stores import CountingStore
from tests.unit.runtime.worlds import SharedStore

ADDRESS = Address("default", "plain", ("a",))
ID, SECOND_LIFE = actor_id(ADDRESS, 1), actor_id(ADDRESS, 2)
BORN_AT = 1.0
BORN = Changes("born", create=Creation(ADDRESS, BORN_AT), state=b"born")


class Plain(Actor[None]):
    pass


class Clock(FakeClock):
    """Counts the timers that are set."""

    timers = 0

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.timers += 1
        return super().call_later(seconds, callback)


@dataclass
class Out:
    """What was let out for a step."""

    version: int
    index: int
    effects: list[object]
    heard: bool
    done: asyncio.Future[None]


class Lone:
    """The cell, its store, and what it has told of its commits."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.faults = SharedStore(MemoryStore(clock=self.clock))
        self.store = CountingStore(self.faults)
        self.out: list[Out] = []
        self.committed: list[tuple[str, Changes, float, Head | None]] = []
        self.cell = Cell(
            Plain.__definition__, ADDRESS, self.store, self._let_out, self._note_commit
        )

    def _let_out(
        self,
        cell: Cell,
        life: str,
        version: int,
        index: int,
        effects: Sequence[Effect],
        heard: bool,
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.out.append(Out(version, index, list(effects), heard, done))
        return done

    def _note_commit(self, life: str, changes: Changes, hops: float, head: Head | None) -> None:
        self.committed.append((life, changes, hops, head))

    async def others(self, *several: Changes, life: str = ID) -> None:
        """Have another process commit."""
        for changes in several:
            head = await self.store.inner.load(life)
            expected = 0 if head is None else head.version
            await self.faults.inner.commit(
                life, changes, expected=expected if changes.versioned else None
            )

    def stage(self, *several: Changes, hold_back: bool = False, **about: Any) -> list[Step]:
        """Add steps that become one commit."""
        steps = [Step(changes, **about) for changes in several]
        for step in steps:
            newborn = ID if step.changes.create else None
            self.cell.stage(step, newborn=newborn, hold_back=hold_back)
        return steps

    async def commit(self, *several: Changes, **about: Any) -> list[Step]:
        """Add steps, and wait until it is known what became of them."""
        steps = self.stage(*several, **about)
        await settle()
        return steps


async def met() -> Lone:
    """Return a cell that has read its actor, which is at version 1."""
    lone = Lone()
    await lone.store.__aenter__()
    await lone.others(BORN)
    await lone.cell.load()
    lone.store.reset()
    return lone


def outcome(step: Step) -> BaseException | None:
    """Return what whoever waits for a step is told; ``None`` that it was made."""
    assert step.landed.done()
    assert step.done.done()
    error = step.done.exception()
    assert step.landed.result() is (error is None)
    return error
