"""Sockets: connections and raw ones, from the upgrade to the close."""

import asyncio
from typing import Any

import pytest

from rivetless.errors import ActorError, UserError, make
from rivetless.gateway.ends import FIRST_PAUSE, LONGEST_PAUSE
from rivetless.gateway.limits import Limits
from rivetless.runtime.commands import (
    ActionResult,
    ById,
    ByKey,
    CloseConnection,
    ConnectionAction,
    OpenConnection,
    RawMessage,
    Subscribe,
)
from rivetless.runtime.ports import ClosePush, EventPush, Push, RawPush
from tests.unit.gateway.gateways import ACTOR_ID, QUERY, World, settle

CONNECT = f"/gateway/counter/connect?{QUERY}"
RAW = f"/gateway/counter/websocket/my/path?q=1&{QUERY}"


@pytest.fixture
def world() -> World:
    return World()


def conn_of(world: World) -> str:
    conn_id: str = world.runtime.of(OpenConnection)[-1].conn_id
    return conn_id


def event(conn_id: str, *args: object, name: str = "changed") -> Push:
    return Push(ACTOR_ID, 1, 0, EventPush(name, args), (conn_id,))


# -- opening --------------------------------------------------------------------------------------


async def test_json(world: World) -> None:
    peer = world.socket(
        CONNECT, "rivet", "rivet_encoding.json", "rivet_conn_params.%7B%22a%22%3A1%7D"
    )
    peer.call(0, "increment", 2)
    await settle()

    assert peer.accepted == {"type": "websocket.accept", "subprotocol": "rivet"}
    conn_id = conn_of(world)
    assert peer.frames == [
        f'{{"body":{{"tag":"Init","val":{{"actorId":"{ACTOR_ID}","connectionId":"{conn_id}"}}}}}}',
        '{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","0"],"output":10}}}',
    ]
    opened, called = world.runtime.commands
    assert isinstance(opened.target, ByKey)
    assert (opened.kind, opened.host, opened.origin.params) == ("events", "here", {"a": 1})
    assert opened.origin.request.url == "http://127.0.0.1/connect"
    assert called == ConnectionAction(ACTOR_ID, conn_id, 0, "increment", [2])


async def test_bare(world: World) -> None:
    peer = world.socket(CONNECT, "rivet", "rivet_encoding.bare")
    peer.send(bytes.fromhex("0300000003696e63028102"))
    await settle()

    conn_id = conn_of(world).encode()
    assert peer.frames == [
        b"\x04\x00\x00\x1e" + ACTOR_ID.encode() + b"\x24" + conn_id,
        # With the version that the client spoke.
        bytes.fromhex("03000200010a"),
    ]


async def test_cbor(world: World) -> None:
    peer = world.socket(CONNECT, "rivet", "rivet_encoding.cbor")
    await settle()

    frame = peer.frames[0]
    assert isinstance(frame, bytes)
    assert frame.startswith(b"\xa1\x64body\xa2\x63tag\x64Init")


async def test_any_offer_is_accepted(world: World) -> None:
    for offer in (("other",), ("rivet_encoding.json", "chat")):
        peer = world.socket(CONNECT, *offer)
        await settle()
        # What was not offered must not be answered.
        assert peer.accepted["subprotocol"] is None
        assert peer.tags == ["Init"]


async def test_routed_by_subprotocols(world: World) -> None:
    peer = world.socket(
        "/connect", "rivet", "rivet_encoding.json", "rivet_target.actor", f"rivet_actor.{ACTOR_ID}"
    )
    await settle()

    assert peer.tags == ["Init"]
    assert world.runtime.commands[0].target == ById(None, ACTOR_ID)


@pytest.mark.parametrize(
    ("path", "offer", "close"),
    [
        ("/nope", (), (1011, "guard.no_route#ray-1")),
        ("/gateway/nobody/connect?" + QUERY, (), (1011, "actor.not_registered#ray-1")),
        ("/gateway/counter/nope?" + QUERY, (), (1011, "actor.not_found#ray-1")),
        ("/gateway/counter/inspector/connect?" + QUERY, (), (1011, "inspector.unauthorized")),
        ("/gateway/counter/connect?rvt-x=1", (), (1011, "guard.query_invalid_params#ray-1")),
        (CONNECT, ("rivet_encoding.xml",), (1003, "actor.unsupported_websocket_encoding")),
        (CONNECT, ("rivet_conn_params.%7B",), (1011, "actor.invalid_request")),
        (CONNECT, ("rivet_conn_params.%",), (1011, "actor.invalid_request")),
        (CONNECT, ("rivet_conn_params.%ff",), (1011, "actor.invalid_request")),
        ("/connect", ("rivet_target.actor",), (1011, "guard.missing_header#ray-1")),
        ("/connect", ("rivet_target.moon",), (1011, "guard.no_route#ray-1")),
    ],
)
async def test_what_cannot_be_opened_is_accepted_and_closed(
    world: World, path: str, offer: tuple[str, ...], close: tuple[int, str]
) -> None:
    peer = world.socket(path, "rivet", *offer, headers={"x-rivet-ray-id": "ray-1"})
    await peer.task

    assert peer.accepted["subprotocol"] == "rivet"
    assert peer.close == close
    assert world.runtime.commands == []


