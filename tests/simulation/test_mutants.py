"""Every mutant is found: by the seed that is known to find it, or by one of the next.

A change of the code changes what happens in each seed, so more of them are tried than it took to
find the mutant when ``found.json`` was written. If none finds it any more, ``scripts/mutants NAME``
looks for it again, and says so if there is nothing to be found.
"""

from __future__ import annotations

import pytest

from tests.simulation.mutants import hunting
from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.mutant import Mutant

TRAILS = hunting.read_trails()
WORKLOADS = hunting.workloads()

UNFOUND = hunting.read_unfound()


def test_every_mutant_has_a_seed() -> None:
    names = {mutant.name for mutant in MUTANTS}
    assert names == set(TRAILS) | set(UNFOUND)
    assert not set(TRAILS) & set(UNFOUND)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "mutant", [each for each in MUTANTS if each.name in TRAILS], ids=lambda mutant: mutant.name
)
def test_it_is_found(mutant: Mutant) -> None:
    trail = TRAILS[mutant.name]
    workload = WORKLOADS[trail.workload]
    found = any(hunting.is_found(mutant, workload, trail.store, seed) for seed in trail.seeds)
    assert found, f"nobody has noticed: {mutant.says}"
