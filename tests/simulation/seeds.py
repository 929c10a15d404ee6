"""How many seeds of which workload run on which store: in CI, and in all."""

import os
from typing import Final, NamedTuple

from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.workloads.banks import Banks
from tests.simulation.workloads.base import Workload
from tests.simulation.workloads.branches import Branches
from tests.simulation.workloads.crons import Crons
from tests.simulation.workloads.crowds import Crowds
from tests.simulation.workloads.deploys import Deploys
from tests.simulation.workloads.errands import Errands
from tests.simulation.workloads.gates import Gates
from tests.simulation.workloads.inboxes import Inboxes
from tests.simulation.workloads.listeners import Listeners
from tests.simulation.workloads.lives import Lives
from tests.simulation.workloads.pairs import Shelves
from tests.simulation.workloads.payments import Payments
from tests.simulation.workloads.presses import Presses
from tests.simulation.workloads.registers import Ledgers, Registers
from tests.simulation.workloads.reminders import Reminders
from tests.simulation.workloads.repeats import Repeats
from tests.simulation.workloads.requests import Requests
from tests.simulation.workloads.rooms import Rooms
from tests.simulation.workloads.sagas import Sagas

WORKLOADS: Final[tuple[type[Workload], ...]] = (
    Registers,
    Ledgers,
    Requests,
    Shelves,
    Banks,
    Branches,
    Repeats,
    Payments,
    Presses,
    Inboxes,
    Crowds,
    Reminders,
    Crons,
    Sagas,
    Lives,
    Rooms,
    Listeners,
    Gates,
    Deploys,
    Errands,
)

SEEDS: Final[dict[StoreKind, int]] = {"memory": 400, "sqlite": 200, "dynamodb": 200}
"""Seeds of each workload, on each kind of store; of some a part of them: 11,040 in all."""

CHUNK: Final = 100
"""Seeds of one test, so that workers have the same to do."""

SCALE: Final = float(os.environ.get("RIVETLESS_SEEDS_SCALE", "1"))
"""How many times as many seeds run: for long hunts."""

FIRST: Final = int(os.environ.get("RIVETLESS_SEEDS_FIRST", "0"))
"""The seed to begin at, so that hunts need not look twice."""

COUNT: Final = round(sum(SEEDS.values()) * sum(each.share for each in WORKLOADS))
"""How many seeds run in CI."""


class Chunk(NamedTuple):
    """Some seeds of a workload on one kind of store."""

    workload: type[Workload]
    store: StoreKind
    seeds: range

    def __str__(self) -> str:
        return f"{self.workload.name}-{self.store}-{self.seeds.start}"


def chunks(count: int | None = None, only: int | None = None) -> list[Chunk]:
    """Return all seeds, in chunks.

    Args:
        count: how many of each workload on each store, instead of their own number.
        only: this one only.
    """
    found: list[Chunk] = []
    for store, usual in SEEDS.items():
        for workload in WORKLOADS:
            seeds = max(round(usual * SCALE * workload.share), 1) if count is None else count
            start, end = (FIRST, FIRST + seeds) if only is None else (only, only + 1)
            found += [
                Chunk(workload, store, range(first, min(first + CHUNK, end)))
                for first in range(start, end, CHUNK)
            ]
    return found