@pytest.mark.parametrize("path", [CONNECT, RAW])
async def test_no_socket_is_taken_in_while_nobody_would_find_it(path: str) -> None:
    ids = iter(["away", "here~1"])
    asked = asyncio.Event()

    async def secure() -> str:
        if (found := next(ids)) == "away":
            raise make("guard.service_unavailable")
        await asked.wait()
        assert len(gated.table) == 0  # should the id become another, its sockets are closed
        return found

    gated = World(secure_host=secure)
    peer = gated.socket(path, "rivet", headers={"x-rivet-ray-id": "ray-1"})
    await peer.task
    assert peer.close == (1011, "guard.service_unavailable#ray-1")
    assert gated.runtime.commands == []

    gated.socket(path, "rivet")
    await settle()
    assert gated.runtime.commands == []
    asked.set()
    await settle()
    assert [command.host for command in gated.runtime.of(OpenConnection)] == ["here~1"]
    assert len(gated.table) == 1


async def test_refused_by_the_actor(world: World) -> None:
    world.runtime.fail(OpenConnection, UserError("denied!", code="denied", metadata={"why": "no"}))
    peer = world.socket(CONNECT, "rivet", "rivet_encoding.bare")
    await peer.task

    assert peer.frames == [
        bytes.fromhex("0400 01")
        + b"\x04user\x06denied\x07denied!\x01\x08\xa1cwhybno"
        + bytes.fromhex("0000")
    ]
    assert peer.close == (1011, "user.denied")
    assert world.runtime.of(CloseConnection) == []
    assert len(world.table) == 0


async def test_refused_by_mistake(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.runtime.fail(OpenConnection, RuntimeError("secret"))
    peer = world.socket(CONNECT)
    await peer.task

    (body,) = peer.bodies
    assert body["val"]["message"] == "An internal error occurred"
    assert peer.close == (1011, "actor.init_error")
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "name", ["actor.not_found", "actor.restarting", "guard.service_unavailable"]
)
async def test_an_actor_that_cannot_be_reached(world: World, name: str) -> None:
    world.runtime.fail(OpenConnection, make(name))
    peer = world.socket(CONNECT, headers={"x-rivet-ray-id": "ray-1"})
    await peer.task

    # An Error frame would keep the client from trying again.
    assert peer.frames == []
    assert peer.close == (1011, f"{name}#ray-1")


async def test_what_is_pushed_before_init_waits(world: World) -> None:
    def opening(command: Any) -> Any:
        gone = world.table.deliver([event(command.conn_id, 7)])
        assert gone == frozenset()
        return world.runtime.usual(command)

    world.runtime.answers[OpenConnection] = opening
    peer = world.socket(CONNECT)
    await settle()

    assert peer.tags == ["Init", "Event"]


# -- talking --------------------------------------------------------------------------------------


async def test_actions_run_at_the_same_time_and_answer_as_they_end(world: World) -> None:
    gates = {number: asyncio.Event() for number in range(3)}

    async def slow(command: ConnectionAction) -> Any:
        await gates[command.frame_id].wait()
        return ActionResult(command.frame_id, ACTOR_ID, ())

    world.runtime.answers[ConnectionAction] = slow
    peer = world.socket(CONNECT)
    for number in gates:
        peer.call(number)
    await settle()
    assert [c.frame_id for c in world.runtime.of(ConnectionAction)] == [0, 1, 2]
    for number in (2, 0, 1):
        gates[number].set()
        await settle()

    assert [body["val"]["output"] for body in peer.bodies[1:]] == [2, 0, 1]


