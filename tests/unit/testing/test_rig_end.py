"""The rig ends, whatever its actors are doing."""

from __future__ import annotations

import asyncio

import pytest

from rivetless import Actor, action
from rivetless.clock import sleep
from rivetless.store.memory import MemoryStore
from rivetless.testing import rig as rigs
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.testing.stores import StoreWrapper


class Restless(Actor):
    @action
    async def work_for_ever(self) -> None:
        work = self.keep_awake(asyncio.Event().wait())
        del work


async def test_work_that_never_ends_is_cancelled_at_the_end() -> None:
    async with Rig() as rig:
        await rig.client.get_or_create(Restless, "a").work_for_ever()


async def test_a_call_that_never_ends_does_not_keep_the_rig() -> None:
    class Stuck(Actor):
        @action
        async def wait(self) -> None:
            await asyncio.Event().wait()

    async with Rig() as rig:
        call = asyncio.create_task(rig.client.get_or_create(Stuck, "a").wait())
        await rig.settle()
    call.cancel()
    await asyncio.wait([call])
    assert call.done()


async def test_a_store_that_waits_for_the_clock_is_closed() -> None:
    clock = FakeClock()

    class Slow(StoreWrapper):
        async def __aexit__(self, *exc_info: object) -> None:
            await sleep(clock, 5)
            closed.append(clock.now())
            await super().__aexit__(None, None, None)

    closed: list[float] = []
    async with Rig(store=Slow(MemoryStore(clock=clock)), clock=clock) as rig:
        left_at = rig.clock.now()
    assert closed >= [left_at + 5]


class Held(StoreWrapper):
    """A store whose commits never end."""

    async def commit(self, *args: object, **options: object) -> int:
        return await asyncio.Event().wait()


async def leave_a_commit(fails: bool) -> None:
    """Use a rig whose store holds a commit for ever."""
    clock = FakeClock()
    async with Rig(store=Held(MemoryStore(clock=clock)), clock=clock) as rig:
        call = asyncio.create_task(rig.client.get_or_create(Restless, "a").work_for_ever())
        await rig.settle()
        call.cancel()
        assert not fails, "why the test failed"


async def test_a_commit_that_never_ends_does_not_hide_why_a_test_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rigs, "PATIENCE_AFTER_ERROR", 0.01)
    with pytest.raises(AssertionError, match="why the test failed"):
        await leave_a_commit(fails=True)


async def test_a_commit_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigs, "PATIENCE", 0.01)
    with pytest.raises(RuntimeError, match="cannot end"):
        await leave_a_commit(fails=False)
