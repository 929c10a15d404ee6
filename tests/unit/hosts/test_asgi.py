"""``ASGIApp``: start and stop, with a lifespan and without, and two of them on one store."""

import asyncio
import inspect
import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from rivetless import Actor, Event, action, setup
from rivetless.gateway.limits import Limits
from rivetless.hosts.asgi import ADMIN_TOKEN_VARIABLE, STORE_VARIABLE, ASGIApp
from rivetless.hosts.local import serve
from rivetless.hosts.options import HandlerOptions, ServeOptions
from rivetless.registry import Registry
from rivetless.store.base import Unavailable
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import settle
from tests.unit.gateway.gateways import QUERY, Peer, paths, raw_headers

slept: list[str] = []


class Counter(Actor[int]):
    changed = Event[int]()

    async def create_state(self) -> int:
        return 0

    @action
    async def increment(self) -> int:
        self.state += 1
        self.broadcast(self.changed, self.state)
        return self.state

    async def on_sleep(self) -> None:
        slept.append(self.actor_id)


@pytest.fixture
def registry() -> Registry:
    slept.clear()
    return setup(use=[Counter])


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (STORE_VARIABLE, ADMIN_TOKEN_VARIABLE, "RIVETLESS_SECRET", "RIVET_EXPOSE_ERRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


async def post(app: Any, path: str = f"/gateway/counter/action/increment?{QUERY}") -> Any:
    raw_path, _, query = path.partition("?")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"args":[]}'}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        **paths(raw_path),
        "query_string": query.encode(),
        "headers": raw_headers(None),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def connect(app: Any) -> Peer:
    return Peer(
        app,
        {
            "type": "websocket",
            **paths("/gateway/counter/connect"),
            "query_string": QUERY.encode(),
            "headers": [],
            "client": ("127.0.0.1", 1),
            "subprotocols": ["rivet"],
        },
    )


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(0)


class Lifespan:
    """A server's lifespan."""

    def __init__(self, app: Any) -> None:
        self.sent: list[Any] = []
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.ensure_future(app({"type": "lifespan"}, self.incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def say(self, what: str) -> Any:
        count = len(self.sent)
        self.incoming.put_nowait({"type": f"lifespan.{what}"})
        await until(lambda: len(self.sent) > count)
        return self.sent[-1]


async def test_lifespan(registry: Registry) -> None:
    app = registry.handler(store="memory:")
    lifespan = Lifespan(app)

    assert await lifespan.say("startup") == {"type": "lifespan.startup.complete"}
    assert await post(app) == (200, {"output": 1})
    peer = connect(app)
    await until(lambda: peer.frames)
    assert await lifespan.say("shutdown") == {"type": "lifespan.shutdown.complete"}
    await peer.task

    assert peer.close == (1011, "ws.going_away")
    assert len(slept) == 1


class Broken(MemoryStore):
    """A store that cannot be opened, until it can."""

    broken = True

    async def __aenter__(self) -> Any:
        if self.broken:
            raise Unavailable("the disk is on fire")
        return await super().__aenter__()


async def test_a_start_that_fails(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    app = registry.handler(store=Broken())
    message = await Lifespan(app).say("startup")

    assert message == {"type": "lifespan.startup.failed", "message": "the disk is on fire"}
    assert "could not be started" in caplog.text


async def test_without_a_lifespan_the_first_request_starts(registry: Registry) -> None:
    store = Broken()
    app = registry.handler(store=store)
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = app.runtime

    status, body = await post(app)
    assert (status, body["group"], body["code"]) == (503, "guard", "service_unavailable")
    peer = connect(app)
    await peer.task
    assert peer.accepted["subprotocol"] == "rivet"
    assert peer.close is not None
    assert peer.close[1].startswith("guard.service_unavailable#")

    store.broken = False
    answers = await asyncio.gather(*(post(app) for _ in range(5)))
    assert sorted(body["output"] for _, body in answers) == [1, 2, 3, 4, 5]
    assert app.runtime is app.runtime
    await app.stop()
    await app.stop()


async def test_it_can_be_started_again(registry: Registry) -> None:
    app = registry.handler(store="sqlite:actors.db")
    async with app:
        assert await post(app) == (200, {"output": 1})
    async with app.lifespan():
        assert await post(app) == (200, {"output": 2})


async def test_the_default_store(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = registry.handler()
    assert app.store_name == "sqlite:.rivetless/actors.db"
    async with app:
        await post(app)
    assert (tmp_path / ".rivetless" / "actors.db").exists()
    monkeypatch.setenv(STORE_VARIABLE, "memory:")
    assert registry.handler().store_name == "memory:"
    store = MemoryStore()
    assert registry.handler(store=store).store_name == repr(store)


async def test_two_processes_deliver_each_others_events(registry: Registry) -> None:
    one = registry.handler(store="sqlite:actors.db")
    other = registry.handler(store="sqlite:actors.db")
    async with one, other:
        peer = connect(one)
        await until(lambda: peer.frames)
        peer.subscribe("changed")
        peer.call(0)
        await until(lambda: "ActionResponse" in peer.tags)
        for _ in range(3):
            assert (await post(other))[0] == 200
        await until(lambda: peer.tags.count("Event") == 4)

        events = [body["val"]["args"] for body in peer.bodies if body["tag"] == "Event"]
        assert events == [[1], [2], [3], [4]]


async def test_a_process_that_cannot_be_reached_says_so(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    class Shared(MemoryStore):
        """As a store of several processes looks, without a place for a secret."""

        @property
        def capabilities(self) -> Any:
            from rivetless.store.base import Capabilities

            return Capabilities()

    async with registry.handler(store=Shared()) as app:
        peer = connect(app)
        await until(lambda: peer.frames)
        # Who looks for connections of the dead must find those of this process one day.
        (host,) = await app.runtime.store.hosts()
        assert host.url == ""
        (live,) = (await app.start())._table
        assert [rec.key for _, rec in await app.runtime.store.hosted(host.id)] == [
            live.conn_id.encode()
        ]

    assert "RIVETLESS_SECRET" in caplog.text


async def test_a_port_that_is_taken(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    from rivetless.hosts.server import listen

    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        async with registry.handler(store="sqlite:actors.db", peer_port=port) as app:
            peer = connect(app)
            await until(lambda: peer.frames)
            assert [host.url for host in await app.runtime.store.hosts()] == [""]

    assert "cannot reach the sockets of this one" in caplog.text


async def test_calls_that_last_longer_than_the_process(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    from rivetless.testing.clock import FakeClock

    clock = FakeClock()
    app = registry.handler(store="memory:", clock=clock)
    process = await app.start()

    async def endless() -> None:
        await asyncio.Event().wait()

    process._tasks.spawn(endless())
    stopping = asyncio.ensure_future(app.stop())
    await settle()
    assert (await post(app))[0] == 503
    await clock.advance(11)
    await stopping

    assert "1 calls were cut off" in caplog.text


def test_options_are_what_the_checkers_are_told() -> None:
    handler = set(inspect.signature(ASGIApp.__init__).parameters) - {"self", "registry"}
    assert handler == set(get_type_hints(HandlerOptions, localns=_names()))
    server = set(inspect.signature(serve).parameters) - {"registry", "options"}
    assert server | handler == set(get_type_hints(ServeOptions, localns=_names()))


def _names() -> dict[str, Any]:
    from rivetless.clock import Clock
    from rivetless.store.base import Store
    from rivetless.store.urls import Synchronous

    return {"Clock": Clock, "Limits": Limits, "Store": Store, "Synchronous": Synchronous}
