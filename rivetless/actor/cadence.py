"""When recurring jobs run: five cron fields in a time zone, or a steady interval.

A cron job runs at every minute whose wall-clock time matches. When clocks go forward, the times
that are left out do not happen; when they go back, a fixed hour happens once, the first time, while
a job whose hour is `*` (or `*/n`) goes on as time does.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rivetless.errors import ActorError
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_INTERVAL: Final = 5.0
"""Seconds below which a job does not recur."""

_SHIFT: Final = timedelta(hours=3)
"""More than any clock has ever been put forward or back for summer."""


@frozen
class CronCadence:
    """Five cron fields in a time zone.

    Attributes:
        expression: minute, hour, day of the month, month, day of the week.
        timezone: an IANA name.
    """

    expression: str
    timezone: str = "UTC"

    def check(self) -> None:
        """Make sure that it makes sense.

        Raises:
            ActorError: ``schedule.invalid_cron_expression`` or ``schedule.invalid_timezone``.
        """
        _zone(self.timezone)
        self.after(0.0)

    def after(self, instant: float) -> float:
        """Return the first run after an instant, both in Unix seconds.

        Raises:
            ActorError: ``schedule.invalid_cron_expression``: there is none.
        """
        zone = _zone(self.timezone)
        now = datetime.fromtimestamp(instant, UTC)
        local = now.astimezone(zone)
        if local.utcoffset() == (now + _SHIFT).astimezone(zone).utcoffset():
            # No clock is put back soon, so the next time on the wall is the next in time.
            candidates = self._walls(local.replace(tzinfo=None))
            found = (run for wall in candidates for run in self._instants(wall, zone) if run > now)
            return next(found).timestamp()
        start = local.replace(tzinfo=None) - _SHIFT
        best: datetime | None = None
        for wall in self._walls(start):
            if best is not None and wall > best.astimezone(zone).replace(tzinfo=None) + _SHIFT:
                return best.timestamp()
            for run in self._instants(wall, zone):
                if run > now and (best is None or run < best):
                    best = run
        raise AssertionError("the times on the wall never end")

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Return the matching times on the wall after ``start``, in their order."""
        # Only actors with cron jobs pay for the library.
        from cronsim import CronSim, CronSimError

        fields = self.expression.split()
        if len(fields) != 5:
            raise _invalid(self.expression, f"it has {len(fields)} fields, not five")
        try:
            walls = CronSim(self.expression, start)
        except CronSimError as error:
            raise _invalid(self.expression, str(error).lower()) from error
        while True:
            try:
                yield next(walls)
            except StopIteration:
                raise _invalid(self.expression, "there is no such day") from None

    def _instants(self, wall: datetime, zone: tzinfo) -> list[datetime]:
        """Return when a clock of the zone shows a time: once, not at all, or twice."""
        steady = self.expression.split()[1].startswith("*")
        found: list[datetime] = []
        for fold in (0, 1) if steady else (0,):
            instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            shown = instant.astimezone(zone).replace(tzinfo=None)
            if shown == wall and instant not in found:
                found.append(instant)
        return found


@frozen
class IntervalCadence:
    """A steady interval.

    Attributes:
        interval: seconds.
        anchor: one of its runs, in Unix seconds; all others are whole intervals from it.
    """

    interval: float
    anchor: float

    def check(self) -> None:
        """Make sure that it makes sense.

        Raises:
            ActorError: ``schedule.invalid_interval``.
        """
        if not SHORTEST_INTERVAL <= self.interval < math.inf:
            raise ActorError(
                "schedule",
                "invalid_interval",
                f"The interval is {self.interval:g} s; the shortest is {SHORTEST_INTERVAL:g} s.",
            )

    def after(self, instant: float) -> float:
        """Return the first run after an instant, both in Unix seconds."""
        step, anchor = round(self.interval * 1000), round(self.anchor * 1000)
        passed = math.floor((instant * 1000 - anchor) / step)
        return (anchor + (max(passed, 0) + 1) * step) / 1000


Cadence = CronCadence | IntervalCadence


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"`{name}` is no time zone; write one like `Europe/Berlin` or `UTC`."
        raise ActorError("schedule", "invalid_timezone", message) from error


def _invalid(expression: str, why: str) -> ActorError:
    return ActorError(
        "schedule",
        "invalid_cron_expression",
        f"The cron expression `{expression}` is wrong: {why}.",
    )
