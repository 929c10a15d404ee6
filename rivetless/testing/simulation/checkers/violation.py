"""``Violation``: what a checker raises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["Violation"]

_SHOWN: Final = 12


class Violation(AssertionError):
    """A promise was broken; the text says which, and which operations show it.

    Args:
        promise: one sentence.
        evidence: what shows it, one line each.
        more: what else helps to understand it.

    Attributes:
        promise: as given.
        evidence: as given.
    """

    promise: str
    evidence: Sequence[object]

    def __init__(self, promise: str, evidence: Iterable[object] = (), *, more: str = "") -> None:
        self.promise = promise
        self.evidence = tuple(evidence)
        lines = [promise, *(f"  {one}" for one in self.evidence[:_SHOWN])]
        if len(self.evidence) > _SHOWN:
            lines.append(f"  … and {len(self.evidence) - _SHOWN} more")
        if more:
            lines.append(more)
        super().__init__("\n".join(lines))
