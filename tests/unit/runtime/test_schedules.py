"""Scheduled actions: their one index, what arming costs, and what a wake does when it comes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, FireInfo, action
from rivetless.keys import Address
from rivetless.runtime.alarms import SUBSTITUTE
from rivetless.runtime.commands import ById, DestroyActor, SleepActor, Sweep, Wake
from rivetless.runtime.schedules import MOST_ATTEMPTS
from rivetless.runtime.waking import CLAIM, MAX_HOPS
from rivetless.store.base import Collection, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import Bells, Process, World


class Seen(BaseModel):
    seen: list[str] = []


OUTSIDE: list[str] = []
"""What the present test's actors did to the world outside."""

WAITING = {Fault.HELD, Fault.HELD_AFTER, Fault.HELD_LOST, Fault.LATE}


class Diary(Actor[Seen], action_timeout=60):
    @action
    async def note(self, text: str, fire: FireInfo | None = None) -> None:
        OUTSIDE.append(text)
        self.state.seen.append(text)

    @action
    async def plan(self, delay: float, text: str) -> str:
        return self.schedule.after(delay, self.note, text)

    @action
    async def plan_more(self, delays: list[float]) -> list[str]:
        return [self.schedule.after(delay, self.note, f"{delay:g}") for delay in delays]

    @action
    async def debounce(self, delay: float) -> None:
        for planned in await self.schedule.list():
            await self.schedule.cancel(planned.id)
        self.schedule.after(delay, self.note, "once")

    @action
    async def cancel(self, schedule_id: str) -> bool:
        return await self.schedule.cancel(schedule_id)

    @action
    async def get(self, schedule_id: str) -> float | None:
        found = await self.schedule.get(schedule_id)
        return None if found is None else found.run_at.timestamp()

    @action
    async def planned(self) -> list[str]:
        return [f"{each.action}{list(each.args)}" for each in await self.schedule.list()]

    @action
    async def read(self) -> list[str]:
        return self.state.seen

    @action
    async def fail(self) -> None:
        OUTSIDE.append(f"fail {self.turn_id}")
        raise RuntimeError("injected")

    @action
    async def plan_to_fail(self) -> str:
        return self.schedule.after(0, self.fail)

    @action
    async def save_and_fail(self) -> None:
        self.state.seen.append("saved")
        await self.save_state()
        raise RuntimeError("injected")

    @action
    async def plan_by_name(self, name: str) -> str:
        return self.schedule.after(0, name)

    @action
    async def slow(self) -> None:
        OUTSIDE.append("slow")
        await gate("slow").wait()
        self.state.seen.append("slow")

    @action
    async def again(self) -> None:
        self.state.seen.append("again")
        self.schedule.after(0, self.again)

    @action
    async def letters(self) -> list[str]:
        return [f"{x.kind} {x.attempts} {x.error}" for x in await self.dead_letters.list()]

    @action
    async def replay_all(self) -> int:
        letters = await self.dead_letters.list()
        return sum([await self.dead_letters.replay(letter.id) for letter in letters])

    @action
    async def purge(self) -> int:
        return await self.dead_letters.purge()


class Sleeper(Actor[Seen], sleep_grace_period=5):
    @action
    async def note(self, text: str) -> None:
        self.state.seen.append(text)

    @action
    async def read(self) -> list[str]:
        return self.state.seen

    @action
    async def plan(self, delay: float) -> None:
        self.schedule.after(delay, self.note, "planned")

    async def on_wake(self) -> None:
        self.state.seen.append("wake")

    async def on_sleep(self) -> None:
        self.schedule.after(0.05, self.note, "from on_sleep")
        await gate("sleep").wait()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    OUTSIDE.clear()
    GATES.clear()
    caplog.set_level(logging.CRITICAL, "rivetless")


async def head_of(world: World, name: str = "diary") -> Head:
    head = await world.store.inner.load(Address("default", name, ("a",)))
    assert head is not None
    return head


async def timers_of(world: World) -> int:
    head = await head_of(world)
    return len(await world.store.inner.records(head.actor_id, Collection.SCHEDULE))


async def wake(process: Process, world: World, name: str = "diary", hops: int = 0) -> None:
    head = await head_of(world, name)
    await process.runtime.dispatch(Wake(head.actor_id, hops))
    await settle()


