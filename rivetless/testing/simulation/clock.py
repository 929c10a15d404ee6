"""The clock of one process: virtual time, a little wrong, and stopped while the process is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rivetless.clock import Clock, Timer
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.vitality import Vitality

__all__ = ["EPOCH", "SimClock"]

EPOCH: Final = 1_700_000_000.0
"""The instant at which every run begins, in Unix seconds."""


class SimClock(Clock):
    """Virtual time as one process sees it.

    Args:
        loop: whose time it is.
        vitality: of the process; its timers are held while it is frozen and lost when it dies. None
            for a clock that belongs to no process.
        skew: seconds by which it is ahead.
    """

    def __init__(
        self, loop: SimLoop, vitality: Vitality | None = None, *, skew: float = 0.0
    ) -> None:
        self._loop = loop
        self._vitality = vitality
        self._start = EPOCH + skew

    def now(self) -> float:
        return self._start + self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        if self._vitality is None:
            return self._loop.call_later(seconds, callback)
        timer = _Timer(self._vitality, callback)
        timer.handle = self._loop.call_later(seconds, timer.fire)
        return timer


class _Timer(Timer):
    """A call that a process has asked for."""

    __slots__ = ("_callback", "_vitality", "handle")

    def __init__(self, vitality: Vitality, callback: Callable[[], None]) -> None:
        self._vitality = vitality
        self._callback: Callable[[], None] | None = callback
        self.handle: Timer | None = None

    def fire(self) -> None:
        if not self._vitality.awake:
            self._vitality.hold(self.fire)
            return
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        self._callback = None
        if self.handle is not None:
            self.handle.cancel()
