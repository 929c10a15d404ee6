"""``self.schedule``: have one of the actor's own actions run later, once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, overload

from rivetless import errors
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from rivetless.actor.definition import ActionDefinition, ActorDefinition

P = ParamSpec("P")


@frozen
class FireInfo:
    """Why an action runs by itself: put ``fire: FireInfo | None = None`` last among its parameters.

    Attributes:
        kind: ``"at"`` (``self.schedule``), ``"cron"`` or ``"every"`` (``self.cron``).
        id: the schedule's id, or the job's name.
        name: the job's name.
        scheduled_at: when it was due.
        fired_at: when it began, which may be later.
    """

    kind: Literal["at", "cron", "every"]
    id: str
    name: str | None
    scheduled_at: datetime
    fired_at: datetime


@frozen
class ScheduledAction:
    """An action that is to run once.

    Attributes:
        id: names it, for ``get`` and ``cancel``.
        action: the action's name on the wire.
        args: its arguments, as plain values.
        run_at: when it runs; after a failure, when it is tried again.
        attempts: how often it has failed.
    """

    id: str
    action: str
    args: tuple[object, ...]
    run_at: datetime
    attempts: int = 0


class SchedulePort(Protocol):
    """What stands behind ``Schedule``. Instants are Unix seconds."""

    @property
    @abstractmethod
    def definition(self) -> ActorDefinition:
        """Of the actor."""

    @abstractmethod
    def now(self) -> float:
        """Return the current instant."""

    @abstractmethod
    def add(self, at: float, action: str, args: Sequence[object]) -> str:
        """Have an action run; returns the schedule's id."""

    @abstractmethod
    async def get(self, schedule_id: str) -> ScheduledAction | None: ...

    @abstractmethod
    async def all(self) -> list[ScheduledAction]: ...

    @abstractmethod
    async def cancel(self, schedule_id: str) -> bool: ...


class Schedule:
    """Runs the actor's own actions later: ``self.schedule.after(60, self.remind, "tea")``.

    A scheduled action takes effect exactly once: it is removed by the commit of what it does. One
    that fails is tried again with growing pauses, and is in ``self.dead_letters`` in the end.
    """

    __slots__ = ("_port",)

    def __init__(self, port: SchedulePort) -> None:
        self._port = port

    @overload
    def after(
        self,
        delay: float | timedelta,
        action: Callable[P, Coroutine[Any, Any, Any]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> str: ...
    @overload
    def after(self, delay: float | timedelta, action: str, /, *args: object) -> str: ...
    def after(self, delay: float | timedelta, action: Any, /, *args: Any, **kwargs: Any) -> str:
        """Run an action after ``delay`` (seconds or a ``timedelta``); joins the turn's commit.

        Args:
            delay: from now; what is not above zero runs as soon as possible.
            action: a method of the actor, or an action's name.
            *args: its arguments.
            **kwargs: its arguments by name.

        Returns:
            The schedule's id.

        Raises:
            ActorError: ``actor.validation_error``, ``actor.action_not_found``,
                ``schedule.max_schedules_exceeded``.
        """
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return self._add(self._port.now() + max(seconds, 0.0), action, args, kwargs)

    @overload
    def at(
        self,
        instant: datetime,
        action: Callable[P, Coroutine[Any, Any, Any]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> str: ...
    @overload
    def at(self, instant: datetime, action: str, /, *args: object) -> str: ...
    def at(self, instant: datetime, action: Any, /, *args: Any, **kwargs: Any) -> str:
        """Run an action at an instant; as ``after`` otherwise.

        Args:
            instant: with a time zone; what has passed runs as soon as possible.
            action: a method of the actor, or an action's name.
            *args: its arguments.
            **kwargs: its arguments by name.
        """
        if instant.tzinfo is None:
            raise ValueError("Say which time zone the instant is in: `datetime.now(UTC)`.")
        return self._add(instant.timestamp(), action, args, kwargs)

    def _add(self, at: float, action: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        name, plain = own_action(self._port.definition, action, args, kwargs)
        return self._port.add(at, name, plain)

    async def get(self, schedule_id: str) -> ScheduledAction | None:
        """Return what is scheduled under an id; ``None`` once it has run or was cancelled."""
        return await self._port.get(schedule_id)

    async def list(self) -> list[ScheduledAction]:
        """Return all that is scheduled, what is due first coming first."""
        return await self._port.all()

    async def cancel(self, schedule_id: str) -> bool:
        """Forget what is scheduled; say whether it still was."""
        return await self._port.cancel(schedule_id)


def own_action(
    definition: ActorDefinition, action: object, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[str, list[object]]:
    """Return the wire name and the plain arguments of an action that the actor will run itself.

    Raises:
        ActorError: ``actor.action_not_found``, ``actor.validation_error``.
        TypeError: what is given is no action of the actor.
    """
    found = _find(definition, action)
    return found.name, found.bind_client(args, kwargs)


def _find(definition: ActorDefinition, action: object) -> ActionDefinition:
    if isinstance(action, str):
        named = definition.find_action(action)
        if named is None:
            raise errors.action_not_found(action)
        return named
    function = getattr(action, "__func__", None)
    found = [each for each in definition.actions.values() if each.function is function]
    if len(found) != 1:
        hint = "give its name" if found else "an action is a method with `@action`"
        raise TypeError(f"{action!r} is not one action of {definition.python_name}: {hint}.")
    return found[0]


def instant(seconds: float) -> datetime:
    """Return Unix seconds as an aware ``datetime``."""
    return datetime.fromtimestamp(seconds, UTC)
