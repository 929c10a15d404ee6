"""When recurring jobs run: compared with a second library over ten years, and around the clocks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rivetless import ActorError
from rivetless.actor.cadence import CronCadence, IntervalCadence

# It has no annotations that a checker could read.
croniter: Any = importlib.import_module("croniter").croniter

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2034, 1, 1, tzinfo=UTC)

EXPRESSIONS = [
    "0 9 * * 1-5",
    "30 2 * * *",
    "30 1 * * *",
    "0 0 1 * *",
    "15 */6 * * *",
    "0 12 29 2 *",
    "0 3 * * SUN",
    "0 0 * * 7",
    "5 4 1,15 * *",
    "0 0 13 * 5",
    "0 0 L * *",
    "10-50/20 8-18/2 * JAN,JUL mon",
]
CASES = [
    *((expression, "Europe/Berlin") for expression in EXPRESSIONS),
    *(("30 2 * * *", zone) for zone in ("America/New_York", "Australia/Lord_Howe", "UTC")),
    *(("30 1 * * *", zone) for zone in ("America/New_York", "Australia/Lord_Howe")),
]


def runs(cadence: CronCadence, after: datetime) -> Iterator[datetime]:
    """Return all runs after an instant."""
    at = after.timestamp()
    while True:
        at = cadence.after(at)
        yield datetime.fromtimestamp(at, UTC)


def other_runs(expression: str, zone: str) -> Iterator[datetime]:
    """Return all runs after ``BEGIN``, as the second library sees them."""
    dates = croniter(expression, BEGIN.astimezone(ZoneInfo(zone)))
    while True:
        yield datetime.fromtimestamp(dates.get_next(float), UTC)


def shown(instant: datetime, zone: str) -> datetime:
    """Return what a clock of a zone shows."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.parametrize(("expression", "zone"), CASES)
def test_ten_years_are_as_another_library_sees_them(expression: str, zone: str) -> None:
    ours = set(takewhile(lambda at: at < END, runs(CronCadence(expression, zone), BEGIN)))
    theirs = set(takewhile(lambda at: at < END, other_runs(expression, zone)))
    assert len(ours) > 2
    assert ours <= theirs
    for extra in theirs - ours:
        # The two differences: what the clocks leave out, croniter runs at the end of the gap; what
        # they show twice, it runs twice. Both are once a year, at an hour that is written down.
        wall = shown(extra, zone)
        first = wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
        again = first != extra and first in ours
        asked = datetime.strptime(f"{expression.split()[1]} {expression.split()[0]}", "%H %M")
        moved = (wall.hour, wall.minute) != (asked.hour, asked.minute)
        assert again or moved


def walls(expression: str, zone: str, begin: datetime, count: int) -> list[str]:
    """Return the next runs as UTC, hours and minutes only."""
    found = runs(CronCadence(expression, zone), begin)
    return [f"{next(found):%d %H:%M}" for _ in range(count)]


def test_when_clocks_go_forward_what_is_left_out_does_not_happen() -> None:
    eve = datetime(2026, 3, 28, 12, tzinfo=UTC)  # in Berlin 2:00 becomes 3:00 on the 29th
    assert walls("30 2 * * *", "Europe/Berlin", eve, 2) == ["30 00:30", "31 00:30"]
    assert walls("0 * * * *", "Europe/Berlin", eve.replace(hour=23), 3) == [
        "29 00:00",
        "29 01:00",
        "29 02:00",
    ]


def test_when_clocks_go_back_a_fixed_hour_happens_once() -> None:
    eve = datetime(2026, 10, 24, 12, tzinfo=UTC)  # in Berlin 3:00 becomes 2:00 on the 25th
    assert walls("30 2 * * *", "Europe/Berlin", eve, 2) == ["25 00:30", "26 01:30"]


@pytest.mark.parametrize("expression", ["*/30 * * * *", "*/30 */1 * * *"])
def test_when_clocks_go_back_a_steady_job_goes_on(expression: str) -> None:
    eve = datetime(2026, 10, 24, 23, 45, tzinfo=UTC)
    assert walls(expression, "Europe/Berlin", eve, 5) == [
        "25 00:00",
        "25 00:30",
        "25 01:00",
        "25 01:30",
        "25 02:00",
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "a b c d e",
        "*/0 * * * *",
        "0 0 31 2 *",
        "@daily",
    ],
)
def test_expressions_that_make_no_sense(expression: str) -> None:
    with pytest.raises(ActorError) as caught:
        CronCadence(expression).check()
    assert caught.value.name == "schedule.invalid_cron_expression"


@pytest.mark.parametrize("zone", ["", "Mars", "../etc/passwd", "Europe/Nowhere", "/etc/localtime"])
def test_zones_that_do_not_exist(zone: str) -> None:
    with pytest.raises(ActorError) as caught:
        CronCadence("0 0 * * *", zone).check()
    assert caught.value.name == "schedule.invalid_timezone"


@pytest.mark.parametrize("interval", [0, -1, 4.999, float("nan"), float("inf")])
def test_intervals_that_are_too_short(interval: float) -> None:
    with pytest.raises(ActorError) as caught:
        IntervalCadence(interval, 0).check()
    assert caught.value.name == "schedule.invalid_interval"


@pytest.mark.parametrize(
    ("now", "expected"), [(100, 107), (106.999, 107), (107, 114), (120, 121), (1e9, 1_000_000_003)]
)
def test_an_interval_keeps_to_its_grid(now: float, expected: float) -> None:
    assert IntervalCadence(7, 100).after(now) == expected
