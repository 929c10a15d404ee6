"""Workflows end as they would without faults, and each of their steps takes effect once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Subject

__all__ = ["end_in", "steps_once"]


def end_in(
    reference: Callable[[Subject], Iterable[object]] | Mapping[Subject, object],
    states: Mapping[Subject, object],
) -> None:
    """Check that each workflow ended in the state it would have ended in without faults.

    Args:
        reference: that state of each actor; a function names several where a race may end in
            several ways.
        states: the states after calm.

    Raises:
        Violation: one ended in another.
    """
    for subject, state in states.items():
        ends: list[object]
        ends = [reference[subject]] if isinstance(reference, Mapping) else [*reference(subject)]
        if state not in ends:
            expected = " or ".join(f"{end!r}" for end in ends)
            raise Violation(f"The workflow of {subject} ended in", [state], more=f"not {expected}")


def steps_once(
    subject: Subject, log: Sequence[Hashable], before: Iterable[tuple[Hashable, Hashable]] = ()
) -> None:
    """Check that each step took effect at most once, in the order the workflow says.

    Args:
        subject: the workflow's actor.
        log: what its steps have written into the state, in order.
        before: pairs of steps of which the first must come first.

    Raises:
        Violation: a step took effect twice, or before one it follows.
    """
    twice = [step for step, count in Counter(log).items() if count > 1]
    if twice:
        raise Violation(f"Steps of {subject} took effect twice:", twice, more=f"  log: {log!r}")
    for first, second in before:
        if second in log and (first not in log or log.index(first) > log.index(second)):
            raise Violation(
                f"A step of {subject} took effect before one it follows:",
                [f"{second!r} before {first!r}"],
                more=f"  log: {log!r}",
            )
