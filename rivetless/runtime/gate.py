"""Taking turns: one may hold an actor, and the others wait in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque


class Gate:
    """Whoever runs turns on an actor goes through here.

    Attributes:
        holder: id of the turn that holds the actor.
        closed: whether calls that the holder itself has caused must not pass.
    """

    __slots__ = ("_waiting", "closed", "holder")

    def __init__(self) -> None:
        self.holder: str | None = None
        self.closed = False
        self._waiting: deque[tuple[asyncio.Future[None], str | None]] = deque()

    async def admit(self) -> None:
        """Wait until nobody holds the actor. In order of arrival."""
        if self.holder is not None or self._waiting:
            await self._queue(None)

    async def hold(self, holder: str, *, closed: bool = False) -> None:
        """Wait until nobody holds the actor, then hold it. In order of arrival.

        Args:
            holder: the turn's id.
            closed: whether calls that the holder itself has caused must not pass.
        """
        if not self.try_hold(holder, closed=closed):
            await self._queue(holder)
        self.closed = closed

    def try_hold(self, holder: str, *, closed: bool) -> bool:
        """Hold the actor if nobody does and nobody waits to."""
        if self.holder is not None or self._waiting:
            return False
        self.holder = holder
        self.closed = closed
        return True

    async def _queue(self, holder: str | None) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (gate, holder)
        self._waiting.append(place)
        try:
            await gate
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
            elif holder is not None:
                self.release(holder)
            raise

    def release(self, holder: str) -> None:
        """Let the next one go on; nothing if ``holder`` does not hold the actor."""
        if self.holder != holder:
            return
        self.holder = None
        self.closed = False
        while self._waiting and self.holder is None:
            gate, self.holder = self._waiting.popleft()
            if gate.done():
                self.holder = None
            else:
                gate.set_result(None)
