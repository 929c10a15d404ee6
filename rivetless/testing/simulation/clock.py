"""The clock of one process: virtual time, a little wrong, whose timers stop with the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rivetless.clock import Clock, Timer
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.vitality import Vitality

__all__ = ["DRIFT", "EPOCH", "SKEW", "SimClock"]

EPOCH: Final = 1_700_000_000.0
"""The instant at which every run begins, in Unix seconds."""

SKEW: Final = 1.0
"""Seconds by which a process's clock is wrong at most, by whatever; of two, so twice that."""

DRIFT: Final = 0.005
"""Seconds a second by which a clock goes too fast or too slow at most."""


class SimClock(Clock):
    """Virtual time as one process sees it.

    Args:
        loop: whose time it is.
        vitality: of the process; its timers are held while it is frozen and lost when it dies. None
            for a clock that belongs to no process.
        skew: seconds by which it is ahead.
        drift: seconds a second by which it, and its timers, go too fast. What that makes of the
            reading is bounded, as by a service that sets clocks.
    """

    def __init__(
        self,
        loop: SimLoop,
        vitality: Vitality | None = None,
        *,
        skew: float = 0.0,
        drift: float = 0.0,
    ) -> None:
        self._loop = loop
        self._vitality = vitality
        self._skew = skew
        self._drift = drift
        self._since = loop.time()

    @property
    def ahead(self) -> float:
        """Seconds by which it is ahead of the right time."""
        if not self._drift:
            return self._skew
        drifted = self._skew + self._drift * (self._loop.time() - self._since)
        return max(-SKEW, min(SKEW, drifted))

    def now(self) -> float:
        return EPOCH + self.ahead + self._loop.time()

    def jump(self, ahead: float) -> None:
        """Put the clock forward or back. Timers that run already are not touched.

        Args:
            ahead: seconds by which it is ahead of the right time from now on.
        """
        self._skew = ahead
        self._since = self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        seconds /= 1.0 + self._drift
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
