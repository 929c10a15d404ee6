"""Looks for seeds that find mutants, and keeps for each mutant where it is found.

``scripts/mutants`` does so and writes ``found.json``; ``test_mutants.py`` looks there. Nothing here
knows what the workloads do or what they check.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.runs import Scenario, run
from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.mutants.grounds import grounds
from tests.simulation.mutants.mutant import Mutant
from tests.simulation.mutants.probes import DEPLOYMENT, PROBES

FOUND: Final = Path(__file__).parent / "found.json"
"""Where each mutant is found."""

UNFOUND: Final = FOUND.with_name("unfound.json")
"""What a probe would have to do to find the others, with their names."""

MOST_SEEDS: Final = 1000
"""Seeds in which a mutant has to be found."""

_LOOK: Final = 12
_ENOUGH: Final = 3
_CERTAIN: Final = 12
"""So many times the seeds that it takes on average fail to find a mutant once in 100,000 times."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that is done in a simulation, and looked at.

    Attributes:
        name: its module and its own.
        scenario: what is done in each seed.
        deployment: where.
    """

    name: str
    scenario: Scenario
    deployment: Deployment

    def finds(self, store: StoreKind, seed: int) -> BaseException | None:
        """Return why a seed fails, if it does."""
        return run(self.scenario, self.deployment, Plan(seed=seed), store).failure


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a mutant is found.

    Attributes:
        workload: in which simulated test.
        store: on what kind of store.
        seed: the first one of those that were tried.
        hits: how many of the seeds that were looked at find it.
        tries: how many were looked at.
        shows: how it shows there.
    """

    workload: str
    store: StoreKind
    seed: int
    hits: int
    tries: int
    shows: str

    @property
    def seeds(self) -> range:
        """The seeds of which one finds the mutant even if what happens in each has changed."""
        window = min(_CERTAIN * self.tries // self.hits + _CERTAIN, MOST_SEEDS)
        return range(self.seed, self.seed + window)


_WHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "calls between actors": ("probes.calls", "workloads.banks"),
    "connections": ("workloads.rooms", "probes.events"),
    "bursts": ("workloads.branches",),
    "cron": ("workloads.crons", "probes.timers"),
    "destroy": ("workloads.lives", "probes.lives"),
    "events": ("probes.events", "workloads.rooms"),
    "exclusive": ("workloads.presses", "workloads.payments", "workloads.registers", "probes.calls"),
    "ids": ("probes.lives",),
    "kv": ("probes.pairs", "workloads.pairs"),
    "once": ("workloads.payments",),
    "queues": ("probes.mail", "workloads.inboxes", "probes.receivers", "probes.sends"),
    "retries": ("probes.repeats", "workloads.repeats", "probes.calls"),
    "save_state": ("probes.checkpoints", "probes.repeats", "workloads.ledgers"),
    "schedules": ("probes.timers", "workloads.reminders"),
    "sends": ("probes.sends", "probes.lives", "workloads.inboxes"),
    "workflows": ("probes.steps", "probes.rollbacks", "workloads.sagas", "workloads.errands"),
}
"""Where a feature is used."""

_ANYWHERE: Final = (
    "probes.reads",
    "probes.sends",
    "probes.pairs",
    "probes.calls",
    "probes.mail",
    "probes.events",
    "workloads.registers",
    "workloads.ledgers",
)


def likely(mutant: Mutant) -> list[Workload]:
    """Return the workloads that do what a mutant needs, the likeliest first."""
    names = dict.fromkeys(name for each in mutant.features for name in _WHERE.get(each, ()))
    everything = workloads()
    return [everything[name] for name in names or _ANYWHERE]


def workloads() -> dict[str, Workload]:
    """Return everything that may find a mutant, by name."""
    found = [Workload(f"probes.{probe.__name__}", probe, DEPLOYMENT) for probe in PROBES]
    found += [Workload(name, one.play, where) for name, (one, where) in grounds().items()]
    return {workload.name: workload for workload in found}


def read_trails() -> dict[str, Trail]:
    """Return where mutants are found, by their names."""
    data: dict[str, Any] = json.loads(FOUND.read_text())
    return {name: Trail(**trail) for name, trail in data.items()}


def read_unfound() -> dict[str, str]:
    """Return the mutants that the probes do not find, and what they would have to do for it."""
    data: dict[str, list[str]] = json.loads(UNFOUND.read_text())
    return {name: needs for needs, names in data.items() for name in names}


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
    stores: tuple[StoreKind, ...] = mutant.stores or ("memory",)
    places = [(workload, store) for workload in among for store in stores]
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
            return Trail(workload.name, store, first, hits, seed - seeds.start + 1, shows)
    return Trail(workload.name, store, first, hits, len(seeds), shows) if hits else None


def _sentence(failure: BaseException) -> str:
    """Return what a failure says in its last line."""
    return traceback.format_exception_only(failure)[0].strip().splitlines()[0][:200]
