"""EventBridge Scheduler: schedules that fire once and send a message to a queue."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from rivetless.clock import Clock, Timer
from rivetless.frozen import frozen
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.function import ACCOUNT, REGION

__all__ = ["Schedule", "Scheduler"]

_NAME: Final = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_AT: Final = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")


@frozen
class Schedule:
    """A schedule.

    Attributes:
        group: the group it is in.
        name: unique in its group.
        at: when it fires, in Unix seconds.
        target: ARN of what it fires at.
        input: what it sends.
        kept: whether it stays when it has fired, which the account then pays with its quota.
    """

    group: str
    name: str
    at: float
    target: str
    input: str
    kept: bool


class Scheduler:
    """Schedules, by group and name.

    AWS fires within the minute after the second that was asked for; so does this one, at the first
    instant of it unless told how late.

    Args:
        clock: tells when to fire.
        fire: sends an input to a target.
        groups: the groups there are.

    Attributes:
        late: how many seconds after the instant asked for a schedule fires.
    """

    def __init__(
        self, clock: Clock, fire: Callable[[str, str], None], *, groups: tuple[str, ...]
    ) -> None:
        self.late = 0.0
        self._clock = clock
        self._fire = fire
        self._groups = ("default", *groups)
        self._schedules: dict[tuple[str, str], tuple[Schedule, Timer]] = {}

    @property
    def schedules(self) -> list[Schedule]:
        """What is scheduled, and what was and has been kept."""
        return [schedule for schedule, _ in self._schedules.values()]

    def create(self, name: str, request: Mapping[str, Any]) -> dict[str, object]:
        """Answer ``CreateSchedule``.

        Raises:
            AWSError: Scheduler would refuse.
        """
        schedule = self._read(name, request)
        key = schedule.group, name
        if key in self._schedules:
            raise AWSError(409, "ConflictException", f"Schedule {name} already exists.")
        seconds = max(schedule.at + self.late - self._clock.now(), 0.0)
        timer = self._clock.call_later(seconds, partial(self._due, key))
        self._schedules[key] = schedule, timer
        arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{schedule.group}/{name}"
        return {"ScheduleArn": arn}

    def delete(self, name: str, group: str) -> dict[str, object]:
        """Answer ``DeleteSchedule``.

        Raises:
            AWSError: there is no such schedule.
        """
        found = self._schedules.pop((group, name), None)
        if found is None:
            raise AWSError(404, "ResourceNotFoundException", f"Schedule {name} does not exist.")
        found[1].cancel()
        return {}

    def close(self) -> None:
        """Take all timers back."""
        for _, timer in self._schedules.values():
            timer.cancel()
        self._schedules.clear()

    def _due(self, key: tuple[str, str]) -> None:
        schedule = self._schedules[key][0]
        if not schedule.kept:
            del self._schedules[key]
        self._fire(schedule.target, schedule.input)

    def _read(self, name: str, request: Mapping[str, Any]) -> Schedule:
        group = request.get("GroupName", "default")
        target: dict[str, str] = request.get("Target") or {}
        window: dict[str, object] = request.get("FlexibleTimeWindow") or {}
        expression: str = request.get("ScheduleExpression", "")
        match = _AT.fullmatch(expression)
        if not _NAME.fullmatch(name):
            raise _invalid(f"Schedule name {name!r} does not match {_NAME.pattern}")
        if group not in self._groups:
            raise AWSError(404, "ResourceNotFoundException", f"Schedule group {group} is unknown.")
        if window.get("Mode") not in ("OFF", "FLEXIBLE"):
            raise _invalid("FlexibleTimeWindow has no Mode")
        if not target.get("Arn") or not target.get("RoleArn"):
            raise _invalid("Target needs Arn and RoleArn")
        if match is None or request.get("ScheduleExpressionTimezone", "UTC") != "UTC":
            raise _invalid(f"Invalid Schedule Expression {expression}; the lab knows at() in UTC")
        try:
            at = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        except ValueError as error:
            raise _invalid(f"Invalid Schedule Expression {expression}") from error
        if at.timestamp() < math.floor(self._clock.now()):
            raise _invalid("The at() expression is in the past")
        return Schedule(
            group=group,
            name=name,
            at=at.timestamp(),
            target=target["Arn"],
            input=target.get("Input", "{}"),
            kept=request.get("ActionAfterCompletion", "NONE") != "DELETE",
        )


def _invalid(message: str) -> AWSError:
    return AWSError(400, "ValidationException", message)
