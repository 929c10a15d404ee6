"""What ``self`` offers, and what it refuses."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Conn, action
from rivetless.actor.base import MEMBERS
from rivetless.actor.body import HOOKS, LATER
from rivetless.actor.context import Conns, RawWebSocket
from rivetless.actor.request import make_request
from rivetless.actor.turn import RequestInfo
from rivetless.errors import MissingExtraError

from .turns import FakeTurn, connection, instance


class State(BaseModel):
    count: int = 0


class Member(BaseModel):
    name: str = ""


class Params(BaseModel):
    token: str = "none"


class Receipt(BaseModel):
    id: int


class Room(Actor[State, Member, Params]):
    @property
    def count(self) -> int:
        return self.state.count

    @count.setter
    def count(self, value: int) -> None:
        self.state.count = value

    @action
    async def add(self) -> int:
        return 1


REQUEST = RequestInfo(
    "POST",
    "http://127.0.0.1/foo/b%20r?x=1&y=%C3%A4",
    (
        (b"host", b"example.com"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"content-type", b"application/json"),
    ),
    b'{"a": 1}',
)


def room_of(*conns: str, state: State | None = None) -> tuple[Room, FakeTurn]:
    turn = FakeTurn(
        Room,
        state or State(),
        conns=[connection(conn, {"token": conn}, request=REQUEST) for conn in conns],
        request=REQUEST,
    )
    return instance(Room, turn), turn


def test_members_are_those_of_the_specification() -> None:
    specified = (
        "turn_id once refresh state vars kv db queue schedule cron conns conn client key name "
        "actor_id region log request aborted abort_signal broadcast save_state keep_awake "
        "wait_until sleep destroy"
    )
    ours = {"dead_letters"}  # RivetKit has none: it drops what fails
    assert set(specified.split()) | ours == MEMBERS


def test_hooks_are_those_of_the_specification() -> None:
    specified = (
        "create_state create_vars create_conn_state on_migrate on_create on_wake on_sleep "
        "on_destroy on_state_change on_before_connect on_connect on_disconnect on_request "
        "on_websocket on_websocket_message on_websocket_close on_before_action_response run"
    )
    assert set(specified.split()) == set(HOOKS) | {"run"}
    for hook in HOOKS:
        assert getattr(Actor, hook).__doc__, hook


def test_facts() -> None:
    room, turn = room_of()
    assert (room.name, room.key, room.actor_id) == ("room", ("a", "b"), "actor-1")
    assert (room.turn_id, room.region, str(room.client)) == ("turn-1", "local", "the client")
    assert room.log is not None
    assert room.abort_signal is turn.abort
    seen = [room.aborted]
    turn.abort.fire("deadline")
    assert [*seen, room.aborted] == [False, True]
    assert repr(room) == "<Room a/b>"


def test_state_and_vars() -> None:
    room, turn = room_of()
    room.state.count += 1
    assert turn.state == State(count=1)
    room.state = State(count=5)
    assert turn.state == State(count=5)
    room.vars = {"cache": 1}
    assert turn.vars == {"cache": 1}
    assert room.vars == {"cache": 1}
    room.count = 7
    assert room.count == turn.state.count == 7


def test_a_wrong_state_is_reported_where_it_is_assigned() -> None:
    room, turn = room_of("one")
    with pytest.raises(TypeError, match=r"`self\.state` is State, not int"):
        room.state = 5  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"`conn\.state` is Member, not int"):
        room.conn.state = 5  # type: ignore[assignment]
    assert turn.state == State()


def test_a_stateless_actor_leaves_it_to_the_turn_to_refuse() -> None:
    class Tiny(Actor):
        pass

    turn = FakeTurn(Tiny, conns=[connection()])
    tiny = instance(Tiny, turn)
    tiny.state = 5  # type: ignore[assignment]
    tiny.conn.state = 6  # type: ignore[assignment]
    assert (turn.state, turn.conn_states) == (5, {"conn-1": 6})


def test_everything_else_cannot_be_set() -> None:
    room, _ = room_of()
    with pytest.raises(AttributeError, match=r"`self\.foo` cannot be set: an instance lives for"):
        room.foo = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"`self\.add` cannot be set"):
        room.add = 1  # type: ignore[method-assign, assignment]
    with pytest.raises(AttributeError, match=r"`self\.key` cannot be set\."):
        room.key = ("x",)  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"`self\._turn` cannot be set"):
        room._turn = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", sorted(LATER - {"run"}))
def test_members_of_later_versions(name: str) -> None:
    room, _ = room_of()
    with pytest.raises(AttributeError, match=f"`self.{name}` is not served by this version"):
        getattr(room, name)
    assert not hasattr(room, name)


def test_nobody_makes_an_instance_by_hand() -> None:
    with pytest.raises(TypeError, match=r"Room is not made by hand.*client\.get_or_create\(Room"):
        Room()


async def test_effects_go_to_the_turn() -> None:
    room, turn = room_of()
    await room.refresh()
    await room.save_state()
    assert await room.keep_awake(room.add()) == 1
    room.wait_until(room.add())
    room.sleep()
    room.destroy()
    assert turn.said == ["refresh", "save_state", "keep_awake", "wait_until", "sleep", "destroy"]


# -- once -----------------------------------------------------------------------------------------


async def test_once_gives_the_stored_result_typed() -> None:
    room, turn = room_of()
    calls: list[int] = []

    async def charge() -> Receipt:
        calls.append(1)
        return Receipt(id=7)

    assert await room.once("charge", charge) == Receipt(id=7)
    assert await room.once("charge", charge) == Receipt(id=7)
    assert calls == [1]
    assert turn.stored == {"charge": {"id": 7}}


async def test_once_takes_the_type_of_a_lambda() -> None:
    room, _ = room_of()

    async def charge(amount: int) -> Receipt:
        return Receipt(id=amount)

    with pytest.raises(TypeError, match=r"once\('a'\): say what the result is.*returns=Receipt"):
        await room.once("a", lambda: charge(5))
    result = await room.once("b", lambda: charge(5), returns=Receipt)
    assert result == Receipt(id=5)

    async def plain():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return {"a": [1, None]}

    assert await room.once("c", plain) == {"a": [1, None]}


async def test_once_checks_the_result() -> None:
    room, _ = room_of()

    async def charge() -> int:
        return "x"  # type: ignore[return-value]

    with pytest.raises(TypeError, match=r"once\('charge'\): the result does not fit"):
        await room.once("charge", charge)


# -- connections ----------------------------------------------------------------------------------


async def test_connections() -> None:
    room, turn = room_of("one", "two")
    turn.conn_states = {"one": Member(name="ada"), "two": Member(name="bob")}
    conns = [conn async for conn in room.conns]
    assert [conn.id for conn in conns] == ["one", "two"]
    assert [conn.state.name for conn in conns] == ["ada", "bob"]
    assert [conn.params.token for conn in conns] == ["one", "two"]
    assert [conn for conn in conns if conn != room.conn] == [conns[1]]
    assert await room.conns.get("two") == conns[1]
    assert await room.conns.get("three") is None
    assert await room.conns.count() == 2
    assert room.conn is room.conn
    assert room.conns.current == conns[0]
    assert {*conns, room.conn} == set(conns)
    assert repr(conns[0]) == "<Conn one>"
    assert conns[0] != "one"
    conns[0].state = Member(name="eve")
    assert turn.conn_states["one"] == Member(name="eve")


async def test_sending() -> None:
    room, turn = room_of("one")
    conn = room.conn
    assert conn.is_hibernatable is True
    conn.send("anything", 1, Member(name="x"))
    conn.disconnect("bye")
    conn.disconnect()
    assert turn.said == [
        ("send", "one", "anything", [1, {"name": "x"}]),
        ("disconnect", "one", 1000, "bye"),
        ("disconnect", "one", 1000, ""),
    ]


def test_a_turn_without_connection() -> None:
    room, _ = room_of()
    assert room.conns.current is None
    with pytest.raises(ActorError, match=r"runs for no connection. Ask `self.conns.current`"):
        _ = room.conn


def test_raw_web_sockets() -> None:
    room, turn = room_of("one")
    info = turn.conn
    assert info is not None
    ws: RawWebSocket[Member, Params] = RawWebSocket(turn, info)
    assert (ws.id, ws.path) == ("one", "/foo/b%20r")
    assert ws.url == REQUEST.url
    assert ws.params == Params(token="one")
    assert ws == room.conn
    ws.send("hello")
    ws.send(b"\xff")
    ws.close()
    ws.close(4000, "enough")
    assert turn.said == [
        ("send_raw", "one", "hello"),
        ("send_raw", "one", b"\xff"),
        ("disconnect", "one", 1000, ""),
        ("disconnect", "one", 4000, "enough"),
    ]
    bare: RawWebSocket[Any, Any] = RawWebSocket(turn, connection("two"))
    assert (bare.url, bare.path, bare.request) == ("", "/", None)


def test_faces_are_cheap() -> None:
    room, turn = room_of()
    assert isinstance(room.conns, Conns)
    assert not hasattr(Conn(turn, connection()), "__dict__")


# -- requests -------------------------------------------------------------------------------------


async def test_the_request() -> None:
    room, _ = room_of("one")
    request = room.request
    assert request is not None
    assert request is room.request
    assert (request.method, str(request.url)) == ("POST", REQUEST.url)
    assert request.url.path == "/foo/b%20r"
    assert dict(request.query_params) == {"x": "1", "y": "ä"}
    assert request.headers.getlist("x-a") == ["1", "2"]
    assert request.headers["host"] == "example.com"
    assert await request.json() == {"a": 1}
    assert await request.body() == REQUEST.body
    assert room.conn.request is not None
    assert [part async for part in make_request(REQUEST).stream()] == [REQUEST.body, b""]
    assert await make_request(RequestInfo("GET", "wss://x")).is_disconnected() is False
    assert make_request(RequestInfo("GET", "wss://x")).scope["server"] == ("x", 443)


async def test_a_turn_without_request() -> None:
    assert instance(Room, FakeTurn(Room)).request is None


def test_a_missing_starlette_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from rivetless.actor import request

    monkeypatch.setattr(request, "_request_class", request._request_class.__wrapped__)
    monkeypatch.setitem(sys.modules, "starlette.requests", None)
    with pytest.raises(MissingExtraError, match=r"rivetless\[server\]"):
        make_request(REQUEST)
