"""Each mutant can be planted and is gone again, and is one that only faults bring to light."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from rivetless import Actor, Event, Queue, action, workflow
from rivetless.store.base import Capabilities, Store
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.rig import Rig
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy
from rivetless.workflow.context import WorkflowContext
from rivetless.workflow.results import Break
from tests.simulation.mutants import catalogue
from tests.simulation.mutants import mutant as mutants
from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.mutant import Mutant, PlantError, replaced

MOST_CRUDE = 5

PLACES = ("rivetless.runtime.", "rivetless.store.", "rivetless.workflow.", "rivetless.gateway.")
"""Where mutants are planted."""


class Total(BaseModel):
    total: int = 0


class Purse(Actor[Total]):
    changed = Event[int]()

    @action
    async def add(self, amount: int) -> int:
        self.state.total += amount
        self.broadcast(self.changed, self.state.total)
        return self.state.total

    @action
    async def look(self) -> int:
        return self.state.total

    @action
    async def add_later(self, seconds: float, amount: int) -> str:
        return self.schedule.after(seconds, self.add, amount)

    @action
    async def put(self, key: str, value: str) -> str | None:
        before = await self.kv.get(key)
        await self.kv.put(key, value)
        return before


class Teller(Actor[Total]):
    orders = Queue[int, int]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.orders, completable=True):
            self.state.total += message.body
            message.complete(self.state.total)


class Clerk(Actor[Total]):
    @action
    async def pay(self, name: str, amount: int) -> int:
        self.state.total += amount
        return await self.client.get_or_create(Purse, name).add(amount)

    @action
    async def order(self, name: str, amount: int) -> None:
        await self.client.send(self.client.get_or_create(Teller, name), Teller.orders, amount)

    @action
    async def leave(self) -> None:
        self.destroy()


class Saver(Actor[Total]):
    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.step("open", self.save, 100)
        await ctx.loop("months", self.month)

    async def month(self, ctx: WorkflowContext) -> Break[None] | None:
        await ctx.sleep("a month", timedelta(seconds=30))
        total = await ctx.step("save", self.save, 10)
        return Break(None) if total >= 130 else None

    async def save(self, amount: int) -> int:
        self.state.total += amount
        return self.state.total

    @action
    async def look(self) -> int:
        return self.state.total


async def happy_path(store: Store, clock: FakeClock) -> None:
    """Do a little of everything in one process, one after the other, without a fault."""
    async with Rig(store=store, clock=clock) as rig:
        client = rig.client
        purse = client.get_or_create(Purse, "a")
        seen: list[int] = []
        async with client.connect(purse) as connection:
            connection.on(Purse.changed, seen.append)
            await rig.settle()
            assert [await purse.add(n) for n in (1, 2, 3)] == [1, 3, 6]
            assert await connection.actor.add(4) == 10
            await rig.settle()
        assert seen == [1, 3, 6, 10]
        assert await purse.look() == 10
        assert [await purse.put("k", v) for v in ("x", "y")] == [None, "x"]

        await purse.add_later(5.0, 90)
        await rig.advance(4)
        assert await purse.look() == 10
        await rig.advance(2)
        assert await purse.look() == 100

        teller = client.get_or_create(Teller, "a")
        for amount, total in ((1, 1), (2, 3)):
            assert await client.send_and_wait(teller, Teller.orders, amount) == total

        clerk = client.get_or_create(Clerk, "a")
        assert await clerk.pay("b", 7) == 7
        await clerk.order("a", 4)
        await rig.advance(10)
        assert await client.send_and_wait(teller, Teller.orders, 0) == 7
        await clerk.leave()
        await rig.advance(1)
        assert await clerk.pay("b", 1) == 8

        saver = client.get_or_create(Saver, "a")
        assert await saver.look() in (0, 100)
        await rig.advance(timedelta(seconds=100))
        assert await saver.look() == 130


def make_store(kind: str, clock: FakeClock, folder: Path) -> Store:
    """Make a store of a kind, as one of several processes has it."""
    match kind:
        case "sqlite":
            return SQLiteStore(folder / "actors.db", synchronous="off", clock=clock)
        case "dynamodb":
            service = SimulatedDynamoDB(clock)
            deploy(service)
            return DynamoDBStore("actors", client=service, clock=clock)
        case _:
            # As if there were other processes: nothing may be trusted that is only in memory.
            return MemoryStore(clock=clock, capabilities=Capabilities())


def _attributes() -> dict[tuple[object, str], int]:
    """Return every function of the package that can be replaced."""
    found: dict[tuple[object, str], int] = {}
    for module in list(sys.modules.values()):
        if not module.__name__.startswith(PLACES):
            continue
        for name, value in list(vars(module).items()):
            found[module.__name__, name] = id(value)
            if inspect.isclass(value) and value.__module__ == module.__name__:
                inside = vars(value).items()
                found.update(((module.__name__, f"{name}.{n}"), id(v)) for n, v in inside)
    return found


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 36
    assert sum(each.crude for each in MUTANTS) <= MOST_CRUDE
    assert all(area.__doc__ for area in catalogue.AREAS)


def test_names_and_sentences_are_their_own() -> None:
    assert max(Counter(each.name for each in MUTANTS).values()) == 1
    assert max(Counter(each.says for each in MUTANTS).values()) == 1
    assert all(each.says.endswith(".") for each in MUTANTS)
    assert catalogue.find(MUTANTS[0].name) is MUTANTS[0]
    with pytest.raises(LookupError, match="no mutant 'nobody'"):
        catalogue.find("nobody")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_is_planted_and_gone_again(mutant: Mutant) -> None:
    before = _attributes()
    with mutant.plant():
        during = _attributes()
        changed = [name for name, value in during.items() if before[name] != value]
        assert changed, "it replaces nothing"
        assert len(changed) <= 3, "it is more than one mistake"
    assert _attributes() == before


@pytest.mark.parametrize("kind", ["memory", "sqlite", "dynamodb"])
async def test_without_mutants_the_script_ends_well(kind: str, tmp_path: Path) -> None:
    clock = FakeClock()
    await happy_path(make_store(kind, clock, tmp_path), clock)


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [
        pytest.param(mutant, kind, id=f"{mutant.name}-{kind}")
        for mutant in MUTANTS
        for kind in mutant.stores or ("memory",)
    ],
)
async def test_without_faults_it_does_not_show(mutant: Mutant, kind: str, tmp_path: Path) -> None:
    clock = FakeClock()
    store = make_store(kind, clock, tmp_path)
    if mutant.crude:
        with mutant.plant(), pytest.raises(AssertionError):
            await happy_path(store, clock)
    else:
        with mutant.plant():
            await happy_path(store, clock)


class _Right:
    def method(self, one: int) -> int:
        return one

    async def waits(self) -> None:
        return

    @property
    def shown(self) -> int:
        return 1


def test_what_fits_no_more_is_refused() -> None:
    def wrong(self: object, two: int) -> int:
        return two

    def waits(self: object) -> None:
        return

    for name, value in (("other", wrong), ("method", wrong), ("waits", waits), ("shown", wrong)):
        with pytest.raises(PlantError, match=name), replaced(_Right, name, value):
            raise AssertionError("it was planted")
    assert _Right().method(3) == 3


def _minus(self: object, one: int) -> int:
    return -one


def test_it_is_put_back_whatever_happens() -> None:
    with pytest.raises(KeyError, match="3"), replaced(_Right, "method", _minus):
        raise KeyError(-_Right().method(3))
    assert _Right().method(3) == 3


def test_of_two_replacements_both_are_made_or_none() -> None:
    second = replaced(_Right, "other", _minus)
    with pytest.raises(PlantError), mutants.together(replaced(_Right, "method", _minus), second):
        raise AssertionError("it was planted")
    assert _Right().method(3) == 3
