"""Counters that tests of the simulator count with: a right one, and one that loses additions."""

from __future__ import annotations

from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.simulation import Simulation


class Count(BaseModel):
    value: int = 0


class Counter(Actor[Count]):
    """Adds up."""

    @action
    async def add(self, amount: int) -> int:
        self.state.value += amount
        return self.state.value

    @action
    async def put(self, value: int) -> None:
        self.state.value = value

    @action
    async def get(self) -> int:
        return self.state.value


class OldCounter(Actor[Count], name="counter"):
    """What ``Counter`` was in the version before: it had no ``put``."""

    @action
    async def add(self, amount: int) -> int:
        self.state.value += amount
        return self.state.value

    @action
    async def get(self) -> int:
        return self.state.value


async def count(sim: Simulation, *, clients: int = 3, calls: int = 8) -> None:
    """Let clients add, and see whether the sum is one that can be."""

    async def add() -> None:
        counter = sim.client.get_or_create(Counter, "a")
        for _ in range(calls):
            await sim.attempt(counter.add(1))

    await sim.run(*(add() for _ in range(clients)))
    await sim.calm()
    total = await sim.client.get_or_create(Counter, "a").get()
    added = [one for one in sim.history.operations if one.call == "add"]
    assert sum(one.ok for one in added) <= total <= sum(not one.refused for one in added)


async def count_badly(sim: Simulation, *, clients: int = 3, calls: int = 8) -> None:
    """Read, add and write in three steps: what somebody else adds meanwhile is lost."""
    done = 0

    async def add() -> None:
        nonlocal done
        counter = sim.client.get_or_create(Counter, "a")
        for _ in range(calls):
            await counter.put(await counter.get() + 1)
            done += 1

    await sim.run(*(add() for _ in range(clients)))
    await sim.calm()
    total = await sim.client.get_or_create(Counter, "a").get()
    assert total >= done, f"{done} additions were acknowledged, and the sum is {total}"
