"""What recurring jobs have missed: the last runs, however long nobody was there."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from rivetless.actor.cadence import Cadence, CronCadence, IntervalCadence
from rivetless.runtime.recurring import Recurring

START = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
DAY = 24 * 3600.0
MOST = 20

CADENCES = [
    CronCadence("* * * * *", "Europe/Berlin"),
    CronCadence("*/7 3 * * *", "America/New_York"),
    CronCadence("* * * 1 *"),
    CronCadence("0 9 * * 1-5", "Europe/London"),
    CronCadence("0 0 29 2 *"),
    IntervalCadence(5, START),
    IntervalCadence(3 * DAY, START + 7),
]


def job(cadence: Cadence) -> Recurring:
    return Recurring("job", "uid", cadence, "tick", [], 100, cadence.after(START))


def stepped(cadence: Cadence, now: float) -> list[float]:
    found = []
    at = cadence.after(START)
    while at <= now:
        found.append(at)
        at = cadence.after(at)
    return found[-MOST:]


@pytest.mark.parametrize("cadence", CADENCES, ids=repr)
@pytest.mark.parametrize("seconds", [0, 4, 61, 95, 101.5, 130, 3599, 7200])
def test_short_absences(cadence: Cadence, seconds: float) -> None:
    now = START + seconds

    assert job(cadence).missed(now, MOST) == stepped(cadence, now)


@pytest.mark.parametrize("cadence", CADENCES[1:5], ids=repr)
@pytest.mark.parametrize("days", [31.0, 90.25, 400.0])
def test_long_absences(cadence: Cadence, days: float) -> None:
    now = START + days * DAY
    last = stepped(cadence, now) if cadence is not CADENCES[2] else None
    missed = job(cadence).missed(now, MOST)

    if last is not None:
        assert missed == last
    assert len(missed) <= MOST
    assert all(cadence.after(a) == b for a, b in itertools.pairwise(missed))
    assert not missed or cadence.after(missed[-1]) > now


@pytest.mark.parametrize("cadence", CADENCES, ids=repr)
def test_ten_years_cost_no_more_than_a_day(
    cadence: Cadence, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    after = type(cadence).after

    def counted(self: Cadence, instant: float) -> float:
        nonlocal asked
        asked += 1
        return after(self, instant)  # type: ignore[arg-type]

    monkeypatch.setattr(type(cadence), "after", counted)
    job(cadence).missed(START + 3653 * DAY, MOST)

    assert 0 < asked < 800
