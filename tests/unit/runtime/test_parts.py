"""What a turn can do besides its state: all of it comes with a commit, and goes with a failure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Failed, Queue, UserError, WorkflowContext, action, workflow
from rivetless.store.memory import CAPABILITIES, MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig


class Done(BaseModel):
    lines: list[str] = []


class Busy(Actor[Done]):
    """Does a bit of everything in one turn."""

    notes = Queue[str]()

    async def do_all(self, name: str) -> None:
        """Write to every part of a turn."""
        self.state.lines.append(name)
        await self.kv.put(name, name)
        await self.kv.delete("old")
        self.queue.send(self.notes, name)
        self.schedule.after(timedelta(hours=1), self.note, f"scheduled by {name}")
        self.cron.every(name, timedelta(hours=2), self.note, f"cron of {name}")
        await self.dead_letters.purge()

    @action
    async def note(self, line: str) -> None:
        """Write a line."""
        self.state.lines.append(line)

    @action
    async def in_parts(self) -> None:
        """Commit one half, then the other."""
        await self.do_all("first")
        await self.save_state()
        await self.do_all("second")

    @action
    async def half(self) -> None:
        """Commit one half; the other comes to nothing."""
        await self.do_all("kept")
        await self.save_state()
        await self.do_all("lost")
        raise UserError("never mind")

    @action
    async def fill(self, count: int) -> None:
        """Keep many pairs."""
        for number in range(count):
            await self.kv.put(str(number), "x")

    @action
    async def keep_large(self, size: int) -> None:
        """Keep one large pair."""
        await self.kv.put("large", "x" * size)

    @action
    async def send_many(self, count: int, size: int) -> None:
        """Send many messages, or large ones."""
        for _ in range(count):
            self.queue.send(self.notes, "x" * size)

    @action
    async def tell(self, size: int) -> int:
        """Send another actor a message, and count it."""
        await self.client.send(self.client.get_or_create(Busy, "other"), Busy.notes, "x" * size)
        self.state.lines.append("told")
        return len(self.state.lines)

    @action
    async def look(self) -> dict[str, Any]:
        """Show all there is."""
        return {
            "lines": self.state.lines,
            "kv": [key for key, _ in await self.kv.list()],
            "planned": sorted(str(each.args[0]) for each in await self.schedule.list()),
            "crons": sorted(job.name for job in await self.cron.list()),
        }

    @action
    async def take(self) -> list[str]:
        """Receive what is there."""
        return [message.body for message in await self.queue.try_next_batch(count=10)]


class Stepping(Busy):
    """Has a step that fails after it has done everything."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        failed = await ctx.try_step("lost", self.fail, retries=0)
        assert isinstance(failed, Failed)
        await ctx.step("kept", self.do_all, "kept")

    async def fail(self) -> None:
        await self.do_all("lost")
        raise UserError("never mind")


KEPT = {"lines": ["kept"], "kv": ["kept"], "planned": ["scheduled by kept"], "crons": ["kept"]}


async def test_both_halves_are_kept() -> None:
    async with Rig() as rig:
        busy = rig.client.get_or_create(Busy, "b")
        await busy.in_parts()
        assert await busy.look() == {
            "lines": ["first", "second"],
            "kv": ["first", "second"],
            "planned": ["scheduled by first", "scheduled by second"],
            "crons": ["first", "second"],
        }
        assert await busy.take() == ["first", "second"]
        await rig.advance(3600)
        lines = (await busy.look())["lines"]
        assert sorted(lines[2:]) == ["scheduled by first", "scheduled by second"]


async def test_what_comes_after_a_checkpoint_goes_with_its_failure() -> None:
    async with Rig() as rig:
        busy = rig.client.get_or_create(Busy, "b")
        with pytest.raises(ActorError, match="never mind"):
            await busy.half()
        assert await busy.look() == KEPT
        assert await busy.take() == ["kept"]
        await rig.advance(2 * 3600)
        assert (await busy.look())["lines"] == ["kept", "scheduled by kept", "cron of kept"]


async def test_a_step_that_fails_leaves_nothing() -> None:
    async with Rig() as rig:
        stepping = rig.client.get_or_create(Stepping, "s")
        await stepping.look()
        await rig.advance(1)
        assert await stepping.look() == KEPT
        assert await stepping.take() == ["kept"]


async def test_one_turn_too_large_is_refused_alone() -> None:
    clock = FakeClock()
    limits = {"max_commit_records": 20, "max_record_bytes": 1000}
    narrow = type(CAPABILITIES)(single_writer=True, **limits)
    async with Rig(store=MemoryStore(clock=clock, capabilities=narrow), clock=clock) as rig:
        busy = rig.client.get_or_create(Busy, "b")
        await busy.fill(5)
        too_large = (
            busy.fill(30),
            busy.keep_large(2000),
            busy.send_many(30, 1),
            busy.send_many(1, 2000),
        )
        for call in too_large:
            refused, told = await asyncio.gather(call, busy.tell(1), return_exceptions=True)
            assert isinstance(refused, ActorError)
            assert refused.name in ("actor.invalid_operation", "kv.value_too_large")
            assert isinstance(told, int)
        assert (await busy.look())["kv"] == ["0", "1", "2", "3", "4"]
        assert await busy.take() == []


async def test_turns_that_are_too_large_together_are_committed_singly() -> None:
    clock = FakeClock()
    narrow = type(CAPABILITIES)(single_writer=True, max_commit_bytes=2000)
    async with Rig(store=MemoryStore(clock=clock, capabilities=narrow), clock=clock) as rig:
        busy = rig.client.get_or_create(Busy, "b")
        told = await asyncio.gather(*(busy.tell(400) for _ in range(10)))
        assert sorted(told) == list(range(1, 11))
        with pytest.raises(ActorError) as refused:
            await busy.tell(3000)
        assert refused.value.name == "actor.state_too_large"
        assert await busy.tell(1) == 11


async def test_turns_with_too_many_records_together_share_as_many_commits_as_it_takes() -> None:
    clock = FakeClock()
    narrow = type(CAPABILITIES)(single_writer=True, max_commit_records=20)
    async with Rig(store=MemoryStore(clock=clock, capabilities=narrow), clock=clock) as rig:
        busy = rig.client.get_or_create(Busy, "b")
        await asyncio.gather(*(busy.fill(15) for _ in range(5)))
        assert len((await busy.look())["kv"]) == 15
