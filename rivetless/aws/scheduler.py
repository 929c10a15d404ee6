"""``Schedules``: one-time schedules of EventBridge Scheduler, which send a message to a queue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Unpack

from rivetless.aws.client import Payload, ServiceError
from rivetless.aws.faces import Face, FaceOptions
from rivetless.aws.services import SCHEDULER

__all__ = ["Schedules"]

_MISSING: Final = 404


class Schedules(Face):
    """The schedules of a group that have one queue as their target.

    Args:
        group: name of the group, which must be there.
        target: ARN of a standard queue.
        role: ARN of the role that may send to it.
        **options: see ``FaceOptions``.
    """

    def __init__(
        self,
        group: str,
        *,
        target: str,
        role: str,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(SCHEDULER, **options)
        self._group = group
        self._target = target
        self._role = role

    async def create(
        self, name: str, at: int, message: str, *, deadline: float | None = None
    ) -> bool:
        """Have a message sent once, within a minute of an instant; then the schedule is gone.

        Args:
            name: up to 64 of ``0-9a-zA-Z-_.``; whoever gives it twice means the same schedule.
            at: Unix seconds, whole.
            message: what the queue gets.
            deadline: Unix seconds after which there are no further attempts.

        Returns:
            Whether it is new; ``False`` if there was one of that name, which is left as it is.

        Raises:
            CallError: it is not there, or may not be.
        """
        payload: Payload = {
            "Name": name,
            "GroupName": self._group,
            "ScheduleExpression": f"at({datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self._target, "RoleArn": self._role, "Input": message},
        }
        try:
            await self._call("CreateSchedule", payload, repeatable=True, deadline=deadline)
        except ServiceError as error:
            if error.code != "ConflictException":
                raise
            return False
        return True

    async def get(self, name: str) -> Payload | None:
        """Return a schedule as Scheduler has it; ``None`` if there is none, or not any more.

        Raises:
            CallError: there was no answer.
        """
        try:
            return await self._call("GetSchedule", self._named(name), repeatable=True)
        except ServiceError as error:
            if error.status != _MISSING:
                raise
            return None

    async def delete(self, name: str) -> None:
        """Delete a schedule; fine if there is none.

        Raises:
            CallError: it may be there yet.
        """
        try:
            await self._call("DeleteSchedule", self._named(name), repeatable=True)
        except ServiceError as error:
            if error.status != _MISSING:
                raise

    def _named(self, name: str) -> Payload:
        return {"Name": name, "GroupName": self._group}
