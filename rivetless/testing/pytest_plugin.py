"""The pytest plugin that comes with the package: fixtures for tests of actors, and simulations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rivetless.testing.rig import Rig
    from rivetless.testing.simulation.decorator import Simulated


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Actors in memory: ``rig.client`` calls them, ``rig.advance`` lets time pass."""
    from rivetless.testing.rig import Rig

    async with Rig() as started:
        yield started


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of simulated tests."""
    group = parser.getgroup("rivetless")
    group.addoption(
        "--rivetless-seeds",
        type=int,
        metavar="N",
        help="run this many seeds of each simulated test, on each of its stores",
    )
    group.addoption(
        "--rivetless-seed", type=int, metavar="S", help="run this seed of simulated tests only"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give simulated tests their seeds, some at a time."""
    simulated: Simulated | None = getattr(metafunc.function, "__simulated__", None)
    if simulated is None:
        return
    from rivetless.testing.simulation.decorator import BATCH_ARGUMENT

    batches = simulated.batches(
        seeds=metafunc.config.getoption("--rivetless-seeds"),
        only=metafunc.config.getoption("--rivetless-seed"),
    )
    metafunc.parametrize(BATCH_ARGUMENT, batches, ids=list(map(str, batches)))
