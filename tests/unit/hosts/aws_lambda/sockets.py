"""A WebSocket API without API Gateway, and the processes that work what it would send."""

from __future__ import annotations

import json
import random
from itertools import count
from typing import Any

from rivetless import Actor, Event, UserError, action, setup
from rivetless.actor.context import Conn, RawWebSocket
from rivetless.aws.management import ConnectionGone
from rivetless.clock import Clock, sleep
from rivetless.hosts.aws_lambda.pushes import ApiGatewayPusher, Posts
from rivetless.hosts.aws_lambda.sockets import NAMESPACE, SHORT, Phase, Routes, SocketKeeper
from rivetless.hosts.aws_lambda.websocket import Connect, Disconnect, Frame
from rivetless.hosts.aws_lambda.worker import SocketWorker, WorkerOptions
from rivetless.keys import Address
from rivetless.protocol import percent
from rivetless.protocol.headers import subprotocols
from rivetless.runtime.ports import Ring, WakeError
from rivetless.runtime.runtime import Runtime
from tests.unit.runtime.worlds import World

CID = "Cbm5xfjKFiACFKw="
HTTP = {"over": "http"}
"""Connection parameters of calls that are no socket's; those run the hooks, too."""

TARGET = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=a"


class Hall(Actor[dict[str, int]]):
    """Counts who came, who left and what was said."""

    said = Event[str]()

    async def may_listen(self) -> bool:
        return False

    secret = Event[str](can_subscribe=may_listen)

    async def create_state(self) -> dict[str, int]:
        return {"joined": 0, "left": 0, "said": 0}

    async def on_before_connect(self, params: Any) -> None:
        if params == {"banned": True}:
            raise UserError("You are banned.", code="banned")
        if params == {"broken": True}:
            raise RuntimeError("secret")

    async def on_connect(self, conn: Conn[Any, Any]) -> None:
        if conn.params == HTTP:
            return
        self.state["joined"] += 1
        conn.send(self.said, "welcome")

    async def on_disconnect(self, conn: Conn[Any, Any]) -> None:
        if conn.params == HTTP:
            return
        self.state["left"] += 1
        self.broadcast(self.said, "bye")

    @action
    async def say(self, text: str) -> int:
        self.state["said"] += 1
        self.broadcast(self.said, text)
        return self.state["said"]

    @action
    async def counts(self) -> dict[str, int]:
        return self.state

    @action
    async def fail(self) -> None:
        raise UserError("No.", code="no")

    @action
    async def large(self, size: int) -> str:
        return "x" * size

    @action
    async def shout(self, size: int) -> None:
        self.state["said"] += 1
        self.broadcast(self.said, "x" * size)

    @action
    async def kick(self) -> None:
        async for conn in self.conns:
            conn.disconnect("out")

    @action
    async def end(self) -> None:
        self.destroy()

    async def on_websocket(self, websocket: RawWebSocket[Any, Any]) -> None:
        websocket.send(f"open {websocket.url}")

    async def on_websocket_message(
        self, websocket: RawWebSocket[Any, Any], message: str | bytes
    ) -> None:
        if message == "bytes":
            websocket.send(b"bytes")
            return
        if message == "large":
            websocket.send("x" * 200_000)
            return
        if message == "fail":
            raise UserError("No.", code="no")
        self.state["said"] += 1
        websocket.send(f"echo {message!s} {self.state['said']}")

    async def on_websocket_close(self, websocket: RawWebSocket[Any, Any], code: int) -> None:
        self.state["code"] = code


registry = setup(use=[Hall])


class Line:
    """A connection as API Gateway has it."""

    def __init__(self, opens_at: float) -> None:
        self.opens_at = opens_at
        self.frames: list[str] = []
        self.ended: str | None = None


class FakeApi:
    """The management API: connections that open, get frames and end.

    Attributes:
        lines: the connections there are or were.
        failures: what the next posts fail with.
        delay: seconds that a request takes.
        at_once: how many requests were under way at the same time, at most.
        requests: how many there were.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lines: dict[str, Line] = {}
        self.failures: list[Exception] = []
        self.delay = 0.0
        self.at_once = 0
        self.requests = 0
        self._under_way = 0

    def connect(self, conn_id: str = CID, *, opens_in: float = 0.0) -> Line:
        line = self.lines[conn_id] = Line(self._clock.now() + opens_in)
        return line

    def hang_up(self, conn_id: str = CID) -> None:
        self.lines[conn_id].ended = "client"

    async def post(self, connection_id: str, data: bytes, *, deadline: float | None = None) -> None:
        line = await self._line(connection_id)
        assert len(data) <= 128 * 1024
        if self.failures:
            raise self.failures.pop(0)
        line.frames.append(data.decode())

    async def get(self, connection_id: str, *, deadline: float | None = None) -> object:
        return await self._line(connection_id)

    async def delete(self, connection_id: str, *, deadline: float | None = None) -> None:
        (await self._line(connection_id)).ended = "server"

    async def _line(self, conn_id: str) -> Line:
        self.requests += 1
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        try:
            if self.delay:
                await sleep(self._clock, self.delay)
        finally:
            self._under_way -= 1
        line = self.lines.get(conn_id)
        if line is None or line.ended or line.opens_at > self._clock.now():
            raise ConnectionGone("GoneException", 410, "", {})
        return line


class Bells:
    """Doorbells that note what is rung."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.broken = False

    async def ring(self, rings: Any) -> None:
        if self.broken:
            raise WakeError("no queue")
        self.rings.extend(rings)


