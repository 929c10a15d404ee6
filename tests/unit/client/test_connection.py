"""Connections: opening, calls, listeners, and what happens when the socket breaks."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from rivetless.client import Client, Connection
from rivetless.client.calls import SocketRequest
from rivetless.client.connection import OPEN_TRIES
from rivetless.client.handle import Handle
from rivetless.errors import ActorError, UserError, make
from rivetless.protocol.messages import (
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    Event,
    SubscriptionRequest,
)
from rivetless.testing.clock import FakeClock, settle

from .actors import ChatRoom, Counter, JoinParams, Message, ScriptedTransport

REFUSED = ActorError("client", "connection_failed", "refused")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
async def client(transport: ScriptedTransport, clock: FakeClock) -> AsyncIterator[Client]:
    async with Client(transport=transport, clock=clock) as client:
        yield client


@pytest.fixture
def room(client: Client) -> ChatRoom:
    return client.get(ChatRoom, "general")


async def connected(conn: Connection[ChatRoom], transport: ScriptedTransport) -> None:
    """Start a connection and let it in."""
    conn.start()
    await settle()
    await transport.server.init()


def message(text: str) -> Event:
    return Event("newMessage", [{"sender": "ann", "text": text}])


# -- opening --------------------------------------------------------------------------------------


async def test_entering_waits_for_the_first_frame(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room, JoinParams(token="t"))
    statuses: list[str] = []
    conn.on_status(statuses.append)
    assert conn.status == "idle"
    entering = asyncio.ensure_future(conn.__aenter__())
    await settle()
    assert not entering.done()
    assert statuses == ["connecting"]
    assert transport.server.request.params == {"token": "t"}
    assert transport.server.request.path == "/connect"
    await transport.server.init("a", "c")
    assert await entering is conn
    assert (conn.status, conn.actor_id, conn.connection_id) == ("connected", "a", "c")
    await conn.close()
    assert statuses == ["connecting", "connected", "idle"]
    assert (transport.server.socket.close_code, transport.server.socket.close_reason) == (
        1000,
        "Disposed",
    )


@pytest.mark.parametrize("framed", [True, False])
async def test_a_refusal_is_raised_on_entering(
    client: Client, room: ChatRoom, transport: ScriptedTransport, framed: bool
) -> None:
    conn = client.connect(room)
    errors: list[str] = []
    conn.on_error(lambda error: errors.append(error.name))
    entering = asyncio.ensure_future(conn.__aenter__())
    await settle()
    if framed:
        refusal = UserError("Bad token", code="bad_token", metadata={"hint": 1})
        await transport.server.send(ErrorFrame.of(refusal))
    await transport.server.close(1011, "user.bad_token")
    with pytest.raises(ActorError) as caught:
        await entering
    assert caught.value.name == "user.bad_token"
    assert caught.value.metadata == ({"hint": 1} if framed else None)
    assert (conn.status, errors) == ("idle", ["user.bad_token"])
    assert len(transport.sockets) == 1


async def test_a_bare_close_before_the_first_frame_is_a_refusal(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    ready = asyncio.ensure_future(client.connect(room).ready())
    await settle()
    await transport.server.close(1000, "")
    with pytest.raises(ActorError) as caught:
        await ready
    assert caught.value.name == "client.connection_open_failed"
    assert caught.value.metadata == {"code": 1000, "reason": ""}


@pytest.mark.parametrize(
    "reason",
    ["actor.restarting", "actor.stopped", "ws.going_away", "guard.service_unavailable#ray"],
)
async def test_the_first_opening_waits_while_the_server_asks_to(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock, reason: str
) -> None:
    conn = client.connect(room)
    conn.start()
    for attempt in range(10):
        await settle()
        assert len(transport.sockets) == attempt + 1
        await transport.server.close(1011, reason)
        await clock.advance(30)
    await transport.server.init()
    assert conn.status == "connected"


async def test_pauses_double_up_to_half_a_minute(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    conn = client.connect(room)
    conn.start()
    await settle()
    for longest in (0.25, 0.5, 1, 2, 4, 8, 16, 30, 30):
        count = len(transport.sockets)
        await transport.server.close(1011, "actor.restarting")
        await clock.advance(longest * 0.79)
        assert len(transport.sockets) == count
        await clock.advance(longest * 0.21)
        assert len(transport.sockets) == count + 1


async def test_a_server_that_cannot_be_reached_fails_the_first_opening(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.refusals = [REFUSED] * 100
    ready = asyncio.ensure_future(client.connect(room).ready())
    await settle()
    await clock.advance(4)
    with pytest.raises(ActorError) as caught:
        await ready
    assert caught.value.name == "client.connection_failed"
    assert len(transport.requests) == OPEN_TRIES


async def test_a_server_that_starts_just_now_is_waited_for(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.refusals = [REFUSED, REFUSED]
    conn = client.connect(room)
    conn.start()
    await settle()
    await clock.advance(1)
    await transport.server.init()
    assert conn.status == "connected"


@pytest.mark.parametrize(("create", "tries"), [(False, OPEN_TRIES), (True, 9)])
async def test_a_missing_actor_may_come(
    client: Client, transport: ScriptedTransport, clock: FakeClock, create: bool, tries: int
) -> None:
    handle = client.get_or_create("a") if create else client.get("a")
    conn = client.connect(handle)
    conn.start()
    for _ in range(9):
        await settle()
        if transport.server.is_open:
            await transport.server.close(1011, "actor.not_found")
        await clock.advance(30)
    assert len(transport.sockets) == tries + create
    assert conn.status == ("connecting" if create else "idle")


async def test_a_missing_life_does_not(client: Client, transport: ScriptedTransport) -> None:
    ready = asyncio.ensure_future(client.connect(client.get_for_id("a", "id")).ready())
    await settle()
    await transport.server.close(1011, "actor.not_found")
    with pytest.raises(ActorError, match=r"actor\.not_found"):
        await ready


async def test_it_may_be_started_again_after_a_refusal(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    ready = asyncio.ensure_future(conn.ready())
    await settle()
    await transport.server.close(1011, "auth.forbidden")
    with pytest.raises(ActorError):
        await ready
    with pytest.raises(ActorError, match=r"auth\.forbidden"):
        await conn.actor.members()
    await connected(conn, transport)
    assert conn.status == "connected"
    await conn.ready()


# -- parameters -----------------------------------------------------------------------------------


async def test_parameters_are_made_for_each_attempt(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    made = 0

    async def params() -> JoinParams:
        nonlocal made
        made += 1
        return JoinParams(token=f"t{made}")

    conn = client.connect(room, params)
    await connected(conn, transport)
    await transport.server.close(1006)
    assert [server.request.params for server in transport.sockets] == [
        {"token": "t1"},
        {"token": "t2"},
    ]


async def test_parameters_that_cannot_be_made_are_made_again(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    failures = [RuntimeError("no token")]

    async def params() -> JoinParams:
        if failures:
            raise failures.pop()
        return JoinParams(token="t")

    conn = client.connect(room, params)
    errors: list[str] = []
    conn.on_error(lambda error: errors.append(error.name))
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    with pytest.raises(ActorError, match="no token") as caught:
        await call
    assert caught.value.name == "client.get_params_failed"
    assert errors == ["client.get_params_failed"]
    await clock.advance(1)
    await transport.server.init()
    assert conn.status == "connected"


async def test_parameters_of_the_handle_are_used(
    client: Client, transport: ScriptedTransport
) -> None:
    room = client.get(ChatRoom, params=JoinParams(token="mine"))
    client.connect(room).start()
    await settle()
    assert transport.server.request.params == {"token": "mine"}


async def test_parameters_are_checked(client: Client, room: ChatRoom) -> None:
    conn = client.connect(room, {"token": 5})  # type: ignore[arg-type]
    with pytest.raises(ActorError, match=r"actor\.validation_error"):
        await conn.ready()


# -- calls ----------------------------------------------------------------------------------------


async def test_calls_are_answered_in_any_order(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    first = asyncio.ensure_future(conn.actor.send_message("one"))
    second = asyncio.ensure_future(conn.actor.send_message("two", urgent=True))
    frames = await transport.server.received()
    assert frames == [
        ActionRequest(0, "sendMessage", ["one"]),
        ActionRequest(1, "sendMessage", ["two", {"urgent": True}]),
    ]
    await transport.server.send(ActionResponse(1, {"sender": "b", "text": "2"}))
    assert await second == Message(sender="b", text="2")
    assert not first.done()
    await transport.server.send(ActionResponse(0, {"sender": "a", "text": "1"}))
    assert await first == Message(sender="a", text="1")


async def test_a_call_fails_alone(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    errors: list[ActorError] = []
    conn.on_error(errors.append)
    await connected(conn, transport)
    failing = asyncio.ensure_future(conn.actor.members())
    other = asyncio.ensure_future(conn.actor.members())
    await transport.server.received()
    await transport.server.send(ErrorFrame("user", "no", "No", {"a": 1}, action_id=0))
    with pytest.raises(ActorError) as caught:
        await failing
    assert (caught.value.name, caught.value.metadata) == ("user.no", {"a": 1})
    assert not other.done()
    assert not errors
    await transport.server.send(ActionResponse(1, []))
    assert await other == []


async def test_calls_before_the_opening_come_after_subscriptions(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    call = asyncio.ensure_future(conn.actor.members())  # starts the connection
    await settle()
    conn.on(ChatRoom.new_message, lambda m: None)
    conn.on(ChatRoom.moved, lambda m: None)
    await transport.server.init()
    assert await transport.server.received() == [
        SubscriptionRequest("newMessage", True),
        SubscriptionRequest("moved", True),
        ActionRequest(0, "members", []),
    ]
    await transport.server.send(ActionResponse(0, []))
    await call


async def test_a_call_that_was_given_up_is_not_sent(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    call.cancel()
    await settle()
    await transport.server.init()
    assert await transport.server.received() == []
    # An answer that nobody waits for any more does no harm.
    given_up = asyncio.ensure_future(conn.actor.members())
    assert (await transport.server.action()).id == 1
    given_up.cancel()
    await transport.server.send(ActionResponse(1, []), ActionResponse(77, []))
    assert conn.status == "connected"


async def test_by_name_every_call_goes(client: Client, transport: ScriptedTransport) -> None:
    conn = client.connect(client.get("chatRoom"))
    conn.start()
    await settle()
    await transport.server.init()
    call = asyncio.ensure_future(conn.actor.admin.ban("eve", hard=True))
    assert await transport.server.action() == ActionRequest(0, "admin.ban", ["eve", {"hard": True}])
    await transport.server.send(ActionResponse(0, {"x": [1]}))
    assert await call == {"x": [1]}


async def test_what_cannot_be_sent_fails_its_call_only(
    client: Client, transport: ScriptedTransport
) -> None:
    conn = client.connect(client.get("a"))
    conn.start()
    await settle()
    await transport.server.init()
    with pytest.raises(TypeError):
        await conn.actor.do(object())
    assert conn.status == "connected"


async def test_an_error_of_the_connection_fails_what_waits_and_closes_nothing(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    errors: list[ActorError] = []
    conn.on_error(errors.append)
    await connected(conn, transport)
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    await transport.server.send(ErrorFrame("actor", "overloaded", "Too much"))
    with pytest.raises(ActorError, match=r"actor\.overloaded"):
        await call
    assert [error.name for error in errors] == ["actor.overloaded"]
    assert conn.status == "connected"


# -- events ---------------------------------------------------------------------------------------


async def test_payloads_have_the_declared_type(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    seen: list[object] = []
    conn.on(ChatRoom.new_message, seen.append)
    conn.on(ChatRoom.moved, seen.append)
    conn.on(ChatRoom.cleared, lambda: seen.append("cleared"))
    conn.on("newMessage", lambda *args: seen.append(args))
    conn.on("new_message", lambda raw: seen.append(raw))
    await connected(conn, transport)
    await transport.server.send(message("hi"), Event("moved", [3, "x"]), Event("cleared", []))
    raw = {"sender": "ann", "text": "hi"}
    assert seen == [Message(sender="ann", text="hi"), (raw,), raw, (3, "x"), "cleared"]


async def test_listeners_come_and_go(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    seen: list[str] = []
    first = conn.on(ChatRoom.new_message, lambda m: seen.append(f"1 {m.text}"))
    second = conn.on(ChatRoom.new_message, lambda m: seen.append(f"2 {m.text}"))
    conn.once(ChatRoom.new_message, lambda m: seen.append(f"once {m.text}"))
    await transport.server.send(message("a"))
    first()
    first()
    await transport.server.send(message("b"))
    assert seen == ["1 a", "2 a", "once a", "2 b"]
    second()
    assert await transport.server.received() == [
        SubscriptionRequest("newMessage", True),
        SubscriptionRequest("newMessage", False),
    ]
    await transport.server.send(message("c"))
    assert len(seen) == 4


async def test_listeners_registered_on_entering_miss_nothing(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    seen: list[str] = []

    async def listen() -> None:
        async with client.connect(room) as conn:
            conn.on(ChatRoom.new_message, lambda m: seen.append(m.text))
            await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(listen())
    await settle()
    # Both frames are there before the client has seen the first.
    await transport.server.socket.send(
        '{"body":{"tag":"Init","val":{"actorId":"a","connectionId":"c"}}}'
    )
    await transport.server.send(message("from on_connect"))
    assert seen == ["from on_connect"]
    task.cancel()


async def test_a_failing_callback_is_logged(
    client: Client,
    room: ChatRoom,
    transport: ScriptedTransport,
    caplog: pytest.LogCaptureFixture,
) -> None:
    conn = client.connect(room)
    seen: list[str] = []

    def fails(payload: Message) -> None:
        raise RuntimeError("sync")

    async def fails_later(payload: Message) -> None:
        raise RuntimeError("async")

    conn.on(ChatRoom.new_message, fails)
    conn.on(ChatRoom.new_message, fails_later)
    conn.on(ChatRoom.new_message, lambda m: seen.append(m.text))
    conn.on_status(lambda status: 1 / 0)
    await connected(conn, transport)
    await transport.server.send(message("a"))
    assert seen == ["a"]
    assert caplog.text.count("callback failed") == 4  # of which two at ``on_status``
    assert conn.status == "connected"


async def test_callbacks_may_be_coroutines_and_call_the_actor(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    answers: list[object] = []

    async def callback(payload: Message) -> None:
        answers.append(await conn.actor.members())

    conn.on(ChatRoom.new_message, callback)
    await connected(conn, transport)
    await transport.server.send(message("a"))
    request = await transport.server.action()
    await transport.server.send(ActionResponse(request.id, []))
    assert answers == [[]]


async def test_an_event_of_another_shape_is_dropped(
    client: Client,
    room: ChatRoom,
    transport: ScriptedTransport,
    caplog: pytest.LogCaptureFixture,
) -> None:
    conn = client.connect(room)
    seen: list[object] = []
    conn.on(ChatRoom.new_message, seen.append)
    await connected(conn, transport)
    await transport.server.send(Event("newMessage", [{"text": 5}]), message("good"))
    assert [getattr(item, "text", None) for item in seen] == ["good"]
    assert "'newMessage' was dropped" in caplog.text


async def test_a_frame_that_cannot_be_read_is_dropped(
    client: Client,
    room: ChatRoom,
    transport: ScriptedTransport,
    caplog: pytest.LogCaptureFixture,
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    await transport.server.socket.send("{nonsense")
    await settle()
    assert conn.status == "connected"
    assert "was dropped" in caplog.text


async def test_foreign_events_are_refused(client: Client, room: ChatRoom) -> None:
    conn = client.connect(client.get(Counter))
    with pytest.raises(ValueError, match="Counter has no event `new_message`"):
        conn.on(ChatRoom.new_message, print)


# -- streams --------------------------------------------------------------------------------------


async def test_a_stream_gives_what_comes_after_its_making(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    stream = conn.events(ChatRoom.new_message)
    await transport.server.send(message("a"), message("b"))
    assert (await anext(stream)).text == "a"
    assert (await anext(stream)).text == "b"
    waiting = asyncio.ensure_future(anext(stream))
    await transport.server.send(message("c"))
    assert (await waiting).text == "c"
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert (await transport.server.received())[-1] == SubscriptionRequest("newMessage", False)


async def test_a_stream_by_name_gives_the_argument_or_a_tuple(
    client: Client, transport: ScriptedTransport
) -> None:
    conn = client.connect(client.get("a"))
    conn.start()
    await settle()
    await transport.server.init()
    async with conn.events("e") as stream:
        await transport.server.send(Event("e", []), Event("e", [1]), Event("e", [1, 2]))
        assert [await anext(stream) for _ in range(3)] == [None, 1, (1, 2)]


async def test_a_stream_survives_a_lost_socket_and_ends_with_the_connection(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    texts: list[str] = []

    async def read() -> None:
        async for item in conn.events(ChatRoom.new_message):
            texts.append(item.text)

    reading = asyncio.ensure_future(read())
    await settle()
    await transport.server.close(1006)
    await transport.server.init()
    assert await transport.server.received() == [SubscriptionRequest("newMessage", True)]
    await transport.server.send(message("after"))
    await conn.close()
    await reading
    assert texts == ["after"]
    assert [item async for item in conn.events(ChatRoom.new_message)] == []


async def test_a_stream_raises_when_the_connection_cannot_be_restored(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    stream = conn.events(ChatRoom.new_message)
    await transport.server.close(1006)
    await transport.server.close(1011, "auth.forbidden")
    with pytest.raises(ActorError, match=r"auth\.forbidden"):
        await anext(stream)


async def test_a_dropped_stream_stops_to_listen(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    stream = conn.events(ChatRoom.new_message)
    del stream
    await transport.server.send(message("a"))
    assert await transport.server.received() == [
        SubscriptionRequest("newMessage", True),
        SubscriptionRequest("newMessage", False),
    ]


# -- breaking -------------------------------------------------------------------------------------


async def test_a_lost_socket_is_replaced_at_once(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    happened: list[str] = []
    conn.on_status(happened.append)
    conn.on_open(lambda: happened.append("open"))
    conn.on_close(lambda: happened.append("close"))
    conn.on(ChatRoom.new_message, lambda m: None)
    await connected(conn, transport)
    call = asyncio.ensure_future(conn.actor.members())
    await transport.server.received()
    await transport.server.close(1006)
    with pytest.raises(ActorError) as caught:
        await call
    assert caught.value.name == "client.connection_lost"
    assert caught.value.metadata == {"code": 1006, "reason": ""}
    assert len(transport.sockets) == 2
    # A call made in between waits; ids go on.
    later = asyncio.ensure_future(conn.actor.members())
    await transport.server.init("actor-1", "conn-2")
    assert conn.connection_id == "conn-2"
    assert await transport.server.received() == [
        SubscriptionRequest("newMessage", True),
        ActionRequest(1, "members", []),
    ]
    await transport.server.send(ActionResponse(1, []))
    assert await later == []
    assert happened == [
        "connecting",
        "connected",
        "open",
        "disconnected",
        "close",
        "connecting",
        "connected",
        "open",
    ]


async def test_a_reason_becomes_the_error_of_what_waits(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    errors: list[str] = []
    conn.on_error(lambda error: errors.append(error.name))
    await connected(conn, transport)
    call = asyncio.ensure_future(conn.actor.members())
    await transport.server.received()
    await transport.server.close(1011, "message.incoming_too_long")
    with pytest.raises(ActorError, match=r"message\.incoming_too_long"):
        await call
    assert errors == ["message.incoming_too_long"]
    assert conn.status == "connecting"


async def test_who_was_connected_waits_for_the_server_to_come_back(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    transport.refusals = [REFUSED] * 50
    await clock.advance(60)
    await transport.server.close(1001)
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    assert conn.status == "disconnected"
    await clock.advance(3600)
    await transport.server.init()
    await transport.server.send(ActionResponse((await transport.server.action()).id, []))
    assert await call == []


@pytest.mark.parametrize("reason", ["user.banned", "auth.forbidden", "pegboard.route_timeout"])
async def test_a_refusal_ends_it_for_good(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock, reason: str
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    await transport.server.close(1006)
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    await transport.server.close(1011, reason)
    with pytest.raises(ActorError) as caught:
        await call
    assert caught.value.name == reason
    await clock.advance(3600)
    assert (conn.status, len(transport.sockets)) == ("idle", 2)


async def test_a_connection_that_keeps_breaking_is_not_hammered(
    client: Client, room: ChatRoom, transport: ScriptedTransport, clock: FakeClock
) -> None:
    conn = client.connect(room)
    conn.start()
    for _ in range(20):
        await settle()
        if transport.server.is_open:
            await transport.server.init()
            await transport.server.close(1006)
    assert len(transport.sockets) == 2
    await clock.advance(0.25)
    assert len(transport.sockets) == 3
    # Once it has been good for a while, all is forgotten.
    await transport.server.init()
    await clock.advance(5)
    await transport.server.close(1006)
    assert len(transport.sockets) == 4


async def test_a_transport_that_fails_otherwise_ends_it(
    client: Client,
    room: ChatRoom,
    transport: ScriptedTransport,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(request: SocketRequest) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(transport, "open_socket", broken)
    with pytest.raises(ActorError, match="a mistake of ours"):
        await client.connect(room).ready()
    assert "failed" in caplog.text


# -- the end --------------------------------------------------------------------------------------


async def test_closing_fails_what_waits(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    happened: list[str] = []
    conn.on_close(lambda: happened.append("close"))
    conn.on_error(lambda error: happened.append(error.name))
    call = asyncio.ensure_future(conn.actor.members())
    await settle()
    await conn.close()
    await conn.close()
    assert happened == ["close"]
    for attempt in (call, conn.actor.members(), conn.ready()):
        with pytest.raises(ActorError) as caught:
            await attempt
        assert caught.value.name == "client.closed"
    with pytest.raises(ActorError):
        conn.start()


async def test_closing_while_it_opens(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    ready = asyncio.ensure_future(conn.ready())
    await settle()
    await conn.close()
    with pytest.raises(ActorError, match=r"client\.closed"):
        await ready
    assert transport.server.socket.close_code == 1000


async def test_giving_up_on_entering_closes_it(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    entering = asyncio.ensure_future(conn.__aenter__())
    await settle()
    entering.cancel()
    await settle()
    assert entering.cancelled()
    assert transport.server.socket.close_code == 1000


async def test_who_is_cancelled_while_closing_leaves_no_socket_behind(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    closing = asyncio.ensure_future(conn.close())
    await asyncio.sleep(0)
    closing.cancel()
    await settle()
    assert closing.cancelled()
    assert (conn.status, transport.server.socket.close_code) == ("idle", 1000)


async def test_a_connection_that_was_never_started_is_forgotten(
    client: Client, room: ChatRoom
) -> None:
    conn = weakref.ref(client.connect(room))
    gc.collect()
    assert conn() is None


async def test_closing_the_client_closes_its_connections(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    await client.aclose()
    assert (conn.status, transport.closed) == ("idle", True)
    with pytest.raises(ActorError, match=r"client\.closed"):
        client.connect(room)


async def test_a_callback_may_close_its_connection(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)

    async def leave(payload: Message) -> None:
        await conn.close()

    conn.on(ChatRoom.new_message, leave)
    await connected(conn, transport)
    await transport.server.send(message("bye"))
    assert conn.status == "idle"
    assert not transport.server.is_open


async def test_closing_cancels_callbacks_that_run(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    cancelled: list[bool] = []

    async def long(payload: Message) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    conn.on(ChatRoom.new_message, long)
    await connected(conn, transport)
    await transport.server.send(message("a"))
    await conn.close()
    assert cancelled == [True]


async def test_on_open_of_an_open_connection_comes_soon(
    client: Client, room: ChatRoom, transport: ScriptedTransport
) -> None:
    conn = client.connect(room)
    await connected(conn, transport)
    happened: list[str] = []
    conn.on_open(lambda: happened.append("one"))
    conn.on_open(lambda: happened.append("two"))()
    assert happened == []
    await settle()
    assert happened == ["one"]


async def test_how_it_shows(client: Client, room: ChatRoom) -> None:
    assert repr(client.connect(room)) == "<Connection to chatRoom['general']: idle>"


async def test_what_is_no_handle_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="is not a handle"):
        client.connect(ChatRoom)  # type: ignore[call-overload]
    assert isinstance(client.get("a"), Handle)
    assert make("actor.restarting").name == "actor.restarting"
