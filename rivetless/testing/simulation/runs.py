"""Running one seed from its beginning to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

from rivetless.frozen import frozen
from rivetless.testing.simulation.choices import FaultId, Plan
from rivetless.testing.simulation.history import History
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.network import Site
from rivetless.testing.simulation.simulation import Deployment, Simulation
from rivetless.testing.simulation.stores import StoreKind
from rivetless.testing.simulation.trace import Trace
from rivetless.testing.simulation.weather import Fault

__all__ = ["Run", "Scenario", "run"]

_log: Final = logging.getLogger("rivetless")
_PASSES: Final = 50

Scenario = Callable[[Simulation], Awaitable[None]]
"""What a test does with a simulation."""


@frozen(kw_only=True)
class Run:
    """What became of one seed.

    Attributes:
        plan: the seed, and which of its decisions were taken.
        store: on what kind of store.
        failure: why it failed; None if it did not.
        history: what has happened.
        trace: the same, for people.
        counts: how often each kind of fault happened.
        faults: the faults that happened, in order.
        sites: from where in the production code ports were called.
        calls: the names that plans have for the calls that were made, in order.
        seconds: virtual time that it took.
    """

    plan: Plan
    store: StoreKind
    failure: BaseException | None
    history: History
    trace: Trace
    counts: Counter[Fault]
    faults: tuple[FaultId, ...]
    sites: frozenset[Site]
    calls: tuple[str, ...]
    seconds: float


def run(scenario: Scenario, deployment: Deployment, plan: Plan, store: StoreKind = "memory") -> Run:
    """Run one seed. Never raises what the scenario raises: that is in the answer."""
    loop = SimLoop()
    simulation = Simulation(plan, deployment, store, loop)
    mishaps: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: _note_mishap(mishaps, context))
    failure: BaseException | None = None
    with _alone(plan.seed):
        try:
            loop.run_until_complete(_play(scenario, simulation))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failure = error
        try:
            _end(loop, simulation)
        finally:
            loop.close()
    if failure is None and mishaps:
        failure = mishaps[0]
    world = simulation.world
    return Run(
        plan=plan,
        store=store,
        failure=failure,
        history=world.history,
        trace=world.trace,
        counts=world.network.counts,
        faults=tuple(world.network.faults),
        sites=world.network.sites.seen,
        calls=tuple(world.network.calls),
        seconds=loop.time(),
    )


async def _play(scenario: Scenario, simulation: Simulation) -> None:
    await simulation.open()
    await scenario(simulation)


def _note_mishap(mishaps: list[BaseException], context: dict[str, Any]) -> None:
    """Keep what a callback of the event loop has raised; what tasks leave is not looked at."""
    error = context.get("exception")
    if isinstance(error, BaseException) and "handle" in context:
        mishaps.append(error)


def _end(loop: SimLoop, simulation: Simulation) -> None:
    """End what is still under way, without any effect."""

    async def cancel() -> None:
        await simulation.close()
        this = asyncio.current_task()
        for _ in range(_PASSES):
            left = [task for task in asyncio.all_tasks(loop) if task is not this]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        for task in asyncio.all_tasks(loop):
            # It does not end; there is nobody left whom that matters to.
            cast("Any", task)._log_destroy_pending = False

    loop.run_until_complete(cancel())


@contextmanager
def _alone(seed: int) -> Generator[None, None, None]:
    """Keep out of a run what would make it another: the garbage collector, and others' chance.

    The collector runs code when it likes. And the log, since warnings are what simulations are full
    of.
    """
    collecting, level, chance = gc.isenabled(), _log.level, random.getstate()
    gc.disable()
    _log.setLevel(logging.CRITICAL + 1)
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(chance)
        _log.setLevel(level)
        if collecting:
            gc.enable()
