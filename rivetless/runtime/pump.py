"""``run`` as a pump: started when there is something for it, and left when there is not.

In a process that stays, ``run`` waits for messages in memory until the actor sleeps. In one that
does not, each wake runs a slice of it: until it waits for a message that is not there, or the
host's time is over. It always begins at its top, as after any wake; what it had committed stays.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.clock import sleep
from rivetless.runtime.claim import LATER, Claim
from rivetless.runtime.commands import ById
from rivetless.runtime.execution import PASSING
from rivetless.runtime.job import Job
from rivetless.runtime.messages import MARK, unmark
from rivetless.runtime.ports import Ring
from rivetless.runtime.running import RunTurn
from rivetless.runtime.steps import Step, Superseded, tick
from rivetless.store.base import Collection, Duplicate, StoreError
from rivetless.workflow.declare import workflow_of

if TYPE_CHECKING:
    from rivetless.clock import Timer
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.claim import Owner
    from rivetless.runtime.commands import Wake
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.tenure import Tenure
    from rivetless.runtime.turn import ActorTurn

PATIENCE: Final = 24 * 3600.0
"""Seconds that a unit may take in a process that stays."""

MARGIN: Final = 2.0
"""Seconds before the host's deadline at which a slice is asked to stop."""

MOST: Final = 0.9
"""The part of a slice's time that is as good as all of it."""

BARREN: Final = 5
"""Hops that a slice counts for which has done nothing: after three in a row it is left."""

QUIET: Final = 5.0
"""Seconds of an empty queue after which the note of its messages is taken back."""

PAUSES: Final = (1.0, 60.0)
"""Bounds, in seconds, of the pause before ``run`` is begun again after a failure."""


class End(enum.Enum):
    """How a slice of ``run`` has ended.

    ``PARKED``: it waits for a message. ``STOPPED``: it was asked to stop. ``RETURNED``: it has come
    to its end. ``FAILED``: it has raised something. ``CONFLICT``: somebody was faster.
    ``ELSEWHERE``: another process runs it.
    """

    PARKED = "parked"
    STOPPED = "stopped"
    RETURNED = "returned"
    FAILED = "failed"
    CONFLICT = "conflict"
    ELSEWHERE = "elsewhere"


