"""``self.cron`` within a turn, and what becomes of a recurring job when it is due.

A job is one record, with one timer. When it is due, a first commit moves the job on to its next
time, writes down that a run has begun, and sets the timer to the moment from which that run counts
as dead; the commit of what the action does ends it. A run whose process died is found by that
timer. While a run lasts nothing else of the job changes, so a long run meets no conflict with its
own successors: those it was too long for are written down as skipped when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from rivetless import errors
from rivetless.actor.cadence import Cadence, CronCadence, IntervalCadence
from rivetless.actor.cron import CronJob, CronPort, CronRun
from rivetless.actor.schedule import FireInfo, instant
from rivetless.frozen import frozen
from rivetless.runtime.commands import ById
from rivetless.runtime.dead import Failure, failure_of
from rivetless.runtime.job import Job, digest
from rivetless.runtime.parts import Part
from rivetless.runtime.recurring import KIND, Recurring, Run, Running, row_key, rows_end
from rivetless.runtime.schedules import Quota
from rivetless.runtime.timers import Timer, Timers, milliseconds, rounded
from rivetless.store.base import Changes, Collection, Record, RecordKey

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn
    from rivetless.runtime.waking import Firing

T = TypeVar("T")

PURGE: Final = "h"
"""The timers that clear away the history of jobs that are gone."""

ALL_HISTORY: Final = 10_000
"""How many runs an actor remembers in all."""

ROWS: Final = 20
"""How many rows of history one commit writes or removes besides what it is about."""

REPRIEVE: Final = 20.0
"""Seconds beyond an action's time after which its run counts as dead."""


@frozen
class Wish:
    """What ``set`` or ``every`` asked for."""

    cadence: Cadence
    action: str
    args: list[object]
    max_history: int


