"""What happened in a run, as lines that people read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Line", "Trace"]


class Line(NamedTuple):
    """One thing that happened.

    Attributes:
        at: virtual seconds since the beginning.
        who: the process or client.
        text: what, with a ``%s`` for each of ``values``.
        values: what to put there.
    """

    at: float
    who: str
    text: str
    values: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.at:10.4f}  {self.who:<8}  {self.text % self.values}"


class Trace:
    """Collects what happens. Nothing is written out until somebody reads it.

    Args:
        now: tells the virtual time.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.lines: list[Line] = []

    def add(self, who: str, text: str, *values: object) -> None:
        """Write down what somebody did or met; values must not change afterwards."""
        self.lines.append(Line(self._now(), who, text, values))

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))
