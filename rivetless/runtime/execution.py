"""Runs turns until they are committed: enter, run, settle; again when somebody was faster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rivetless import errors
from rivetless.client.retry import is_lifecycle, is_stale
from rivetless.clock import Timeout, sleep, until, within
from rivetless.runtime import replies
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ActionResult, ById, Target
from rivetless.runtime.job import MAX_CHAIN, Job
from rivetless.runtime.steps import Step, Superseded, tick
from rivetless.runtime.turn import ActorTurn
from rivetless.serde import UnstorableError
from rivetless.store.base import (
    Changes,
    Full,
    Lease,
    OutcomeUnknown,
    StoreError,
    TooLarge,
    Unavailable,
)
from rivetless.store.limits import check_size

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

PAUSE: Final = (0.002, 0.02)
"""Bounds, in seconds, of the pause after a second conflict."""

MARGIN: Final = 0.5
"""Seconds before its host's deadline at which a handler's time is over, which can still be told."""

SHARE: Final = 0.2
"""The part of a short time that is kept back instead."""

PASSING: Final = ("guard.service_unavailable", "actor.conflict", "actor.outcome_unknown")
"""What says nothing of what was being done, which is done again."""

MOST_CONFLICTS: Final = 3
"""Conflicts after which a turn takes the lease."""


class Execution:
    """The pipeline of a turn. One for each runtime.

    Attributes:
        conflicts: how often a turn lost to another and ran again.
    """

    def __init__(self, runtime: Runtime, rng: random.Random) -> None:
        self._runtime = runtime
        self._rng = rng
        self.conflicts = 0

    async def run(self, target: Target, job: Job, cell: Cell | None = None) -> Any:
        """Run a job until its turn is committed; return what its body returned.

        Args:
            target: the actor.
            job: what to run.
            cell: the actor's, where it is known to have work under way.

        Raises:
            ActorError: what the handler raised, or why it could not be run.
        """
        try:
            return await self._run(target, job, cell)
        except Exception as error:
            if job.failing is not None and not says_nothing(error):
                life, messages = job.failing
                await self._runtime.pumps.note_failures(life, messages, error)
            raise

    async def _run(self, target: Target, job: Job, cell: Cell | None) -> Any:
        if len(job.origin.chain) >= MAX_CHAIN:
            raise errors.deadlock(job.origin.chain)
        job.started = tick()
        cell = cell or await self._runtime.cells.of(target)
        # Until the end it is the same cell: one that has work under way is not forgotten.
        cell.running += 1
        try:
            while True:
                try:
                    with until(job.deadline):
                        return await self._attempt(cell, target, job)
                except Superseded as lost:
                    superseded = lost
                await self.after_conflict(job, superseded)
        except errors.ActorError as error:
            if (shown := self._for_the_caller(job, error)) is not error:
                raise shown from error
            raise
        except (Unavailable, OutcomeUnknown) as error:
            told = errors.make("guard.service_unavailable")
            if (shown := self._for_the_caller(job, told)) is not told:
                raise shown from error
            raise
        finally:
            self.leave(cell, job)
            cell.running -= 1
            cell.flush()  # a creation may have been held back for a caller that is gone
            self._runtime.cells.used(cell)

    async def _attempt(self, cell: Cell, target: Target, job: Job) -> Any:
        job.created = False
        await self.enter(cell, target, job)
        base, actor_id = cell.snapshot(), cell.actor_id
        key = job.origin.call_key
        if key is not None:
            store, clock = self._runtime.store, self._runtime.clock
            stored = await replies.find(store, clock, cell, key, job.check)
            if stored is not None:
                await cell.durable(base)
                return ActionResult(replies.decode(stored), actor_id, cell.address.key)
            if not (cell.known and cell.awake):
                raise Superseded(elsewhere=False)  # the look-up took its time
        turn = ActorTurn(self._runtime, cell, job, actor_id, base)
        carried = False
        if job.leased:
            self._runtime.leases.keep(turn)
        try:
            timeout = Timeout(self._runtime.clock, self._time_for(job))
            try:
                async with timeout:
                    result = await turn.drive(job.body(turn))
            except TimeoutError as error:
                if not timeout.expired:
                    raise
                raise _timed_out(job) from error
            changes = await self._prepare(turn)
        except Exception as error:
            await self._failed(turn, error)
            raise
        else:
            # What goes wrong from here on is not the handler's doing, and the commit may be done.
            job.answered = job.calls > 0
            step = await self._send(turn, changes)
            if step is not None and job.flight is not None:
                carried = True
                if job.flight.carry(turn, step):
                    await self._landed(asyncio.shield(step.done))
            else:
                if step is not None:
                    await self._landed(step.done)
                self._runtime.after_commit(turn)
        finally:
            if not carried:
                turn.end("ended")
        return result

    def _time_for(self, job: Job) -> float | None:
        """Return how long a handler may run: its own time, and no longer than its host can wait.

        A host that has to give a call up cannot say what became of it. A handler that ran out of
        time has done nothing.
        """
        until = job.origin.deadline
        if until is None:
            return job.timeout
        left = until - self._runtime.clock.now()
        left = max(left - min(MARGIN, left * SHARE), 0.0)
        return left if job.timeout is None else min(left, job.timeout)

    # -- entering ---------------------------------------------------------------------------------

    async def enter(self, cell: Cell, target: Target, job: Job) -> None:
        """Return when a turn of the job may begin on the cell."""
        tries = 0
        while True:
            if not cell.known:
                await self._runtime.lifecycle.begin(cell, target, job)
            if isinstance(target, ById) and cell.actor_id != target.actor_id:
                if cell.checked >= job.started:
                    raise errors.not_found()
                cell.forget()
                continue
            if not await self._admitted(cell, job, tries):
                tries += 1
                continue
            if cell.awake:
                return
            await self._runtime.lifecycle.wake(cell, job)

    async def _admitted(self, cell: Cell, job: Job, tries: int) -> bool:
        """Say whether the job may go on at once; if not, wait for what is in its way first."""
        if cell.holder is None and cell.lease is None and not self._wants_lease(job):
            return True
        turn_id = job.turn_id(self._runtime.fresh_id)
        # Not by the turn's id: a call that is sent twice makes two jobs of one turn.
        if cell.holder is not None and not job.leased:
            if job.descends_from(cell.holder):
                self._check_circle(cell, job, turn_id, closed=cell.closed)
                return True
            if not self._wants_lease(job):
                await self._until_deadline(job, cell.admit())
                return False
        lease = cell.lease
        if lease is not None and self._runtime.leases.blocks(lease, turn_id, cell.holder):
            if not job.descends_from(lease.holder):
                await self._wait_for_lease(cell, lease, job, tries)
                return False
            self._check_circle(cell, job, turn_id, closed=lease.closed)
        if not self._wants_lease(job):
            return True
        if not job.leased:
            await self._until_deadline(job, cell.hold(turn_id, closed=job.closed))
            job.leased = True
            return False  # the wait was long enough for everything to have changed
        owned = lease is not None and lease.holder == turn_id
        if not owned and (job.exclusive or job.elsewhere or job.outside):
            await self._runtime.leases.take(cell, job, turn_id, self._runtime.fresh_commit_id())
        return True

    def _check_circle(self, cell: Cell, job: Job, turn_id: str, *, closed: bool) -> None:
        """A call has come back to an actor that waits for it; say so if it may not pass.

        Raises:
            ActorError: ``actor.deadlock``.
        """
        if closed:
            raise errors.deadlock((*job.origin.chain, job.link(cell.address, turn_id)))

    def _wants_lease(self, job: Job) -> bool:
        most = 1 if job.outside else MOST_CONFLICTS
        return job.exclusive or job.conflicts >= most

    async def _wait_for_lease(self, cell: Cell, lease: Lease, job: Job, tries: int) -> None:
        """Wait a moment for another process's lease to end, then look at the head again."""
        self._check_deadline(job)
        await self._runtime.leases.wait(tries)
        # Not if it is another by now: a turn of this process may hold it, and would run again.
        if cell.lease is lease:
            cell.forget()

    async def _until_deadline(self, job: Job, waiting: Awaitable[None]) -> None:
        try:
            left = job.deadline - self._runtime.clock.now()
            await within(self._runtime.clock, left, waiting)
        except TimeoutError:
            raise errors.make("actor.conflict") from None

    def _check_deadline(self, job: Job) -> None:
        if self._runtime.clock.now() >= job.deadline:
            raise errors.make("actor.conflict")

    async def after_conflict(self, job: Job, lost: Superseded) -> None:
        """Decide what a turn that lost does next: run at once, pause, or take the lease."""
        if job.checkpoints:
            raise errors.make("actor.interrupted", {"checkpoints": job.checkpoints})
        job.conflicts += 1
        self.conflicts += 1
        job.elsewhere = job.elsewhere or lost.elsewhere
        self._check_deadline(job)
        if job.conflicts == 2 and lost.elsewhere:
            await sleep(self._runtime.clock, self._rng.uniform(*PAUSE))

    def _for_the_caller(self, job: Job, error: errors.ActorError) -> errors.ActorError:
        """Say "try again" to callers only where nothing can have been done yet.

        The official client repeats a call by itself on some codes. A turn that made a checkpoint,
        or has called others before it failed, must not be repeated without a key.
        """
        # The one call a handler has made may be what failed, and then it has done nothing.
        acted = job.checkpoints or job.calls > 1 or job.answered or (job.outside and not job.calls)
        if acted and (is_lifecycle(error) or is_stale(error)):
            return errors.make("actor.interrupted", {"cause": error.name})
        return error

    def leave(self, cell: Cell, job: Job) -> None:
        """Let others in again, at the end of a job that held the actor."""
        if job.leased:
            job.leased = False
            turn_id = job.turn_id(self._runtime.fresh_id)
            self._runtime.leases.give_back(cell, turn_id, self._runtime.fresh_commit_id())
            if cell.lost_lease_of(turn_id):
                # A commit failed, and what the store says now is not known here.
                self._runtime.begin(self._give_back_later(cell, turn_id))
            cell.release(turn_id)

    async def _give_back_later(self, cell: Cell, turn_id: str) -> None:
        try:
            await self._runtime.lifecycle.load(cell)
        except StoreError:
            return  # it runs out by itself
        self._runtime.leases.give_back(cell, turn_id, self._runtime.fresh_commit_id())

    # -- ending -----------------------------------------------------------------------------------

    async def _prepare(self, turn: ActorTurn) -> Changes | None:
        """Collect what the run wants to write."""
        if turn.destroying:
            await self._runtime.lifecycle.run_destroy_hooks(turn)
        await turn.prepare()
        return self.collect(turn)

    async def _send(self, turn: ActorTurn, changes: Changes | None) -> Step | None:
        """Have committed what the run did, or make sure that it has read nothing stale.

        Raises:
            Superseded: somebody was faster.
            ActorError: the store cannot say, or refuses.
        """
        cell = turn.cell
        if turn.refused is not None:
            raise turn.refused
        if changes is None:
            if turn.read_records and (moved := cell.moved(turn.base)) is not None:
                raise moved
            await cell.validate(turn.base, _read_since(turn))
            if turn.effects:
                await self._runtime.let_out(turn)
            return None
        if changes.versioned:
            turn.check_base()
        elif turn.has_read:
            await cell.validate(turn.base, _read_since(turn))
            if turn.read_records and (moved := cell.moved(turn.base)) is not None:
                raise moved
        if self._runtime.leases.ends_with(cell, turn) and changes.versioned:
            changes = replace(changes, lease=None)
        step = Step(changes, tuple(turn.effects), hops=turn.job.hops)
        cell.stage(step)
        turn.sent(step)
        turn.presence.remember(changes)
        return step

    async def _landed(self, done: asyncio.Future[None]) -> None:
        """Wait until a step is durable and its effects are out."""
        try:
            await done
        except Full as error:
            raise errors.queue_full(error.limit) from error

    def collect(self, turn: ActorTurn, *, last: bool = True) -> Changes | None:
        try:
            changes = turn.changes(last=last)
        except UnstorableError as error:
            raise errors.ActorError("actor", "invalid_operation", str(error)) from error
        if changes is not None:
            self._check_sizes(changes)
        return changes

    def _check_sizes(self, changes: Changes) -> None:
        """Refuse one turn's changes alone, rather than those of all it would be committed with."""
        if changes.puts or changes.deletes or changes.appends:
            try:
                check_size(changes, self._runtime.store.capabilities)
            except TooLarge as error:
                raise errors.ActorError("actor", "invalid_operation", str(error)) from error

    async def _failed(self, turn: ActorTurn, error: Exception) -> None:
        """Make sure that a failure was not caused by a stale read, before it is told to anybody.

        Raises:
            Superseded: it may have been.
        """
        failing = turn.queue.failing
        turn.end("failed")
        if turn.refused is None:
            await turn.cell.validate(turn.base, _read_since(turn))
        turn.job.failing = (turn.actor_id, failing) if failing else None
        if not isinstance(error, errors.ActorError):
            turn.log.error("unhandled error in %s", turn.job.label, exc_info=error)


def says_nothing(error: Exception) -> bool:
    """Whether an error is none of what was being done, so that it is no failure of a message."""
    return isinstance(error, errors.ActorError) and (
        is_lifecycle(error) or error.name in ("actor.aborted", *PASSING)
    )


def _read_since(turn: ActorTurn) -> int:
    """Return the tick after which the base must still have been the newest.

    Records that were read later belong to it only if it was so after they were read.
    """
    return max(turn.job.started, turn.read_records)


def _timed_out(job: Job) -> errors.ActorError:
    if not job.hook:
        return errors.make("actor.action_timed_out")
    metadata = {"callback": job.hook, "timeout": round((job.timeout or 0.0) * 1000)}
    return errors.make("actor.callback_timed_out", metadata)