class Pump:
    """Runs ``run`` of one actor in this process, again and again until it is left.

    Args:
        runtime: the process.
        cell: the actor.
        wake: the wake whose host's time bounds it; ``None`` in a process that stays.

    Attributes:
        rival: the process that runs the loop, where that is another one.
        undecided: whether it is not known yet which process runs the loop.
        has_mail: whether messages were sent meanwhile.
        cut_off: whether it was cancelled because its actor sleeps.
        longest: seconds that any slice has here; ``None`` where nobody knows.
        again_at: when it is to be begun again, if that is known.
        task: its work, in a process that stays.
        careful: how many steps of a workflow are not to be built on before they are durable.
        outside: the causes of steps that have reached outside, and were not committed.
    """

    def __init__(self, runtime: Runtime, cell: Cell, wake: Wake | None = None) -> None:
        self._runtime = runtime
        self._cell = cell
        self._actor_id = cell.actor_id
        self._wake = wake
        deadline = None if wake is None else wake.deadline
        self._stop_at = None if deadline is None else deadline - MARGIN
        longest = None if wake is None else wake.longest
        self.longest = None if longest is None else max(longest - MARGIN, 0.0)
        self._turn: RunTurn | None = None
        self._tenure: Tenure | None = None
        self._failures = 0
        self.again_at: float | None = None
        self._progressed = False
        self._quiet_at: float | None = None
        self._hurry = False
        self.rival: Owner | None = None
        self.undecided = True
        self.cut_off = False
        self.has_mail = False
        self.task: asyncio.Task[End] | None = None
        self.careful = 0
        self.outside: set[str] = set()

    @property
    def patience(self) -> float:
        """Seconds that a unit may take from now on."""
        if self._stop_at is None:
            return PATIENCE
        return max(self._stop_at + MARGIN - self._runtime.clock.now(), 0.0)

    @property
    def stays(self) -> bool:
        """Whether it waits for messages in memory, in a process that stays."""
        return self._wake is None

    @property
    def left(self) -> float | None:
        """Seconds that the slice has, if that is about all that any has."""
        if self._stop_at is None or self.longest is None:
            return None
        left = self._stop_at - self._runtime.clock.now()
        return left if left >= MOST * self.longest else None

    async def work(self) -> End:
        """Run until there is nothing more to do here for now."""
        runtime, cell = self._runtime, self._cell
        claim = Claim(runtime, cell, self._overtaken)
        cell.running += 1
        try:
            try:
                owner = await claim.take()
            finally:
                self.undecided = False
            if owner is not None:
                return self._leave_to(owner)
            try:
                return await self._until_left()
            except asyncio.CancelledError:
                if not self.cut_off:
                    claim.abandon()  # the process ends as if it died: nothing more is written
                raise
            finally:
                await claim.release()
        except (StoreError, errors.ActorError) as error:
            if not isinstance(error, errors.ActorError) or _passing(error):
                self.again_at = runtime.clock.now() + PAUSES[0]
            elif error.name == "actor.not_found":
                return End.STOPPED
            runtime.log.warning("`run` of %s could not be begun", cell.address, exc_info=True)
            return End.STOPPED
        finally:
            cell.running -= 1
            cell.pump = None
            runtime.cells.used(cell)
            tenure = self._tenure
            if tenure is not None and cell.tenure is not tenure and cell.awake:
                runtime.pumps.start(cell)  # it was woken while this one came to its end
            elif runtime.workflows.has_mail(cell, cell.tenure.workflow):
                runtime.pumps.arrived(cell)

    def _leave_to(self, owner: Owner) -> End:
        """Another process runs the loop."""
        now = self._runtime.clock.now()
        self.rival = owner
        self.again_at = now if self._hurry else max(owner.until, now) + LATER
        if self.has_mail:
            self._runtime.hints.messages(self._cell, self._actor_id)
        return End.ELSEWHERE

    def _overtaken(self, owner: Owner) -> None:
        """Another process has begun to run the loop, because this one was frozen."""
        self.rival = owner
        if self._turn is not None:
            self._turn.abort.fire("overtaken")

    def hurry(self) -> bool:
        """The claim may be free: do not wait any longer. Say whether it is over already."""
        self._hurry = True
        return self.rival is not None and self.task is not None and self.task.done()

    async def _until_left(self) -> End:
        job = Job(
            self._cell.definition,
            _nothing,
            label="run",
            deadline=self._runtime.clock.now() + self.patience,
            hops=self.hops,
        )
        troubles = 0
        while True:
            try:
                end = await self._once(job)
            except (StoreError, errors.ActorError) as error:
                if isinstance(error, errors.ActorError) and not _passing(error):
                    raise
                # The store is away: nothing can be said or done until it is back.
                troubles += 1
                self._runtime.log.warning("`run` of %s waits", self._cell.address, exc_info=True)
                if self._wake is not None:
                    return End.FAILED
                await self._pause(min(PAUSES[0] * 2.0**troubles, PAUSES[1]))
                continue
            if self.rival is not None:
                return self._leave_to(self.rival)
            if end is not End.CONFLICT:
                return end
            if self._over or (self._tenure is not None and self._tenure.stopped):
                return End.STOPPED

    @property
    def _over(self) -> bool:
        return self._stop_at is not None and self._runtime.clock.now() >= self._stop_at

    async def _pause(self, seconds: float) -> None:
        self._cell.running -= 1
        try:
            await sleep(self._runtime.clock, seconds)
        finally:
            self._cell.running += 1

    async def _once(self, job: Job) -> End:
        """Run it once from its top."""
        runtime, cell = self._runtime, self._cell
        job.started = tick()
        try:
            await runtime.execution.enter(cell, ById(None, self._actor_id), job)
        except BaseException as error:
            # It may hold the actor already, and others must not wait for what does not run.
            runtime.execution.leave(cell, job)
            if not isinstance(error, Superseded):
                raise
            await runtime.execution.after_conflict(job, error)
            return End.CONFLICT
        self._turn = turn = RunTurn(runtime, cell, job, self)
        self._tenure = turn.tenure
        timer = self._watch(turn)
        try:
            try:
                await self._drive(turn)
                # A loop over a queue just ends when it is aborted.
                end = _aborted(turn) if turn.abort.aborted else End.RETURNED
            except errors.ActorAborted:
                end = _aborted(turn)
            await turn.commit_unit(wait=True)
        except errors.ActorAborted:
            return End.STOPPED  # it has destroyed itself
        except Superseded as lost:
            return await self._lost(turn, lost)
        except Exception as error:
            try:
                await self._failed(turn, error)
            except Superseded as lost:
                return await self._lost(turn, lost)
            return End.FAILED
        else:
            return end
        finally:
            self._progressed = self._progressed or turn.progressed
            if timer is not None:
                timer.cancel()
            runtime.execution.leave(cell, job)
            turn.end("ended")
            self._turn = None

    async def _lost(self, turn: RunTurn, lost: Superseded) -> End:
        """Somebody was faster: begin it again at its top."""
        turn.end("restarted")
        await self._runtime.execution.after_conflict(turn.job, lost)
        return End.CONFLICT

    async def _drive(self, turn: RunTurn) -> None:
        workflow = workflow_of(turn.definition.cls)
        if workflow is not None:
            await self._runtime.workflows.go_on(turn, workflow)
        else:
            await turn.drive(_run(turn))

    def _watch(self, turn: RunTurn) -> Timer | None:
        """Have a slice asked to stop before its host's time is over."""
        if self._stop_at is None:
            return None
        left = self._stop_at - self._runtime.clock.now()
        return self._runtime.clock.call_later(max(left, 0.0), lambda: turn.abort.fire("deadline"))

    # -- waiting ----------------------------------------------------------------------------------

    async def park(self, wait: Callable[[], Awaitable[None]], seconds: float | None) -> None:
        """Let ``run`` wait for a message: in memory, or by leaving it."""
        runtime, cell, turn = self._runtime, self._cell, self._turn
        assert turn is not None
        if self._wake is not None:
            now = runtime.clock.now()
            until = None if seconds is None else now + seconds
            if until is None or (self._stop_at is not None and until > self._stop_at):
                self.again_at = until
                turn.abort.fire("parked")
                return
        cell.running -= 1
        runtime.cells.used(cell)
        now = runtime.clock.now()
        if self._quiet_at is None:
            self._quiet_at = now + QUIET
        timer = runtime.clock.call_later(max(self._quiet_at - now, 0.0), self._is_quiet)
        try:
            await wait()
        finally:
            timer.cancel()
            cell.running += 1

    def received(self) -> None:
        """The queue is not empty."""
        self._quiet_at = None

    def _is_quiet(self) -> None:
        self._quiet_at = self._runtime.clock.now() + PATIENCE
        self._runtime.begin(self._end_quietly())

    async def _end_quietly(self) -> None:
        """Take the note back; where something else was being written just then, a little later."""
        clock = self._runtime.clock
        if await self.take_back_mark() or self._quiet_at is None:
            return
        self._quiet_at = clock.now() + QUIET
        clock.call_later(QUIET, self._still_quiet)

    def _still_quiet(self) -> None:
        at = self._quiet_at
        if self._cell.pump is self and at is not None and at <= self._runtime.clock.now():
            self._is_quiet()

    async def take_back_mark(self, looked: int | None = None) -> bool:
        """Say in the head that no message waits for ``run``, unless one does; say whether.

        Args:
            looked: number of the last message that was there when the loop looked; by default it
                has seen all that this process knows of.
        """
        runtime, cell = self._runtime, self._cell
        if cell.head is None or (cell.known and MARK not in cell.head.outbox):
            return True
        if not cell.known:
            return False  # what the process knows of its messages is old
        last = cell.last_message if looked is None else looked
        if looked is None and not await self._has_seen(last):
            return False
        if cell.writing or not cell.known:
            return False  # there may be a message in what is being written
        if cell.inbox is not None:
            last = max(last, cell.inbox.last)
        step = Step(unmark(runtime.fresh_commit_id(), last), unseen=True)
        cell.stage(step)
        try:
            await step.done
        except (Superseded, Duplicate, errors.ActorError, StoreError):
            return False  # the note stays, and whoever finds it looks
        return True

    async def _has_seen(self, last: int) -> bool:
        """Whether no message waits that the loop has not come to look at.

        One that this process has sent is known to it before the loop is back from its wait: a timer
        may be quicker, above all where the process was frozen.
        """
        if self._cell.inbox is None or self._cell.inbox.last >= last:
            return True
        try:
            left = await self._runtime.store.records(self._actor_id, Collection.MESSAGE, limit=1)
        except StoreError:
            return False
        return not left

    # -- failures ---------------------------------------------------------------------------------

    async def _failed(self, turn: RunTurn, error: Exception) -> None:
        """Give back what the unit had received; give up what has failed too often.

        Raises:
            Superseded: it may have failed because of something old, which is no failure.
            StoreError: the store cannot say.
        """
        if workflow_of(turn.definition.cls) is None:  # the steps of a workflow are fenced by theirs
            await turn.check_failure()
        received = {m.number: m for m in (*turn.failing, *turn.queue.held.values())}
        turn.end("failed")
        turn.log.error("unhandled error in run", exc_info=error)
        if received:
            failed = tuple(received.values())
            await self._runtime.pumps.note_failures(self._actor_id, failed, error)
            self._failures += 1
            pause = min(PAUSES[0] * 2.0**self._failures / 2, PAUSES[1])
            self.again_at = self._runtime.clock.now() + pause

    @property
    def again(self) -> Ring | None:
        """The ring that continues it where this process does not."""
        if self.again_at is not None:
            return Ring(self._actor_id, self.again_at, self.hops + 1)
        return Ring(self._actor_id, None, self.hops + (1 if self._progressed else BARREN))

    @property
    def hops(self) -> int:
        """How many wakes that actors made themselves led to this slice."""
        return 0 if self._wake is None else self._wake.hops

    @property
    def is_late(self) -> bool:
        """Whether it should have been begun again already: the wake for that was lost."""
        over = self.task is not None and self.task.done()
        at = self.again_at
        return over and at is not None and at <= self._runtime.clock.now()


async def _run(turn: RunTurn) -> None:
    """Run the user's loop. What stops it comes in a group where the loop has tasks of its own."""
    try:
        await turn.actor.run()
    except BaseExceptionGroup as group:
        if group.subgroup(_is_other) is not None:
            raise
        if group.subgroup(Superseded) is not None:
            raise Superseded(elsewhere=False) from None
        raise errors.ActorAborted from None


def _is_other(error: BaseException) -> bool:
    return not isinstance(error, BaseExceptionGroup | Superseded | errors.ActorAborted)


def _aborted(turn: RunTurn) -> End:
    return End.PARKED if turn.abort.reason == "parked" else End.STOPPED


async def _nothing(turn: ActorTurn) -> None:
    """The body of a job whose turns are made by hand."""


def _passing(error: errors.ActorError) -> bool:
    return error.name in PASSING
