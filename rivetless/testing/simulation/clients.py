"""Clients of a simulated deployment: their calls reach some process, or do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from rivetless.actor.turn import RequestInfo
from rivetless.client import calls
from rivetless.client.calls import FetchResponse
from rivetless.client.sockets import Socket
from rivetless.runtime.commands import Origin
from rivetless.runtime.local import LocalDispatcher
from rivetless.testing.simulation import web
from rivetless.testing.simulation.front import Holder
from rivetless.testing.simulation.history import Ok, Outcome, Subject
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.outcomes import lost, outcome_of, refused
from rivetless.testing.simulation.process import Process
from rivetless.testing.simulation.vitality import Vitality
from rivetless.testing.simulation.weather import Fault, menu
from rivetless.testing.simulation.wires import Listener, Wire
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


OPENING: Final = Port("open socket", menu(Fault.DELAYED, Fault.REFUSED), refused, lost)


class Entrance:
    """The way in from outside: every request goes to one of the processes that are alive.

    Args:
        world: what the simulation shares.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._outside = Vitality()

    def pick(self, site: str) -> Process | None:
        """Return the process that a request reaches; None if there is none."""
        alive = [each for each in self._world.processes if each.alive and each.open]
        if not alive:
            return None
        return alive[int(self._world.choices.draw(site).whether * len(alive))]

    async def dispatch(self, command: Any, /, who: str | None = None) -> Any:
        """Have a command run by some process, for the present client unless it is for another."""
        name = type(command).__name__
        return await self._ask(who or CLIENT.get(), lambda process: process.run(command), name)

    async def fetch(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> FetchResponse:
        """Make an HTTP request to some process.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``.
        """
        return await self._ask(
            CLIENT.get(), lambda process: process.fetch(method, url, headers, body), method
        )

    async def _ask(self, client: str, make: Callable[[Process], Awaitable[T]], what: str) -> T:
        """Have some process do what a client asks for."""
        process = self.pick(f"{client} route")
        if process is None:
            raise refused()
        return await self.reach(client, REQUEST, lambda: make(process), f"{what} to {process.name}")

    def skip(self, client: str) -> None:
        """Pass over the decisions of a request that is not made: later ones stay what they are."""
        self._world.choices.next(f"{client} route")
        self._world.choices.next(f"{client} {REQUEST.name}")

    async def reach(
        self, client: str, port: Port, call: Callable[[], Awaitable[T]], what: object = ""
    ) -> T:
        """Make a call from outside."""
        return await self._world.network.carry(self._outside, client, port, call, what=what)


class SimDispatcher(LocalDispatcher):
    """Gives a client's calls to the deployment, and writes them down.

    Args:
        entrance: the way in.
        world: what the simulation shares.
        front: who holds sockets; None where processes do.
        namespace: of the actors.
    """

    def __init__(
        self, entrance: Entrance, world: World, front: Holder | None, namespace: str
    ) -> None:
        super().__init__(entrance, namespace)
        self._entrance = entrance
        self._world = world
        self._front = front

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
        """Make an HTTP request, which goes through the gateway of a server."""
        url, headers = web.raw_request(request, self._namespace)
        return await self._note(
            request.target,
            "fetch",
            (request.method, request.path, request.body),
            None,
            lambda: self._entrance.fetch(request.method, url, headers, request.body),
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

    async def open_socket(self, request: calls.SocketRequest, /) -> Socket:
        """Open a socket, to the front or to some process."""
        client = CLIENT.get()
        opened: list[Socket] = []
        gone = False

        async def connect() -> Socket:
            socket = await self._connect(client, request)
            opened.append(socket)
            if gone:
                await socket.close(1006)
            return socket

        try:
            return await self._entrance.reach(client, OPENING, connect)
        except BaseException:
            # Whoever goes away meanwhile leaves no socket behind, nor one that opens later.
            gone = True
            for socket in opened:
                await socket.close(1006)
            raise

    async def _connect(self, client: str, request: calls.SocketRequest) -> Socket:
        world, front = self._world, self._front
        process = None if front is not None else self._entrance.pick(f"{client} socket")
        if front is None and process is None:
            raise refused()
        name = f"{client}/{world.choices.next(f'{client} sockets')}"
        raw = request.path.partition("?")[0] != "/connect"
        end = Listener(world, client, name, _subject(request.target), raw=raw)
        wire = Wire(world, name, None if process is None else process.vitality, end)
        seen = RequestInfo("GET", f"http://127.0.0.1{request.path}")
        origin = Origin(request=seen, params=request.params)
        target = self.target(request.target)
        world.trace.add(name, "opens to %s", "front" if process is None else process.name)
        if process is not None:
            process.serve(wire.server, target, origin, raw=raw)
        elif front is not None:
            world.begin(front.serve(wire.server, target, origin, raw=raw))
        return end

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
            self._entrance.skip(client)
            raise refused()
        world.network.calls.append(name)
        subject = _subject(target)
        operation = world.history.begin(client, subject, call, args, key=key)
        world.trace.add(client, "#%d %s.%s%r", operation, subject, call, args)
        outcome: Outcome | None = None
        try:
            result = await make()
            outcome = web.outcome(result) if isinstance(result, FetchResponse) else Ok(result)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            if outcome is not None and not world.network.ended:
                world.history.end(operation, outcome)
                world.trace.add(client, "#%d is %s", operation, web.shown(outcome))
        return result


def _subject(target: calls.Target) -> Subject:
    if isinstance(target, calls.ById):
        return Subject("", (target.actor_id,))
    return Subject(target.name, target.key)
