"""What whole actors ask of DynamoDB and what it consumes: the counts that the design promises."""

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import BaseModel

from rivetless import Actor, Event, action
from rivetless.aws.client import Client
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CloseConnection, OpenConnection, Subscribe
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from tests.ministack import OwnTable

Used = tuple[dict[str, int], float, float]


class Count(BaseModel):
    value: int = 0


class Metered(Actor[Count]):
    changed = Event[int]()

    @action
    async def add(self) -> int:
        self.state.value += 1
        return self.state.value

    @action
    async def get(self) -> int:
        return self.state.value

    @action
    async def same(self) -> None:
        """Write what is there already."""
        self.state.value = int(self.state.value)

    @action
    async def tell(self) -> None:
        self.state.value += 1
        self.broadcast(self.changed, self.state.value)

    @action
    async def plan(self, delay: float) -> None:
        self.schedule.after(delay, self.add)


class World:
    """Actors in one process, over a table of their own.

    Attributes:
        rig: the process.
        store: its store.
    """

    def __init__(self, rig: Rig, store: OwnTable) -> None:
        self.rig = rig
        self.store = store
        self.metered = rig.client.get_or_create(Metered, "a")

    async def connect(self, conn_id: str) -> None:
        """Open a connection."""
        target = ByKey(Address("default", "metered", ("a",)), create=True)
        opened = OpenConnection(target, conn_id, "events", "host-1")
        self.life = (await self.rig.runtime.dispatch(opened)).actor_id

    async def listen(self, conn_id: str, event: str = "changed", *, subscribe: bool = True) -> None:
        """Have it listen to an event, or no more."""
        await self.rig.runtime.dispatch(Subscribe(self.life, conn_id, event, subscribe=subscribe))

    async def close(self, conn_id: str) -> None:
        """Close it."""
        await self.rig.runtime.dispatch(CloseConnection(self.life, conn_id))

    async def used(self) -> Used:
        """Return what was consumed since this was asked last: requests, read and write units."""
        await self.rig.settle()
        await self.rig.runtime.settle()
        consumed = self.store.consumed
        found = dict(consumed.requests), consumed.read_units, consumed.write_units
        consumed.clear()
        return found


@pytest.fixture
async def world(make_client: Callable[[], Client]) -> AsyncIterator[World]:
    clock = FakeClock()
    store = OwnTable(make_client(), clock)
    async with Rig(store=store, clock=clock) as rig:
        world = World(rig, store)
        await world.used()  # the table, and the sweeper's first look around
        yield world


async def test_a_creation_is_one_read_and_one_write(world: World) -> None:
    assert await world.metered.add() == 1
    # The list of actors takes a unit, once in a life.
    assert await world.used() == ({"GetItem": 1, "PutItem": 1}, 1.0, 2.0)


async def test_cold_and_warm(world: World) -> None:
    await world.metered.add()
    await world.used()
    assert await world.metered.add() == 2
    assert await world.used() == ({"UpdateItem": 1}, 0.0, 1.0)
    assert await world.metered.get() == 2
    assert await world.used() == ({"GetItem": 1}, 1.0, 0.0)
    await world.metered.same()
    assert await world.used() == ({"GetItem": 1}, 1.0, 0.0)

    world.rig.restart()
    assert await world.metered.add() == 3
    requests, _, writes = await world.used()
    assert _without_sweeps(requests) == {"GetItem": 1, "UpdateItem": 1}
    assert writes == 1.0
    world.rig.restart()
    assert await world.metered.get() == 3
    requests, _, writes = await world.used()
    assert _without_sweeps(requests) == {"GetItem": 1}
    assert writes == 0.0


async def test_a_hundred_commits_cost_no_more_than_the_first(world: World) -> None:
    await world.metered.add()
    for _ in range(100):
        await world.metered.add()
    await world.used()
    await world.metered.add()
    assert await world.used() == ({"UpdateItem": 1}, 0.0, 1.0)


async def test_connections(world: World) -> None:
    await world.metered.add()
    await world.used()
    await world.connect("c1")
    opening = await world.used()
    await world.metered.tell()
    telling_nobody = await world.used()
    await world.listen("c1")
    first_listening = await world.used()
    await world.listen("c1", subscribe=False)
    leaving = await world.used()
    await world.listen("c1")
    listening = await world.used()
    await world.close("c1")
    closing = await world.used()
    transaction = {"TransactWriteItems": 1}
    # A head that is only checked costs what one costs that is written; the host's index a unit.
    assert opening == (transaction, 0.0, 5.0)
    assert telling_nobody == ({"UpdateItem": 1}, 0.0, 1.0)
    # The process meets the actor's id for the first time, and asks whose it is.
    assert first_listening == (transaction | {"GetItem": 1}, 1.0, 7.0)
    assert listening == leaving == (transaction, 0.0, 7.0)
    # The connection itself and what it listens to.
    assert closing == (transaction | {"Query": 2}, 2.0, 12.0)

    await world.connect("c2")
    await world.listen("c2")
    await world.used()
    await world.metered.tell()
    requests, reads, writes = await world.used()
    # One for who listens. Nobody is at that socket, so the connection is closed then.
    assert (requests, reads) == ({"UpdateItem": 1, "Query": 3, "TransactWriteItems": 1}, 3.0)
    assert writes == 13.0


async def test_timers(world: World) -> None:
    await world.metered.add()
    await world.used()
    await world.metered.plan(1)
    # The head and the record, and the alarm in the sweeper's index.
    assert await world.used() == ({"TransactWriteItems": 1}, 0.0, 5.0)
    await world.metered.plan(20)
    second = await world.used()
    assert second == ({"TransactWriteItems": 1}, 0.0, 4.0)
    await world.rig.advance(1)
    requests, reads, writes = await world.used()
    # The head, and the first timers.
    assert (requests, reads) == ({"GetItem": 1, "Query": 1, "TransactWriteItems": 1}, 2.0)
    assert writes == 6.0


def _without_sweeps(requests: dict[str, int]) -> dict[str, int]:
    """Leave out what a new process looks for."""
    return {name: count for name, count in requests.items() if name != "Query"}
