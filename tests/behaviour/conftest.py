"""The ``world`` of the behaviour suite: each test runs in every cell that can show its feature."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from tests.behaviour.actors import registry
from tests.behaviour.cells import CELLS, RIGS, SERVERS, Cell, parameters
from tests.behaviour.world import RigWorld, ServerWorld, World
from tests.ministack import OwnTable, make_table
from tests.servers import ServerProcess

APP = "tests.behaviour.actors:registry"


@pytest.fixture(scope="session")
def server_on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], ServerProcess]]:
    """Start the server of a store, once for all tests of this process."""
    running: dict[str, ServerProcess] = {}

    def start(store: str) -> ServerProcess:
        if store not in running:
            folder = tmp_path_factory.mktemp(f"server-{store}")
            if store == "memory":
                where = "memory:"
            elif store == "sqlite":
                where = f"sqlite:{folder / 'actors.db'}"
            else:
                endpoint: str = request.getfixturevalue("ministack")
                where = f"dynamodb:{make_table(endpoint)}?endpoint={endpoint}"
            running[store] = ServerProcess(APP, where, folder / "log.txt").start()
        return running[store]

    yield start
    for server in running.values():
        server.close()


def _store(request: pytest.FixtureRequest, cell: Cell, clock: FakeClock, folder: Path) -> Store:
    if cell.store == "memory":
        return MemoryStore(clock=clock)
    if cell.store == "sqlite":
        return SQLiteStore(folder / "actors.db", clock=clock)
    endpoint: str = request.getfixturevalue("ministack")
    return OwnTable(endpoint, clock)


async def _rig_world(
    request: pytest.FixtureRequest, cell: Cell, folder: Path
) -> AsyncIterator[RigWorld]:
    clock = FakeClock()
    async with Rig(registry, store=_store(request, cell, clock, folder), clock=clock) as rig:
        world = RigWorld(cell, rig)
        yield world
        await world.aclose()


@pytest.fixture(params=parameters(CELLS))
async def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server_on: Callable[[str], ServerProcess],
) -> AsyncIterator[World]:
    """Actors in every cell, one after the other."""
    cell: Cell = request.param
    if cell.host == "rig":
        async for rig_world in _rig_world(request, cell, tmp_path):
            yield rig_world
    else:
        async with ServerWorld(cell, server_on(cell.store).endpoint) as server_world:
            yield server_world


@pytest.fixture(params=parameters(RIGS))
async def rig_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RigWorld]:
    """Actors in this process only: for what only a fake clock can show."""
    async for rig_world in _rig_world(request, request.param, tmp_path):
        yield rig_world


@pytest.fixture(params=parameters(SERVERS))
async def server(
    request: pytest.FixtureRequest, server_on: Callable[[str], ServerProcess]
) -> AsyncIterator[ServerWorld]:
    """Actors on real servers only: for what only HTTP has."""
    cell: Cell = request.param
    async with ServerWorld(cell, server_on(cell.store).endpoint) as server_world:
        yield server_world
