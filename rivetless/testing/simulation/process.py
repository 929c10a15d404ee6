"""One virtual process: a runtime whose ports go wrong, and a life that can end at any of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rivetless.client.sockets import Socket
from rivetless.errors import ActorError
from rivetless.hosts.links import LinkError
from rivetless.runtime.alarms import LocalDoorbells
from rivetless.runtime.commands import Origin, Target
from rivetless.runtime.runtime import Runtime
from rivetless.testing.simulation.bells import BellQueue, SimDoorbells
from rivetless.testing.simulation.clock import SimClock
from rivetless.testing.simulation.front import Holder
from rivetless.testing.simulation.hosting import Hosting
from rivetless.testing.simulation.outcomes import lost, refused
from rivetless.testing.simulation.vitality import Vitality
from rivetless.testing.simulation.web import Web

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.client.calls import FetchResponse
    from rivetless.store.base import Store
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
        queue: where functions ring; None for a process that stays, which has timers of its own.
        front: who holds the sockets of functions.
        skew: seconds by which its clock is ahead.
        drift: seconds a second by which its clock goes too fast.

    Attributes:
        name: as given.
        vitality: whether it runs, is frozen or is dead.
        clock: its own.
        open: whether it takes requests: it was not asked to end.
        runtime: its own, once it has begun.
    """

    runtime: Runtime

    def __init__(
        self,
        name: str,
        world: World,
        definitions: Mapping[str, ActorDefinition],
        *,
        queue: BellQueue | None,
        front: Holder,
        skew: float,
        drift: float,
    ) -> None:
        self.name: Final = name
        self.vitality: Final = Vitality()
        self.clock: Final = SimClock(world.loop, self.vitality, skew=skew, drift=drift)
        self.open = True
        self._world = world
        self._definitions = definitions
        self._queue = queue
        self._front = front
        self._hosting: Hosting | None = None
        self._web: Web | None = None
        self._serving: list[asyncio.Task[None]] = []
        self._at_work = 0
        self._idle = False
        # Whatever begins in the process, be it a timer, is known to be its own.
        self._context = contextvars.copy_context()
        self._context.run(CURRENT.set, self)

    async def start(self) -> None:
        """Open the store and begin."""
        store = await self._world.backend.store_for(self.name, self.vitality, self.clock)
        self._context.run(self._begin, store)

    def _begin(self, store: Store) -> None:
        world, queue = self._world, self._queue
        rng = world.choices.random(f"{self.name} runtime")
        if queue is None:
            self._hosting = Hosting(world, self, store)
            self.runtime = Runtime(
                self._definitions,
                store,
                clock=self.clock,
                pusher=self._hosting.peers,
                neighbours=self._hosting.gossip,
                doorbells=LocalDoorbells(self.clock),
                rng=rng,
            )
            self.runtime.sweeper.start()
            self._hosting.begin(self.runtime)
        else:
            self.runtime = Runtime(
                self._definitions,
                store,
                clock=self.clock,
                pusher=self._front.join(self, store),
                doorbells=SimDoorbells(world, self, queue),
                resident=False,
                rng=rng,
            )
            self._front.begin(self, self.runtime, self._definitions)

    @property
    def host_id(self) -> str:
        """The id under which it holds sockets at present; empty where others hold them."""
        return "" if self._hosting is None else self._hosting.peers.host_id

    @property
    def alive(self) -> bool:
        """Whether it has not died."""
        return not self.vitality.dead

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task in the process."""
        return self._world.loop.create_task(work, context=self._context.copy())

    # -- what arrives from outside ----------------------------------------------------------------

    async def run(self, command: Any) -> Any:
        """Have a command run that has arrived from outside, and return the answer.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``: it is dead, or dies.
            Exception: as ``Runtime.dispatch``.
        """
        dispatch = cast("Callable[[Any], Awaitable[Any]]", self.runtime.dispatch)
        return await self.do(lambda: dispatch(command))

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the process do something that it was called for from outside.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``: it is dead, or dies.
            Exception: as ``work``.
        """
        if not self.alive:
            raise refused()
        return await self._ask(work, lost)

    async def fetch(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> FetchResponse:
        """Have an HTTP request answered that has arrived from outside.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``: it is dead, or dies.
        """
        if self._web is None:
            self._web = Web(self.name, self.runtime, self._definitions)
        web = self._web
        return await self.do(lambda: web.answer(method, url, headers, body))

    async def answer(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        """Answer a request of another process.

        Raises:
            LinkError: it is dead, or dies.
        """
        hosting = self._hosting
        if not self.alive or hosting is None:
            raise _hung_up()
        return await self._ask(lambda: hosting.answer(method, path, headers, body), _hung_up)

    def serve(self, socket: Socket, target: Target, origin: Origin, *, raw: bool) -> None:
        """Serve a socket until it closes."""
        if self._hosting is not None:
            self._serving.append(self.spawn(self._hosting.serve(socket, target, origin, raw=raw)))

    async def _ask(self, work: Callable[[], Awaitable[T]], gone: Callable[[], Exception]) -> T:
        """Have the process do something; its answer leaves as long as it runs."""
        answer: asyncio.Future[T] = self._world.loop.create_future()
        forget = self.vitality.at_death(partial(_leave_unanswered, answer, gone))
        task = self.spawn(self._work(work, gone, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            forget()

    async def _work(
        self,
        work: Callable[[], Awaitable[T]],
        gone: Callable[[], Exception],
        answer: asyncio.Future[T],
    ) -> None:
        result: T | None = None
        failure: Exception | None = None
        if self._idle:
            # A function's environment is thawed for each event, and frozen when it has answered.
            self._idle = False
            self.vitality.thaw()
        # Counted before it waits: whoever ends as the environment thaws must not freeze it again.
        self._at_work += 1
        try:
            if not self.vitality.awake:
                await self.vitality.wait()
            result = await work()
        except asyncio.CancelledError:
            failure = gone()
        except Exception as error:
            failure = error
            if not isinstance(error, ActorError):
                self._world.trace.add(self.name, "raises %r", error)
        if self._queue is not None:
            await self.runtime.settle(self.clock.now() + _SETTLING)
        if not self.vitality.awake:
            await self.vitality.wait()
        self._at_work -= 1
        if self._queue is not None and not self._at_work and not self._world.network.ended:
            self._idle = True
            self.vitality.freeze()
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(cast("T", result))

    # -- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End as a process does that is asked to; it may die on the way."""
        self.open = False
        if self._hosting is None:
            return
        ended = self.spawn(self._stop(self._hosting))
        died: asyncio.Future[None] = self._world.loop.create_future()
        self.vitality.at_death(lambda: None if died.done() else died.set_result(None))
        await asyncio.wait([ended, died], return_when=asyncio.FIRST_COMPLETED)

    async def _stop(self, hosting: Hosting) -> None:
        await hosting.stop()
        await self.runtime.aclose()
        await hosting.leave()


def _hung_up() -> Exception:
    return LinkError("the other process is gone")


def _leave_unanswered(answer: asyncio.Future[Any], gone: Callable[[], Exception]) -> None:
    if not answer.done():
        answer.set_exception(gone())