class Function:
    """One process of the function that works messages."""

    def __init__(
        self, sockets: Sockets, *, ordered: bool, keep_alive: bool, origins: list[str] | None
    ) -> None:
        world = sockets.world
        self.routes = Routes(world.store, world.clock)
        self.posts = Posts(sockets.api, self.routes, world.clock)
        self.bells = Bells()
        self.runtime = Runtime(
            world.definitions,
            world.store,
            clock=world.clock,
            pusher=ApiGatewayPusher(self.posts),
            doorbells=self.bells,
            rng=random.Random(next(sockets.seeds)),
        )
        self.keeper = SocketKeeper(
            self.routes,
            self.posts,
            self.runtime,
            self.bells,
            world.clock,
            keep_alive=keep_alive,
        )
        self.runtime.keepers[NAMESPACE] = self.keeper
        self.put_off: list[tuple[Frame | Disconnect, float]] = []
        self.worker = SocketWorker(
            registry,
            self.runtime,
            routes=self.routes,
            posts=self.posts,
            keeper=self.keeper,
            later=self._later,
            clock=world.clock,
            options=WorkerOptions(ordered=ordered, origins=origins),
        )
        self.work = self.worker.work

    async def _later(self, message: Frame | Disconnect, delay: float) -> None:
        self.put_off.append((message, delay))


class Sockets:
    """A WebSocket API with actors behind it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = world.clock
        self.api = FakeApi(world.clock)
        self.seeds = iter(range(1000))
        self._frames = count(1)

    def function(
        self, *, ordered: bool = True, keep_alive: bool = False, origins: list[str] | None = None
    ) -> Function:
        """Start a process."""
        return Function(self, ordered=ordered, keep_alive=keep_alive, origins=origins)

    def connect(
        self,
        url: str = f"/gateway/hall/connect?{TARGET}",
        *,
        conn_id: str = CID,
        params: object = None,
        encoding: Any = "json",
        opens_in: float = 0.0,
        **headers: str,
    ) -> Connect:
        """Open a socket; the message must be worked by a process."""
        self.api.connect(conn_id, opens_in=opens_in)
        offer = ", ".join(subprotocols(encoding, params))
        query = {"rivetless-url": (url,)}
        found = {"sec-websocket-protocol": offer, "host": "api", **headers}
        return Connect(conn_id, query, found, self.clock.now())

    def frame(self, text: str, *, conn_id: str = CID, unordered: bool = False) -> Frame:
        """Send text."""
        number = next(self._frames)
        return Frame(conn_id, f"r{number}", text.encode(), self.clock.now(), unordered=unordered)

    def action(self, name: str, *args: object, id: int = 0, **more: Any) -> Frame:
        """Call an action."""
        val = {"id": ["$BigInt", str(id)], "name": name, "args": list(args)}
        return self.frame(json.dumps({"body": {"tag": "ActionRequest", "val": val}}), **more)

    def subscribe(self, event: str, *, subscribe: bool = True, **more: Any) -> Frame:
        """Listen to an event."""
        val = {"eventName": event, "subscribe": subscribe}
        return self.frame(json.dumps({"body": {"tag": "SubscriptionRequest", "val": val}}), **more)

    def hang_up(self, code: int = 1000, *, conn_id: str = CID) -> Disconnect:
        """Close the socket from the client's side."""
        self.api.hang_up(conn_id)
        return Disconnect(conn_id, code, "")

    async def forgets(self, function: Function, conn_id: str = CID) -> bool:
        """Whether a connection is closed now, and forgotten with the second sweep after that."""
        for phase in (Phase.CLOSED, None):
            route = await function.routes.find(conn_id)
            if (None if route is None else route.phase) is not phase:
                return False
            await self.clock.advance(SHORT + 1)
            await function.runtime.sweeper.sweep()
        return True

    async def state(self, key: str = "a") -> dict[str, int]:
        """Read what the actor has counted."""
        head = await self.world.store.load(Address("default", "hall", (key,)))
        assert head is not None
        assert head.state is not None
        found: dict[str, int] = json.loads(head.state)
        return found

    def got(self, conn_id: str = CID) -> list[Any]:
        """Return what a client got, shortened: tag and what matters of it."""
        return [shortened(frame) for frame in self.api.lines[conn_id].frames]


def shortened(frame: str) -> Any:
    """Return what matters of a frame."""
    try:
        body = json.loads(frame)["body"]
    except ValueError:
        return frame
    tag, val = body["tag"], body["val"]
    if tag == "Init":
        return "Init"
    if tag == "Event":
        return (val["name"], *val["args"])
    if tag == "ActionResponse":
        return ("=", val["output"])
    return (f"{val['group']}.{val['code']}", val["actionId"])


def url_of(text: str) -> str:
    """Escape a part of a path."""
    return percent.encode_component(text)
