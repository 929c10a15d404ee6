"""Clients of a simulated deployment: their calls reach some process, or do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from rivetless.client import calls
from rivetless.runtime.local import LocalDispatcher
from rivetless.testing.simulation.history import Ok, Outcome, Subject
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.outcomes import lost, outcome_of, refused
from rivetless.testing.simulation.process import Process
from rivetless.testing.simulation.vitality import Vitality
from rivetless.testing.simulation.weather import Fault, menu
from rivetless.testing.simulation.world import World

__all__ = ["CLIENT", "Entrance", "SimDispatcher"]

T = TypeVar("T")

CLIENT: Final[ContextVar[str]] = ContextVar("rivetless simulated client", default="test")
"""The client whose code is running."""

REQUEST: Final = Port(
    "request",
    menu(
        Fault.DELAYED,
        Fault.REFUSED,
        Fault.UNACKNOWLEDGED,
        Fault.VANISHED,
        Fault.LATE,
        Fault.GIVEN_UP,
    ),
    refused,
    lost,
)


class Entrance:
    """The way in from outside: every request goes to one of the processes that are alive.

    Args:
        world: what the simulation shares.
        processes: those there are, dead ones included.
    """

    def __init__(self, world: World, processes: Sequence[Process]) -> None:
        self._world = world
        self._processes = processes
        self._outside = Vitality()

    def pick(self, site: str) -> Process | None:
        """Return the process that a request reaches; None if there is none."""
        alive = [process for process in self._processes if process.alive]
        if not alive:
            return None
        return alive[int(self._world.choices.draw(site).whether * len(alive))]

    async def dispatch(self, command: Any, /) -> Any:
        """Have a command run by some process."""
        world, client = self._world, CLIENT.get()
        process = self.pick(f"{client} route")
        if process is None:
            raise refused()
        return await world.network.carry(
            self._outside,
            client,
            REQUEST,
            lambda: process.run(command),
            what=f"{type(command).__name__} to {process.name}",
        )


class SimDispatcher(LocalDispatcher):
    """Gives a client's calls to the deployment, and writes them down.

    Args:
        entrance: the way in.
        world: what the simulation shares.
        namespace: of the actors.
    """

    def __init__(self, entrance: Entrance, world: World, namespace: str) -> None:
        super().__init__(entrance, namespace)
        self._world = world

    async def call(self, call: calls.ActionCall, /) -> object:
        """Run an action."""
        return await self._note(
            call.target,
            call.action,
            tuple(call.args),
            call.idempotency_key,
            lambda: super(SimDispatcher, self).call(call),
        )

    async def enqueue(self, send: calls.QueueSend, /) -> calls.QueueReply:
        """Send a message to a queue."""
        return await self._note(
            send.target,
            "enqueue",
            (send.queue, send.body),
            send.idempotency_key,
            lambda: super(SimDispatcher, self).enqueue(send),
        )

    async def fetch(self, request: calls.FetchRequest, /) -> calls.FetchResponse:
        """Make an HTTP request."""
        return await self._note(
            request.target,
            "fetch",
            (request.method, request.path, request.body),
            None,
            lambda: super(SimDispatcher, self).fetch(request),
        )

    async def locate(self, location: calls.Location, /) -> str:
        """Find an actor, or create it."""
        return await self._note(
            location.target,
            "create" if location.exclusive else "locate",
            (),
            None,
            lambda: super(SimDispatcher, self).locate(location),
        )

    async def _note(
        self,
        target: calls.Target,
        call: str,
        args: tuple[object, ...],
        key: str | None,
        make: Callable[[], Awaitable[T]],
    ) -> T:
        """Make a call; write down its beginning and its end."""
        world, client = self._world, CLIENT.get()
        name = f"{client}#{world.choices.next(f'{client} operation')}"
        if name in world.choices.plan.skipped:
            raise refused()
        world.network.calls.append(name)
        subject = _subject(target)
        operation = world.history.begin(client, subject, call, args, key=key)
        world.trace.add(client, "#%d %s.%s%r", operation, subject, call, args)
        outcome: Outcome | None = None
        try:
            result = await make()
            outcome = Ok(result)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            if outcome is not None and not world.network.ended:
                world.history.end(operation, outcome)
                world.trace.add(client, "#%d is %s", operation, outcome)
        return result


def _subject(target: calls.Target) -> Subject:
    if isinstance(target, calls.ById):
        return Subject("", (target.actor_id,))
    return Subject(target.name, target.key)
