"""What a handler may ask for in the middle of its turn: newer state, a commit, a kept result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rivetless import errors
from rivetless.runtime import replies
from rivetless.runtime.execution import MOST_CONFLICTS
from rivetless.runtime.records import find_record
from rivetless.runtime.steps import Step, Superseded
from rivetless.store.base import Changes, Collection, Full, Record

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn


class Checkpoints:
    """Handles ``refresh``, ``save_state`` and ``once``. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def refresh(self, turn: ActorTurn) -> None:
        """Move a turn that has written nothing to the newest state."""
        runtime, cell = self._runtime, turn.cell
        head = cell.head
        if head is not None and cell.known and not await cell.newest(head):
            cell.forget()
        if not cell.known:
            await runtime.lifecycle.load(cell)
        if not cell.known or cell.actor_id != turn.actor_id:
            raise Superseded(elsewhere=True)
        turn.base = cell.snapshot()

    async def commit(self, turn: ActorTurn) -> None:
        """Commit what there is and go on; from here on the turn is at most once."""
        job, cell, runtime = turn.job, turn.cell, self._runtime
        first = job.checkpoints == 0
        self._hold_now(turn, closed=True)
        await turn.prepare()
        changes = runtime.execution.collect(turn, last=False) or Changes(runtime.fresh_commit_id())
        turn.check_base()
        if first:
            lease = runtime.leases.change(job, turn.hold_id)
            changes = replies.remember(changes, runtime.clock, cell, job, replies.STARTED)
            if lease is not None:
                changes = replace(changes, lease=lease)
        if changes.empty and not turn.effects:
            job.checkpoints += 1
            return
        step = Step(changes, tuple(turn.effects), hops=job.hops)
        cell.stage(step)
        # Not what it is when the effects are out: the state may be another's by then.
        base = cell.snapshot()
        turn.presence.remember(changes)
        try:
            await step.done
        except Full as error:
            turn.refused = errors.queue_full(error.limit)
            raise turn.refused from error
        except errors.ActorError as error:
            # Unknown, so not to be run again; the handler may go on if it likes.
            job.checkpoints += error.name == "actor.outcome_unknown"
            raise
        job.checkpoints += 1
        turn.go_on_from(base)
        runtime.leases.keep(turn)

    async def once(self, turn: ActorTurn, name: str, fn: Callable[[], Awaitable[Any]]) -> Any:
        """Run ``fn`` unless an earlier run (or an earlier attempt at the same turn) has done it."""
        job, cell, runtime = turn.job, turn.cell, self._runtime
        if job.once is None:
            job.once = {}
        if name in job.once:
            return job.once[name]
        key = f"once:{turn.turn_id}:{name}".encode()
        if turn.durable_cause:
            record = await turn.port_call(
                find_record(runtime.store, turn.actor_id, Collection.REPLY, key)
            )
            if record is not None:
                job.once[name] = value = replies.decode(record.data)
                return value
        self._hold_now(turn, closed=job.closed)
        turn.check_base()
        lease = cell.lease
        if lease is None or lease.holder != turn.hold_id:
            turn.base = await turn.port_call(
                runtime.leases.take(cell, job, turn.hold_id, runtime.fresh_commit_id())
            )
            runtime.leases.keep(turn)
        await turn.port_call(turn.reach_out())
        value = await fn()
        job.once[name] = value
        expires_at = runtime.clock.now() + replies.KEPT
        record = Record(Collection.REPLY, key, replies.encode(value), expires_at=expires_at)
        # It stays true whatever becomes of the turns that are committed together with it.
        changes = Changes(runtime.fresh_commit_id(), puts=(record,))
        await turn.port_call(runtime.commit_loose(turn.actor_id, changes, cell))
        return value

    def _hold_now(self, turn: ActorTurn, *, closed: bool) -> None:
        """Hold the actor from here on, in the middle of a run.

        Raises:
            Superseded: somebody else holds it; the next run waits for it before it begins.
        """
        job, cell = turn.job, turn.cell
        if job.leased:
            job.closed = cell.closed = closed or cell.closed
            return
        if not cell.try_hold(turn.hold_id, closed=closed):
            job.conflicts = max(job.conflicts, MOST_CONFLICTS)
            raise Superseded(elsewhere=False)
        job.leased = True
        job.closed = closed
