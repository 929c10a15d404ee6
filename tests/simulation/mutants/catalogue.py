"""All mutants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.simulation.mutants import (
    commits,
    connections,
    dynamodb,
    effects,
    queueing,
    reads,
    sqlite,
    timers,
    workflows,
)
from tests.simulation.mutants.mutant import Mutant

AREAS: Final = (
    commits,
    reads,
    effects,
    timers,
    queueing,
    workflows,
    connections,
    sqlite,
    dynamodb,
)


def _all() -> Iterator[Mutant]:
    for area in AREAS:
        yield from (each for each in vars(area).values() if isinstance(each, Mutant))


MUTANTS: Final = tuple(_all())
"""In the order of their areas."""


def find(name: str) -> Mutant:
    """Return a mutant by name.

    Raises:
        LookupError: there is none.
    """
    for each in MUTANTS:
        if each.name == name:
            return each
    raise LookupError(f"there is no mutant {name!r}")
