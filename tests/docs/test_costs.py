"""What the page of guarantees says a turn costs is what it costs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Event, action
from rivetless.store.base import Capabilities
from rivetless.store.memory import MemoryStore
from rivetless.testing.rig import Rig
from rivetless.testing.stores import CountingStore


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
    async def tell(self) -> None:
        self.state.value += 1
        self.broadcast(self.changed, self.state.value)

    @action
    async def count(self) -> int:
        return await self.conns.count()

    @action(exclusive=True)
    async def add_alone(self) -> int:
        return await self.add()

    @action(exclusive=True)
    async def get_alone(self) -> int:
        return self.state.value

    @action
    async def save(self) -> None:
        self.state.value += 1
        await self.save_state()
        self.state.value += 1

    @action
    async def add_once(self) -> int:
        self.state.value += await self.once("one", self.one)
        return self.state.value

    async def one(self) -> int:
        return 1

    @action
    async def renew(self) -> int:
        await self.refresh()
        return self.state.value


@pytest.fixture
async def store() -> AsyncIterator[CountingStore]:
    async with MemoryStore(capabilities=Capabilities()) as memory:
        yield CountingStore(memory)


@pytest.fixture
async def rig(store: CountingStore) -> AsyncIterator[Rig]:
    async with Rig(store=store) as rig:
        yield rig


def counted(store: CountingStore) -> tuple[int, int]:
    # The sweeper, which is none of the turn's, looks around as the rig begins.
    reads, writes = store.reads - store.calls["due"] - store.calls["hosts"], store.writes
    store.reset()
    return reads, writes


async def test_creation_and_state(rig: Rig, store: CountingStore) -> None:
    metered = rig.client.get_or_create(Metered, "a")
    await metered.add()
    assert counted(store) == (1, 1)
    await metered.add()
    assert counted(store) == (0, 1)
    await metered.get()
    assert counted(store) == (1, 0)
    rig.restart()
    store.reset()
    await metered.add()
    assert counted(store) == (1, 1)
    rig.restart()
    store.reset()
    await metered.get()
    assert counted(store) == (1, 0)


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("tell", (0, 1)),
        ("count", (2, 0)),
        ("add_alone", (0, 2)),
        ("get_alone", (0, 2)),
        ("save", (0, 2)),
        ("add_once", (0, 3)),
        ("renew", (1, 0)),
    ],
)
async def test_in_addition(
    rig: Rig, store: CountingStore, name: str, cost: tuple[int, int]
) -> None:
    metered: Any = rig.client.get_or_create(Metered, "a")
    await metered.add()
    store.reset()
    await getattr(metered, name)()
    await rig.settle()
    assert counted(store) == cost


async def test_a_key_costs_nothing(rig: Rig, store: CountingStore) -> None:
    metered = rig.client.get_or_create(Metered, "a")
    await metered.add()
    store.reset()
    keyed = rig.client.with_options(metered, idempotency_key="k")
    await keyed.add()
    assert counted(store) == (0, 1)


async def test_connections(rig: Rig, store: CountingStore) -> None:
    metered = rig.client.get_or_create(Metered, "a")
    await metered.add()
    store.reset()
    async with rig.client.connect(metered) as connection:
        await rig.settle()
        opening = counted(store)
        stop = connection.on(Metered.changed, lambda value: None)
        await rig.settle()
        subscribing = counted(store)
        await metered.tell()
        await rig.settle()
        telling = counted(store)
        stop()
        await rig.settle()
        unsubscribing = counted(store)
    await rig.settle()
    closing = counted(store)
    # The first frame of a connection is the first to name the actor by its id.
    assert [opening, subscribing, unsubscribing, closing] == [(0, 1), (1, 1), (0, 1), (2, 1)]
    assert telling == (1, 1)
