"""A gateway with a runtime that only remembers, and clients that need no network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rivetless import Actor, Event, action, setup
from rivetless.gateway.app import Gateway, GatewayOptions
from rivetless.gateway.limits import Limits
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.table import SocketTable
from rivetless.keys import Address
from rivetless.registry import Registry
from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    ByKey,
    CallAction,
    ConnectionAction,
    GetActor,
    OpenConnection,
    RawRequest,
    RawResponse,
)
from rivetless.testing.clock import FakeClock, settle

ACTOR_ID = "3m2a1y1fsi4k286dhd0yiynz9ahirs"
OTHER_ID = "0" * 29 + "1"
QUERY = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=k"


class Counter(Actor[int], icon="hashtag", display_name="Counter"):
    """Counts."""

    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        """Add an amount.

        And tell everybody.
        """
        raise NotImplementedError


class ChatRoom(Actor):
    """Talks."""

    @action
    async def say(self, text: str) -> None: ...


def make_registry() -> Registry:
    return setup(use=[Counter, ChatRoom])


class FakeRuntime:
    """Remembers what it is asked, and answers as it is told."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.answers: dict[type, Callable[[Any], Any]] = {}
        self.lives: dict[str, ActorInfo] = {}

    async def dispatch(self, command: Any) -> Any:
        self.commands.append(command)
        answer = self.answers.get(type(command))
        if answer is None:
            return self.usual(command)
        result = answer(command)
        return await result if isinstance(result, Awaitable) else result

    def usual(self, command: Any) -> Any:
        if isinstance(command, CallAction | ConnectionAction):
            return ActionResult(10, ACTOR_ID, ("k",))
        if isinstance(command, GetActor | OpenConnection):
            address = Address("default", "counter", ("k",))
            if isinstance(command.target, ByKey):
                address = command.target.address
            return ActorInfo(ACTOR_ID, address, 1_700_000_000.0, created=True)
        if isinstance(command, RawRequest):
            return RawResponse(200, (("content-type", "text/plain"),), b"hi", ACTOR_ID, ("k",))
        return None

    async def find(self, actor_id: str) -> ActorInfo | None:
        return self.lives.get(actor_id)

    def fail(self, kind: type, error: BaseException) -> None:
        """Have commands of a kind fail."""

        def answer(command: Any) -> Any:
            raise error

        self.answers[kind] = answer

    def of(self, kind: type) -> list[Any]:
        """The commands of a kind."""
        return [command for command in self.commands if isinstance(command, kind)]


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return f"{self.json()['group']}.{self.json()['code']}"


@dataclass
class World:
    """A gateway and what is around it."""

    registry: Registry = field(default_factory=make_registry)
    limits: Limits = field(default_factory=Limits)
    origins: tuple[str, ...] | None = None
    admin_token: str | None = None
    secure_host: Callable[[], Awaitable[str]] | None = None

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.runtime = FakeRuntime()
        self.tasks = Tasks()
        self.table = SocketTable(self.clock, max_outgoing=1_048_576)
        self.gateway = Gateway(
            self.registry,
            self.runtime,
            table=self.table,
            tasks=self.tasks,
            clock=self.clock,
            options=GatewayOptions(
                host_id="here",
                secure_host=self.secure_host,
                limits=self.limits,
                origins=self.origins,
                admin_token=self.admin_token,
            ),
        )

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        headers: dict[str, str] | None = None,
        client: str | None = "127.0.0.1",
        root_path: str = "",
        **more: Any,
    ) -> Reply:
        """Make an HTTP request; ``path`` may hold a query."""
        raw_path, _, query = path.partition("?")
        chunks = [body] if isinstance(body, bytes) else list(body)
        incoming = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            **paths(raw_path),
            "query_string": query.encode(),
            "root_path": root_path,
            "headers": raw_headers(headers),
            "client": None if client is None else (client, 1234),
            "scheme": "http",
            **more,
        }
        await self.gateway(scope, receive, send)
        self.unread = len(incoming)
        if not sent:
            return Reply(0, {}, b"")
        start, end = sent
        assert start["type"] == "http.response.start"
        assert end["type"] == "http.response.body"
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert len(answered) == len(start["headers"]), "a header is there twice"
        return Reply(start["status"], answered, end["body"])

    def socket(
        self,
        path: str,
        *subprotocols: str,
        headers: dict[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> Peer:
        """Open a socket."""
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            **paths(raw_path),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw_headers(headers),
            "client": (client, 1234),
            "subprotocols": list(subprotocols or ("rivet", "rivet_encoding.json")),
        }
        return Peer(self.gateway, scope)


class Peer:
    """The client's end of a socket."""

    def __init__(self, app: Any, scope: Any) -> None:
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        self._slow: asyncio.Event | None = None
        self.accepted: Any = None
        self.frames: list[str | bytes] = []
        self.close: tuple[int, str] | None = None
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        if self._slow is not None:
            await self._slow.wait()
        if message["type"] == "websocket.accept":
            self.accepted = message
        elif message["type"] == "websocket.send":
            frame = message.get("text")
            self.frames.append(message["bytes"] if frame is None else frame)
        else:
            assert message["type"] == "websocket.close"
            assert self.close is None, "closed twice"
            self.close = (message["code"], message["reason"])
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def send(self, frame: str | bytes | dict[str, Any]) -> None:
        """Send a frame; a dict as a JSON body."""
        if isinstance(frame, dict):
            frame = json.dumps({"body": frame})
        kind = "text" if isinstance(frame, str) else "bytes"
        self._incoming.put_nowait({"type": "websocket.receive", kind: frame})

    def call(self, number: int, name: str = "increment", *args: Any) -> None:
        """Call an action."""
        value = {"id": ["$BigInt", str(number)], "name": name, "args": list(args)}
        self.send({"tag": "ActionRequest", "val": value})

    def subscribe(self, event: str, subscribe: bool = True) -> None:
        """Subscribe to an event."""
        value = {"eventName": event, "subscribe": subscribe}
        self.send({"tag": "SubscriptionRequest", "val": value})

    def hang_up(self, code: int = 1000) -> None:
        """Close the socket from this end."""
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    def stop_reading(self) -> asyncio.Event:
        """Take no more frames until the event is set."""
        self._slow = asyncio.Event()
        return self._slow

    @property
    def bodies(self) -> list[Any]:
        """The frames, as JSON bodies."""
        return [json.loads(frame)["body"] for frame in self.frames]

    @property
    def tags(self) -> list[str]:
        """The kinds of the frames."""
        return [body["tag"] for body in self.bodies]


def paths(raw_path: str) -> dict[str, Any]:
    from urllib.parse import unquote

    return {"path": unquote(raw_path), "raw_path": raw_path.encode("latin-1")}


def raw_headers(headers: dict[str, str] | None) -> list[tuple[bytes, bytes]]:
    return [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]


__all__ = ["ACTOR_ID", "OTHER_ID", "QUERY", "FakeRuntime", "Peer", "Reply", "World", "settle"]
