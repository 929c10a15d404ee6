"""Scheduled actions: at their time, once, in order, whoever sleeps or dies in between."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.timely import Dreamer, Planner
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import Ear, RigWorld, World


async def test_an_action_runs_later(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.after(0.1, "tea")
    assert await planner.read() == []
    await world.eventually(planner.read, lambda lines: lines == ["tea"])
    assert await planner.planned() == []


async def test_an_action_runs_at_an_instant(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.at(0.1, "tea")
    await world.eventually(planner.read, lambda lines: lines == ["tea"])


async def test_what_has_passed_runs_at_once(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.long_ago()
    await world.eventually(planner.read, lambda lines: lines == ["long ago"])


async def test_three_run_in_order(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    for delay in (0.25, 0.15, 0.05):
        await planner.after(delay, str(delay))
    lines = await world.eventually(planner.read, lambda lines: len(lines) == 3)
    assert lines == ["0.05", "0.15", "0.25"]


async def test_connections_hear_of_it(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    async with world.client.connect(planner) as conn:
        heard = Ear()
        conn.on(Planner.noted, heard)
        await conn.actor.read()
        await planner.after(0.1, "tea")
        assert await world.elapse(0.2, heard.wait()) == ["tea"]


async def test_an_action_is_told_why_it_runs(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    schedule_id = await planner.explain()
    lines = await world.eventually(planner.read, lambda lines: len(lines) == 2)
    assert lines == ["told at None False True", schedule_id]


async def test_arguments_are_those_of_the_action(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.deliver()
    await world.eventually(planner.read, lambda lines: lines == ["tea"] * 4)


@pytest.mark.parametrize("name", ["note", "longAgo", "long_ago"])
async def test_actions_by_name(world: World, name: str) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.by_name(name, ["tea"] if name == "note" else [])
    await world.eventually(planner.read, lambda lines: lines in (["tea"], ["long ago"]))


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [("nothing", [], "action_not_found"), ("note", [5], "validation_error")],
)
async def test_what_cannot_run_is_refused_at_once(
    world: World, name: str, args: list[object], code: str
) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    with pytest.raises(ActorError) as caught:
        await planner.by_name(name, args)
    assert caught.value.code == code
    assert await planner.planned() == []


async def test_a_rollback_plans_nothing(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    with pytest.raises(ActorError, match="no"):
        await planner.plan_and_fail()
    assert await planner.planned() == []
    await world.pause()
    assert await planner.read() == []


async def test_looking_at_what_is_planned(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    later = await planner.after(2000, "later")
    sooner = await planner.after(1000, "sooner")
    planned = await planner.planned()
    assert [each[:3] for each in planned] == [
        [sooner, "note", ["sooner"]],
        [later, "note", ["later"]],
    ]
    assert await planner.get(sooner) == planned[0]
    assert await planner.get("00000000-0000-7000-8000-000000000000") is None
    assert await planner.get("no id") is None


async def test_a_turn_sees_what_it_has_planned(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    assert await planner.plan_and_look() == ["10", "30"]
    assert [each[2] for each in await planner.planned()] == [["10"], ["30"]]


async def test_cancelling(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    cancelled = await planner.after(0.1, "cancelled")
    kept = await planner.after(0.15, "kept")
    assert await planner.cancel(cancelled) is True
    assert await planner.cancel(cancelled) is False
    await world.eventually(planner.read, lambda lines: lines == ["kept"])
    assert await planner.cancel(kept) is False
    assert await planner.cancel("no id") is False


async def test_a_sleeping_actor_is_woken(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.after(0.2, "tea")
    await planner.doze()
    await world.forget(planner)
    await world.eventually(planner.read, lambda lines: lines == ["tea"])


@IN_MEMORY
async def test_hooks_plan_too(world: World) -> None:
    dreamer = world.client.get_or_create(Dreamer, world.key)
    await world.eventually(dreamer.read, lambda lines: lines == ["wake", "created"])
    await dreamer.doze()
    lines = await world.eventually(dreamer.read, lambda lines: len(lines) == 4)
    assert lines == ["wake", "created", "wake", "slept"]


async def test_destroying_removes_what_is_planned(world: World) -> None:
    planner = world.client.get_or_create(Planner, world.key)
    await planner.after(0.1, "tea")
    await planner.delete()
    again = world.client.get_or_create(Planner, world.key)
    assert await again.planned() == []
    await again.after(0.15, "other")
    await world.eventually(again.read, lambda lines: lines == ["other"])


# -- time that only a fake clock has --------------------------------------------------------------


async def test_far_away(rig_world: RigWorld) -> None:
    planner = rig_world.client.get_or_create(Planner, rig_world.key)
    await planner.after(6 * 3600, "in the evening")
    await rig_world.rig.advance(6 * 3600 - 60)
    assert await planner.read() == []
    await rig_world.rig.advance(61)
    await rig_world.eventually(planner.read, lambda lines: lines == ["in the evening"])


async def test_what_was_missed_while_nobody_was_there(rig_world: RigWorld) -> None:
    planner = rig_world.client.get_or_create(Planner, rig_world.key)
    await planner.after(60, "first")
    await planner.after(3600, "second")
    rig_world.rig.runtime.abandon()
    rig_world.rig.clock.jump(600)
    rig_world.rig.restart()
    await rig_world.eventually(planner.read, lambda lines: lines == ["first"])
    await rig_world.rig.advance(3000)
    await rig_world.eventually(planner.read, lambda lines: lines == ["first", "second"])


async def test_a_thousand_are_the_most(rig_world: RigWorld) -> None:
    planner = rig_world.client.get_or_create(Planner, rig_world.key)
    first = await planner.after(1000, "first")
    for _ in range(27):
        await planner.after_often(2000, 37)
    with pytest.raises(ActorError) as caught:
        await planner.after(3000, "too many")
    assert caught.value.name == "schedule.max_schedules_exceeded"
    await planner.cancel(first)
    await planner.after(3000, "in its place")
