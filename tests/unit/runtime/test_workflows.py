"""Workflows on the runtime: crashes, conflicts, deadlines, and what a commit of history costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from rivetless import (
    Actor,
    Break,
    Continue,
    CriticalError,
    Failed,
    Queue,
    WorkflowContext,
    action,
    workflow,
)
from rivetless.runtime import flight
from rivetless.store.base import Changes, Store
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy
from rivetless.testing.stores import StoreWrapper


class Effects(BaseModel):
    lines: list[str] = []
    errors: list[str] = []


class Long(Actor[Effects], sleep_timeout=3600):
    """A workflow with a bit of everything."""

    jobs = Queue[int]()
    asks = Queue[str]()

    async def on_create(self, input: None) -> None:
        for number in range(5):
            self.queue.send(self.jobs, number)
        self.queue.send(self.asks, "why")

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        for number in range(12):
            await ctx.step(f"begin {number}", self.note, f"begin {number}")
        await ctx.sleep("an hour", 3600)
        await ctx.loop("jobs", self.take_job, state=0)
        ask = await ctx.queue.next("ask", self.asks, completable=True)
        await ctx.step("heard", self.note, f"asked {ask.body}")
        ask.complete()
        await ctx.step("answered", self.note, "answered")
        joined = await ctx.join("join", {"left": self.left, "right": self.right})
        await ctx.step("joined", self.note, f"{joined['left']} {joined['right']}")
        won = await ctx.race("race", {"slow": self.slow, "quick": self.left})
        await ctx.step("won", self.note, won.winner)
        caught = await ctx.try_("try", self.broken)
        assert isinstance(caught, Failed)
        await ctx.step("caught", self.note, caught.source)
        ctx.rollback_checkpoint("from here")
        for number in range(5):
            await ctx.step(f"book {number}", self.note, f"book {number}", rollback=self.unbook)
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
        *(f"begin {n}" for n in range(12)),
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


async def read(rig: Rig) -> list[str]:
    """Ask again where the process that was asked has died."""
    actor = rig.client.get_or_create(Long, "a")
    while True:
        call = asyncio.ensure_future(actor.read())
        for _ in range(3):
            await rig.advance(1)
            if call.done():
                return await call
        call.cancel()


async def drive(rig: Rig) -> list[str]:
    """Let enough time pass, whatever process there is."""
    await read(rig)
    for _ in range(40):
        await rig.advance(120)
    return await read(rig)


def make_store(kind: str, clock: FakeClock, folder: Path) -> Store:
    if kind == "memory":
        return MemoryStore(clock=clock)
    if kind == "dynamodb":
        service = SimulatedDynamoDB(clock)
        deploy(service)
        return DynamoDBStore("actors", client=service, clock=clock)
    return SQLiteStore(folder / "actors.db", clock=clock, synchronous="normal")


class Dying(StoreWrapper):
    """Kills the process that writes history, before or after one of its commits.

    Attributes:
        kill: starts another process; ``None`` once it was called.
        left: commits of history until then.
        commits: how many there were.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.kill: Callable[[], None] | None = None
        self.left = 0
        self.after = False
        self.commits = 0
        self.frozen: list[asyncio.Future[None]] = []

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        writes = "history" in changes.counters
        self.commits += writes
        self.left -= writes
        dies = writes and self.left == 0 and self.kill is not None
        version = 0
        if not dies or self.after:
            version = await self.inner.commit(actor_id, changes, expected=expected)
        if not dies or self.kill is None:
            return version
        self.kill()
        self.kill = None
        forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frozen.append(forever)
        await forever  # the process is no more
        raise AssertionError


@pytest.mark.timeout(120)  # a workflow from the start for each of its commits
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "breath"),
    [("memory", 1), ("memory", 8), ("sqlite", 8), ("dynamodb", 1), ("dynamodb", 8)],
)
@pytest.mark.parametrize("quarter", range(4))
async def test_a_process_may_die_at_every_commit(
    kind: str,
    breath: int,
    quarter: int,
    after: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Others get their chance after each step, so that each is committed alone; or after some.
    monkeypatch.setattr(flight, "BREATH", breath)

    async def life(number: int) -> int:
        clock = FakeClock()
        folder = tmp_path / str(number)
        folder.mkdir()
        store = Dying(make_store(kind, clock, folder))
        async with Rig(store=store, clock=clock) as rig:
            store.left, store.after, store.kill = number, after, rig.restart
            assert await drive(rig) == expected()
            for forever in store.frozen:
                forever.cancel()
        return store.commits

    whole = await life(0)
    assert whole >= 50 if breath == 1 else whole < 30
    for number in range(1 + quarter, whole + 1, 4):
        await life(number)