async def test_a_subscription_is_in_effect_before_the_next_frame(world: World) -> None:
    gate = asyncio.Event()

    async def slow(command: Any) -> None:
        await gate.wait()

    world.runtime.answers[Subscribe] = slow
    peer = world.socket(CONNECT)
    peer.subscribe("changed")
    peer.call(0)
    await settle()
    assert world.runtime.of(ConnectionAction) == []
    gate.set()
    await settle()
    assert len(world.runtime.of(ConnectionAction)) == 1
    peer.subscribe("changed", subscribe=False)
    await settle()

    conn_id = conn_of(world)
    assert world.runtime.of(Subscribe) == [
        Subscribe(ACTOR_ID, conn_id, "changed", True),
        Subscribe(ACTOR_ID, conn_id, "changed", False),
    ]


async def test_events_of_an_action_come_before_its_answer(world: World) -> None:
    def answer(command: Any) -> Any:
        world.table.deliver([event(command.conn_id, 1), event(command.conn_id, 2)])
        return world.runtime.usual(command)

    world.runtime.answers[ConnectionAction] = answer
    peer = world.socket(CONNECT)
    peer.call(0)
    await settle()

    assert peer.tags == ["Init", "Event", "Event", "ActionResponse"]
    assert peer.bodies[1]["val"] == {"args": [1], "name": "changed"}


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (
            UserError("bad", code="c", metadata=[1]),
            {"group": "user", "code": "c", "message": "bad", "metadata": [1]},
        ),
        (
            RuntimeError("secret"),
            {
                "group": "rivetkit",
                "code": "internal_error",
                "message": "An internal error occurred",
            },
        ),
    ],
)
async def test_failed_actions(world: World, failure: Exception, shown: Any) -> None:
    world.runtime.fail(ConnectionAction, failure)
    peer = world.socket(CONNECT)
    peer.call(3)
    await settle()

    assert peer.bodies[1] == {"tag": "Error", "val": {"actionId": ["$BigInt", "3"], **shown}}
    assert peer.close is None


async def test_results_that_are_too_long_or_have_no_form(world: World) -> None:
    outputs = iter(["x" * 2**20, object()])
    world.runtime.answers[ConnectionAction] = lambda command: ActionResult(
        next(outputs), ACTOR_ID, ()
    )
    peer = world.socket(CONNECT)
    peer.call(0)
    peer.call(1)
    await settle()

    assert [body["val"]["code"] for body in peer.bodies[1:]] == [
        "outgoing_too_long",
        "internal_error",
    ]
    assert peer.close is None


@pytest.mark.parametrize(
    ("encoding", "frame", "reason"),
    [
        ("json", "{", "actor.invalid_request"),
        ("json", b"\xff", "actor.invalid_request"),
        ("json", '{"body":{"tag":"Nope","val":{}}}', "actor.invalid_request"),
        ("json", '{"body":{"tag":"ActionRequest","val":{"id":-1}}}', "actor.invalid_request"),
        ("json", "[" * 60_000, "actor.invalid_request"),
        ("json", '"' + "é" * 40_000 + '"', "message.incoming_too_long"),
        ("bare", b"x" * 65_537, "message.incoming_too_long"),
        ("bare", b"", "actor.invalid_request"),
        ("bare", "text", "actor.invalid_request"),
        ("cbor", b"\xff", "actor.invalid_request"),
    ],
)
async def test_frames_that_cannot_be_read(
    world: World, encoding: str, frame: str | bytes, reason: str
) -> None:
    peer = world.socket(CONNECT, "rivet", f"rivet_encoding.{encoding}")
    peer.send(frame)
    await peer.task
    await settle()

    assert peer.close == (1011, reason)
    assert world.runtime.of(CloseConnection) == [CloseConnection(ACTOR_ID, conn_of(world), 1011)]


async def test_a_refused_subscription_closes(world: World) -> None:
    world.runtime.fail(Subscribe, make("auth.forbidden"))
    peer = world.socket(CONNECT)
    peer.subscribe("changed")
    await peer.task

    assert peer.close == (1011, "auth.forbidden")


async def test_frames_in_work_are_bounded() -> None:
    world = World(limits=Limits(frames=2))
    gate = asyncio.Event()

    async def slow(command: Any) -> Any:
        await gate.wait()
        return world.runtime.usual(command)

    world.runtime.answers[ConnectionAction] = slow
    peer = world.socket(CONNECT)
    for number in range(5):
        peer.call(number)
    await settle()
    assert len(world.runtime.of(ConnectionAction)) == 2
    gate.set()
    await settle()

    assert peer.tags == ["Init"] + ["ActionResponse"] * 5


async def test_a_connection_that_the_store_has_lost_is_made_anew(world: World) -> None:
    world.runtime.fail(ConnectionAction, ActorError("connection", "not_found", "gone"))
    peer = world.socket(CONNECT)
    peer.call(0)
    await peer.task

    assert peer.tags == ["Init", "Error"]
    assert peer.close == (1011, "ws.going_away")


