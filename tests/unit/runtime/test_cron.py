"""Recurring jobs: no storm, no drift, no overlap, and runs that die are noticed."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, FireInfo, action
from rivetless.keys import Address
from rivetless.runtime.commands import ById, DestroyActor, Wake
from rivetless.runtime.cron import REPRIEVE
from rivetless.store.base import Collection, Head
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Bells, World


class Seen(BaseModel):
    seen: list[str] = []


OUTSIDE: list[str] = []
GATES: dict[str, asyncio.Event] = {}
START = FakeClock().now()


class Clockwork(Actor[Seen], action_timeout=60):
    @action
    async def tick(self, text: str = "tick", *, fire: FireInfo | None = None) -> None:
        OUTSIDE.append(text)
        self.state.seen.append(text)

    @action
    async def told(self, text: str, fire: FireInfo | None = None) -> None:
        assert fire is not None
        late = (fire.fired_at - fire.scheduled_at).total_seconds()
        self.state.seen.append(f"{text} {fire.kind} {fire.id} {fire.name} {late:g}")

    @action
    async def slow(self) -> None:
        OUTSIDE.append("slow")
        await GATES["slow"].wait()
        self.state.seen.append("slow")

    @action
    async def fail(self) -> None:
        OUTSIDE.append("fail")
        raise RuntimeError("a secret")

    @action
    async def delete_me(self) -> None:
        self.state.seen.append("last")
        self.cron.delete("job")

    @action
    async def set(self, expression: str, timezone: str = "UTC", text: str = "tick") -> None:
        self.cron.set("job", expression, self.tick, text, timezone=timezone)

    @action
    async def every(self, seconds: float, what: str = "tick", history: int = 100) -> None:
        self.cron.every("job", seconds, what, max_history=history)

    @action
    async def every_told(self, seconds: float) -> None:
        self.cron.every("job", seconds, self.told, "told")

    @action
    async def many(self, count: int) -> None:
        for number in range(count):
            self.cron.every(f"job {number}", 10, self.tick)

    @action
    async def set_and_look(self) -> list[str]:
        self.cron.every("b", 10, self.tick)
        self.cron.every("a", 10, self.tick)
        self.cron.delete("b")
        one = await self.cron.get("b")
        return [job.name for job in await self.cron.list()] + [str(one)]

    @action
    async def delete(self) -> None:
        self.cron.delete("job")

    @action
    async def read(self) -> list[str]:
        return self.state.seen

    @action
    async def next(self) -> float | None:
        job = await self.cron.get("job")
        return None if job is None else job.next_run_at.timestamp() - START

    @action
    async def history(self, limit: int = 20) -> list[str]:
        """Say of each run how it went and when it was due."""
        runs = await self.cron.history("job", limit=limit)
        return [
            " ".join(
                [run.result, f"{run.scheduled_at.timestamp() - START:g}"]
                + ([run.error.code] if run.error else [])
            )
            for run in runs
        ]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    OUTSIDE.clear()
    GATES.clear()
    GATES["slow"] = asyncio.Event()
    caplog.set_level(logging.CRITICAL, "rivetless")


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "clockwork", ("a",)))
    assert head is not None
    return head


async def count(world: World, collection: Collection) -> int:
    head = await head_of(world)
    return len(await world.store.inner.records(head.actor_id, collection))


async def test_an_interval_keeps_to_its_grid() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every_told", 10)
    await world.clock.advance(35)
    assert await process.call("clockwork", "read") == ["told every job job 0"] * 3
    assert await process.call("clockwork", "history") == ["ok 30", "ok 20", "ok 10"]
    assert await process.call("clockwork", "history", 1) == ["ok 30"]
    assert await process.call("clockwork", "next") == 40
    process.runtime.abandon()


async def test_a_run_is_two_commits_and_one_ring() -> None:
    world = await World.open(Clockwork)
    bells = Bells()
    process = world.process(bells)
    await process.call("clockwork", "every", 10)
    await settle()
    for ran in range(1, 3):
        await world.clock.advance(10)
        world.store.reset()
        await process.runtime.dispatch(Wake((await head_of(world)).actor_id))
        await settle()
        assert world.store.writes == 2
        assert [ring.at for ring in bells.rings] == [START + 10 * n for n in range(1, ran + 2)]


async def test_what_was_missed_is_made_up_for_once() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every_told", 10)
    process.runtime.abandon()
    world.freeze()
    world.clock.jump(95)
    process = world.staying()
    await settle()
    assert await process.call("clockwork", "read") == ["told every job job 85"]
    assert await process.call("clockwork", "next") == 100
    await world.clock.advance(8)
    assert len(await process.call("clockwork", "read")) == 2
    assert await process.call("clockwork", "history") == ["ok 100", "ok 10"]
    process.runtime.abandon()


async def test_cron_in_a_time_zone() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "set", "30 9 * * *", "Europe/Berlin")
    job = START + await process.call("clockwork", "next")
    assert datetime.fromtimestamp(job, UTC) == datetime(2096, 10, 2, 7, 30, tzinfo=UTC)
    await world.clock.advance(86400)
    assert await process.call("clockwork", "read") == ["tick"]
    process.runtime.abandon()


async def test_setting_it_again() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10)
    await world.clock.advance(5)
    await process.call("clockwork", "every", 10)
    assert await process.call("clockwork", "next") == 10
    await process.call("clockwork", "every", 20)
    assert await process.call("clockwork", "next") == 25
    await process.call("clockwork", "set", "* * * * *", "UTC", "one")
    await process.call("clockwork", "set", "* * * * *", "UTC", "two")
    assert await count(world, Collection.SCHEDULE) == 1
    await world.clock.advance(60)
    assert await process.call("clockwork", "read") == ["two"]
    assert (await head_of(world)).counters == {"schedules": 1}
    process.runtime.abandon()


async def test_setting_what_is_set_already_writes_nothing() -> None:
    world = await World.open(Clockwork)
    process = world.process(Bells())
    for call in (("every", 10), ("set", "* * * * *")):
        await process.call("clockwork", *call)
        version = (await head_of(world)).version
        world.store.reset()
        await process.call("clockwork", *call)
        assert world.store.writes == 0
        assert (await head_of(world)).version == version


async def test_a_turn_sees_what_it_has_set() -> None:
    world = await World.open(Clockwork)
    process = world.process(Bells())
    assert await process.call("clockwork", "set_and_look") == ["a", "None"]
    assert await count(world, Collection.CRON) == 1
    assert await count(world, Collection.SCHEDULE) == 1


async def test_deleting_removes_everything() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10)
    await world.clock.advance(300)
    assert await count(world, Collection.HISTORY) == 30
    await process.call("clockwork", "delete")
    assert await process.call("clockwork", "history") == []
    assert await process.call("clockwork", "next") is None
    await world.clock.advance(30)
    assert await count(world, Collection.HISTORY) == 0
    assert await count(world, Collection.SCHEDULE) == 0
    assert await count(world, Collection.CRON) == 0
    await process.call("clockwork", "delete")  # nothing to delete is fine
    process.runtime.abandon()


async def test_history_is_bounded() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "tick", 3)
    await world.clock.advance(100)
    assert await process.call("clockwork", "history") == ["ok 100", "ok 90", "ok 80"]
    assert await count(world, Collection.HISTORY) <= 4
    await process.call("clockwork", "every", 10, "tick", 0)
    assert await process.call("clockwork", "history") == []
    await world.clock.advance(20)
    assert await count(world, Collection.HISTORY) == 0
    process.runtime.abandon()


async def test_a_run_that_lasts_is_not_overlapped() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "slow")
    await world.clock.advance(35)
    assert OUTSIDE == ["slow"]
    seen = await process.call("clockwork", "history")
    assert seen == ["skipped 30", "skipped 20", "running 10"]
    GATES["slow"].set()
    await settle()
    seen = await process.call("clockwork", "history")
    assert seen == ["skipped 30", "skipped 20", "ok 10"]
    assert await process.call("clockwork", "next") == 40
    await world.clock.advance(5)
    assert OUTSIDE == ["slow", "slow"]
    process.runtime.abandon()


async def test_different_jobs_run_side_by_side() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "slow")
    await process.call("clockwork", "many", 2)
    await world.clock.advance(20)
    assert await process.call("clockwork", "read") == ["tick"] * 4
    process.runtime.abandon()


async def test_a_failure_is_written_down_and_not_repeated() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "fail")
    await world.clock.advance(29)
    assert OUTSIDE == ["fail", "fail"]
    seen = await process.call("clockwork", "history")
    assert seen == ["error 20 internal_error", "error 10 internal_error"]
    process.runtime.abandon()


async def test_a_run_whose_process_died() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "slow")
    await world.clock.advance(11)
    process.runtime.abandon()
    world.freeze()
    GATES["slow"].set()
    process = world.staying()
    await world.clock.advance(60 + REPRIEVE)
    history = await process.call("clockwork", "history")
    assert history[-1] == "error 10 interrupted"
    assert history[-2] == "ok 20"  # made up for, once
    assert await process.call("clockwork", "next") == 100
    process.runtime.abandon()


async def test_a_job_may_end_itself() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "deleteMe")
    await world.clock.advance(100)
    assert await process.call("clockwork", "read") == ["last"]
    assert await count(world, Collection.SCHEDULE) == 0
    assert await count(world, Collection.HISTORY) == 0
    process.runtime.abandon()


async def test_a_job_whose_action_is_gone_is_deleted() -> None:
    world = await World.open(Clockwork)
    process = world.process(Bells())
    await process.call("clockwork", "every", 10)
    process.runtime.abandon()

    class Newer(Actor[Seen], name="clockwork"):
        @action
        async def jobs(self) -> int:
            return len(await self.cron.list())

    world.definitions["clockwork"] = Newer.__definition__
    process = world.staying()
    assert await process.call("clockwork", "jobs") == 1
    await world.clock.advance(12)
    assert await process.call("clockwork", "jobs") == 0
    assert await count(world, Collection.SCHEDULE) == 0
    process.runtime.abandon()


async def test_there_is_a_limit() -> None:
    world = await World.open(Clockwork)
    process = world.process(Bells())
    await process.call("clockwork", "many", 1000)
    with pytest.raises(ActorError) as caught:
        await process.call("clockwork", "every", 10)
    assert caught.value.name == "schedule.max_schedules_exceeded"
    await process.call("clockwork", "many", 1000)  # replacing is no more


async def test_destroying_ends_jobs() -> None:
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10, "slow")
    await world.clock.advance(10)
    head = await head_of(world)
    await process.runtime.dispatch(DestroyActor(ById(None, head.actor_id)))
    GATES["slow"].set()
    await world.clock.advance(100)
    assert OUTSIDE == ["slow"]
    assert await world.store.inner.load(head.actor_id) is None
    process.runtime.abandon()


@pytest.mark.parametrize(
    "fault", [Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.CONFLICT]
)
@pytest.mark.parametrize("skip", range(4))
async def test_a_fault_at_any_commit(fault: Fault, skip: int) -> None:
    """A job goes on whatever one of its commits meets, and no run takes effect twice."""
    world = await World.open(Clockwork)
    process = world.staying()
    await process.call("clockwork", "every", 10)
    world.faults.inject(fault, skip=skip)
    await world.clock.advance(305)
    seen = await process.call("clockwork", "read")
    runs = await process.call("clockwork", "history", 100)
    assert len(seen) == sum(run.startswith("ok") for run in runs)
    assert len(seen) >= 15
    assert "running" not in "".join(runs)
    assert await process.call("clockwork", "next") == 310
    process.runtime.abandon()


@pytest.mark.parametrize("fault", [Fault.HELD, Fault.HELD_AFTER])
@pytest.mark.parametrize("skip", range(3))
async def test_death_around_any_commit(fault: Fault, skip: int) -> None:
    world = await World.open(Clockwork)
    one = world.staying()
    await one.call("clockwork", "every", 10)
    injection = world.faults.inject(fault, skip=skip)
    await world.clock.advance(25)
    one.runtime.abandon()
    world.freeze()
    if fault is Fault.HELD_AFTER:
        injection.release()
    two = world.staying()
    await world.clock.advance(280)
    seen = await two.call("clockwork", "read")
    runs = await two.call("clockwork", "history", 100)
    assert len(seen) == sum(run.startswith("ok") for run in runs)
    assert await two.call("clockwork", "next") == 310
    assert "running" not in "".join(runs)
    two.runtime.abandon()
