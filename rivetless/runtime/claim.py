"""The claim of the process that runs an actor's ``run``.

Of several processes on one store one at a time runs the loop. The claim is a record that expires
and is renewed; it blocks no commit, and no data depends on it: what two loops would do at once, the
version sorts out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivetless.errors import ActorError
from rivetless.runtime.records import find_record
from rivetless.store.base import Changes, Collection, Duplicate, Record, RecordKey, StoreError

if TYPE_CHECKING:
    from rivetless.clock import Timer
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.runtime import Runtime

LENGTH: Final = 10.0
"""Seconds for which a claim holds; renewed at half."""

LATER: Final = 0.5
"""Seconds after the end of another process's claim at which it is tried again."""

_NAME: Final = RecordKey(Collection.REPLY, b"runner")


class Claim:
    """One process's claim to run an actor's loop.

    Args:
        runtime: the process.
        cell: the actor.
    """

    def __init__(self, runtime: Runtime, cell: Cell) -> None:
        self._runtime = runtime
        self._cell = cell
        self._actor_id = cell.actor_id
        self._timer: Timer | None = None

    async def take(self) -> float | None:
        """Make the claim, unless another process has it.

        Returns:
            ``None`` if it is made, else when to try again (Unix seconds).

        Raises:
            ActorError: ``actor.not_found``.
        """
        runtime = self._runtime
        if runtime.store.capabilities.single_writer:
            return None
        changes = Changes(runtime.fresh_commit_id(), puts=(self._record(),), absent=(_NAME,))
        try:
            await runtime.commit_loose(self._actor_id, changes, self._cell)
        except Duplicate:
            record = await find_record(runtime.store, self._actor_id, _NAME.collection, _NAME.key)
            if record is None or record.data.decode() != runtime.process_id:
                now = runtime.clock.now()
                until = None if record is None else record.expires_at
                return max(now, until or now) + LATER
        self._renew_later()
        return None

    def _record(self) -> Record:
        runtime = self._runtime
        until = runtime.clock.now() + LENGTH
        owner = runtime.process_id.encode()
        return Record(_NAME.collection, _NAME.key, owner, expires_at=until)

    def _renew_later(self) -> None:
        runtime = self._runtime
        self._timer = runtime.clock.call_later(LENGTH / 2, lambda: runtime.begin(self._renew()))

    async def _renew(self) -> None:
        if self._timer is None:
            return
        self._renew_later()
        await self._write(Changes(self._runtime.fresh_commit_id(), puts=(self._record(),)))

    async def release(self) -> None:
        """Let another process have it."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            await self._write(Changes(self._runtime.fresh_commit_id(), deletes=(_NAME,)))

    async def _write(self, changes: Changes) -> None:
        try:
            await self._runtime.commit_loose(self._actor_id, changes, self._cell)
        except (ActorError, StoreError):
            self._runtime.log.debug("the claim on %s was not written", self._actor_id)