# -- pushing --------------------------------------------------------------------------------------


async def test_pushes(world: World) -> None:
    json_peer = world.socket(CONNECT)
    await settle()
    one = conn_of(world)
    bare_peer = world.socket(CONNECT, "rivet", "rivet_encoding.bare")
    await settle()
    other = conn_of(world)

    gone = world.table.deliver(
        [Push(ACTOR_ID, 1, 0, EventPush("changed", (2,)), (one, "nobody", other))]
    )
    await settle()

    assert gone == {"nobody"}
    assert json_peer.frames[1] == '{"body":{"tag":"Event","val":{"args":[2],"name":"changed"}}}'
    assert bare_peer.frames[1] == bytes.fromhex("0400 03 07 6368616e676564 02 8102")


async def test_an_event_that_is_too_long_closes(world: World) -> None:
    peer = world.socket(CONNECT)
    await settle()
    world.table.deliver([event(conn_of(world), "x" * 2**20)])
    await peer.task

    assert peer.close == (1011, "message.outgoing_too_long")


async def test_an_event_that_has_no_form_closes(world: World) -> None:
    peer = world.socket(CONNECT)
    await settle()
    world.table.deliver([event(conn_of(world), object())])
    await peer.task

    assert peer.close == (1011, "rivetkit.internal_error")


@pytest.mark.parametrize("forget", [False, True])
async def test_closed_by_the_actor(world: World, forget: bool) -> None:
    peer = world.socket(CONNECT)
    await settle()
    conn_id = conn_of(world)
    reason = "because " + "é" * 100
    world.table.deliver(
        [event(conn_id, 1), Push(ACTOR_ID, 1, 1, ClosePush(1000, reason, forget), (conn_id,))]
    )
    await peer.task
    await settle()

    assert peer.tags == ["Init", "Event"]
    assert peer.close is not None
    assert peer.close[0] == 1000
    assert peer.close[1].startswith("because ééé")
    assert len(peer.close[1].encode()) <= 123
    assert len(world.runtime.of(CloseConnection)) == (0 if forget else 1)


async def test_a_slow_client_holds_nobody_up(world: World) -> None:
    slow = world.socket(CONNECT)
    await settle()
    one = conn_of(world)
    fast = world.socket(CONNECT)
    await settle()
    other = conn_of(world)
    gate = slow.stop_reading()

    for number in range(3):
        push = Push(ACTOR_ID, 1, number, EventPush("changed", (number,)), (one, other))
        assert world.table.deliver([push]) == frozenset()
    fast.call(0)
    slow.call(0)
    await settle()
    assert fast.tags == ["Init", "Event", "Event", "Event", "ActionResponse"]
    assert slow.tags == ["Init"]

    gate.set()
    await settle()
    assert slow.tags == fast.tags
    assert [body["val"]["args"] for body in slow.bodies[1:4]] == [[0], [1], [2]]


async def test_a_client_that_never_reads_is_closed() -> None:
    world = World(limits=Limits(backlog=1000))
    peer = world.socket(CONNECT)
    await settle()
    gate = peer.stop_reading()
    for _ in range(4):
        world.table.deliver([event(conn_of(world), "x" * 400)])
        await settle()
    assert world.table.get(conn_of(world)) is None
    gate.set()
    await peer.task

    assert peer.close == (1011, "guard.websocket_pending_limit_reached")
    assert peer.tags == ["Init", "Event"]


# -- closing --------------------------------------------------------------------------------------


async def test_closed_by_the_client(world: World) -> None:
    peer = world.socket(CONNECT)
    await settle()
    peer.hang_up(4001)
    await peer.task
    await settle()

    assert world.runtime.commands[-1] == CloseConnection(ACTOR_ID, conn_of(world), 4001)
    assert world.table.deliver([event(conn_of(world), 1)]) == {conn_of(world)}


async def test_an_end_that_cannot_be_told_is_told_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.runtime.fail(CloseConnection, make("guard.service_unavailable"))
    for _ in range(3):
        peer = world.socket(CONNECT)
        await settle()
        peer.hang_up(4001)
        await peer.task
    await settle()
    ends = world.runtime.of(CloseConnection)
    assert len(ends) == 3
    assert caplog.text.count("is not told yet") == 3
    for _ in range(10):
        await world.clock.advance(LONGEST_PAUSE)
    tried = len(world.runtime.of(CloseConnection))
    assert tried > 2 * len(ends)
    assert caplog.text.count("is not told yet") == 3
    del world.runtime.answers[CloseConnection]
    await world.clock.advance(LONGEST_PAUSE)
    assert world.runtime.of(CloseConnection)[tried:] == ends
    assert len(world.tasks) == 0


