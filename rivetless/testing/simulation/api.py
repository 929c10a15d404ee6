"""API Gateway as functions have it: it holds sockets, tells of them by a queue, and takes posts.

``$connect``, frames and ``$disconnect`` become messages as in production, and every process works
them with the production worker. In a seed with ordered messages a FIFO queue brings those of one
connection one after the other, and again until they are worked; in one without they overtake each
other, and frames come once only. A message may be late, and be worked by two processes at once. Of
``$disconnect`` it may be that nobody is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless.aws.client import AnswerLost, NotSent
from rivetless.aws.management import ConnectionGone
from rivetless.client.sockets import Socket, SocketClosed
from rivetless.hosts.aws_lambda.pushes import ApiGatewayPusher, Posts
from rivetless.hosts.aws_lambda.sockets import NAMESPACE, Routes, SocketKeeper
from rivetless.hosts.aws_lambda.websocket import (
    URL_PARAMETER,
    Connect,
    Disconnect,
    Frame,
    SocketMessage,
)
from rivetless.hosts.aws_lambda.worker import SocketWorker, WorkerOptions
from rivetless.protocol import targets
from rivetless.protocol.headers import subprotocols
from rivetless.registry import Registry, RegistryOptions
from rivetless.runtime.commands import ById, Origin, Target
from rivetless.testing.simulation.bells import TRIES, VISIBILITY
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.weather import Fault, menu, one_way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.ports import Pusher
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Store
    from rivetless.testing.simulation.clients import Entrance
    from rivetless.testing.simulation.process import Process
    from rivetless.testing.simulation.world import World

__all__ = ["ApiGateway"]

TIMEOUT: Final = 8.0
"""Seconds that an invocation has; then its environment is ended, before the message comes again."""

PORT: Final = Port(
    "post",
    one_way(Fault.PUSH_LOST),
    lambda: NotSent("injected: nothing was sent"),
    lambda: AnswerLost("injected: the answer was lost"),
)
MESSAGES: Final = menu(Fault.BELL_DOUBLED, Fault.BELL_LATE)
FAREWELLS: Final = menu(Fault.BELL_LOST, Fault.BELL_DOUBLED, Fault.BELL_LATE)

_ORDERED: Final = 0.6
"""The part of all seeds in which a connection's messages come in order."""


class _Line:
    """A connection as API Gateway has it.

    Attributes:
        socket: its end.
        open: whether posts get there: ``$connect`` has returned, and it has not ended.
        waiting: its messages, where they come in order.
        at_work: whether somebody brings them.
    """

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.open = False
        self.waiting: deque[SocketMessage] = deque()
        self.at_work = False


