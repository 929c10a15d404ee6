"""A simulated test passes under all faults, and one with a mistake in it fails and says where."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rivetless import ActorError
from rivetless.testing.simulation import Simulation, SimulationFailure, simulate
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.decorator import check_seed
from rivetless.testing.simulation.loop import Runaway
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.simulation import Deployment
from tests.unit.testing.simulation.counters import (
    Counter,
    OldCounter,
    count,
    count_badly,
)
from tests.unit.testing.simulation.meeting import Bench, Room, meet, work

DEPLOYMENT = Deployment(actors=[Counter])


@simulate(Counter, seeds=100)
async def test_counters_count_whatever_happens(sim: Simulation) -> None:
    await count(sim)


@simulate(Counter, seeds=20, stores=["sqlite", "dynamodb"])
async def test_counters_count_on_other_stores(sim: Simulation) -> None:
    await count(sim)


@simulate(Room, seeds=20, stores=["memory", "sqlite", "dynamodb"])
async def test_what_is_heard_was_said(sim: Simulation) -> None:
    await meet(sim)


@simulate(Bench, seeds=20, stores=["memory", "sqlite", "dynamodb"])
async def test_jobs_are_done_once(sim: Simulation) -> None:
    await work(sim)


@simulate(Counter, seeds=20, older=[OldCounter])
async def test_two_versions_share_their_actors(sim: Simulation) -> None:
    await count(sim)


def test_both_versions_answer() -> None:
    async def scenario(sim: Simulation) -> None:
        for _ in range(12):
            await sim.attempt(sim.client.get_or_create(Counter, "a").put(1))

    deployment = Deployment(actors=[Counter], older=[OldCounter], faults={})
    done = run(scenario, deployment, Plan(seed=2))
    assert {str(one.outcome) for one in done.history.operations} == {
        "None",
        "refused (actor.action_not_found)",
    }


@simulate(Counter, seeds=2)
async def test_other_arguments_are_fixtures(sim: Simulation, tmp_path: Path) -> None:
    assert tmp_path.is_absolute()
    assert sim.seed in (0, 1)
    assert Simulation.current() is sim


def test_a_lost_update_is_found_and_shown() -> None:
    failing = next(
        seed for seed in range(20) if run(count_badly, DEPLOYMENT, Plan(seed=seed)).failure
    )
    with pytest.raises(SimulationFailure) as caught:
        check_seed(count_badly, DEPLOYMENT, failing, "memory", "test_it")
    text = str(caught.value)
    assert f"seed {caught.value.seed} fails on the memory store, at commit " in text
    assert "additions were acknowledged, and the sum is" in text
    assert f"again: pytest -k test_it --rivetless-seed {caught.value.seed}" in text
    # Two clients that read before either has written, and the look at the end.
    assert len(caught.value.smallest.history.operations) == 5, text
    assert caught.value.smallest.faults == ()


def test_a_failure_replays_exactly() -> None:
    runs = [run(count_badly, DEPLOYMENT, Plan(seed=seed)) for seed in (3, 4, 3, 4)]
    assert str(runs[0].trace) == str(runs[2].trace)
    assert str(runs[1].trace) == str(runs[3].trace)
    assert str(runs[0].trace) != str(runs[1].trace)
    assert str(runs[0].failure) == str(runs[2].failure)


PROGRAM = """
import sys
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.simulation import Deployment
from tests.unit.testing.simulation.counters import Counter, count
from tests.unit.testing.simulation.meeting import Bench, Room, meet, work

for seed in range(4):
    for scenario in (count, meet, work):
        deployment = Deployment(actors=[Counter, Room, Bench])
        done = run(scenario, deployment, Plan(seed=seed), sys.argv[1])
        print(done.trace, done.failure, done.counts, sorted(done.sites))
"""


@pytest.mark.parametrize("store", ["memory", "sqlite", "dynamodb"])
def test_another_process_sees_the_same(store: str) -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, store],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert len(seen.pop()) > 10_000


def test_a_client_that_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivetless.testing.simulation.loop.MOST_STEPS", 2000)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def scenario(sim: Simulation) -> None:
        await sim.run(sim.sleep(1), hang())

    failure = run(scenario, DEPLOYMENT, Plan(seed=1)).failure
    assert isinstance(failure, Runaway)
    assert "These clients have not ended: c2." in str(failure)


def test_what_an_actor_answers_fails_a_client_that_does_not_expect_it() -> None:
    async def ask() -> None:
        await Simulation.current().client.get(Counter, "nobody").get()

    async def scenario(sim: Simulation) -> None:
        await sim.run(ask())

    deployment = Deployment(actors=[Counter], faults={})
    failure = run(scenario, deployment, Plan(seed=1)).failure
    assert isinstance(failure, ActorError)
    assert failure.name == "actor.not_found"


def test_there_is_no_current_simulation_elsewhere() -> None:
    with pytest.raises(LookupError):
        Simulation.current()