async def test_ends_that_cannot_be_told_are_told_again_soon_and_then_seldom(world: World) -> None:
    world.runtime.fail(CloseConnection, make("guard.service_unavailable"))
    peer = world.socket(CONNECT)
    await settle()
    peer.hang_up()
    await peer.task
    await settle()
    await world.clock.advance(FIRST_PAUSE)
    assert len(world.runtime.of(CloseConnection)) == 2
    await world.clock.advance(3600)
    assert 120 <= len(world.runtime.of(CloseConnection)) <= 130
    world.tasks.cancel()
    await settle()
    assert len(world.tasks) == 0


async def test_an_action_goes_on_after_its_client_is_gone(world: World) -> None:
    gate = asyncio.Event()

    async def slow(command: Any) -> Any:
        await gate.wait()
        return world.runtime.usual(command)

    world.runtime.answers[ConnectionAction] = slow
    peer = world.socket(CONNECT)
    peer.call(0)
    await settle()
    peer.hang_up()
    await peer.task
    gate.set()
    await settle()

    assert peer.tags == ["Init"]
    assert len(world.tasks) == 0


async def test_a_server_that_cancels_still_reports_the_end(world: World) -> None:
    peer = world.socket(CONNECT)
    await settle()
    peer.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await peer.task
    await settle()

    assert world.runtime.commands[-1] == CloseConnection(ACTOR_ID, conn_of(world), 1006)


async def test_a_farewell_takes_only_so_long(world: World) -> None:
    peer = world.socket(CONNECT)
    await settle()
    peer.stop_reading()
    world.table.deliver([event(conn_of(world), 1)])
    await settle()
    peer.send("{")
    await settle()
    assert not peer.task.done()
    await world.clock.advance(11)
    await settle()

    assert peer.task.done()


# -- raw ------------------------------------------------------------------------------------------


async def test_raw(world: World) -> None:
    peer = world.socket(RAW, "rivet", "rivet_encoding.bare")
    peer.send("hello")
    peer.send(b"\x00")
    await settle()

    opened, *messages = world.runtime.commands
    assert opened.kind == "raw"
    assert opened.origin.request.url == "http://127.0.0.1/websocket/my/path?q=1"
    conn_id = opened.conn_id
    assert messages == [
        RawMessage(ACTOR_ID, conn_id, 0, "hello"),
        RawMessage(ACTOR_ID, conn_id, 1, b"\x00"),
    ]
    assert peer.frames == []
    world.table.deliver(
        [
            Push(ACTOR_ID, 1, 0, RawPush("text"), (conn_id,)),
            Push(ACTOR_ID, 1, 1, RawPush(b"bytes"), (conn_id,)),
            Push(ACTOR_ID, 1, 2, EventPush("changed", (1,)), (conn_id,)),
            Push(ACTOR_ID, 1, 3, ClosePush(4000, "done"), (conn_id,)),
        ]
    )
    await peer.task

    assert peer.frames == ["text", b"bytes"]
    assert peer.close == (4000, "done")


async def test_raw_messages_one_after_the_other(world: World) -> None:
    gate = asyncio.Event()

    async def slow(command: Any) -> None:
        await gate.wait()

    world.runtime.answers[RawMessage] = slow
    peer = world.socket(RAW)
    peer.send("a")
    peer.send("b")
    peer.hang_up(4002)
    await settle()
    assert len(world.runtime.of(RawMessage)) == 1
    gate.set()
    await settle()

    assert [type(command) for command in world.runtime.commands[1:]] == [
        RawMessage,
        RawMessage,
        CloseConnection,
    ]


async def test_what_raw_handlers_send_while_opening_goes_at_once(world: World) -> None:
    def opening(command: Any) -> Any:
        world.table.deliver([Push(ACTOR_ID, 1, 0, RawPush("hi"), (command.conn_id,))])
        return world.runtime.usual(command)

    world.runtime.answers[OpenConnection] = opening
    peer = world.socket(RAW)
    await settle()

    assert peer.frames == ["hi"]


@pytest.mark.parametrize("kind", [OpenConnection, RawMessage])
async def test_raw_handlers_that_fail(world: World, kind: type) -> None:
    world.runtime.fail(kind, UserError("no", code="nope"))
    peer = world.socket(RAW)
    peer.send("x")
    await peer.task

    assert peer.frames == []
    assert peer.close == (1011, "user.nope")
