"""Workflows on the runtime: crashes, conflicts, deadlines, and what a commit of history costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from rivetless import (
    Actor,
    ActorError,
    Break,
    Continue,
    CriticalError,
    Queue,
    WorkflowContext,
    WorkflowEvent,
    action,
    workflow,
)
from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.testing.stores import CountingStore, Fault, FaultyStore

OUTSIDE: list[str] = []
"""What steps have done outside of the actor: not undone by a crash."""


class Effects(BaseModel):
    lines: list[str] = []
    errors: list[str] = []


class Long(Actor[Effects], sleep_timeout=3600):
    """A workflow with a bit of everything."""

    jobs = Queue[int]()
    asks = Queue[str, str]()

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        for number in range(5):
            await ctx.step(f"begin {number}", self.note, f"begin {number}")
        await ctx.sleep("an hour", 3600)
        await ctx.loop("jobs", self.take_job, state=0)
        ask = await ctx.queue.next("ask", self.asks)
        await ctx.step("heard", self.note, f"asked {ask.body}")
        ask.complete("yes")
        await ctx.step("answered", self.note, "answered")
        joined = await ctx.join("join", {"left": self.left, "right": self.right})
        await ctx.step("joined", self.note, f"{joined['left']} {joined['right']}")
        won = await ctx.race("race", {"slow": self.slow, "quick": self.left})
        await ctx.step("won", self.note, won.winner)
        caught = await ctx.try_("try", self.broken)
        assert not caught.ok
        await ctx.step("caught", self.note, caught.source)
        ctx.rollback_checkpoint("from here")
        for number in range(5):
            await ctx.step(
                f"book {number}", self.note, f"book {number}", rollback=self.unbook
            )
        await ctx.step("fail", self.fail, retries=1)

    async def take_job(self, ctx: WorkflowContext, total: int) -> Break[int] | Continue[int]:
        job = await ctx.queue.next("job", self.jobs)
        await ctx.step("work", self.note, f"job {job.body}")
        total += job.body
        return Break(total) if job.body == 4 else Continue(total)

    async def left(self, ctx: WorkflowContext) -> str:
        for number in range(3):
            await ctx.step(f"left {number}", self.note, f"left {number}")
        return "left"

    async def right(self, ctx: WorkflowContext) -> str:
        await ctx.sleep("a while", 60)
        for number in range(3):
            await ctx.step(f"right {number}", self.note, f"right {number}")
        return "right"

    async def slow(self, ctx: WorkflowContext) -> str:
        await ctx.sleep("a day", 86_400)
        return "slow"

    async def broken(self, ctx: WorkflowContext) -> None:
        await ctx.step("break", self.refuse)

    async def refuse(self) -> None:
        self.state.lines.append("never seen")
        raise CriticalError("no use")

    async def fail(self) -> None:
        self.state.lines.append("never seen")
        raise ValueError("not today")

    async def note(self, line: str) -> str:
        self.state.lines.append(line)
        return line

    async def unbook(self, line: str) -> None:
        self.state.lines.append(f"un{line}")

    @action
    async def read(self) -> list[str]:
        """Return what steps have done."""
        return self.state.lines


def expected() -> list[str]:
    return [
        *(f"begin {n}" for n in range(5)),
        *(f"job {n}" for n in range(5)),
        "asked why",
        "answered",
        *(f"left {n}" for n in range(3)),
        *(f"right {n}" for n in range(3)),
        "left right",
        *(f"left {n}" for n in range(3)),
        "quick",
        "step",
        *(f"book {n}" for n in range(5)),
        *(f"unbook {n}" for n in reversed(range(5))),
    ]


async def drive(rig: Rig) -> list[str]:
    """Give the workflow what it waits for, however often its process dies."""
    actor = rig.client.get_or_create(Long, "a")
    await actor.read()
    for number in range(5):
        await rig.client.send(actor, Long.jobs, number)
    await rig.client.send(actor, Long.asks, "why")
    for _ in range(40):
        await rig.advance(120)
    return await actor.read()


def make_store(kind: str, clock: FakeClock, folder: Path) -> Store:
    if kind == "memory":
        return MemoryStore(clock=clock)
    return SQLiteStore(folder / "actors.db", clock=clock, synchronous="normal")


class Dying(FaultyStore):
    """Kills the process that runs on it, before or after a commit."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.left = -1
        self.after = False
        self.kill = lambda: None
        self.commits = 0

    async def commit(self, actor_id, changes, *, expected):  # type: ignore[no-untyped-def]
        self.commits += 1
        self.left -= 1
        if self.left == 0 and not self.after:
            self.kill()
        result = await self.inner.commit(actor_id, changes, expected=expected)
        if self.left == 0 and self.after:
            self.kill()
        return result
