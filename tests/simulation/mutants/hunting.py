"""Looks for seeds that find mutants, and keeps for each mutant where it is found.

``scripts/mutants`` does so and writes ``found.json``; ``test_mutants.py`` looks there. Nothing here
knows what the workloads do or what they check.
"""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.decorator import Simulated
from rivetless.testing.simulation.runs import Scenario, run
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.mutants.mutant import Mutant

FOUND: Final = Path(__file__).parent / "found.json"
"""Where each mutant is found."""

MOST_SEEDS: Final = 1000
"""Seeds in which a mutant has to be found."""

SIMULATION: Final = Path(__file__).parent.parent
_LOOK: Final = 12
_ENOUGH: Final = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """A simulated test.

    Attributes:
        name: its module in ``tests/simulation`` and its own.
        scenario: what is done in each seed.
        simulated: where.
    """

    name: str
    scenario: Scenario
    simulated: Simulated

    def finds(self, store: StoreKind, seed: int) -> BaseException | None:
        """Return why a seed fails, if it does."""
        return run(self.scenario, self.simulated.deployment, Plan(seed=seed), store).failure


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a mutant is found.

    Attributes:
        workload: in which simulated test.
        store: on what kind of store.
        seed: the first one of those that were tried.
        hits: how many of ``tries`` seeds from there on find it, as far as was looked.
        tries: how many were looked at.
        shows: how it shows there.
    """

    workload: str
    store: StoreKind
    seed: int
    hits: int
    tries: int
    shows: str


def workloads() -> dict[str, Workload]:
    """Return all simulated tests of this folder that need no fixtures, by name."""
    found: dict[str, Workload] = {}
    for path in sorted(SIMULATION.glob("test_*.py")):
        if path.stem == "test_mutants":
            continue
        module = importlib.import_module(f"tests.simulation.{path.stem}")
        for name, value in vars(module).items():
            simulated: object = getattr(value, "__simulated__", None)
            if isinstance(simulated, Simulated) and value.__module__ == module.__name__:
                scenario = cast("Scenario", value.__scenario__)
                full = f"{path.stem}.{name}"
                found[full] = Workload(full, scenario, simulated)
    return found


def read_trails() -> dict[str, Trail]:
    """Return where mutants are found, by their names."""
    data: dict[str, Any] = json.loads(FOUND.read_text())
    return {name: Trail(**trail) for name, trail in data.items()}


def write_trails(trails: dict[str, Trail]) -> None:
    """Keep where mutants are found."""
    data = {name: asdict(trails[name]) for name in sorted(trails)}
    FOUND.write_text(json.dumps(data, indent=2) + "\n")


def hunt(mutant: Mutant, among: Iterable[Workload], most: int = MOST_SEEDS) -> Trail | None:
    """Look for a mutant: a little in every workload, and where it is not found in all the rest.

    Args:
        mutant: whom.
        among: where.
        most: how many seeds, on each kind of store that it shows on.
    """
    places = [
        (workload, store)
        for workload in among
        for store in workload.simulated.stores
        if not mutant.stores or store in mutant.stores
    ]
    best: Trail | None = None
    for workload, store in places:
        trail = _look(mutant, workload, store, range(_LOOK))
        if trail is not None and (best is None or _share(trail) > _share(best)):
            best = trail
        if best is not None and best.hits >= _ENOUGH:
            return best
    if best is not None:
        return best
    for seeds in _stretches(_LOOK, most):
        for workload, store in places:
            trail = _look(mutant, workload, store, seeds)
            if trail is not None:
                return trail
    return None


def is_found(mutant: Mutant, workload: Workload, store: StoreKind, seed: int) -> str | None:
    """Return how a mutant shows in a seed, if it does and it is the mutant."""
    with mutant.plant():
        failure = workload.finds(store, seed)
    if failure is None or workload.finds(store, seed) is not None:
        return None
    return _sentence(failure)


def _share(trail: Trail) -> float:
    return trail.hits / trail.tries


def _stretches(start: int, end: int) -> Iterator[range]:
    while start < end:
        yield range(start, min(2 * start, end))
        start *= 2


def _look(mutant: Mutant, workload: Workload, store: StoreKind, seeds: range) -> Trail | None:
    """Run some seeds; return what was found, once it is enough."""
    first, hits, shows = -1, 0, ""
    for seed in seeds:
        how = is_found(mutant, workload, store, seed)
        if how is None:
            continue
        if not hits:
            first, shows = seed, how
        hits += 1
        if hits == _ENOUGH:
            return Trail(workload.name, store, first, hits, seed - first + 1, shows)
    return Trail(workload.name, store, first, hits, seeds.stop - first, shows) if hits else None


def _sentence(failure: BaseException) -> str:
    """Return what a failure says in its last line."""
    return traceback.format_exception_only(failure)[0].strip().splitlines()[0][:200]
