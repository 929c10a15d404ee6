"""Making a failing run small: fewer faults, fewer calls, fewer coincidences, the same failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from rivetless.errors import ActorError
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.runs import Run

__all__ = ["MOST_RUNS", "shrink"]

T = TypeVar("T")

MOST_RUNS: Final = 400
"""How many runs may be made to shrink one."""

MOST_SECONDS: Final = 8.0
"""Seconds that may be spent on it: whoever waits for a test wants to see something."""


class _Search:
    """Tries smaller plans, and keeps the smallest run that fails as the first one did."""

    def __init__(
        self, failed: Run, again: Callable[[Plan], Run], most: int, seconds: float
    ) -> None:
        self.best = failed
        self._kind = _kind_of(failed.failure)
        self._again = again
        self._left = most
        self._end = time.monotonic() + seconds

    def fails(self, plan: Plan) -> bool:
        """Try a plan; keep it if it fails in the same way."""
        if self._left <= 0 or time.monotonic() > self._end:
            return False
        self._left -= 1
        tried = self._again(plan)
        if _kind_of(tried.failure) != self._kind:
            return False
        self.best = tried
        return True


def shrink(
    failed: Run,
    again: Callable[[Plan], Run],
    *,
    most: int = MOST_RUNS,
    seconds: float = MOST_SECONDS,
) -> Run:
    """Return the smallest run found that fails as ``failed`` does.

    Args:
        failed: a run that failed.
        again: makes a run of a plan.
        most: how many runs to make.
        seconds: how long to go on, in real time.
    """
    search = _Search(failed, again, most, seconds)
    plan = replace(failed.plan, faults=frozenset(failed.faults))
    if not search.fails(plan):
        return failed  # what happens does not depend on the plan alone: leave it as it is
    search.fails(replace(plan, steady=True))

    def with_faults(kept: Sequence[object]) -> Plan:
        faults = search.best.plan.faults or frozenset()
        return replace(search.best.plan, faults=frozenset(f for f in faults if f in kept))

    def with_callers(kept: Sequence[str]) -> Plan:
        skipped = search.best.plan.skipped.union(c for c in callers if c not in kept)
        return replace(search.best.plan, skipped=skipped)

    # Whole clients first: few tries, and all others are quicker for each that can be left out.
    callers = _programs(search.best)
    _minimise(callers, lambda kept: search.fails(with_callers(kept)))
    _minimise(list(search.best.faults), lambda kept: search.fails(with_faults(kept)))
    callers = list(search.best.calls)
    _minimise(callers, lambda kept: search.fails(with_callers(kept)))
    _minimise(list(search.best.faults), lambda kept: search.fails(with_faults(kept)))
    return search.best


def _kind_of(failure: BaseException | None) -> tuple[type, str]:
    """Return what must stay the same: of an error of the deployment also which one it is.

    A call that is left out fails too, in a way of its own.
    """
    return type(failure), failure.name if isinstance(failure, ActorError) else ""


def _programs(run: Run) -> list[str]:
    """Return the clients that made calls, but for the test itself."""
    names = dict.fromkeys(operation.client for operation in run.history.operations)
    return [name for name in names if name.startswith("c")]


def _minimise(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> None:
    """Find a small part of ``items`` with which it still fails (Zeller's ddmin).

    Args:
        items: with all of which it fails.
        fails: tries a part, in the order of the whole.
    """
    if not items or fails(()):
        return
    kept, parts = list(items), 2
    while len(kept) >= 2:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            if fewer and fails(fewer):
                kept, parts = fewer, max(parts - 1, 2)
                break
        else:
            if parts >= len(kept):
                return
            parts = min(2 * parts, len(kept))
