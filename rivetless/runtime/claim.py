"""The claim of the process that runs an actor's ``run``, and what becomes of it when that dies.

Of several processes on one store one at a time runs the loop. The claim is a record that expires
and is renewed; it blocks no commit, and no data depends on it: what two loops would do at once, the
version sorts out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.runtime.records import find_record
from rivetless.store.base import Changes, Collection, Duplicate, Record, RecordKey, StoreError

if TYPE_CHECKING:
    from rivetless.clock import Timer
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.runtime import Runtime

LENGTH: Final = 5.0
"""Seconds for which a claim holds; renewed at half."""

LATER: Final = 0.5
"""Seconds after the end of another process's claim at which it is tried again."""

WATCH: Final = 1.0
"""Seconds between two looks whether a process that has a claim still lives."""

INHERITED: Final = 60.0
"""Seconds for which it is remembered that a dead process's claim was taken over."""

_NAME: Final = RecordKey(Collection.REPLY, b"runner")


@frozen
class Owner:
    """A process that has a claim.

    Attributes:
        process: its id.
        name: how it is spoken to; empty if it is not.
        until: Unix seconds until which the claim holds, as far as it is renewed.
    """

    process: str
    name: str
    until: float

    @classmethod
    def read(cls, record: Record, now: float) -> Self:
        """Read it from a claim's record."""
        process, dot, name = record.data.decode().partition(".")
        until = now if record.expires_at is None else record.expires_at
        return cls(process + dot, name, until)


class Claim:
    """One process's claim to run an actor's loop.

    Args:
        runtime: the process.
        cell: the actor.
        lost: told when another process has it in spite of this one, which was frozen.
    """

    def __init__(self, runtime: Runtime, cell: Cell, lost: Callable[[Owner], None]) -> None:
        self._runtime = runtime
        self._cell = cell
        self._actor_id = cell.actor_id
        self._lost = lost
        self._timer: Timer | None = None
        self._until = 0.0

    async def take(self) -> Owner | None:
        """Make the claim, unless another process has it that may still live.

        Returns:
            ``None`` if it is made, else who has it.

        Raises:
            ActorError: ``actor.not_found``.
        """
        if self._runtime.store.capabilities.single_writer:
            return None
        owner = await self._try(_NAME)
        if owner is not None and owner.process in self._runtime.rivals.dead:
            # Of several heirs one is the first: nobody dies twice.
            owner = await self._try(RecordKey(_NAME.collection, b"heir:" + owner.process.encode()))
        if owner is None:
            self._renew_later()
        return owner

    async def _try(self, name: RecordKey) -> Owner | None:
        """Write the claim on the condition that a record is not there; say who was faster."""
        try:
            await self._put(name)
        except Duplicate:
            owner = await self._owner()
            if owner is None:
                now = self._runtime.clock.now()
                return Owner("", "", now)  # it is free again: there is no hurry
            if owner.process != self._runtime.process_id:
                return owner
            await self._put()  # of an earlier loop of this process
        return None

    async def _put(self, *absent: RecordKey) -> None:
        runtime = self._runtime
        now = runtime.clock.now()
        data = (runtime.process_id + runtime.hints.neighbours.name).encode()
        puts = [Record(_NAME.collection, _NAME.key, data, expires_at=now + LENGTH)]
        for name in absent:
            if name != _NAME:
                puts.append(Record(name.collection, name.key, data, expires_at=now + INHERITED))
        changes = Changes(runtime.fresh_commit_id(), puts=tuple(puts), absent=absent)
        await runtime.commit_loose(self._actor_id, changes, self._cell)
        self._until = now + LENGTH

    async def _owner(self) -> Owner | None:
        runtime = self._runtime
        record = await find_record(runtime.store, self._actor_id, _NAME.collection, _NAME.key)
        return None if record is None else Owner.read(record, runtime.clock.now())

    # -- while the loop runs ----------------------------------------------------------------------

    def _renew_later(self) -> None:
        runtime = self._runtime
        self._timer = runtime.clock.call_later(LENGTH / 2, lambda: runtime.begin(self._renew()))

    async def _renew(self) -> None:
        if self._timer is None:
            return
        self._renew_later()
        timer = self._timer
        try:
            owner = await self._owner()
            if self._timer is not timer:
                return  # released meanwhile
            if owner is None:  # it has run out; who knows why
                owner = await self._try(_NAME)
            elif owner.process == self._runtime.process_id:
                owner = None
                await self._put()
        except (ActorError, StoreError):
            self._runtime.log.debug("the claim on %s was not renewed", self._actor_id)
            return
        if owner is not None and self._timer is timer:
            timer.cancel()
            self._timer = None
            self._lost(owner)

    def abandon(self) -> bool:
        """Renew it no more; say whether it was this process's. Others have it when it runs out."""
        timer, self._timer = self._timer, None
        if timer is None:
            return False
        timer.cancel()
        return True

    async def release(self) -> None:
        """Let another process have it."""
        runtime = self._runtime
        if not self.abandon():
            return
        if runtime.clock.now() >= self._until:
            return  # it may be another's by now
        changes = Changes(runtime.fresh_commit_id(), deletes=(_NAME,))
        try:
            await runtime.commit_loose(self._actor_id, changes, self._cell)
        except (ActorError, StoreError):
            runtime.log.debug("the claim on %s was not given up", self._actor_id)
        else:
            runtime.hints.runner(self._actor_id)


class Rivals:
    """The processes that have claims this one waits for. One for each runtime.

    Attributes:
        dead: ids of those that do not live any more.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[str, dict[str, Owner]] = {}
        self.dead: set[str] = set()

    def watch(self, actor_id: str, owner: Owner) -> None:
        """Have the actor's loop begun here should the owner of its claim die."""
        if not owner.name or owner.process in self.dead:
            return
        known = self._waiting.get(owner.name)
        if known is not None:
            known[actor_id] = owner
            return
        self._waiting[owner.name] = {actor_id: owner}
        self._runtime.begin(self._look(owner.name))

    async def _look(self, name: str) -> None:
        runtime = self._runtime
        lives = await runtime.hints.neighbours.lives(name)
        waiting = self._waiting.pop(name)
        for actor_id, owner in list(waiting.items()):
            cell = runtime.cells.known(actor_id)
            if cell is None or cell.pump is None or cell.pump.rival != owner:
                del waiting[actor_id]
            elif not lives:
                self.dead.add(owner.process)
                runtime.pumps.retry(cell)
        if lives and waiting:
            self._waiting[name] = waiting
            runtime.clock.call_later(WATCH, lambda: runtime.begin(self._look(name)))
