"""What the network does to a call, one fault at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from rivetless.testing.simulation.choices import Choices, FaultId, Plan
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.network import Network, Port
from rivetless.testing.simulation.trace import Trace
from rivetless.testing.simulation.vitality import Vitality
from rivetless.testing.simulation.weather import RATES, Fault, Weather, menu


class Refused(Exception):
    """It was not made."""


class Lost(Exception):
    """Nobody knows."""


class Street:
    """A network on which one thing goes wrong, always."""

    def __init__(self, fault: Fault | None, plan: Plan | None = None) -> None:
        self.loop = SimLoop()
        choices = Choices(plan or Plan(seed=1))
        rates = {} if fault is None else {fault: 1.0}
        self.weather = Weather(rates, choices)
        self.network = Network(self.loop, choices, self.weather, Trace(self.loop.time))
        self.process = Vitality()
        faults = menu() if fault is None else menu(fault)
        self.port = Port("street", faults, Refused, Lost, Refused)
        self.arrived: list[float] = []

    async def call(self) -> str:
        self.arrived.append(self.loop.time())
        return "done"

    async def carry(self, *, again: bool = True) -> str:
        return await self.network.carry(self.process, "p1", self.port, self.call, again=again)

    def run(self, work: Coroutine[Any, Any, str]) -> str:
        try:
            return self.loop.run_until_complete(work)
        finally:
            self.loop.run_until_complete(asyncio.sleep(1000))
            self.loop.close()


def test_a_call_takes_a_moment() -> None:
    street = Street(None)
    assert street.run(street.carry()) == "done"
    assert len(street.arrived) == 1
    assert not street.network.faults


@pytest.mark.parametrize(
    ("fault", "error", "arrivals"),
    [
        (Fault.REFUSED, Refused, 0),
        (Fault.THROTTLED, Refused, 0),
        (Fault.VANISHED, Lost, 0),
        (Fault.PUSH_LOST, Lost, 0),
        (Fault.UNACKNOWLEDGED, Lost, 1),
        (Fault.LATE, Lost, 1),
    ],
)
def test_a_call_that_fails(fault: Fault, error: type[Exception], arrivals: int) -> None:
    street = Street(fault)
    with pytest.raises(error):
        street.run(street.carry())
    assert len(street.arrived) == arrivals
    assert street.network.counts == {fault: 1}


@pytest.mark.parametrize(
    ("fault", "again", "arrivals"),
    [
        (Fault.DELAYED, True, 1),
        (Fault.DUPLICATED, True, 2),
        (Fault.DUPLICATED, False, 1),
        (Fault.FROZE_BEFORE, True, 1),
        (Fault.FROZE_AFTER, True, 1),
    ],
)
def test_a_call_that_gets_there(fault: Fault, again: bool, arrivals: int) -> None:
    street = Street(fault)
    assert street.run(street.carry(again=again)) == "done"
    assert len(street.arrived) == arrivals


@pytest.mark.parametrize(("fault", "arrivals"), [(Fault.DIED_BEFORE, 0), (Fault.DIED_AFTER, 1)])
def test_a_dead_process_gets_no_answer(fault: Fault, arrivals: int) -> None:
    street = Street(fault)

    async def wait() -> str:
        carrying = asyncio.ensure_future(street.carry())
        await asyncio.wait([carrying], timeout=500)
        assert not carrying.done()
        carrying.cancel()
        return "dead"

    assert street.run(wait()) == "dead"
    assert street.process.dead
    assert len(street.arrived) == arrivals


def test_a_caller_that_goes_away_may_have_been_heard() -> None:
    def arrivals(seed: int) -> int:
        street = Street(None, Plan(seed=seed))

        async def go_away() -> str:
            carrying = asyncio.ensure_future(street.carry())
            await asyncio.sleep(0.0001)
            carrying.cancel()
            return ""

        street.run(go_away())
        return len(street.arrived)

    assert {arrivals(seed) for seed in range(20)} == {0, 1}


def test_faults_that_are_not_allowed_do_not_happen() -> None:
    street = Street(Fault.REFUSED, Plan(seed=1, faults=frozenset({FaultId("p1 street", 1)})))
    assert street.loop.run_until_complete(street.carry()) == "done"
    with pytest.raises(Refused):
        street.run(street.carry())


def test_an_outage_ends() -> None:
    street = Street(None)
    street.port = replace(street.port, fails=True)

    async def try_twice() -> str:
        street.network.fail(FaultId("store outage", 0), 5.0)
        with pytest.raises(Refused):
            await street.carry()
        assert street.arrived == []
        await asyncio.sleep(5)
        return await street.carry()

    assert street.run(try_twice()) == "done"
    assert street.network.counts == {Fault.OUTAGE: 1}


def test_in_calm_weather_nothing_happens() -> None:
    street = Street(Fault.REFUSED)
    street.weather.calm = True
    assert street.run(street.carry()) == "done"


def test_seeds_have_different_weather() -> None:
    had = [frozenset(Weather.of(Choices(Plan(seed=seed))).rates) for seed in range(50)]
    assert len(set(had)) == 50
    for fault in RATES:
        assert 15 < sum(fault in each for each in had) < 45, fault


def test_a_choice_does_not_move_others() -> None:
    one, other = Choices(Plan(seed=7)), Choices(Plan(seed=7))
    one.draw("a")
    one.draw("a")
    assert one.draw("b") == other.draw("b")
    assert one.draw("a").id == FaultId("a", 2)
    assert Choices(Plan(seed=8)).draw("b") != Choices(Plan(seed=7)).draw("b")
