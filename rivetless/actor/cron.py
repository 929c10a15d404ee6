"""``self.cron``: have one of the actor's own actions run again and again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVarTuple

from rivetless.actor.cadence import Cadence, CronCadence, IntervalCadence
from rivetless.actor.schedule import own_action
from rivetless.errors import ActorError
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition

Ts = TypeVarTuple("Ts")

MOST_HISTORY: Final = 1000
"""The longest history one job may ask for."""

MOST_NAME_BYTES: Final = 128


@frozen
class RunError:
    """Why a run failed, as a caller would have been told it."""

    group: str
    code: str
    message: str


@frozen
class CronRun:
    """One run of a job, or one that was left out.

    Attributes:
        result: ``"running"``, ``"ok"``, ``"error"``, or ``"skipped"``: the run before was not over.
        scheduled_at: when it was due.
        fired_at: when it began; when it was due, for one that was skipped.
        ended_at: when it ended.
        error: why it failed.
    """

    result: Literal["running", "ok", "error", "skipped"]
    scheduled_at: datetime
    fired_at: datetime
    ended_at: datetime | None = None
    error: RunError | None = None


@frozen
class CronJob:
    """A recurring job.

    Attributes:
        name: as given.
        kind: ``"cron"`` or ``"every"``.
        action: the action's name on the wire.
        args: its arguments, as plain values.
        next_run_at: when it runs next.
        last_run_at: when it last began.
        max_history: how many runs are remembered.
        expression: five cron fields, of a ``"cron"`` job.
        timezone: where they are meant.
        interval: of an ``"every"`` job.
    """

    name: str
    kind: Literal["cron", "every"]
    action: str
    args: tuple[object, ...]
    next_run_at: datetime
    last_run_at: datetime | None
    max_history: int
    expression: str | None = None
    timezone: str | None = None
    interval: timedelta | None = None


class CronPort(Protocol):
    """What stands behind ``Cron``. Instants are Unix seconds."""

    @property
    @abstractmethod
    def definition(self) -> ActorDefinition:
        """Of the actor."""

    @abstractmethod
    def now(self) -> float:
        """Return the current instant."""

    @abstractmethod
    def put(
        self, name: str, cadence: Cadence, action: str, args: Sequence[object], max_history: int
    ) -> None:
        """Add a job or replace the one of that name."""

    @abstractmethod
    def delete(self, name: str) -> None: ...

    @abstractmethod
    async def get(self, name: str) -> CronJob | None: ...

    @abstractmethod
    async def all(self) -> list[CronJob]: ...

    @abstractmethod
    async def history(self, name: str, limit: int) -> list[CronRun]: ...


class Cron:
    """Runs the actor's own actions again and again::

        self.cron.set("digest", "0 9 * * 1-5", self.send_digest, timezone="Europe/Berlin")
        self.cron.every("poll", timedelta(minutes=5), self.poll)

    A job has a name; setting it again replaces it, and keeps the time of its next run if the times
    stay the same. Runs that were missed are made up for by one. A run that is due while the last
    one is not over is skipped. One that fails is not repeated.
    """

    __slots__ = ("_port",)

    def __init__(self, port: CronPort) -> None:
        self._port = port

    def set(
        self,
        name: str,
        expression: str,
        action: Callable[[*Ts], Coroutine[Any, Any, Any]] | str,
        /,
        *args: *Ts,
        timezone: str = "UTC",
        max_history: int = 100,
    ) -> None:
        """Run an action whenever the time on the wall matches; joins the turn's commit.

        Args:
            name: of the job, 1 to 128 bytes.
            expression: minute, hour, day of the month, month, day of the week.
            action: a method of the actor, or an action's name.
            *args: its arguments.
            timezone: an IANA name.
            max_history: how many runs ``history`` remembers; 0 for none.

        Raises:
            ActorError: ``schedule.invalid_name``, ``schedule.invalid_cron_expression``,
                ``schedule.invalid_timezone``, ``schedule.invalid_max_history``; when the turn ends,
                ``schedule.max_schedules_exceeded``.
        """
        self._put(name, CronCadence(expression, timezone), action, args, max_history)

    def every(
        self,
        name: str,
        interval: float | timedelta,
        action: Callable[[*Ts], Coroutine[Any, Any, Any]] | str,
        /,
        *args: *Ts,
        max_history: int = 100,
    ) -> None:
        """Run an action at a steady interval; joins the turn's commit.

        Args:
            name: of the job, 1 to 128 bytes.
            interval: seconds or a ``timedelta``, 5 s at least; the first run is one interval ahead.
            action: a method of the actor, or an action's name.
            *args: its arguments.
            max_history: how many runs ``history`` remembers; 0 for none.

        Raises:
            ActorError: ``schedule.invalid_name``, ``schedule.invalid_interval``,
                ``schedule.invalid_max_history``; when the turn ends,
                ``schedule.max_schedules_exceeded``.
        """
        seconds = interval.total_seconds() if isinstance(interval, timedelta) else float(interval)
        self._put(name, IntervalCadence(seconds, self._port.now()), action, args, max_history)

    def _put(
        self, name: str, cadence: Cadence, action: Any, args: tuple[Any, ...], max_history: int
    ) -> None:
        check_name(name)
        if not 0 <= max_history <= MOST_HISTORY:
            raise ActorError(
                "schedule",
                "invalid_max_history",
                f"`max_history` is {max_history}; it is from 0 to {MOST_HISTORY}.",
            )
        cadence.check()
        wire_name, plain = own_action(self._port.definition, action, args, {})
        self._port.put(name, cadence, wire_name, plain, max_history)

    def delete(self, name: str) -> None:
        """Forget a job and its history; joins the turn's commit. No job of that name is fine."""
        self._port.delete(name)

    async def get(self, name: str) -> CronJob | None:
        """Return a job."""
        return await self._port.get(name)

    async def history(self, name: str, *, limit: int = 20) -> list[CronRun]:
        """Return the last runs of a job, newest first; none for a job that is not there."""
        if not 1 <= limit <= MOST_HISTORY:
            raise ValueError(f"`limit` is {limit}; it is from 1 to {MOST_HISTORY}.")
        return await self._port.history(name, limit)

    async def list(self) -> list[CronJob]:
        """Return all jobs, by name."""
        return await self._port.all()


def check_name(name: str) -> None:
    """Make sure that a job's name has a possible length.

    Raises:
        ActorError: ``schedule.invalid_name``.
    """
    size = len(name.encode())
    if not 1 <= size <= MOST_NAME_BYTES:
        raise ActorError(
            "schedule",
            "invalid_name",
            f"A job's name has 1 to {MOST_NAME_BYTES} bytes; this one has {size}.",
        )
