"""The hunt is no empty one: calls succeed, all faults happen, all of the code is reached."""

import pytest

from rivetless.testing.simulation.callsites import port_calls, reached
from rivetless.testing.simulation.checkers.vacuity import Sample, call_sites_hit, enough
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.network import Site
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.stores import StoreKind
from rivetless.testing.simulation.weather import RATES, Fault
from tests.simulation.seeds import SEEDS, WORKLOADS
from tests.simulation.workloads.base import Workload

SEEDS_EACH = 10

BELLS = frozenset({Fault.BELL_LOST, Fault.BELL_DOUBLED, Fault.BELL_LATE})
WAKING = frozenset({"inboxes", "reminders", "crons", "sagas", "deploys"})
"""Workloads whose actors are woken."""

CONNECTED = frozenset({"rooms", "listeners", "gates"})
"""Workloads with connections."""

SELDOM = {"rivetless/store/dynamodb/store.py": "a host is forgotten that was dead for ten minutes"}
"""Files with a port call that few seeds reach, and what for."""

MOST_SELDOM = 1


def possible(workload: type[Workload], store: StoreKind, resident: bool) -> frozenset[str]:
    """Return the faults that can happen there, and as often as anywhere."""
    faults = set(RATES)
    if store != "dynamodb":
        faults -= {Fault.THROTTLED, Fault.STALE}
    if workload.name not in CONNECTED:
        faults.discard(Fault.SOCKET_CUT)
    if workload.name in ("listeners", "gates"):
        faults.discard(Fault.GIVEN_UP)  # nearly all that their clients do goes over sockets
    faults &= set(workload.deployment().faults)
    waking = workload.name in WAKING
    if resident or not waking:
        faults -= BELLS
    if not (resident and waking):
        faults -= {Fault.STALE, Fault.PUSH_LOST}
    return frozenset(fault.value for fault in faults)


@pytest.mark.timeout(300)
def test_seeds_are_neither_too_stormy_nor_too_calm() -> None:
    samples: list[Sample] = []
    sites: set[Site] = set()
    cells = [
        (workload, store, resident)
        for workload in WORKLOADS
        for store in SEEDS
        for resident in (True, False)
        if resident or store != "sqlite"
    ]
    for number, (workload, store, resident) in enumerate(cells):
        # The weather is the seed's own; so that many are seen, no two cells have the same.
        first = number * SEEDS_EACH
        for seed in range(first, first + SEEDS_EACH):
            deployment = workload.deployment(resident=resident)
            result = run(workload.play, deployment, Plan(seed=seed), store)
            operations = result.history.operations
            samples.append(
                Sample(
                    seed=seed,
                    calls=len(operations),
                    succeeded=sum(operation.ok for operation in operations),
                    faults=frozenset(fault.value for fault in result.counts),
                    possible=possible(workload, store, resident),
                )
            )
            sites |= result.sites
    enough(samples, [fault.value for fault in RATES])
    calls, hit = port_calls(), set(map(str, reached(sites)))
    missing = [call for call in calls if str(call) not in hit]
    seldom = [call for call in missing if call.file in SELDOM][:MOST_SELDOM]
    call_sites_hit([str(call) for call in calls if call not in seldom], hit)