# -- what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
async def test_planning_is_one_commit(shared: bool) -> None:
    world = await World.open(Diary, shared=shared)
    process = world.process(Bells())
    await process.call("diary", "read")
    world.store.reset()
    await process.call("diary", "plan", 10, "tea")
    await settle()
    assert (world.store.reads, world.store.writes) == (0, 1)
    await process.call("diary", "plan", 20, "later")
    await settle()
    assert (world.store.reads, world.store.writes) == (0, 2)
    assert await timers_of(world) == 2


async def test_who_plans_nothing_pays_nothing() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "note", "a")
    world.store.reset()
    await process.call("diary", "note", "b")
    assert (world.store.reads, world.store.writes) == (0, 1)
    assert (await head_of(world)).alarm is None


async def test_firing_is_one_commit() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "plan", 10, "tea")
    await world.clock.advance(10)
    world.store.reset()
    await wake(process, world)
    # The head and the first timers, which the turn takes over.
    assert (world.store.calls["load"], world.store.calls["records"]) == (1, 1)
    assert world.store.writes == 1
    assert (await head_of(world)).alarm is None


async def test_firing_where_the_actor_is_awake_reads_no_head() -> None:
    world = await World.open(Diary)
    process = world.staying()
    for note in ("tea", "cake"):
        await process.call("diary", "plan", 10, note)
        await settle()
        world.store.reset()
        await world.clock.advance(10)
        assert world.store.calls["records"] == 1
        assert world.store.writes == 1
    # The first wake has told the process which actor it is.
    assert world.store.calls["load"] == 0
    assert await process.call("diary", "read") == ["tea", "cake"]


async def test_a_timer_that_another_process_has_taken_back_is_not_fired_from_memory() -> None:
    world = await World.open(Diary)
    one, other = world.staying(), world.staying()
    await one.call("diary", "plan", 10, "first")
    await world.clock.advance(10)
    second = await one.call("diary", "plan", 10, "second")
    third = await one.call("diary", "plan", 10, "third")
    assert await other.call("diary", "cancel", second)
    await world.clock.advance(10)
    assert await other.call("diary", "get", third) is None
    assert await one.call("diary", "read") == ["first", "third"]
    assert OUTSIDE.count("second") == 0


# -- the alarm -------------------------------------------------------------------------------------


async def test_the_alarm_is_the_first_of_all() -> None:
    world = await World.open(Diary)
    bells = Bells()
    process = world.process(bells)
    now = world.clock.now()
    _, first, _ = await process.call("diary", "plan_more", [30, 10, 20])
    await settle()
    assert (await head_of(world)).alarm == now + 10
    assert [ring.at for ring in bells.rings] == [now + 10]
    assert await process.call("diary", "cancel", first)
    assert (await head_of(world)).alarm == now + 20
    assert not await process.call("diary", "cancel", first)
    assert not await process.call("diary", "cancel", "no id")
    # The wake that was sent comes first, and has another one sent.
    assert [ring.at for ring in bells.rings] == [now + 10]
    await world.clock.advance(10)
    await wake(process, world)
    assert [ring.at for ring in bells.rings] == [now + 10, now + 20]
    assert OUTSIDE == []
    await world.clock.advance(10)
    await wake(process, world)
    assert OUTSIDE == ["20"]
    assert [ring.at for ring in bells.rings] == [now + 10, now + 20, now + 30]


async def test_putting_off_a_thousand_times_rings_a_few_times() -> None:
    world = await World.open(Diary)
    bells = Bells()
    process = world.process(bells)
    for _ in range(1000):
        await process.call("diary", "debounce", 5)
        await world.clock.advance(0.01)
        for ring in [ring for ring in bells.rings if ring.at == world.clock.now()]:
            await process.runtime.dispatch(Wake(ring.actor_id, ring.hops))
    assert await timers_of(world) == 1
    assert len(bells.rings) <= 4
    await world.clock.advance(5)
    await wake(process, world)
    await wake(process, world)
    assert OUTSIDE == ["once"]


