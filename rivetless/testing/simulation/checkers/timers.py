"""Timers take effect once, not early, and never after they were taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from itertools import pairwise

from rivetless.frozen import frozen
from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Ok, Operation, Refused

__all__ = ["Fired", "Plan", "Run", "fire", "recur"]


@frozen
class Fired:
    """A timer's effect, as the actor's state remembers it.

    Attributes:
        name: which timer.
        at: the virtual time at which it took effect.
    """

    name: Hashable
    at: float


@frozen(kw_only=True)
class Plan:
    """A timer that somebody asked for.

    Attributes:
        name: which timer.
        due: the virtual time before which it must not take effect.
        planned: the call that planned it.
        cancelled: the calls that took it back; each answers whether it was still there.
        dead: whether it is a dead letter in the end.
    """

    name: Hashable
    due: float
    planned: Operation
    cancelled: tuple[Operation, ...] = ()
    dead: bool = False

    def __str__(self) -> str:
        return f"timer {self.name!r}, due {self.due:.3f}, planned by {self.planned}"


def fire(plans: Iterable[Plan], fired: Iterable[Fired], *, skew: float = 0.0) -> None:
    """Check that timers took effect as they should have, when all is calm again.

    Args:
        plans: all timers that were asked for.
        fired: what took effect, in order.
        skew: by how much clocks may go wrong, in seconds.

    Raises:
        Violation: one took effect early, twice, never, or after it was taken back.
    """
    effects: defaultdict[Hashable, list[Fired]] = defaultdict(list)
    for effect in fired:
        effects[effect.name].append(effect)
    for plan in plans:
        _one(plan, effects.pop(plan.name, []), skew)
    if effects:
        raise Violation("Timers took effect that nobody asked for:", effects)


def _one(plan: Plan, effects: list[Fired], skew: float) -> None:
    if len(effects) > 1:
        raise Violation(f"A timer took effect {len(effects)} times:", [plan, *effects])
    early = [effect for effect in effects if effect.at < plan.due - skew - 0.001]
    if early:
        raise Violation("A timer took effect early:", [plan, *early])
    if effects and isinstance(plan.planned.outcome, Refused):
        raise Violation("A timer was refused and took effect:", [plan, *effects])
    taken_back = [
        call for call in plan.cancelled if isinstance(call.outcome, Ok) and call.value is True
    ]
    if taken_back and effects:
        raise Violation("A timer took effect although it was taken back:", [plan, *taken_back])
    if len(taken_back) > 1:
        raise Violation("A timer was taken back twice:", [plan, *taken_back])
    perhaps = [call for call in plan.cancelled if not call.refused and not call.ok]
    if plan.planned.ok and not effects and not taken_back and not perhaps and not plan.dead:
        raise Violation("A timer never took effect:", [plan, *plan.cancelled])


@frozen(kw_only=True)
class Run:
    """One run of a recurring job.

    Attributes:
        job: its name.
        due: the time it stands for.
        began: when it began.
        ended: when it took effect; None if it never did.
    """

    job: str
    due: float
    began: float
    ended: float | None = None

    def __str__(self) -> str:
        ended = "…" if self.ended is None else f"{self.ended:.3f}"
        return f"{self.job} due {self.due:.3f} ran [{self.began:.3f}-{ended}]"


def recur(runs: Iterable[Run], *, skew: float = 0.0) -> None:
    """Check that runs of each recurring job neither overlap nor stand for one due time twice.

    Args:
        runs: those that took effect.
        skew: by how much clocks may go wrong, in seconds.

    Raises:
        Violation: two overlap, two have one due time, or one began early.
    """
    jobs: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        jobs[run.job].append(run)
    for all_runs in jobs.values():
        ordered = sorted(all_runs, key=lambda run: (run.due, run.began))
        for run in ordered:
            if run.began < run.due - skew - 0.001:
                raise Violation("A job ran early:", [run])
        for before, after in pairwise(ordered):
            if before.due == after.due:
                raise Violation("A job ran twice for one due time:", [before, after])
            if before.ended is not None and after.began < before.ended - skew - 0.001:
                raise Violation("Runs of a job overlap:", [before, after])
