"""Shrinking leaves what a failure needs, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from rivetless import Actor, ActorError, action
from rivetless.testing.simulation import Simulation, SimulationFailure
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.decorator import check_seed
from rivetless.testing.simulation.runs import Run, run
from rivetless.testing.simulation.shrink import shrink
from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.weather import Fault
from tests.unit.testing.simulation.counters import Counter, count_badly

DEPLOYMENT = Deployment(actors=[Counter])


class Threaded(Actor[None]):
    """Does what cannot be simulated."""

    @action
    async def count(self) -> int:
        """Count in a thread."""
        return await asyncio.to_thread(lambda: 1)


async def twice_unknown(sim: Simulation) -> None:
    """Fail where two calls of one client were left unanswered."""

    async def add() -> None:
        for _ in range(8):
            await sim.attempt(sim.client.get_or_create(Counter, "a").add(1))

    await sim.run(add(), add(), add())
    open_calls = [one for one in sim.history.operations if not one.ok and not one.refused]
    if len({one.client for one in open_calls}) < len(open_calls):
        raise LookupError("found")


def again(plan: Plan) -> Run:
    return run(twice_unknown, DEPLOYMENT, plan)


def failing_seed() -> Run:
    return next(done for seed in range(50) if (done := again(Plan(seed=seed))).failure)


def test_two_faults_and_two_calls_are_left() -> None:
    failed = failing_seed()
    smallest = shrink(failed, again, seconds=60)
    assert isinstance(smallest.failure, LookupError)
    assert len(smallest.faults) == 2 < len(failed.faults)
    assert len(smallest.history.operations) == 2
    assert smallest.plan.steady
    assert not {Fault.SKEWED, Fault.DEPLOYED} & set(smallest.counts)


def test_the_smallest_run_is_what_its_plan_gives() -> None:
    smallest = shrink(failing_seed(), again, seconds=60)
    assert str(again(smallest.plan).trace) == str(smallest.trace)


def test_no_more_is_done_than_was_asked_for() -> None:
    failed, runs = failing_seed(), 0

    def counted(plan: Plan) -> Run:
        nonlocal runs
        runs += 1
        return again(plan)

    shrink(failed, counted, most=7)
    assert runs == 7
    runs = 0
    assert shrink(failed, counted, seconds=-1) is failed
    assert runs == 0


def test_what_does_not_fail_again_is_left_as_it_is() -> None:
    failed = run(count_badly, DEPLOYMENT, Plan(seed=0))
    assert shrink(failed, again) is failed


def test_what_does_not_fail_again_is_said_to_be_wayward() -> None:
    failures = iter([LookupError("once")])

    async def fails_once(sim: Simulation) -> None:
        for failure in failures:
            raise failure

    with pytest.raises(SimulationFailure) as caught:
        check_seed(fails_once, DEPLOYMENT, 1, "memory", "test_it")
    assert "It did not fail again" in str(caught.value)


async def threaded(sim: Simulation) -> None:
    """Call what fails whatever happens, and nothing else."""
    await sim.client.get_or_create(Threaded, "a").count()


def test_a_call_that_is_left_out_is_no_failure_like_the_one_it_leads_to() -> None:
    deployment = Deployment(actors=[Threaded])
    failed = run(threaded, deployment, Plan(seed=0))
    smallest = shrink(failed, lambda plan: run(threaded, deployment, plan), seconds=60)
    assert isinstance(smallest.failure, ActorError)
    assert smallest.failure.name == "rivetkit.internal_error"
    assert "asks for a thread" in str(smallest.trace)
