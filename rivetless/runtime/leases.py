"""The lease: how a turn that keeps losing, or must not be repeated, gets an actor to itself.

It is an aid to progress only. Taking it moves the head's version, so nothing prepared before can
overwrite what the holder does; other turns see it and wait. Data never depends on it: every commit
is still fenced by the version.
"""

from __future__ import annotations

import random
from asyncio import Future
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless.clock import Clock, sleep
from rivetless.runtime.cell import Cell
from rivetless.runtime.steps import Snapshot, Step
from rivetless.store.base import Changes, Lease, Store

if TYPE_CHECKING:
    from rivetless.runtime.job import Job
    from rivetless.runtime.turn import ActorTurn

LENGTH: Final = 10.0
"""Seconds a lease is taken for; renewed at half, so a process that died blocks nobody for long."""

AGAIN: Final = 0.5
"""Seconds until a renewal that the store has refused is tried again."""

POLL: Final = (0.01, 0.25)
"""Shortest and longest pause, in seconds, of a turn that waits for another process's lease."""


class Leases:
    """Takes, renews and gives back leases in the store."""

    def __init__(self, store: Store, clock: Clock, rng: random.Random) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng

    def change(self, job: Job, turn_id: str) -> Lease | None:
        """Return the lease to write for a job; ``None`` where memory is enough."""
        if self._store.capabilities.single_writer:
            return None
        now = self._clock.now()
        until = now + min(LENGTH, max(job.deadline - now, 0.1))
        return Lease(turn_id, until, job.origin.chain, closed=job.closed)

    def blocks(self, lease: Lease, turn_id: str, here: str | None) -> bool:
        """Whether a lease keeps a turn out: it is another process's and has not run out.

        Args:
            lease: the lease.
            turn_id: the turn's id.
            here: the turn that holds the actor in this process; that is waited for in memory.
        """
        return lease.holder not in (turn_id, here) and lease.expires_at > self._clock.now()

    def ends_with(self, cell: Cell, turn: ActorTurn) -> bool:
        """Whether a turn's commit takes the lease away: its own, or one that has run out."""
        lease = cell.lease
        if lease is None:
            return False
        return lease.holder == turn.hold_id or lease.expires_at <= self._clock.now()

    async def take(self, cell: Cell, job: Job, turn_id: str, commit_id: str) -> Snapshot:
        """Write the lease; return the state of which it was taken.

        Raises:
            Superseded: somebody was faster.
        """
        lease = self.change(job, turn_id)
        if lease is None:
            return cell.snapshot()
        step = Step(Changes(commit_id, lease=lease))
        cell.stage(step)
        # Not what it is when the step is done: a call of the turn's own may have come in between.
        base = cell.snapshot()
        await step.done
        return base

    def give_back(self, cell: Cell, turn_id: str, commit_id: str) -> None:
        """Release the lease if the turn still has it; without waiting."""
        lease = cell.lease
        if lease is not None and lease.holder == turn_id and cell.known:
            cell.stage(Step(Changes(commit_id, lease=None)))

    def keep(self, turn: ActorTurn) -> None:
        """Renew the turn's lease, if it has one, at half its length until the turn ends."""
        lease = turn.cell.lease
        if turn.renewal is None and lease is not None and lease.holder == turn.hold_id:
            turn.renewal = self._clock.call_later(LENGTH / 2, partial(self._renew, turn))

    def _renew(self, turn: ActorTurn) -> None:
        """Write the lease once more, on behalf of a turn that is still running."""
        cell = turn.cell
        turn.renewal = self._clock.call_later(LENGTH / 2, partial(self._renew, turn))
        lease = self.change(turn.job, turn.hold_id)
        if lease is None or cell.moved(turn.base) is not None or turn.ended:
            return
        step = Step(Changes(turn.runtime.fresh_commit_id(), lease=lease), unseen=True)
        step.landed.add_done_callback(partial(self._renewed, turn))
        cell.stage(step)

    def _renewed(self, turn: ActorTurn, landed: Future[bool]) -> None:
        """Try again soon where the store was away."""
        if not landed.result() and turn.renewal is not None and not turn.ended:
            turn.renewal.cancel()
            turn.renewal = self._clock.call_later(AGAIN, partial(self._renew, turn))

    async def wait(self, tries: int) -> None:
        """Pause before looking again whether another process's lease has ended."""
        shortest, longest = POLL
        await sleep(self._clock, min(longest, shortest * 2**tries) * self._rng.uniform(0.5, 1.0))
