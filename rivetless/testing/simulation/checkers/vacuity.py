"""A hunt that finds nothing must have looked: calls succeed, faults happen, code runs."""

from __future__ import annotations

from collections.abc import Iterable

from rivetless.frozen import frozen
from rivetless.testing.simulation.checkers.violation import Violation

__all__ = ["Sample", "call_sites_hit", "enough"]


@frozen(kw_only=True)
class Sample:
    """What one seed did.

    Attributes:
        seed: which.
        calls: how many calls clients made.
        succeeded: how many of them were answered.
        faults: the kinds of faults that happened.
        possible: the kinds that could have happened; None for all.
    """

    seed: int
    calls: int
    succeeded: int
    faults: frozenset[str]
    possible: frozenset[str] | None = None


def enough(
    samples: Iterable[Sample], kinds: Iterable[str], *, succeed: float = 0.6, seen: float = 0.2
) -> None:
    """Check that seeds were neither so stormy that nothing succeeded nor too calm.

    Args:
        samples: what each seed did.
        kinds: all kinds of faults.
        succeed: the share of calls that must be answered.
        seen: the share of seeds in which each kind must happen, of those in which it can.

    Raises:
        Violation: too little happened.
    """
    all_samples = list(samples)
    if not all_samples:
        raise Violation("No seed ran.")
    calls = sum(sample.calls for sample in all_samples)
    succeeded = sum(sample.succeeded for sample in all_samples)
    if not calls or succeeded / calls < succeed:
        raise Violation(f"{succeeded} of {calls} calls succeeded, less than {succeed:.0%}.")
    rare: dict[str, float] = {}
    for kind in kinds:
        could = [one for one in all_samples if one.possible is None or kind in one.possible]
        share = sum(kind in one.faults for one in could) / max(len(could), 1)
        if share < seen:
            rare[kind] = share
    if rare:
        raise Violation(
            f"Kinds of faults that happened in less than {seen:.0%} of {len(all_samples)} seeds:",
            [f"{kind}: {share:.1%}" for kind, share in sorted(rare.items())],
        )


def call_sites_hit(expected: Iterable[str], hit: Iterable[str]) -> None:
    """Check that every place in the code that calls a port was reached.

    Args:
        expected: the places, as ``file:line``.
        hit: those that were reached.

    Raises:
        Violation: some were not.
    """
    missing = sorted(set(expected) - set(hit))
    if missing:
        raise Violation("Places that call a port and were never reached:", missing)