async def test_a_ring_that_was_not_sent_is_found_by_the_sweeper() -> None:
    world = await World.open(Diary)
    bells = Bells()
    process = world.process(bells)
    bells.broken = True
    await process.call("diary", "plan", 10, "tea")
    await settle()
    bells.broken = False
    await world.clock.advance(9)
    await process.runtime.dispatch(Sweep())
    await settle()
    assert bells.rings == []
    await world.clock.advance(20)
    await process.runtime.dispatch(Sweep())
    await settle()
    assert [ring.at for ring in bells.rings] == [None]
    await wake(process, world)
    await process.runtime.dispatch(Sweep())
    await settle()
    assert OUTSIDE == ["tea"]
    assert len(bells.rings) == 1


# -- wakes -----------------------------------------------------------------------------------------


async def test_early_late_and_doubled_wakes_do_no_harm() -> None:
    world = await World.open(Diary)
    one, two = world.process(Bells()), world.process(Bells())
    await one.call("diary", "plan", 10, "tea")
    await wake(two, world)
    assert OUTSIDE == []
    await world.clock.advance(500)
    head = await head_of(world)
    wakes = [p.runtime.dispatch(Wake(head.actor_id)) for p in (one, one, two, two)]
    await asyncio.gather(*wakes)
    await wake(one, world)
    assert await one.call("diary", "read") == ["tea"]
    assert await timers_of(world) == 0


async def test_wakes_of_nobody() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.runtime.dispatch(Wake("no id at all"))
    await process.runtime.dispatch(Wake("0" * 30))
    await process.call("diary", "plan", 10, "tea")
    world.definitions.pop("diary")
    await world.clock.advance(10)
    await wake(process, world)
    assert OUTSIDE == []


async def test_what_is_due_begins_in_order() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "plan_more", [3, 1, 2, 1])
    await world.clock.advance(5)
    await wake(process, world)
    assert await process.call("diary", "read") == ["1", "1", "2", "3"]


async def test_more_than_a_batch() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "plan_more", [n / 10 for n in range(100)])
    await world.clock.advance(20)
    await wake(process, world)
    assert len(await process.call("diary", "read")) == 100
    assert (await head_of(world)).alarm is None


async def test_a_slow_one_holds_up_no_other() -> None:
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_by_name", "slow")
    await process.call("diary", "plan", 1, "quick")
    await world.clock.advance(2)
    assert await process.call("diary", "read") == ["quick"]
    gate("slow").set()
    await settle()
    assert await process.call("diary", "read") == ["quick", "slow"]
    process.runtime.abandon()


async def test_a_chain_of_its_own_making_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rivetless")
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_by_name", "again")
    await settle()
    first = len(await process.call("diary", "read"))
    assert 1 < first <= MAX_HOPS + 1
    assert "has woken itself" in caplog.text
    await world.clock.advance(31)  # the sweeper takes it up, and the chain begins anew
    assert len(await process.call("diary", "read")) > first
    process.runtime.abandon()


async def test_many_that_others_have_planned_are_no_chain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "rivetless")
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_more", [n / 100 for n in range(100)])
    await world.clock.advance(1)
    assert len(await process.call("diary", "read")) == 100
    assert "woken itself" not in caplog.text
    process.runtime.abandon()


async def test_a_host_without_time_goes_on_later() -> None:
    world = await World.open(Diary)
    bells = Bells()
    process = world.process(bells)
    await process.call("diary", "plan", 1, "tea")
    await world.clock.advance(1)
    head = await head_of(world)
    bells.rings.clear()
    await process.runtime.dispatch(Wake(head.actor_id, deadline=world.clock.now() + 0.5))
    await settle()
    assert OUTSIDE == []
    assert [(ring.at, ring.hops) for ring in bells.rings] == [(None, 1)]


async def test_what_a_host_would_cut_off_is_a_failure() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "plan_by_name", "slow")
    head = await head_of(world)
    wake = Wake(head.actor_id, deadline=world.clock.now() + 10)
    work = asyncio.create_task(process.runtime.dispatch(wake))
    await world.clock.advance(9.4)
    assert not work.done()
    await world.clock.advance(0.2)
    await work
    # It is planned anew, a second from when it failed.
    assert (await head_of(world)).alarm == pytest.approx(world.clock.now() + 1, abs=0.2)
    process.runtime.abandon()


