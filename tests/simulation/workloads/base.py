"""What the workloads share: clients that draw their calls by chance, and ways to read a history."""

from __future__ import annotations

import asyncio
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from rivetless import Actor
from rivetless.testing.simulation.checkers import Violation
from rivetless.testing.simulation.checkers.repeats import as_one
from rivetless.testing.simulation.clock import EPOCH
from rivetless.testing.simulation.clock import SKEW as SKEW_OF_ONE
from rivetless.testing.simulation.history import (
    Effect,
    Operation,
    Outcome,
    Refused,
    Subject,
    Unknown,
)
from rivetless.testing.simulation.process import CURRENT
from rivetless.testing.simulation.simulation import Deployment, Simulation

T = TypeVar("T")

SKEW: Final = 2 * SKEW_OF_ONE
"""By how much the clocks of two processes differ at most, in seconds."""

Actors = tuple[type[Actor[Any, Any, Any]], ...]
Program = Coroutine[Any, Any, object]


async def outside(name: str, key: str, value: T) -> T:
    """Do something in a system that is not ours; for actors."""
    return await Simulation.current().outside.call(name, key, value)


def witness(what: str, key: str, value: object = None) -> None:
    """Write down that an actor's code was here, past everything that can go wrong; for actors."""
    process = CURRENT.get()
    name = "" if process is None else process.name
    Simulation.current().history.effect(what, key, value, process=name)


def witnessed(what: str, key: str) -> list[Effect]:
    """Return what was written down before; for actors."""
    effects = Simulation.current().history.effects
    return [effect for effect in effects if (effect.name, effect.key) == (what, key)]


class Workload(ABC):
    """Actors, what clients do with them, and what must be true of it.

    Attributes:
        name: names it in the results.
        actors: the classes.
        older: the classes of the version before, where there is one.
        share: the part of the usual number of seeds that CI runs of it.
    """

    name: ClassVar[str]
    actors: ClassVar[Actors]
    older: ClassVar[Actors] = ()
    processes: ClassVar[int] = 3
    share: ClassVar[float] = 1.0

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim

    @abstractmethod
    def programs(self) -> Iterable[Program]:
        """Return what clients do, one coroutine a client."""

    @abstractmethod
    async def check(self) -> None:
        """Check what happened, after calm."""

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        """Return what is simulated."""
        return Deployment(
            actors=cls.actors, older=cls.older, processes=cls.processes, resident=resident
        )

    @classmethod
    async def play(cls, sim: Simulation) -> None:
        """Do all of it: the scenario of each seed."""
        workload = cls(sim)
        await sim.run(*workload.programs())
        await workload.settle()
        await sim.calm()
        await workload.check()

    async def settle(self) -> None:
        """Do what has to be done before everything can drain; nothing by default."""
        return

    # -- chance ------------------------------------------------------------------------------------

    def dice(self, site: str) -> random.Random:
        """Return chance for one client, so that clients do not disturb each other."""
        return self.sim.world.choices.random(f"{self.name} {site}")

    def between(self, least: int, most: int) -> int:
        """Return how many clients there are."""
        return self.dice("clients").randint(least, most)

    # -- calls -------------------------------------------------------------------------------------

    async def call(
        self,
        client: str,
        actor: type[Actor[Any, Any, Any]],
        key: str,
        action: str,
        *args: object,
        idempotency_key: str | None = None,
        tries: int = 1,
        patience: float = 2.0,
    ) -> Outcome:
        """Call an action; return what its caller may conclude.

        Args:
            client: whose call it is.
            actor: whose action.
            key: of the actor.
            action: which.
            *args: its arguments.
            idempotency_key: by which repeats are known.
            tries: how often it is tried at most.
            patience: how many times as long each pause is as the one before.
        """
        handle = self.sim.client.get_or_create(actor, key)
        if idempotency_key is not None:
            handle = self.sim.client.with_options(handle, idempotency_key=idempotency_key)
        outcome: Outcome = Unknown()
        for attempt in range(tries):
            outcome = await self.sim.attempt(getattr(handle, action)(*args))
            if not isinstance(outcome, Unknown) and not _try_again(outcome):
                break
            await asyncio.sleep(0.05 * patience**attempt)
        return outcome

    async def send(
        self,
        client: str,
        actor: type[Actor[Any, Any, Any]],
        key: str,
        queue: Any,
        body: str,
        *,
        idempotency_key: str | None = None,
        tries: int = 1,
        handle: Any = None,
    ) -> Outcome:
        """Send a message."""
        if handle is None:
            handle = self.sim.client.get_or_create(actor, key)
        if idempotency_key is not None:
            handle = self.sim.client.with_options(handle, idempotency_key=idempotency_key)
        outcome: Outcome = Unknown()
        for attempt in range(tries):
            outcome = await self.sim.attempt(self.sim.client.send(handle, queue, body))
            if not isinstance(outcome, Unknown) and not _try_again(outcome):
                break
            await asyncio.sleep(0.05 * 2**attempt)
        return outcome

    async def ask(
        self, client: str, actor: type[Actor[Any, Any, Any]], key: str, queue: Any, body: str
    ) -> Outcome:
        """Send a message and wait for its answer."""
        handle = self.sim.client.get_or_create(actor, key)
        return await self.sim.attempt(
            self.sim.client.send_and_wait(handle, queue, body, timeout=20)
        )

    async def read(
        self, actor: type[Actor[Any, Any, Any]], key: str, action: str, *args: object
    ) -> Any:
        """Call an action when all is calm."""
        return await getattr(self.sim.client.get_or_create(actor, key), action)(*args)

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    # -- the history -------------------------------------------------------------------------------

    def all(self) -> list[Operation]:
        """Return all calls; repeats under one key are one, and names are those of Python."""
        return as_one(replace(one, call=_snake(one.call)) for one in self.sim.history.operations)

    def of(self, actor: type[Actor[Any, Any, Any]], key: str) -> list[Operation]:
        """Return the calls of one actor."""
        subject = Subject(actor.__definition__.name, (key,))
        return [one for one in self.all() if one.actor == subject]

    def calls(self, name: str) -> list[Operation]:
        """Return the calls of one action."""
        return [one for one in self.all() if one.call == name]

    def seen(self, what: str) -> list[Effect]:
        """Return what was done outside, or witnessed, under one name."""
        return [effect for effect in self.sim.history.effects if effect.name == what]

    def must(self, holds: bool, otherwise: str) -> None:
        """Check something.

        Raises:
            Violation: it does not hold.
        """
        if not holds:
            raise Violation(otherwise)

    def since_start(self, instant: float) -> float:
        """Return the virtual time of an instant that an actor has seen."""
        return instant - EPOCH


def _try_again(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and not outcome.code.startswith("user.")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
