"""Alarms: having actors woken when the first of their timers is due.

A commit that makes an actor's alarm earlier than any wake that is on its way says so in the head
(``armed_until``), and once it is durable a ring goes out. Rings may be lost with the process that
sent them; the sweeper asks here what has to be rung once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless.clock import Clock, Timer
from rivetless.errors import ActorError
from rivetless.runtime.commands import Wake
from rivetless.runtime.ports import Ring, WakeError
from rivetless.runtime.timers import SOON, covers, is_timer_at
from rivetless.store.base import KEEP, Changes, Head, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

SKEW: Final = 2.0
"""Seconds by which the clocks of two machines may differ."""

GRACE: Final = 5.0
"""Seconds that a ring may be late before the sweeper takes it for lost."""

SUBSTITUTE: Final = 1.0
"""Seconds after which a process that stays stands in for another that should have rung."""

LOOK_AHEAD: Final = 30.0
"""Seconds within which another process's alarm is worth a timer here: then sweepers come by."""

MOST_STAND_INS: Final = 10_000
"""For how many actors a process may stand in at once."""


class LocalDoorbells:
    """Doorbells of a process that stays: timers in memory, which ring in the process itself.

    They are lost with it. The next process finds the alarms in the store (``Alarms.overdue``).

    Args:
        clock: all time comes from it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake: Callable[[Wake], None] | None = None
        self._pending: dict[tuple[str, float], tuple[int, Timer]] = {}

    def attach(self, wake: Callable[[Wake], None]) -> None:
        """Say what is to be called when a bell rings."""
        self._wake = wake

    def stop(self) -> None:
        """Forget all rings, and take no others."""
        self._wake = None
        for _, timer in self._pending.values():
            timer.cancel()
        self._pending.clear()

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Ring at once, or set timers."""
        now = self._clock.now()
        for ring in rings:
            if ring.at is None or ring.at <= now:
                self._call(ring.actor_id, ring.hops)
            elif self._wake is not None and (ring.actor_id, ring.at) not in self._pending:
                self._set(ring.actor_id, ring.at, ring.hops)

    def _set(self, actor_id: str, at: float, hops: int) -> None:
        call = partial(self._fire, actor_id, at)
        self._pending[actor_id, at] = hops, self._clock.call_later(at - self._clock.now(), call)

    def _fire(self, actor_id: str, at: float) -> None:
        hops, _ = self._pending.pop((actor_id, at))
        if at > self._clock.now():
            # The event loop's clock and the wall's differ by a little.
            self._set(actor_id, at, hops)
        else:
            self._call(actor_id, hops)

    def _call(self, actor_id: str, hops: int) -> None:
        if self._wake is not None:
            self._wake(Wake(actor_id, hops))


class Alarms:
    """Sends rings, and says which have to be sent again. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: list[Ring] = []
        self._ringing = False
        self._standing_in: dict[str, tuple[float, Timer]] = {}

    # -- sending ----------------------------------------------------------------------------------

    def committed(self, actor_id: str, changes: Changes, hops: float) -> None:
        """A commit has said that a wake will be sent: send it."""
        at = changes.armed_until
        if at is KEEP or at is None:
            return
        ahead = at - self._runtime.clock.now()
        # A timer that has only come to light, behind one that is done, is no new wish.
        asked = any(is_timer_at(record, at) for record in changes.puts)
        further = int(hops) + 1 if asked and ahead < SOON else 0
        self.ring(Ring(actor_id, at if ahead > 0 else None, further))
        if self.local:
            self._runtime.hints.alarm(actor_id, at)

    def ring(self, ring: Ring) -> None:
        """Send a ring on its way, together with others that are waiting to be sent."""
        self._waiting.append(ring)
        if not self._ringing:
            self._ringing = True
            self._runtime.begin(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                rings, self._waiting = self._waiting, []
                try:
                    await self._runtime.doorbells.ring(rings)
                except WakeError:
                    self._runtime.log.warning(
                        "%d wakes may not have been sent; the sweeper will find them",
                        len(rings),
                        exc_info=True,
                    )
        finally:
            self._ringing = False

    async def rearm(self, head: Head) -> None:
        """A wake came before the alarm: have another one sent, unless it already is."""
        # One that is to come very soon may be the one that came: clocks differ.
        now = self._runtime.clock.now() + SKEW
        if head.alarm is not None and not covers(head.armed_until, head.alarm, now):
            await self._arm(head.actor_id, head.alarm)

    async def _arm(self, actor_id: str, at: float) -> None:
        """Note in the head that a wake is sent for ``at``; the commit sends it."""
        changes = Changes(self._runtime.fresh_commit_id(), armed_until=at)
        try:
            await self._runtime.commit_loose(actor_id, changes)
        except (ActorError, StoreError):
            self._runtime.log.warning("actor %s could not be armed", actor_id, exc_info=True)

    # -- what may have been lost ------------------------------------------------------------------

    @property
    def local(self) -> bool:
        """Whether rings are timers of this process, lost with it."""
        return isinstance(self._runtime.doorbells, LocalDoorbells)

    def overdue(self, head: Head) -> Ring | None:
        """Return the ring to send for an actor whose own may have been lost."""
        alarm, now = head.alarm, self._runtime.clock.now()
        if alarm is None:
            return None
        if self.local:
            # Another process may have it in its own timers.
            alone = head.armed_until is None or self._runtime.store.capabilities.single_writer
            return Ring(head.actor_id, alarm if alone else alarm + SUBSTITUTE)
        return Ring(head.actor_id) if alarm + GRACE <= now else None

    # -- for other processes ----------------------------------------------------------------------

    def stand_in(self, actor_id: str, at: float) -> None:
        """Another process has set itself a timer: see shortly after whether it still could."""
        due, timer = self._standing_in.get(actor_id, (None, None))
        if due is not None and timer is not None:
            if due <= at:
                return  # whoever looks then sees what comes later
            timer.cancel()
        elif len(self._standing_in) >= MOST_STAND_INS:
            return  # the sweeper finds it too
        delay = max(at - self._runtime.clock.now(), 0.0) + SUBSTITUTE
        call = partial(self._check, actor_id)
        self._standing_in[actor_id] = at, self._runtime.clock.call_later(delay, call)

    def _check(self, actor_id: str) -> None:
        at, _ = self._standing_in.pop(actor_id)
        self._runtime.begin(self._ring_instead(actor_id, at))

    async def _ring_instead(self, actor_id: str, at: float) -> None:
        """Ring for another process that has not, if it has not."""
        try:
            head = await self._runtime.store.load(actor_id)
        except (StoreError, ValueError):
            return
        if head is None or head.alarm is None or head.destroyed_at is not None:
            return
        if head.alarm <= at:
            self.ring(Ring(actor_id))
        elif head.alarm <= self._runtime.clock.now() + LOOK_AHEAD:
            self.stand_in(actor_id, head.alarm)

    def stop(self) -> None:
        """Stand in for nobody any more: the process ends."""
        for _, timer in self._standing_in.values():
            timer.cancel()
        self._standing_in.clear()
