"""``self.schedule`` within a turn, and what becomes of a scheduled action when it is due."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless import errors
from rivetless.actor.schedule import FireInfo, ScheduledAction, SchedulePort, instant
from rivetless.frozen import frozen
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.commands import ById
from rivetless.runtime.dead import Letter, Letters, failure_of
from rivetless.runtime.job import Job, digest
from rivetless.runtime.parts import Part
from rivetless.runtime.timers import Timer, Timers, milliseconds, rounded

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn
    from rivetless.runtime.waking import Firing
    from rivetless.store.base import Changes

KIND: Final = "s"
"""The timers of scheduled actions."""

LETTER: Final = "schedule"
"""Their dead letters."""

MOST_ATTEMPTS: Final = 8
"""How often a scheduled action is tried."""

LONGEST_PAUSE: Final = 3600.0


@frozen
class Planned:
    """What a scheduled action's timer says.

    Attributes:
        action: the action's name on the wire.
        args: its arguments, as plain values.
        run_at: when it was due first, in Unix seconds.
        attempts: how often it has failed.
    """

    action: str
    args: list[object]
    run_at: float
    attempts: int = 0

    def timer(self, schedule_id: str, at: float) -> Timer:
        """Return the timer that says so."""
        data = [self.action, tag(self.args, JSON), milliseconds(self.run_at), self.attempts]
        return Timer(at, KIND, schedule_id, json.dumps(data, separators=(",", ":")).encode())

    @classmethod
    def read(cls, timer: Timer) -> Planned:
        """Read it back."""
        action, args, run_at, attempts = json.loads(timer.data)
        return cls(action, cast("list[object]", untag(args)), run_at / 1000, attempts)


def schedule_id(at: float, random: bytes) -> str:
    """Return an id that says when the schedule is due: a UUID of version 7."""
    number = min(milliseconds(at), (1 << 48) - 1) << 80 | int.from_bytes(random, "big")
    return str(uuid.UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


def due_of(schedule_id: str) -> float | None:
    """Return when a schedule was due first, as its id says; ``None`` for what is no id."""
    try:
        return (uuid.UUID(schedule_id).int >> 80) / 1000
    except ValueError:
        return None


class Quota(Part):
    """Counts what an actor has planned, schedules and recurring jobs together."""

    __slots__ = ("_change",)

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._change = 0

    def take(self) -> None:
        """Count one more.

        Raises:
            ActorError: ``schedule.max_schedules_exceeded``.
        """
        most = self.turn.definition.options.max_schedules
        if self.count >= most:
            raise errors.ActorError(
                "schedule",
                "max_schedules_exceeded",
                f"The actor has {most} schedules and recurring jobs; it can have no more.",
            )
        self._change += 1

    def give_back(self) -> None:
        """Count one less."""
        self._change -= 1

    @property
    def count(self) -> int:
        """How many there are, as this turn sees it."""
        turn = self.turn
        stored = 0 if turn.creation is not None else turn.cell.counter("schedules")
        return stored + self._change

    def contribute(self, changes: Changes) -> Changes:
        if not self._change:
            return changes
        return replace(changes, counters={**changes.counters, "schedules": self._change})

    def savepoint(self) -> Callable[[], None]:
        before = self._change

        def undo() -> None:
            self._change = before

        return undo

    def committed(self) -> None:
        self._change = 0


class Schedules(SchedulePort):
    """The scheduled actions, as one run of a turn sees them. All it keeps is timers."""

    __slots__ = ("_turn",)

    def __init__(self, turn: ActorTurn) -> None:
        self._turn = turn

    @property
    def definition(self) -> ActorDefinition:
        return self._turn.definition

    def now(self) -> float:
        return self._turn.runtime.clock.now()

    def add(self, at: float, action: str, args: Sequence[object]) -> str:
        self._turn.part(Quota).take()
        at = rounded(at)
        new_id = schedule_id(at, self._turn.runtime.random_bytes(10))
        self._turn.part(Timers).add(Planned(action, list(args), at).timer(new_id, at))
        return new_id

    def put_back(self, letter: Letter) -> None:
        """Schedule at once what was given up."""
        body = cast("dict[str, Any]", letter.body)
        self._turn.part(Quota).take()
        planned = Planned(body["action"], body["args"], body["run_at"])
        self._turn.part(Timers).add(planned.timer(letter.source, rounded(self.now())))

    async def get(self, schedule_id: str) -> ScheduledAction | None:
        timer = await self._find(schedule_id)
        return None if timer is None else _shown(timer)

    async def all(self) -> list[ScheduledAction]:
        timers = await self._turn.part(Timers).between(b"", None, limit=None)
        return [_shown(timer) for timer in timers if timer.kind == KIND]

    async def cancel(self, schedule_id: str) -> bool:
        timer = await self._find(schedule_id)
        if timer is None:
            return False
        self._turn.part(Timers).remove(timer)
        self._turn.part(Quota).give_back()
        return True

    async def _find(self, schedule_id: str) -> Timer | None:
        due = due_of(schedule_id)
        if due is None:
            return None
        timers = self._turn.part(Timers)
        key = Timer(due, KIND, schedule_id).key
        found = await timers.between(key, key + b"\0", limit=1)
        if not found and due <= self.now():
            # It may have failed, and then it is due later than its id says.
            every = await timers.between(key, None, limit=None)
            found = [timer for timer in every if (timer.kind, timer.id) == (KIND, schedule_id)]
        return found[0] if found else None


def _shown(timer: Timer) -> ScheduledAction:
    planned = Planned.read(timer)
    args = tuple(planned.args)
    return ScheduledAction(timer.id, planned.action, args, instant(timer.at), planned.attempts)


def _replay(turn: ActorTurn, letter: Letter) -> None:
    Schedules(turn).put_back(letter)


class ScheduleRunner:
    """Runs scheduled actions that are due. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.waking.on_timer(KIND, self.fire)
        runtime.dead.handle(LETTER, _replay)

    async def fire(self, firing: Firing) -> None:
        """Run an action once; its timer goes with the commit of what it does."""
        runtime, timer = self._runtime, firing.timer
        planned = Planned.read(timer)
        # The clock said that it was due; it may have been put back since.
        fired_at = max(runtime.clock.now(), planned.run_at)
        fire = FireInfo("at", timer.id, None, instant(planned.run_at), instant(fired_at))

        async def claim(turn: ActorTurn) -> bool:
            timers = turn.part(Timers)
            timers.know(firing.front)
            if not await timers.take(timer):
                return False  # it was cancelled, or another process was here
            turn.part(Quota).give_back()
            return True

        try:
            job = runtime.actions.own_job(
                firing.head,
                planned.action,
                planned.args,
                fire,
                claim,
                turn_id=digest("schedule", firing.head.actor_id, timer.id),
                wake=firing.wake,
            )
        except errors.ActorError as error:
            await self._failed(firing, planned, error, None)
            return
        try:
            await runtime.execution.run(ById(None, firing.head.actor_id), job)
        except Exception as error:
            await self._failed(firing, planned, error, job)

    async def _failed(
        self, firing: Firing, planned: Planned, error: Exception, job: Job | None
    ) -> None:
        """Try again later, or give up: at once if the action was never begun (``job`` is None)."""
        runtime, timer, head = self._runtime, firing.timer, firing.head
        attempts = planned.attempts + 1
        begun = job is not None and job.checkpoints > 0
        over = job is None or begun or attempts >= MOST_ATTEMPTS

        async def body(turn: ActorTurn) -> None:
            timers = turn.part(Timers)
            held = await timers.take(timer)
            if not held and not begun:
                return
            if not over:
                pause = min(4.0 ** (attempts - 1), LONGEST_PAUSE)
                again = rounded(runtime.clock.now() + pause)
                timers.add(replace(planned, attempts=attempts).timer(timer.id, again))
                return
            if held:
                turn.part(Quota).give_back()
            turn.part(Letters).add(
                Letter(
                    kind=LETTER,
                    source=timer.id,
                    at=rounded(runtime.clock.now()),
                    attempts=attempts,
                    failure=failure_of(error),
                    body={
                        "action": planned.action,
                        "args": planned.args,
                        "run_at": planned.run_at,
                    },
                )
            )

        definition = runtime.definitions[head.address.name]
        deadline = runtime.deadline(definition)
        hops = firing.wake.hops
        failed = Job(definition, body, label="schedule failed", deadline=deadline, hops=hops)
        try:
            await runtime.execution.run(ById(None, head.actor_id), failed)
        except errors.ActorError as reason:
            if reason.name != "actor.not_found":
                raise
            return  # it is the actor itself that is gone
        runtime.log.warning(
            "the scheduled action `%s` of %s failed; it %s",
            planned.action,
            head.address,
            "is a dead letter now" if over else "is tried again",
            exc_info=error,
        )