class Crons(Part, CronPort):
    """The recurring jobs, as one run of a turn sees them."""

    __slots__ = ("_changed", "_gone", "_rows", "_stored", "_wishes")

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._stored: dict[str, Recurring | None] = {}
        self._changed: dict[str, Recurring | None] = {}
        # What was asked for by a plain call, which could not look at what there is.
        self._wishes: dict[str, Wish | None] = {}
        self._rows: dict[bytes, Record] = {}
        self._gone: set[bytes] = set()

    @property
    def definition(self) -> ActorDefinition:
        return self.turn.definition

    def now(self) -> float:
        return self.turn.runtime.clock.now()

    # -- what a turn asks for ---------------------------------------------------------------------

    def put(
        self, name: str, cadence: Cadence, action: str, args: Sequence[object], max_history: int
    ) -> None:
        self.turn.check_may_read_later("cron.set")
        self._wishes[name] = Wish(cadence, action, list(args), max_history)

    def delete(self, name: str) -> None:
        self.turn.check_may_read_later("cron.delete")
        self._wishes[name] = None

    async def get(self, name: str) -> CronJob | None:
        job = await self.job(name)
        return None if job is None else job.shown()

    async def all(self) -> list[CronJob]:
        for record in await self.stored(Collection.CRON):
            job = Recurring.read(record)
            self._stored.setdefault(job.name, job)
        for name in list(self._wishes):
            await self._fulfil(name)
        jobs = {**self._stored, **self._changed}
        return [job.shown() for _, job in sorted(jobs.items()) if job is not None]

    async def history(self, name: str, limit: int) -> list[CronRun]:
        job = await self.job(name)
        if job is None or not job.max_history:
            return []
        limit = min(limit, job.max_history)
        start = row_key(job.uid, job.oldest)
        records = await self.stored(
            Collection.HISTORY, start=start, end=rows_end(job.uid), limit=limit, reverse=True
        )
        runs = [Run.read(record) for record in records]
        if job.running is not None:
            skipped = (Run("skipped", at, at) for at in job.missed(self.now(), ROWS))
            runs = [*reversed(list(skipped)), *runs]
        return [run.shown() for run in runs[:limit]]

    # -- jobs -------------------------------------------------------------------------------------

    async def job(self, name: str) -> Recurring | None:
        """Return a job as this turn sees it."""
        await self._fulfil(name)
        return self._changed[name] if name in self._changed else self._stored[name]

    async def _fulfil(self, name: str) -> None:
        """Do what was asked for a job, now that it can be looked at."""
        if name not in self._stored:
            key = name.encode()
            found = await self.stored(Collection.CRON, start=key, end=key + b"\0", limit=1)
            self._stored[name] = Recurring.read(found[0]) if found else None
        if name not in self._wishes:
            return
        old = self._changed[name] if name in self._changed else self._stored[name]
        wish = self._wishes.pop(name)
        new = None if wish is None else self._granted(name, wish, old)
        if new != old:  # what is set anew at each wake costs no commit
            self.change(old, new)

    def _granted(self, name: str, wish: Wish, old: Recurring | None) -> Recurring:
        now = self.now()
        if old is None:
            uid = self.turn.runtime.random_bytes(8).hex()
            next_at = rounded(wish.cadence.after(now))
            args, history = wish.args, wish.max_history
            return Recurring(name, uid, wish.cadence, wish.action, args, history, next_at)
        new = replace(old, action=wish.action, args=wish.args, max_history=wish.max_history)
        if _same(old.cadence, wish.cadence):
            return new
        return replace(new, cadence=wish.cadence, next_at=rounded(wish.cadence.after(now)))

    def change(self, old: Recurring | None, new: Recurring | None) -> None:
        """Write down what has become of a job, and keep its timer in step.

        Raises:
            ActorError: ``schedule.max_schedules_exceeded``.
        """
        if old is None and new is None:
            return
        timers, quota = self.turn.part(Timers), self.turn.part(Quota)
        if old is None:
            quota.take()
        else:
            if new is None:
                quota.give_back()
            if new is None or new.timer != old.timer:
                timers.remove(old.timer)
            new = self._forget_rows(old, new)
        if new is not None and (old is None or new.timer != old.timer):
            timers.add(new.timer, quiet=new.running is not None)
        for job in (old, new):
            if job is not None:
                self._changed[job.name] = new

    def _forget_rows(self, old: Recurring, new: Recurring | None) -> Recurring | None:
        """Remove rows of history beyond what a job remembers; the many, bit by bit."""
        kept = 0
        if new is not None and new.max_history:
            share = ALL_HISTORY // max(self.turn.part(Quota).count, 1)
            kept = min(new.max_history, max(share, 1))
        last = old.seq if new is None else new.seq
        oldest = max(old.oldest, last - kept + 1)
        if new is not None and new.running is not None:
            oldest = min(oldest, new.running.seq)
        if oldest - old.oldest > ROWS:
            at = rounded(self.now())
            self.turn.part(Timers).add(Timer(at, PURGE, old.uid, oldest.to_bytes(8, "big")))
        else:
            self._gone.update(row_key(old.uid, seq) for seq in range(old.oldest, oldest))
        return None if new is None else replace(new, oldest=oldest)

    # -- runs -------------------------------------------------------------------------------------

    def begin(self, job: Recurring, until: float) -> Recurring:
        """Note that a run has begun; return the job with it."""
        now = rounded(self.now())
        seq = job.seq + 1 if job.max_history else job.seq
        running = Running(seq, job.next_at, now, rounded(until))
        self._row(job, seq, Run("running", running.scheduled_at, now))
        next_at = rounded(job.cadence.after(now))
        return replace(job, seq=seq, running=running, last_at=now, next_at=next_at)

    def end(self, job: Recurring, failure: Failure | None) -> Recurring:
        """Note that the run under way is over; return the job without it."""
        running = job.running
        assert running is not None, "no run is under way"
        result: Literal["ok", "error"] = "ok" if failure is None else "error"
        # The clock may have been put back since it began.
        ended = max(rounded(self.now()), running.fired_at)
        row = Run(result, running.scheduled_at, running.fired_at, ended, failure)
        self._row(job, running.seq, row)
        return replace(job, running=None)

    def skip_missed(self, job: Recurring) -> Recurring:
        """Note what was not run because the run before was not over."""
        now = self.now()
        seq = job.seq
        missed = job.missed(now, ROWS)
        if not missed:
            return job
        if job.max_history:
            for at in missed:
                seq += 1
                self._row(job, seq, Run("skipped", at, at))
        return replace(job, seq=seq, next_at=rounded(job.cadence.after(now)))

    def _row(self, job: Recurring, seq: int, run: Run) -> None:
        if job.max_history:
            record = run.record(job.uid, seq)
            self._rows[record.key] = record

    # -- the commit -------------------------------------------------------------------------------

    async def prepare(self) -> None:
        for name in list(self._wishes):
            await self._fulfil(name)
        if self._changed:
            await self.turn.part(Timers).prepare()

    def contribute(self, changes: Changes) -> Changes:
        if not (self._wishes or self._changed):
            return changes
        jobs = self._changed.items()
        return replace(
            changes,
            touch=True,
            puts=(
                *changes.puts,
                *(job.record() for _, job in jobs if job is not None),
                *(row for key, row in self._rows.items() if key not in self._gone),
            ),
            deletes=(
                *changes.deletes,
                *(RecordKey(Collection.CRON, name.encode()) for name, job in jobs if job is None),
                *(RecordKey(Collection.HISTORY, key) for key in sorted(self._gone)),
            ),
        )

    def savepoint(self) -> Callable[[], None]:
        changed, wishes = dict(self._changed), dict(self._wishes)
        rows, gone = dict(self._rows), set(self._gone)

        def undo() -> None:
            self._changed, self._wishes = changed, wishes
            self._rows, self._gone = rows, gone

        return undo

    def committed(self) -> None:
        self._stored = {}
        self._changed, self._wishes, self._rows, self._gone = {}, {}, {}, set()


def _same(old: Cadence, new: Cadence) -> bool:
    """Whether two cadences are one; the anchor of an interval is not what was asked for."""
    if isinstance(old, IntervalCadence) and isinstance(new, IntervalCadence):
        return milliseconds(old.interval) == milliseconds(new.interval)
    return isinstance(old, CronCadence) and old == new


