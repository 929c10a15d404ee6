"""``Ends``: the ends of sockets, told to their actors until these have them.

A connection's record names the host that holds its socket. When a host dies others close what it
has left; while it lives nobody looks, so an end that could not be told is told again by the host.
"""

from __future__ import annotations

import logging
from typing import Final

from rivetless.clock import Clock, sleep
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.outbox import Tasks
from rivetless.runtime.commands import CloseConnection

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Ends"]

_log = logging.getLogger("rivetless.gateway")

FIRST_PAUSE: Final = 0.5
"""Seconds after which an end is told again that could not be told."""

LONGEST_PAUSE: Final = 30.0
"""The same after many tries."""


class Ends:
    """Tells actors which connections are gone, each until it is done.

    However many could not be told, one task tells them again, one after the other: a store that was
    away is not met by all of them at once when it is back.

    Args:
        dispatcher: runs the commands.
        tasks: keeps what goes on; what is not told when they are cancelled is left to other hosts.
        clock: tells when to try again.
    """

    __slots__ = ("_clock", "_dispatcher", "_tasks", "_untold")

    def __init__(self, dispatcher: Dispatcher, tasks: Tasks, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._clock = clock
        self._untold: dict[str, CloseConnection] = {}

    def tell(self, end: CloseConnection) -> None:
        """Tell of an end, without waiting for it."""
        self._tasks.spawn(self._begin(end))

    async def _begin(self, end: CloseConnection) -> None:
        if await self._tell(end):
            return
        idle = not self._untold
        self._untold[end.conn_id] = end
        if idle:
            self._tasks.spawn(self._go_on())

    async def _go_on(self) -> None:
        pause = FIRST_PAUSE
        while self._untold:
            await sleep(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            for end in list(self._untold.values()):
                if await self._tell(end):
                    del self._untold[end.conn_id]
                    pause = FIRST_PAUSE

    async def _tell(self, end: CloseConnection) -> bool:
        """Say whether the actor has an end now."""
        try:
            await self._dispatcher.dispatch(end)
        except Exception:
            again = end.conn_id in self._untold
            level = logging.DEBUG if again else logging.WARNING
            _log.log(level, "the end of connection %s is not told yet", end.conn_id, exc_info=True)
            return False
        return True
