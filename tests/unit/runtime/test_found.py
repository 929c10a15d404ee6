"""What the simulator has found, each told directly."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.clock import settle
from tests.unit.runtime.worlds import World

gates: dict[str, asyncio.Event] = {}


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@pytest.fixture(autouse=True)
def fresh() -> None:
    gates.clear()


class Count(BaseModel):
    count: int = 0


class Shelf(Actor[Count]):
    @action
    async def put(self, name: str) -> None:
        self.state.count += 1
        await self.kv.put(name, "there")

    @action
    async def look(self, wait: str = "") -> list[object]:
        """Read the state, then, perhaps much later, the pairs."""
        count = self.state.count
        if wait:
            await gate(wait).wait()
        return [count, [name for name, _ in await self.kv.list()]]


async def test_pairs_read_later_belong_to_the_state_read_before() -> None:
    """The call that wakes the actor was taken to have seen the newest state, whenever it read."""
    world = await World.open(Shelf)
    reader, writer = world.process(), world.process()
    looking = asyncio.create_task(reader.call("shelf", "look", "later"))
    await settle()
    await writer.call("shelf", "put", "a")
    gate("later").set()
    assert await looking == [1, ["a"]]