class CronRunner:
    """Runs recurring jobs that are due. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.waking.on_timer(KIND, self.fire)
        runtime.waking.on_timer(PURGE, self.purge)

    async def fire(self, firing: Firing) -> None:
        """Begin a run, and run it."""
        job = await self._begin(firing)
        if job is None or (running := job.running) is None:
            return
        runtime, head = self._runtime, firing.head
        kind: Literal["cron", "every"] = "cron" if isinstance(job.cadence, CronCadence) else "every"
        scheduled_at, fired_at = instant(running.scheduled_at), instant(running.fired_at)
        fire = FireInfo(kind, job.name, job.name, scheduled_at, fired_at)

        async def claim(turn: ActorTurn) -> bool:
            if await self._find(turn, job) is None:
                raise _interrupted()
            return True

        async def finish(turn: ActorTurn) -> None:
            crons = turn.part(Crons)
            now = await self._find(turn, job)
            if now is not None:  # the action may have deleted the job
                crons.change(now, crons.skip_missed(crons.end(now, None)))

        try:
            work = runtime.actions.own_job(
                head,
                job.action,
                job.args,
                fire,
                claim,
                finish,
                turn_id=digest("cron", job.uid, str(milliseconds(running.scheduled_at))),
                wake=firing.wake,
            )
        except errors.ActorError as error:
            await self._failed(firing, job, error, missing=error.code == "action_not_found")
            return
        try:
            await runtime.execution.run(ById(None, head.actor_id), work)
        except Exception as error:
            await self._failed(firing, job, error)

    async def _begin(self, firing: Firing) -> Recurring | None:
        """Commit that a run has begun; ``None`` if there is nothing to run."""
        runtime, timer = self._runtime, firing.timer

        async def body(turn: ActorTurn) -> Recurring | None:
            timers, crons = turn.part(Timers), turn.part(Crons)
            if not await timers.holds(timer):
                return None
            old = await crons.job(timer.id)
            if old is None or old.timer.key != timer.key:
                timers.remove(timer)
                return None
            job = old
            if job.running is not None:
                job = crons.end(job, failure_of(_interrupted()))
            now = runtime.clock.now()
            if job.next_at <= now:
                action = turn.definition.find_action(job.action)
                own = None if action is None else action.timeout
                limit = own or turn.definition.options.action_timeout
                job = crons.begin(job, now + limit + REPRIEVE)
            crons.change(old, job)
            return job

        job: Recurring | None = await self._run(firing, "cron", body)
        return job

    async def _failed(
        self, firing: Firing, job: Recurring, error: Exception, *, missing: bool = False
    ) -> None:
        """Commit that a run has failed; a job whose action is gone goes too."""
        runtime = self._runtime
        runtime.log.warning("job `%s` of %s failed", job.name, firing.head.address, exc_info=error)

        async def body(turn: ActorTurn) -> None:
            crons = turn.part(Crons)
            now = await self._find(turn, job)
            if now is None:
                return
            if missing and now.action == job.action:
                crons.change(now, None)
            else:
                crons.change(now, crons.skip_missed(crons.end(now, failure_of(error))))

        await self._run(firing, "cron failed", body)

    async def _find(self, turn: ActorTurn, begun: Recurring) -> Recurring | None:
        """Return the job as it is now, if the run that has begun is still its present one."""
        job = await turn.part(Crons).job(begun.name)
        same = job is not None and (job.uid, job.running) == (begun.uid, begun.running)
        return job if same else None

    async def purge(self, firing: Firing) -> None:
        """Remove some rows of history that nobody can see any more."""
        timer = firing.timer

        async def body(turn: ActorTurn) -> None:
            timers, crons = turn.part(Timers), turn.part(Crons)
            if not await timers.take(timer):
                return
            end = row_key(timer.id, int.from_bytes(timer.data, "big"))
            rows = await crons.stored(
                Collection.HISTORY, start=timer.id.encode(), end=end, limit=2 * ROWS
            )
            turn.deletes.extend(RecordKey(Collection.HISTORY, row.key) for row in rows)
            if len(rows) == 2 * ROWS:
                timers.add(replace(timer, at=rounded(self._runtime.clock.now() + 1)))

        await self._run(firing, "cron history", body)

    async def _run(
        self, firing: Firing, label: str, body: Callable[[ActorTurn], Coroutine[Any, Any, T]]
    ) -> T | None:
        runtime, head = self._runtime, firing.head
        definition = runtime.definitions[head.address.name]
        deadline = runtime.deadline(definition, firing.wake.deadline)
        job = Job(definition, body, label=label, deadline=deadline, hops=firing.wake.hops)
        try:
            result: T = await runtime.execution.run(ById(None, head.actor_id), job)
        except errors.ActorError as error:
            if error.name != "actor.not_found":
                raise
            return None
        return result


def _interrupted() -> errors.ActorError:
    message = "The run was interrupted: its process ended, or it took too long."
    return errors.ActorError("schedule", "interrupted", message)
