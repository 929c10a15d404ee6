"""Seeds that once failed; what was wrong is told in ``docs/reliability.md``.

What happens in a seed changes with the code, so a seed here may pass by what it has found one day:
``tests/unit/runtime/test_found.py`` tells each bug directly.
"""

from __future__ import annotations

from typing import Final

import pytest

from rivetless.testing.simulation.decorator import check_seed
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.seeds import WORKLOADS
from tests.simulation.workloads.base import Workload

SEEDS: Final[tuple[tuple[str, StoreKind, int], ...]] = (
    ("errands", "memory", 0),
    ("errands", "memory", 1),
    ("gates", "memory", 14),
    ("gates", "memory", 180),
    ("gates", "memory", 231),
    ("inboxes", "memory", 1668),
    ("inboxes", "memory", 747),
    ("listeners", "memory", 347),
    ("listeners", "memory", 421),
    ("listeners", "memory", 101263),
    ("reminders", "memory", 6019),
    ("reminders", "memory", 6047),
    ("requests", "memory", 7),
    ("rooms", "memory", 120),
    ("rooms", "memory", 394),
    ("rooms", "memory", 765),
    ("sagas", "memory", 20232),
    ("sagas", "memory", 2043),
)
"""Workload, kind of store, seed."""

_BY_NAME: Final[dict[str, type[Workload]]] = {workload.name: workload for workload in WORKLOADS}


@pytest.mark.parametrize(("name", "store", "seed"), SEEDS)
def test_a_seed_that_failed_does_not_fail_again(name: str, store: StoreKind, seed: int) -> None:
    workload = _BY_NAME[name]
    check_seed(workload.play, workload.deployment(), seed, store, name)
