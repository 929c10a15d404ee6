"""Finds what processes that died have left behind, and tidies up after them.

Any process may do it at any time; doing it twice does no harm. A pass is bounded: what it does not
get to, the next one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivetless.clock import Timer
from rivetless.errors import ActorError
from rivetless.runtime.commands import ABNORMAL, CloseConnection
from rivetless.runtime.records import connection_of
from rivetless.store.base import DRAINED_FOR, Host, NewerFormat, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

INTERVAL: Final = 30.0
"""Seconds between two passes."""

BATCH: Final = 100
"""How many actors, and how many connections of a dead host, one pass deals with."""

MARGIN: Final = 1.0
"""Seconds before a deadline at which a pass ends."""

LATE: Final = DRAINED_FOR
"""Seconds after which nothing arrives any more that a host has sent before it died."""


class Sweeper:
    """Wakes whom nobody has woken, dispatches what nobody has, drains what destroyed lives left,
    and closes the connections of hosts that died.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._timer: Timer | None = None
        self._sweeping = False

    def start(self) -> None:
        """Sweep at once and every ``INTERVAL`` from now on."""
        self._fire()

    def stop(self) -> None:
        """Begin no further pass."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = self._runtime.clock.call_later(INTERVAL, self._fire)
        if not self._sweeping:
            self._sweeping = True
            self._runtime.begin(self._pass())

    async def _pass(self) -> None:
        try:
            await self.sweep()
        finally:
            self._sweeping = False

    def _go_on(self, seconds: float) -> None:
        """Make the next pass earlier: this one did not get to everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._runtime.clock.call_later(seconds, self._fire)

    async def sweep(self, deadline: float | None = None) -> None:
        """Make one pass, until ``deadline`` (Unix seconds) at most."""
        try:
            await self._look_at_due(deadline)
            await self._reap()
        except (ActorError, StoreError):
            self._runtime.log.warning("the sweeper's pass was cut short", exc_info=True)

    async def _look_at_due(self, deadline: float | None) -> None:
        runtime = self._runtime
        now = runtime.clock.now()
        # What is due before the next pass has to be in this process's timers by then.
        until = now + INTERVAL if runtime.alarms.local else now
        found = await runtime.store.due(until, limit=BATCH)
        if len(found) == BATCH:
            # By then the first of these are done with, and make room for others.
            self._go_on(min(max(found[-1].at - now, 1.0), INTERVAL))
        for due in found:
            if deadline is not None and runtime.clock.now() + MARGIN >= deadline:
                return
            try:
                head = await runtime.store.load(due.actor_id)
            except NewerFormat:
                continue  # for processes with newer code, which look as well
            if head is None or not await runtime.waking.tend(head):
                continue
            ring = runtime.alarms.overdue(head)
            if ring is not None:
                runtime.alarms.ring(ring)

    async def _reap(self) -> None:
        """Close the connections of hosts whose heartbeat has stopped, for good: see ``Host``."""
        runtime = self._runtime
        now = runtime.clock.now()
        for host in await runtime.store.hosts():
            if host.expires_at > now and not host.over:
                continue
            left = await runtime.store.hosted(host.id, limit=BATCH)
            # More than one record may be left of a connection, or one that came late.
            for actor_id, conn_id in dict.fromkeys((id, connection_of(rec)) for id, rec in left):
                try:
                    await runtime.connections.close(CloseConnection(actor_id, conn_id, ABNORMAL))
                except ActorError as error:
                    # The next pass tries again; this one goes on with those of other actors.
                    runtime.log.warning("connection %s was not reaped: %s", conn_id, error)
            if not left and host.expires_at + LATE <= now:
                await runtime.store.announce(Host(host.id, host.url, expires_at=0.0))
