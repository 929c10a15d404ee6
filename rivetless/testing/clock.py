"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sized
from datetime import timedelta
from typing import Final

from rivetless.clock import Clock, Timer

START: Final = 4_000_000_000.0
"""When a ``FakeClock`` begins unless it is told: 2096-10-02, 07:06:40 UTC.

It is ahead of the real time, by which emulators of DynamoDB remove what has expired: what a test
keeps has not, whatever its clock says.
"""

_PASSES: Final = 100
_MOST_PASSES: Final = 100_000


async def settle() -> None:
    """Let the event loop run until nothing is left that could run now.

    What waits for a thread, a socket or real time is not waited for.
    """
    ready: object = getattr(asyncio.get_running_loop(), "_ready", None)
    if not isinstance(ready, Sized):
        # Another loop than asyncio's own (uvloop) does not show what it still has to do.
        for _ in range(_PASSES):
            await asyncio.sleep(0)
        return
    for _ in range(_MOST_PASSES):
        await asyncio.sleep(0)
        if not len(ready):
            return
    raise RuntimeError("the event loop does not come to rest: something yields for ever")


class FakeTimer(Timer):
    """A call that a ``FakeClock`` will make."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock(Clock):
    """A ``Clock`` for tests: time passes in ``advance`` only, and then at once.

    Args:
        now: the instant to begin at, in Unix seconds.
    """

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = FakeTimer(callback)
        at = self._now + max(seconds, 0.0)
        heapq.heappush(self._timers, (at, next(self._numbers), timer))
        return timer

    @property
    def next_at(self) -> float | None:
        """When the next timer fires; ``None`` if there is none."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def drop_next(self) -> None:
        """Take the next timer back, as if whoever set it had died."""
        if self.next_at is not None:
            self._timers[0][2].cancel()

    async def advance(self, seconds: float | timedelta) -> None:
        """Let time pass: fire what becomes due, in order, each time until the loop has settled.

        Timers that are set on the way fire too if their time is within it.
        """
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if seconds < 0:
            raise ValueError("time does not go backwards; use `jump` to play a wrong clock")
        end = self._now + seconds
        await self._settle()
        while (at := self.next_at) is not None and at <= end:
            self._now = max(self._now, at)
            timer = heapq.heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
            await self._settle()
        self._now = max(self._now, end)

    async def _settle(self) -> None:
        """Let happen what can happen at this instant; a subclass may know of more that can."""
        await settle()

    def jump(self, seconds: float) -> None:
        """Move the clock's reading, forwards or backwards, without firing anything (clock skew)."""
        self._now += seconds
