"""EventBridge Scheduler in the lab."""

from typing import Any

import pytest

from rivetless.testing.clock import FakeClock
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.scheduler import Scheduler

ARN = "arn:aws:sqs:us-east-1:000000000000:wakes"


class Fired(list[tuple[str, str, float]]):
    """What was fired, and when."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_767_225_600.0)  # 2026-01-01T00:00:00Z


@pytest.fixture
def fired() -> Fired:
    return Fired()


@pytest.fixture
def scheduler(clock: FakeClock, fired: Fired) -> Scheduler:
    def fire(target: str, text: str) -> None:
        fired.append((target, text, clock.now()))

    return Scheduler(clock, fire, groups=("actors",))


def request(**changes: Any) -> dict[str, Any]:
    return {
        "GroupName": "actors",
        "ScheduleExpression": "at(2026-01-01T01:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": ARN, "RoleArn": "arn:aws:iam::000000000000:role/x", "Input": "ring"},
        "ActionAfterCompletion": "DELETE",
    } | changes


async def test_it_fires_once_at_its_time(
    scheduler: Scheduler, clock: FakeClock, fired: Fired
) -> None:
    arn = scheduler.create("one", request())["ScheduleArn"]
    assert arn == "arn:aws:scheduler:us-east-1:000000000000:schedule/actors/one"
    await clock.advance(3599)
    assert fired == []
    await clock.advance(1)
    assert fired == [(ARN, "ring", 1_767_225_600.0 + 3600)]
    assert scheduler.schedules == []


async def test_a_name_is_taken_until_its_schedule_is_deleted(
    scheduler: Scheduler, clock: FakeClock, fired: Fired
) -> None:
    scheduler.create("one", request())
    with pytest.raises(AWSError) as caught:
        scheduler.create("one", request())
    assert (caught.value.status, caught.value.code) == (409, "ConflictException")
    scheduler.create("one", request(GroupName="default"))
    assert scheduler.delete("one", "actors") == {}
    with pytest.raises(AWSError) as caught:
        scheduler.delete("one", "actors")
    assert (caught.value.status, caught.value.code) == (404, "ResourceNotFoundException")
    await clock.advance(3600)
    assert len(fired) == 1


async def test_it_stays_unless_it_is_to_be_deleted(
    scheduler: Scheduler, clock: FakeClock, fired: Fired
) -> None:
    scheduler.create("one", request(ActionAfterCompletion="NONE"))
    await clock.advance(3600)
    assert len(fired) == len(scheduler.schedules) == 1


async def test_it_may_be_late(scheduler: Scheduler, clock: FakeClock, fired: Fired) -> None:
    scheduler.late = 59
    scheduler.create("one", request())
    await clock.advance(3600)
    assert fired == []
    await clock.advance(59)
    assert len(fired) == 1


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("x" * 65, {}),
        ("a b", {}),
        ("one", {"ScheduleExpression": "at(tomorrow)"}),
        ("one", {"ScheduleExpression": "at(2026-13-01T00:00:00)"}),
        ("one", {"ScheduleExpression": "rate(1 minute)"}),
        ("one", {"ScheduleExpression": "at(2025-12-31T23:59:59)"}),
        ("one", {"ScheduleExpressionTimezone": "Mars/Base"}),
        ("one", {"FlexibleTimeWindow": {}}),
        ("one", {"Target": {"Arn": ARN}}),
        ("one", {"GroupName": "other"}),
    ],
)
async def test_what_scheduler_refuses(
    scheduler: Scheduler, name: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(AWSError) as caught:
        scheduler.create(name, request(**changes))
    assert caught.value.code in ("ValidationException", "ResourceNotFoundException")
    assert scheduler.schedules == []