# -- processes that stay ---------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
async def test_alarms_survive_a_restart(shared: bool) -> None:
    world = await World.open(Diary, shared=shared)
    process = world.staying()
    await process.call("diary", "plan_more", [10, 100, 1000])
    process.runtime.abandon()
    world.freeze()
    world.clock.jump(50)  # nobody is there
    process = world.staying()
    await settle()
    assert OUTSIDE == ["10"]
    late = SUBSTITUTE if shared else 0
    await world.clock.advance(50 - 0.01)
    assert OUTSIDE == ["10"]
    await world.clock.advance(0.02 + late)
    assert OUTSIDE == ["10", "100"]
    await world.clock.advance(900)
    assert OUTSIDE == ["10", "100", "1000"]
    process.runtime.abandon()


async def test_two_processes_share_the_work() -> None:
    world = await World.open(Diary)
    one, two = world.staying(), world.staying()
    for delay in range(10, 100, 10):
        await one.call("diary", "plan", delay, str(delay))
    await world.clock.advance(100)
    assert [str(delay) for delay in range(10, 100, 10)] == OUTSIDE
    one.runtime.abandon()
    two.runtime.abandon()


async def test_others_keep_off_what_takes_long() -> None:
    world = await World.open(Diary)
    one, two = world.staying(), world.staying()
    await one.call("diary", "plan_by_name", "slow")
    await world.clock.advance(3 * CLAIM - 5)
    assert OUTSIDE == ["slow"]
    gate("slow").set()
    await settle()
    await world.clock.advance(100)
    assert OUTSIDE == ["slow"]
    assert await two.call("diary", "read") == ["slow"]
    assert await timers_of(world) == 0
    one.runtime.abandon()
    two.runtime.abandon()


async def test_others_take_over_from_the_dead() -> None:
    world = await World.open(Diary)
    one = world.staying()
    await one.call("diary", "plan_by_name", "slow")
    await world.clock.advance(5)
    one.runtime.abandon()
    world.freeze()
    gate("slow").set()
    two = world.staying()
    await world.clock.advance(2 * CLAIM)
    assert OUTSIDE == ["slow", "slow"]
    assert await two.call("diary", "read") == ["slow"]
    two.runtime.abandon()


# -- failures --------------------------------------------------------------------------------------


async def test_failures_are_retried_and_then_kept() -> None:
    world = await World.open(Diary)
    process = world.staying()
    planned = await process.call("diary", "plan_to_fail")
    await settle()
    assert len(OUTSIDE) == 1
    assert await process.call("diary", "get", planned) == world.clock.now() + 1
    await world.clock.advance(1)
    assert len(OUTSIDE) == 2
    await world.clock.advance(timedelta(hours=3))
    assert len(OUTSIDE) == MOST_ATTEMPTS
    assert len(set(OUTSIDE)) == 1  # one turn id: what is outside can tell that it is one thing
    assert await process.call("diary", "letters") == [
        f"schedule {MOST_ATTEMPTS} rivetkit.internal_error"
    ]
    assert await timers_of(world) == 0
    assert await process.call("diary", "replay_all") == 1
    await settle()
    assert len(OUTSIDE) == MOST_ATTEMPTS + 1
    assert await process.call("diary", "letters") == []
    await world.clock.advance(timedelta(hours=3))
    assert await process.call("diary", "purge") == 1
    assert await process.call("diary", "letters") == []
    assert (await head_of(world)).counters == {"schedules": 0, "dead": 0}
    process.runtime.abandon()


async def test_what_has_saved_is_not_retried() -> None:
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_by_name", "save_and_fail")
    await world.clock.advance(100)
    assert await process.call("diary", "read") == ["saved"]
    assert await process.call("diary", "letters") == ["schedule 1 rivetkit.internal_error"]
    process.runtime.abandon()


async def test_an_action_that_is_gone() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    await process.call("diary", "plan", 1, "tea")
    process.runtime.abandon()

    class Newer(Actor[Seen], name="diary"):
        @action
        async def letters(self) -> list[str]:
            return [f"{x.kind} {x.attempts} {x.error}" for x in await self.dead_letters.list()]

    world.definitions["diary"] = Newer.__definition__
    process = world.staying()
    await world.clock.advance(5)
    assert await process.call("diary", "letters") == ["schedule 1 actor.action_not_found"]
    process.runtime.abandon()


