"""An event loop without threads, files or real time: when nothing can run, time jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, cast

__all__ = ["Deadlock", "Runaway", "SimLoop"]

MOST_STEPS: Final = 200_000
"""Passes of the loop after which a run counts as one that does not end."""

_DONE: Final[Sequence[Any]] = ()
_TOLERANCE: Final = 1e-6
"""Seconds by which two timers may differ that fire in one pass; floats of a year differ by 4e-9."""


class Deadlock(Exception):
    """Nothing can run, and no timer is set: what waits, waits for ever."""


class Runaway(Exception):
    """The run does not come to an end: something goes on and on."""


class SimLoop(asyncio.BaseEventLoop):
    """An asyncio loop whose time is virtual.

    It begins at 0. As long as something can run, time stands still; then it jumps to the next
    timer. So a run takes the CPU time of what happens in it, and the same calls in the same order
    happen whenever it is repeated. Threads are refused: nobody knows when they end.

    Attributes:
        steps: how many passes the loop has made.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._clock_resolution = _TOLERANCE
        # The base class asks the selector only how long to wait, which is where time passes.
        self._selector = self
        self.steps = 0
        self.blocked: Callable[[], str] = str
        """Says what waits, for the messages of these errors."""

    def time(self) -> float:
        """Return the virtual time, in seconds since the beginning."""
        return self._now

    def select(self, timeout: float | None) -> Sequence[Any]:
        """Let time pass: called by the base class when it would wait for I/O."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.steps = 0
            raise Runaway(
                f"{MOST_STEPS} passes of the event loop, {self._now:.0f} virtual seconds, and no "
                f"end. {self.blocked()}".rstrip()
            )
        if timeout is None:
            raise Deadlock(f"nothing can run, and no timer is set. {self.blocked()}".rstrip())
        if timeout > 0:
            scheduled: list[asyncio.TimerHandle] = cast("Any", self)._scheduled
            self._now = max(self._now, scheduled[0].when())
        return _DONE

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is nobody to be woken: the loop has one thread."""

    def run_in_executor(
        self, executor: object, func: Callable[..., object], *args: object
    ) -> NoReturn:
        """Refuse: threads have no place in a simulation."""
        asked: Any = func
        while inner := getattr(asked, "args", None):  # ``asyncio.to_thread`` makes a partial
            asked = inner[0]
        name = getattr(asked, "__qualname__", repr(asked))
        raise RuntimeError(
            f"{name} asks for a thread, which a simulation does not have: what it does there could "
            "happen at any time. Give the code a port that can be simulated."
        )