class ApiGateway:
    """Holds the sockets of functions.

    Args:
        world: what the simulation shares.
        entrance: leads to the processes.
    """

    def __init__(self, world: World, entrance: Entrance) -> None:
        self._world = world
        self._entrance = entrance
        self._lines: dict[str, _Line] = {}
        self._sides: dict[str, _Side] = {}
        self.ordered: Final = world.choices.draw("api order").whether < _ORDERED

    # -- clients ----------------------------------------------------------------------------------

    async def serve(self, socket: Socket, target: Target, origin: Origin, *, raw: bool) -> None:
        """Hold a socket until it closes."""
        world = self._world
        conn_id = f"line{world.choices.next('api connections')}"
        line = self._lines[conn_id] = _Line(socket)
        draw = world.choices.draw("api connect")
        self._put(line, _connect(conn_id, target, origin, world.clock.now()))
        # Posts find nothing before the answer of `$connect` is there.
        await asyncio.sleep(0.001 + 0.03 * draw.first)
        line.open = True
        code, reason = 1006, ""
        try:
            while True:
                data = await socket.receive()
                frame = data.encode() if isinstance(data, str) else data
                name = f"frame{world.choices.next('api frames')}"
                self._put(line, Frame(conn_id, name, frame, world.clock.now()))
        except SocketClosed as closed:
            code, reason = closed.code, closed.reason
        finally:
            line.open = False
        draw = world.choices.draw("api disconnect")
        fault = world.weather.pick(FAREWELLS, draw)
        if fault is not None:
            world.network.note(fault, draw.id, "api", f"disconnect of {conn_id}")
        if fault is Fault.BELL_LOST:
            return
        self._put(line, Disconnect(conn_id, code, reason))

    # -- the queue --------------------------------------------------------------------------------

    def _put(self, line: _Line, message: SocketMessage, delay: float = 0.0) -> None:
        if not self.ordered:
            if isinstance(message, Frame):
                message = replace(message, unordered=True)
            self._world.begin(self._bring(message, delay))
            return
        line.waiting.append(message)
        if not line.at_work:
            line.at_work = True
            self._world.begin(self._bring_all(line))

    async def _bring_all(self, line: _Line) -> None:
        while line.waiting:
            await self._bring(line.waiting.popleft(), 0.0)
        line.at_work = False

    async def _bring(self, message: SocketMessage, delay: float) -> None:
        """Deliver a message until it is worked; it may be late, and be worked twice."""
        world = self._world
        draw = world.choices.draw("api messages")
        # What API Gateway calls a function with itself comes once.
        fault = None if _is_direct(message) else world.weather.pick(MESSAGES, draw)
        if fault is not None:
            world.network.note(fault, draw.id, "api", type(message).__name__)
        pause = delay + 0.001 + 0.01 * draw.first
        if fault is Fault.BELL_LATE:
            pause += 0.1 * 100.0**draw.second
        await asyncio.sleep(pause)
        if fault is Fault.BELL_DOUBLED and not self.ordered:
            # A FIFO queue gives a message to one at a time.
            world.begin(self._again(message, 20.0 * draw.second**4))
        await self._deliver(message)
        if fault is Fault.BELL_DOUBLED and self.ordered:
            await self._deliver(message)

    async def _again(self, message: SocketMessage, pause: float) -> None:
        await asyncio.sleep(pause)
        await self._deliver(message)

    async def _deliver(self, message: SocketMessage) -> None:
        direct = _is_direct(message)
        for _ in range(TRIES):
            process = self._entrance.pick("api route")
            if process is not None:
                side = self._sides[process.name]
                try:
                    await self._invoke(process, partial(side.work, message))
                    return
                except Exception as error:
                    self._world.trace.add("api", "%s failed: %r", type(message).__name__, error)
                    if direct and process.alive:
                        # The function puts off what it could not work on the spot.
                        await self.put_off(message)
            if direct:
                return  # API Gateway does not call again
            await asyncio.sleep(VISIBILITY)

    async def _invoke(self, process: Process, work: Callable[[], Awaitable[None]]) -> None:
        """Have a process work, until its time is over."""
        invocation = self._world.loop.create_task(process.do(work))
        await asyncio.wait((invocation,), timeout=TIMEOUT)
        if not invocation.done():
            process.vitality.die()
        await invocation

    async def put_off(self, message: SocketMessage, delay: float = 1.0) -> None:
        """Have a message come (again) by the queue; a frame is known by it to have come before."""
        if isinstance(message, Frame):
            message = replace(message, tries=max(message.tries, 1))
        self._world.begin(self._bring(message, delay))

    # -- processes --------------------------------------------------------------------------------

    def join(self, process: Process, store: Store) -> Pusher:
        """Make what a process has of this; return how it reaches sockets."""
        side = self._sides[process.name] = _Side(self._world, self, process, store)
        return side.pusher

    def begin(
        self, process: Process, runtime: Runtime, definitions: Mapping[str, ActorDefinition]
    ) -> None:
        """Have a process work messages from now on."""
        self._sides[process.name].begin(runtime, definitions)

    def find(self, conn_id: str) -> Socket:
        """Return a connection's socket.

        Raises:
            ConnectionGone: it is not open yet, or not any more.
        """
        line = self._lines.get(conn_id)
        if line is None or not line.open:
            raise ConnectionGone("GoneException", 410, "", {})
        return line.socket


