"""Every workload, on every kind of store, under thousands of schedules of faults.

``--rivetless-seeds N`` runs N seeds of each, ``--rivetless-seed S`` this one only;
``RIVETLESS_SEEDS_SCALE`` and ``RIVETLESS_SEEDS_FIRST`` are for long hunts.
"""

import pytest

from rivetless.testing.simulation.decorator import check_seed
from tests.simulation.seeds import CHUNK, COUNT, SEEDS, WORKLOADS, Chunk, chunks


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chunk" in metafunc.fixturenames:
        config = metafunc.config
        found = chunks(config.getoption("--rivetless-seeds"), config.getoption("--rivetless-seed"))
        metafunc.parametrize("chunk", found, ids=list(map(str, found)))


@pytest.mark.timeout(600)
def test_no_seed_fails(chunk: Chunk) -> None:
    workload = chunk.workload
    for seed in chunk.seeds:
        check_seed(workload.play, workload.deployment(), seed, chunk.store, workload.name)


def test_there_are_ten_thousand_seeds() -> None:
    assert COUNT >= 10_000
    assert sum(len(chunk.seeds) for chunk in chunks(count=7)) == 7 * len(WORKLOADS) * len(SEEDS)
    assert max(len(chunk.seeds) for chunk in chunks(count=1000)) == CHUNK
