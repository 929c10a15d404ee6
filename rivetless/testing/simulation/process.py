"""One virtual process: a runtime whose ports go wrong, and a life that can end at any of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rivetless.errors import ActorError
from rivetless.runtime.alarms import LocalDoorbells
from rivetless.runtime.runtime import Runtime
from rivetless.testing.simulation.clock import SimClock
from rivetless.testing.simulation.outcomes import lost, refused
from rivetless.testing.simulation.vitality import Vitality

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.testing.simulation.world import World

__all__ = ["CURRENT", "Process"]

T = TypeVar("T")

CURRENT: Final[ContextVar[Process | None]] = ContextVar("rivetless simulated process", default=None)
"""The process whose code is running."""

_SETTLING: Final = 30.0


class Process:
    """A process that runs actors.

    Args:
        name: of this process; one that takes its place has another.
        world: what it shares with the others.
        definitions: the actors it serves.
        resident: whether it stays between commands, as servers do; else it is like a function.
        skew: seconds by which its clock is ahead.

    Attributes:
        name: as given.
        vitality: whether it runs, is frozen or is dead.
        clock: its own.
        runtime: its own, once it has begun.
    """

    runtime: Runtime

    def __init__(
        self,
        name: str,
        world: World,
        definitions: Mapping[str, ActorDefinition],
        *,
        resident: bool,
        skew: float,
    ) -> None:
        self.name: Final = name
        self.vitality: Final = Vitality()
        self.clock: Final = SimClock(world.loop, self.vitality, skew=skew)
        self._world = world
        self._definitions = definitions
        self._resident = resident
        # Whatever begins in the process, be it a timer, is known to be its own.
        self._context = contextvars.copy_context()
        self._context.run(CURRENT.set, self)

    async def start(self) -> None:
        """Open the store and begin."""
        world = self._world
        store = await world.backend.store_for(self.name, self.vitality, self.clock)
        self._context.run(self._begin, Runtime, store)

    def _begin(self, runtime: type[Runtime], store: Any) -> None:
        self.runtime = runtime(
            self._definitions,
            store,
            clock=self.clock,
            doorbells=LocalDoorbells(self.clock),
            resident=self._resident,
            rng=self._world.choices.random(f"{self.name} runtime"),
        )
        self.runtime.sweeper.start()

    @property
    def alive(self) -> bool:
        """Whether it has not died."""
        return not self.vitality.dead

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task in the process."""
        return self._world.loop.create_task(work, context=self._context.copy())

    async def run(self, command: Any) -> Any:
        """Have a command run that has arrived from outside, and return the answer.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``: it is dead, or dies.
            Exception: as ``Runtime.dispatch``.
        """
        if not self.alive:
            raise refused()
        answer: asyncio.Future[Any] = self._world.loop.create_future()
        forget = self.vitality.at_death(partial(_leave_unanswered, answer))
        task = self.spawn(self._serve(command, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            forget()

    async def _serve(self, command: Any, answer: asyncio.Future[Any]) -> None:
        """Run a command in the process; its answer leaves as long as the process runs."""
        result: object = None
        failure: BaseException | None = None
        if not self.vitality.awake:
            await self.vitality.wait()
        try:
            result = await cast("Any", self.runtime.dispatch)(command)
        except asyncio.CancelledError:
            failure = lost()
        except Exception as error:
            failure = error
            if not isinstance(error, ActorError):
                self._world.trace.add(self.name, "raises %r", error)
        if not self._resident:
            await self.runtime.settle(self.clock.now() + _SETTLING)
        if not self.vitality.awake:
            await self.vitality.wait()
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(result)


def _leave_unanswered(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(lost())