async def test_there_is_a_limit() -> None:
    world = await World.open(Diary)
    process = world.process(Bells())
    ids = await process.call("diary", "plan_more", [float(n + 1) for n in range(1000)])
    with pytest.raises(ActorError) as caught:
        await process.call("diary", "plan", 1, "one more")
    assert caught.value.name == "schedule.max_schedules_exceeded"
    assert await process.call("diary", "cancel", ids[5])
    await process.call("diary", "plan", 1, "one more")
    assert await timers_of(world) == 1000


# -- lifecycle -------------------------------------------------------------------------------------


async def test_nothing_fires_while_the_actor_is_put_to_sleep() -> None:
    world = await World.open(Sleeper)
    process = world.staying()
    await process.call("sleeper", "plan", 1)
    head = await head_of(world, "sleeper")
    sleeping = asyncio.create_task(process.runtime.dispatch(SleepActor(ById(None, head.actor_id))))
    await world.clock.advance(3)
    gate("sleep").set()
    await sleeping
    await world.clock.advance(1)
    assert await process.call("sleeper", "read") == ["wake", "wake", "from on_sleep", "planned"]
    process.runtime.abandon()


async def test_destroying_removes_what_is_planned() -> None:
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_more", [10, 20])
    head = await head_of(world)
    await process.runtime.dispatch(DestroyActor(ById(None, head.actor_id)))
    await world.clock.advance(60)
    assert OUTSIDE == []
    assert await world.store.inner.load(head.actor_id) is None
    assert await world.store.inner.records(head.actor_id, Collection.SCHEDULE) == []
    assert await process.call("diary", "planned") == []
    process.runtime.abandon()


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [f for f in Fault if "held" not in f.value and f is not Fault.LATE]
)
@pytest.mark.parametrize("skip", [0, 1, 2])
async def test_a_fault_at_any_commit(fault: Fault, skip: int) -> None:
    """Whatever a commit meets: what was planned happens once, and nothing is left over."""
    world = await World.open(Diary)
    process = world.staying()
    world.faults.inject(fault, skip=skip)
    planned = []
    for text in ("tea", "coffee"):
        with suppress(ActorError):
            await process.call("diary", "plan", 1, text)
            planned.append(text)
    await world.clock.advance(120)
    seen = await process.call("diary", "read")
    assert len(seen) == len(set(seen))
    assert set(planned) <= set(seen)
    assert await timers_of(world) == 0
    process.runtime.abandon()


@pytest.mark.parametrize("verb", ["load", "records", "current", "commit"])
@pytest.mark.parametrize("skip", range(4))
async def test_a_fault_while_firing(verb: str, skip: int) -> None:
    world = await World.open(Diary)
    process = world.staying()
    await process.call("diary", "plan_more", [1, 2])
    world.faults.inject(Fault.BEFORE, verb=verb, skip=skip)
    await world.clock.advance(120)
    world.faults.clear()
    assert sorted(await process.call("diary", "read")) == ["1", "2"]
    assert await timers_of(world) == 0
    process.runtime.abandon()


@pytest.mark.parametrize("fault", [Fault.HELD, Fault.HELD_AFTER])
@pytest.mark.parametrize("skip", range(4))
async def test_death_around_any_commit(fault: Fault, skip: int) -> None:
    """A process dies before or after one of its commits; the next one finishes, once."""
    world = await World.open(Diary)
    one = world.staying()
    injection = world.faults.inject(fault, skip=skip)
    calls = [asyncio.create_task(one.call("diary", "plan", 1 + n, str(n))) for n in range(2)]
    await world.clock.advance(5)
    await settle()
    one.runtime.abandon()
    for call in calls:
        call.cancel()
    world.freeze()
    if fault is Fault.HELD_AFTER:
        injection.release()
    two = world.staying()
    await settle()
    await world.clock.advance(60)
    seen: list[Any] = await two.call("diary", "read")
    done = [str(n) for n, call in enumerate(calls) if call.done() and not call.cancelled()]
    assert len(seen) == len(set(seen))
    assert set(done) <= set(seen)
    assert await timers_of(world) == 0
    assert (await head_of(world)).alarm is None
    two.runtime.abandon()
