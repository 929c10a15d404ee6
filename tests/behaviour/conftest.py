"""The ``world`` of the behaviour suite: each test runs in every cell that can show its feature."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.rig import Rig
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from tests.behaviour.actors import registry
from tests.behaviour.cells import CELLS, LAMBDAS, RIGS, SERVERS, Cell, parameters
from tests.behaviour.world import TOKEN, LambdaWorld, RigWorld, ServerWorld, World
from tests.ministack import OwnTable, make_table, real_client
from tests.patience import PatientClient, PatientClock, PatientStore
from tests.servers import LabProcess, ServerProcess

APP = "tests.behaviour.actors:registry"


@pytest.fixture(scope="session")
def servers_on_ministack(ministack: str) -> Iterator[list[ServerProcess]]:
    """Collect servers that must end before ministack does: they write as they end."""
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def server_on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Cell], ServerProcess]]:
    """Start the server of a host and a store, once for all tests of this process."""
    running: dict[tuple[str, str], ServerProcess] = {}
    alone: list[ServerProcess] = []

    def start(cell: Cell) -> ServerProcess:
        place = cell.host, cell.store
        if place not in running:
            folder = tmp_path_factory.mktemp("-".join(place))
            together = alone
            if cell.store == "memory":
                where = "memory:"
            elif cell.store == "sqlite":
                where = f"sqlite:{folder / 'actors.db'}"
            else:
                endpoint: str = request.getfixturevalue("ministack")
                together = request.getfixturevalue("servers_on_ministack")
                where = f"dynamodb:{make_table(endpoint)}?endpoint={endpoint}"
            kind = LabProcess if cell.host == "lambda" else ServerProcess
            server = running[place] = kind(APP, where, folder / "log.txt")
            together.append(server)
            if cell.host == "lambda":
                # Behind a front nobody is known to be on the same machine.
                server.variables["RIVETLESS_ADMIN_TOKEN"] = TOKEN
            server.start()
        return running[place]

    yield start
    for server in alone:
        server.close()


def _store(request: pytest.FixtureRequest, cell: Cell, clock: PatientClock, folder: Path) -> Store:
    if cell.store == "memory":
        return MemoryStore(clock=clock)
    if cell.store == "sqlite":
        return PatientStore(SQLiteStore(folder / "actors.db", clock=clock), clock)
    if cell.store == "simulated":
        return OwnTable(SimulatedDynamoDB(clock), clock)
    endpoint: str = request.getfixturevalue("ministack")
    return OwnTable(PatientClient(real_client(endpoint), clock), clock)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on Lambda, what it cannot show; each such test says why."""
    left_out = [
        item
        for item in items
        if item.get_closest_marker("not_on_lambda") and str(LAMBDAS[0]) in item.nodeid
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if str(LAMBDAS[0]) in item.nodeid:
            # Wakes come by queues, to processes that start cold.
            item.add_marker(pytest.mark.timeout(90))


async def _rig_world(
    request: pytest.FixtureRequest, cell: Cell, folder: Path
) -> AsyncIterator[RigWorld]:
    clock = PatientClock()
    async with Rig(registry, store=_store(request, cell, clock, folder), clock=clock) as rig:
        world = RigWorld(cell, rig)
        yield world
        await world.aclose()


def _server_world(cell: Cell, server: ServerProcess) -> ServerWorld:
    return (
        LambdaWorld(cell, server) if isinstance(server, LabProcess) else ServerWorld(cell, server)
    )


@pytest.fixture(params=parameters(CELLS))
async def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server_on: Callable[[Cell], ServerProcess],
) -> AsyncIterator[World]:
    """Actors in every cell, one after the other."""
    cell: Cell = request.param
    if cell.host == "rig":
        async for rig_world in _rig_world(request, cell, tmp_path):
            yield rig_world
    else:
        async with _server_world(cell, server_on(cell)) as server_world:
            yield server_world


@pytest.fixture(params=parameters(RIGS))
async def rig_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RigWorld]:
    """Actors in this process only: for what only a fake clock can show."""
    async for rig_world in _rig_world(request, request.param, tmp_path):
        yield rig_world


@pytest.fixture(params=parameters((*SERVERS, *LAMBDAS)))
async def server(
    request: pytest.FixtureRequest, server_on: Callable[[Cell], ServerProcess]
) -> AsyncIterator[ServerWorld]:
    """Actors on real servers only: for what only HTTP has."""
    cell: Cell = request.param
    async with _server_world(cell, server_on(cell)) as server_world:
        yield server_world
