"""Recurring jobs: set by name, seen, run at their times, remembered."""

from datetime import UTC, datetime
from functools import partial

import pytest

from rivetless import ActorError
from tests.behaviour.actors.timely import Clockwork
from tests.behaviour.world import RigWorld, World


def has_lines(count: int, lines: list[str]) -> bool:
    """Say whether so much was written."""
    return len(lines) == count


async def test_jobs_are_seen(world: World) -> None:
    clockwork = world.client.get_or_create(Clockwork, world.key)
    await clockwork.every("poll", 60)
    await clockwork.set("digest", "30 9 * * 1-5", "Europe/Berlin")
    digest, poll = await clockwork.jobs()
    next_at = datetime.fromtimestamp(float(str(digest.pop("next"))), UTC)
    assert (next_at.minute, next_at.second) == (30, 0)
    assert poll.pop("next")
    assert digest == {
        "name": "digest",
        "kind": "cron",
        "action": "tick",
        "args": ["digest"],
        "last": None,
        "history": 100,
        "times": "30 9 * * 1-5",
        "timezone": "Europe/Berlin",
    }
    assert poll == {
        "name": "poll",
        "kind": "every",
        "action": "tick",
        "args": [],
        "last": None,
        "history": 100,
        "times": 60,
        "timezone": None,
    }
    assert await clockwork.has("poll")
    assert not await clockwork.has("other")
    assert await clockwork.history("poll") == []
    assert await clockwork.history("other") == []


async def test_a_name_is_one_job(world: World) -> None:
    clockwork = world.client.get_or_create(Clockwork, world.key)
    await clockwork.every("job", 60)
    (first,) = await clockwork.jobs()
    await clockwork.every("job", 60, "told", 5)
    (second,) = await clockwork.jobs()
    assert second["next"] == first["next"]
    assert (second["action"], second["history"]) == ("told", 5)
    await clockwork.set("job", "* * * * *")
    (third,) = await clockwork.jobs()
    assert third["kind"] == "cron"


async def test_deleting(world: World) -> None:
    clockwork = world.client.get_or_create(Clockwork, world.key)
    await clockwork.every("job", 60)
    await clockwork.remove("job")
    await clockwork.remove("job")
    assert await clockwork.jobs() == []


@pytest.mark.parametrize(
    ("name", "expression", "timezone", "code"),
    [
        ("", "* * * * *", "UTC", "invalid_name"),
        ("x" * 129, "* * * * *", "UTC", "invalid_name"),
        ("job", "* * * *", "UTC", "invalid_cron_expression"),
        ("job", "* * * * * *", "UTC", "invalid_cron_expression"),
        ("job", "61 * * * *", "UTC", "invalid_cron_expression"),
        ("job", "* * * * *", "Mars/Olympus", "invalid_timezone"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    world: World, name: str, expression: str, timezone: str, code: str
) -> None:
    clockwork = world.client.get_or_create(Clockwork, world.key)
    with pytest.raises(ActorError) as caught:
        await clockwork.set(name, expression, timezone)
    assert (caught.value.group, caught.value.code) == ("schedule", code)
    assert await clockwork.jobs() == []


@pytest.mark.parametrize(
    ("seconds", "history", "code"),
    [
        (4.9, 0, "invalid_interval"),
        (5, -1, "invalid_max_history"),
        (5, 1001, "invalid_max_history"),
    ],
)
async def test_what_is_out_of_bounds_is_refused(
    world: World, seconds: float, history: int, code: str
) -> None:
    clockwork = world.client.get_or_create(Clockwork, world.key)
    with pytest.raises(ActorError) as caught:
        await clockwork.every("job", seconds, "tick", history)
    assert caught.value.name == f"schedule.{code}"


# -- time that only a fake clock has --------------------------------------------------------------


async def test_an_interval(rig_world: RigWorld) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.every("job", 10, "told")
    for ran in range(1, 4):
        await rig_world.rig.advance(10)
        await rig_world.eventually(clockwork.read, partial(has_lines, ran))
    assert (await clockwork.read())[0].startswith("every job job ")
    await rig_world.eventually(
        lambda: clockwork.history("job"), lambda runs: runs == ["ok", "ok", "ok"]
    )


async def test_the_clock_of_a_time_zone(rig_world: RigWorld) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.set("noon", "0 12 * * *", "Asia/Tokyo")  # it is 16:06 there
    (job,) = await clockwork.jobs()
    assert datetime.fromtimestamp(float(str(job["next"])), UTC) == datetime(
        2096, 10, 3, 3, tzinfo=UTC
    )
    await rig_world.rig.advance(20 * 3600)
    await rig_world.eventually(clockwork.read, lambda lines: lines == ["noon"])


async def test_what_was_missed_runs_once(rig_world: RigWorld) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.every("job", 10, "tick")
    rig_world.rig.runtime.abandon()
    rig_world.rig.clock.jump(1005)
    rig_world.rig.restart()
    await rig_world.eventually(clockwork.read, lambda lines: lines == ["tick"])
    await rig_world.rig.advance(4)
    assert await clockwork.read() == ["tick"]


@pytest.mark.parametrize(
    ("action", "told"),
    [("fail", "no: no"), ("crash", "internal_error: An internal error occurred")],
)
async def test_failures_are_remembered(rig_world: RigWorld, action: str, told: str) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.every("job", 10, action)
    await rig_world.rig.advance(11)
    await rig_world.eventually(
        lambda: clockwork.history("job"), lambda runs: runs == [f"error {told}"]
    )
    await rig_world.rig.advance(5)
    assert await clockwork.history("job") == [f"error {told}"]  # nothing is repeated


async def test_history_keeps_to_its_length(rig_world: RigWorld) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.every("job", 10, "tick", 2)
    await clockwork.every("forgetful", 10, "tick", 0)
    for ran in range(1, 5):
        await rig_world.rig.advance(10)
        await rig_world.eventually(clockwork.read, partial(has_lines, 2 * ran))
    await rig_world.eventually(lambda: clockwork.history("job"), lambda runs: runs == ["ok", "ok"])
    assert await clockwork.history("job", 1) == ["ok"]
    assert await clockwork.history("forgetful") == []


async def test_deleting_ends_it(rig_world: RigWorld) -> None:
    clockwork = rig_world.client.get_or_create(Clockwork, rig_world.key)
    await clockwork.every("job", 10)
    await rig_world.rig.advance(10)
    await rig_world.eventually(clockwork.read, lambda lines: lines == ["tick"])
    await clockwork.remove("job")
    await rig_world.rig.advance(60)
    await rig_world.pause()
    assert await clockwork.read() == ["tick"]
    await clockwork.every("job", 10)
    assert await clockwork.history("job") == []
    await clockwork.delete()
    await rig_world.rig.advance(60)
    again = rig_world.client.get_or_create(Clockwork, rig_world.key)
    assert await again.jobs() == []
    assert await again.read() == []
