"""Mistakes with time: schedules, recurring jobs, alarms, leases of the sweeper."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from rivetless import errors
from rivetless.actor.schedule import FireInfo, instant
from rivetless.runtime import waking
from rivetless.runtime.alarms import Alarms
from rivetless.runtime.commands import ById
from rivetless.runtime.cron import CronRunner, Crons
from rivetless.runtime.job import Job, digest
from rivetless.runtime.recurring import Recurring
from rivetless.runtime.schedules import Planned, Quota, ScheduleRunner
from rivetless.runtime.timers import Timer, Timers, due_until
from rivetless.store.base import KEEP, Changes, Head
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.runtime.ports import Ring
    from rivetless.runtime.turn import ActorTurn
    from rivetless.runtime.waking import Firing

Plant = AbstractContextManager[None]


# -- schedules -----------------------------------------------------------------------------------


async def _remove(runner: ScheduleRunner, firing: Firing) -> bool:
    """Remove a schedule in a turn of its own; say whether it was there."""
    runtime, head = runner._runtime, firing.head

    async def body(turn: ActorTurn) -> bool:
        if not await turn.part(Timers).take(firing.timer):
            return False
        turn.part(Quota).give_back()
        return True

    definition = runtime.definitions[head.address.name]
    job = Job(definition, body, label="schedule", deadline=runtime.deadline(definition))
    return bool(await runtime.execution.run(ById(None, head.actor_id), job))


async def _act(runner: ScheduleRunner, firing: Firing, *, ask: bool) -> None:
    """Run a schedule's action without removing the schedule; ``ask`` whether it is still there."""
    runtime, timer = runner._runtime, firing.timer
    planned = Planned.read(timer)
    fire = FireInfo("at", timer.id, None, instant(planned.run_at), instant(runtime.clock.now()))

    async def claim(turn: ActorTurn) -> bool:
        return not ask or await turn.part(Timers).holds(timer)

    job = runtime.actions.own_job(
        firing.head,
        planned.action,
        planned.args,
        fire,
        claim,
        turn_id=digest("schedule", firing.head.actor_id, timer.id),
        wake=firing.wake,
    )
    try:
        await runtime.execution.run(ById(None, firing.head.actor_id), job)
    except Exception as error:
        await runner._failed(firing, planned, error, job)


@mutant(
    "A scheduled action is removed when it has run, by a commit of its own.",
    features=("schedules",),
)
def schedule_removed_afterwards() -> Plant:
    async def wrong(self: ScheduleRunner, firing: Firing) -> None:
        await _act(self, firing, ask=True)
        await _remove(self, firing)

    return replaced(ScheduleRunner, "fire", wrong)


@mutant(
    "A scheduled action is removed before it runs, by a commit of its own.",
    features=("schedules",),
)
def schedule_removed_beforehand() -> Plant:
    async def wrong(self: ScheduleRunner, firing: Firing) -> None:
        if await _remove(self, firing):
            await _act(self, firing, ask=False)

    return replaced(ScheduleRunner, "fire", wrong)


@mutant(
    "A schedule that two processes come upon is not looked for again in the turn that runs it.",
    features=("schedules",),
)
def schedule_not_looked_for() -> Plant:
    async def wrong(self: Timers, timer: Timer) -> bool:
        self.remove(timer)
        return True

    return replaced(Timers, "take", wrong)


@mutant("A schedule that fails is not tried again if its store was away.", features=("schedules",))
def schedule_lost_with_the_store() -> Plant:
    right = ScheduleRunner._failed

    async def wrong(
        self: ScheduleRunner, firing: Firing, planned: Planned, error: Exception, job: Job | None
    ) -> None:
        if isinstance(error, errors.ActorError) and error.name == "guard.service_unavailable":
            await _remove(self, firing)
            return
        await right(self, firing, planned, error, job)

    return replaced(ScheduleRunner, "_failed", wrong)


# -- alarms --------------------------------------------------------------------------------------


@mutant(
    "A timer that changes nothing about the alarm moves no version.",
    features=("schedules", "concurrency"),
)
def timer_behind_alarm_unversioned() -> Plant:
    right = Timers._rearm

    def wrong(self: Timers, changes: Changes, alarm: float | None) -> Changes:
        rearmed = right(self, changes, alarm)
        return replace(rearmed, touch=changes.touch) if rearmed.alarm is KEEP else rearmed

    return replaced(Timers, "_rearm", wrong)


@mutant(
    "Where a timer goes and another comes, the alarm is the next of those that were there.",
    features=("schedules",),
)
def alarm_forgets_the_new_timer() -> Plant:
    right = Timers._rearm

    def wrong(self: Timers, changes: Changes, alarm: float | None) -> Changes:
        if self._added and self._removed and self._front is not None:
            left = [timer.at for timer in self._front if timer.key not in self._removed]
            if left:
                return right(self, changes, left[0])
        return right(self, changes, alarm)

    return replaced(Timers, "_rearm", wrong)


@mutant("The alarm is that of the timer set last.", features=("schedules",))
def alarm_is_the_last_timer() -> Plant:
    right = Timers._rearm

    def wrong(self: Timers, changes: Changes, alarm: float | None) -> Changes:
        if self._added and not self._removed:
            alarm = min(timer.at for timer in self._added.values())
        return right(self, changes, alarm)

    return replaced(Timers, "_rearm", wrong)


@mutant(
    "A wake for something else fires what is due within half a minute.", features=("schedules",)
)
def timers_fire_early() -> Plant:
    def wrong(now: float) -> bytes:
        return due_until(now + 30.0)

    return replaced(waking, "due_until", wrong)


@mutant(
    "An alarm that says it is armed is left to whoever has armed it.",
    features=("schedules", "deaths"),
)
def armed_alarm_is_trusted() -> Plant:
    right = Alarms.overdue

    def wrong(self: Alarms, head: Head) -> Ring | None:
        return None if head.armed_until is not None else right(self, head)

    return replaced(Alarms, "overdue", wrong)


# -- recurring jobs ------------------------------------------------------------------------------


@mutant("A recurring job moves on to its next time when its run ends.", features=("cron", "deaths"))
def cron_moves_on_afterwards() -> Plant:
    right = Crons.begin

    def wrong(self: Crons, job: Recurring, until: float) -> Recurring:
        return replace(right(self, job, until), next_at=job.next_at)

    return replaced(Crons, "begin", wrong)


@mutant(
    "A run of a recurring job that counts as dead goes on all the same.",
    features=("cron", "freezes"),
)
def dead_cron_run_goes_on() -> Plant:
    async def wrong(self: CronRunner, turn: ActorTurn, begun: Recurring) -> Recurring | None:
        job = await turn.part(Crons).job(begun.name)
        return replace(job, running=begun.running) if job is not None else None

    return replaced(CronRunner, "_find", wrong)


@mutant("The next time of a recurring job is reckoned from when it ran.", features=("cron",))
def cron_drifts() -> Plant:
    from rivetless.actor.cadence import IntervalCadence

    right = Crons.begin

    def wrong(self: Crons, job: Recurring, until: float) -> Recurring:
        begun = right(self, job, until)
        if not isinstance(job.cadence, IntervalCadence) or begun.last_at is None:
            return begun
        late = begun.last_at - job.next_at
        if late < 1.0:
            return begun
        return replace(begun, next_at=begun.last_at + job.cadence.interval)

    return replaced(Crons, "begin", wrong)