class _Side:
    """What a process has of API Gateway: the production code, with a management API of ours."""

    def __init__(self, world: World, api: ApiGateway, process: Process, store: Store) -> None:
        self._api = api
        self._clock = process.clock
        rng = world.choices.random(f"{process.name} routes")
        self._routes = Routes(store, process.clock, rng=rng)
        self._posts = Posts(_Management(world, api, process), self._routes, process.clock)
        self.pusher: Final = ApiGatewayPusher(self._posts)
        self._worker: SocketWorker | None = None

    def begin(self, runtime: Runtime, definitions: Mapping[str, ActorDefinition]) -> None:
        """Work messages with this runtime from now on."""
        keeper = SocketKeeper(
            self._routes, self._posts, runtime, runtime.doorbells, self._clock, keep_alive=True
        )
        runtime.keepers[NAMESPACE] = keeper
        self._worker = SocketWorker(
            Registry(definitions, RegistryOptions()),
            runtime,
            routes=self._routes,
            posts=self._posts,
            keeper=keeper,
            later=self._api.put_off,
            clock=self._clock,
            options=WorkerOptions(ordered=self._api.ordered),
        )

    async def work(self, message: SocketMessage) -> None:
        """Work a message."""
        assert self._worker is not None
        self._posts.deadline = deadline = self._clock.now() + TIMEOUT
        await self._worker.work(message, deadline=deadline)


class _Management:
    """How a process reaches the connections."""

    def __init__(self, world: World, api: ApiGateway, process: Process) -> None:
        self._world = world
        self._api = api
        self._process = process

    async def post(self, connection_id: str, data: bytes, *, deadline: float | None = None) -> None:
        """Send a message."""

        async def arrive() -> None:
            try:
                await self._api.find(connection_id).send(data.decode())
            except SocketClosed:
                raise ConnectionGone("GoneException", 410, "", {}) from None

        await self._carry(arrive)

    async def get(self, connection_id: str, *, deadline: float | None = None) -> object:
        """Find a connection."""

        async def arrive() -> None:
            self._api.find(connection_id)

        await self._carry(arrive)
        return None

    async def delete(self, connection_id: str, *, deadline: float | None = None) -> None:
        """Close a connection."""

        async def arrive() -> None:
            await self._api.find(connection_id).close(1001, "Going away")

        await self._carry(arrive)

    async def _carry(self, arrive: Callable[[], Awaitable[None]]) -> None:
        process = self._process
        await self._world.network.carry(process.vitality, process.name, PORT, arrive)


def _is_direct(message: SocketMessage) -> bool:
    return isinstance(message, Frame) and message.unordered and not message.tries


def _connect(conn_id: str, target: Target, origin: Origin, at: float) -> Connect:
    """Return what API Gateway tells of a socket that a client opens."""
    assert origin.request is not None
    path, _, query = origin.request.url.partition("://")[2].partition("/")[2].partition("?")
    request = targets.GatewayRequest(
        _target(target),
        subpath=f"/{path}",
        query=query,
        namespace=target.namespace if isinstance(target, ById) else target.address.namespace,
    )
    offer = ", ".join(subprotocols("json", origin.params))
    return Connect(
        conn_id,
        {URL_PARAMETER: (targets.gateway_url(request),)},
        {"sec-websocket-protocol": offer, "host": "api"},
        at,
    )


def _target(target: Target) -> targets.ById | targets.ByKey:
    if isinstance(target, ById):
        return targets.ById(target.actor_id)
    address = target.address
    return targets.ByKey(
        address.name, address.key, create=target.create, pool="default", input=target.input
    )
