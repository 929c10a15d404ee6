"""``simulate``: makes a test of a scenario, run under many seeds."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from rivetless.actor.base import Actor
from rivetless.frozen import frozen
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.report import SimulationFailure, describe
from rivetless.testing.simulation.runs import Run, Scenario, run
from rivetless.testing.simulation.shrink import shrink
from rivetless.testing.simulation.simulation import Deployment, Simulation
from rivetless.testing.simulation.stores import StoreKind
from rivetless.testing.simulation.weather import RATES, Fault

__all__ = ["BATCH_ARGUMENT", "Batch", "Simulated", "check_seed", "simulate"]

TestT = TypeVar("TestT", bound=Callable[..., Awaitable[None]])

BATCH_ARGUMENT: Final = "rivetless_batch"
"""The argument under which pytest passes a test its seeds."""

_BATCH: Final = 50


@frozen
class Batch:
    """Some seeds of a test that run together.

    Attributes:
        store: on what kind of store.
        seeds: which.
    """

    store: StoreKind
    seeds: range

    def __str__(self) -> str:
        if len(self.seeds) == 1:
            return f"{self.store}-{self.seeds.start}"
        return f"{self.store}-{self.seeds.start}-{self.seeds[-1]}"


@frozen(kw_only=True)
class Simulated:
    """A test that is simulated.

    Attributes:
        deployment: what is simulated.
        stores: on what kinds of stores.
        seeds: how many seeds, on each of them.
    """

    deployment: Deployment
    stores: Sequence[StoreKind]
    seeds: int

    def batches(self, seeds: int | None = None, only: int | None = None) -> list[Batch]:
        """Return the test's seeds in batches.

        Args:
            seeds: how many, instead of its own number.
            only: this seed only.
        """
        if only is not None:
            return [Batch(store, range(only, only + 1)) for store in self.stores]
        count = self.seeds if seeds is None else seeds
        return [
            Batch(store, range(start, min(start + _BATCH, count)))
            for store in self.stores
            for start in range(0, count, _BATCH)
        ]


def simulate(
    *actors: type[Actor[Any, Any, Any]],
    seeds: int = 100,
    stores: Sequence[StoreKind] = ("memory",),
    processes: int = 3,
    older: Sequence[type[Actor[Any, Any, Any]]] = (),
    resident: bool | None = None,
    faults: Mapping[Fault, float] = RATES,
) -> Callable[[TestT], TestT]:
    """Run an async test in a simulated deployment, once for each seed.

    The test's first argument is the ``Simulation``; others are fixtures. ``pytest
    --rivetless-seeds N`` runs N seeds of each such test, ``--rivetless-seed S`` this one only. A
    seed that fails is made as small as possible, and shown with what happened in it.

    Args:
        *actors: the actor classes that are served.
        seeds: how many seeds are run, on each kind of store.
        stores: ``memory``, ``sqlite`` (the production code on a file of its own), ``dynamodb`` (the
            production code on a simulated table).
        processes: how many processes share the store.
        older: the same classes as the version before had them: deploys then mix two versions.
        resident: whether processes stay between commands, as servers do, or are like functions;
            each seed chooses by default.
        faults: how often what goes wrong, in a seed that has the fault at all.
    """
    deployment = Deployment(
        actors=actors, older=older, processes=processes, resident=resident, faults=faults
    )
    simulated = Simulated(deployment=deployment, stores=tuple(stores), seeds=seeds)

    def decorate(test: TestT) -> TestT:
        first, *others = inspect.signature(test).parameters.values()
        del first
        name = test.__name__

        def wrapper(**fixtures: Any) -> None:
            # pytest shows this frame's caller, and the report says all there is to say.
            __tracebackhide__ = True
            batch: Batch = fixtures.pop(BATCH_ARGUMENT)

            async def scenario(simulation: Simulation) -> None:
                await test(simulation, **fixtures)

            for seed in batch.seeds:
                check_seed(scenario, deployment, seed, batch.store, name)

        wrapper.__name__ = name
        wrapper.__qualname__ = test.__qualname__
        wrapper.__module__ = test.__module__
        wrapper.__doc__ = test.__doc__
        wrapper.__dict__.update(test.__dict__)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            *(parameter.replace(kind=keyword) for parameter in others),
            inspect.Parameter(BATCH_ARGUMENT, keyword, annotation=Batch),
        ]
        marked = cast("Any", wrapper)
        marked.__signature__ = inspect.Signature(parameters)
        marked.__simulated__ = simulated
        marked.__scenario__ = test
        return cast("TestT", wrapper)

    return decorate


def check_seed(
    scenario: Scenario, deployment: Deployment, seed: int, store: StoreKind, name: str
) -> Run:
    """Run a seed; if it fails, shrink it and say what happened.

    Args:
        scenario: what is done.
        deployment: what is simulated.
        seed: which schedule.
        store: on what kind of store.
        name: of the test, for the command that shows it again.

    Raises:
        SimulationFailure: the seed failed.
    """
    __tracebackhide__ = True

    def again(plan: Plan) -> Run:
        return run(scenario, deployment, plan, store)

    first = again(Plan(seed=seed))
    if first.failure is None:
        return first
    smallest = shrink(first, again)
    replay = f"pytest -k {name} --rivetless-seed {seed}"
    raise SimulationFailure(describe(first, smallest, replay), smallest) from smallest.failure
