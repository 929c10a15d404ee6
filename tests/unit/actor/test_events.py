"""Events: payloads to arguments and back, and who may listen."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, action
from rivetless.actor.base import definition_of

from .turns import FakeTurn, connection, instance


class Message(BaseModel):
    text: str


async def members_only(room: Room) -> bool:
    return room.conn.id == "member"


async def undecided(room: Room) -> Any:
    return 1


class Room(Actor[int]):
    new_message = Event[Message]()
    count = Event[int]()
    maybe = Event[Message | None]()
    moved = Event[tuple[int, str]]()
    many = Event[tuple[int, ...]]()
    cleared = Event[None]()
    loose = Event()
    private = Event[str](can_subscribe=members_only)
    odd = Event[str](can_subscribe=undecided)

    async def _own(self) -> bool:
        return self.state > 0

    own = Event[str](can_subscribe=_own)

    @action
    async def say(self, text: str) -> None:
        self.broadcast(self.new_message, Message(text=text))


ENCODED: list[tuple[Event[Any], Any, list[object]]] = [
    (Room.new_message, Message(text="x"), [{"text": "x"}]),
    (Room.count, 5, [5]),
    (Room.maybe, None, [None]),
    (Room.maybe, Message(text="x"), [{"text": "x"}]),
    (Room.moved, (1, "x"), [1, "x"]),
    (Room.many, (1, 2, 3), [1, 2, 3]),
    (Room.many, (), []),
    (Room.cleared, None, []),
    (Room.loose, {"a": (1,)}, [{"a": (1,)}]),
]


@pytest.mark.parametrize(("event", "payload", "args"), ENCODED)
def test_payloads_travel(event: Event[Any], payload: Any, args: list[object]) -> None:
    assert event.encode(payload) == args
    assert event.decode(args) == payload


def test_the_validated_value_is_sent() -> None:
    assert Room.count.encode("5") == [5]  # type: ignore[arg-type]


def test_names() -> None:
    assert (Room.new_message.name, Room.new_message.python_name) == ("newMessage", "new_message")
    assert repr(Room.moved) == "Event[tuple[int, str]]('moved')"
    assert definition_of(Room).find_event("new_message") is Room.new_message


def test_a_payload_that_does_not_fit_raises_in_the_sender() -> None:
    with pytest.raises(ActorError) as caught:
        Room.count.encode("x")  # type: ignore[arg-type]
    error = caught.value
    assert error.name == "actor.validation_error"
    assert error.message.startswith("The payload of the event `count` is wrong: Input should be")
    with pytest.raises(ActorError, match="the event `moved` is wrong"):
        Room.moved.encode((1,))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="The event `count` has one payload, not 2"):
        Room.count.encode(1, 2)
    with pytest.raises(TypeError, match="has one payload, not 0"):
        Room.count.encode()


def test_a_broken_value_is_reported_as_well() -> None:
    message = Message(text="x")
    message.text = 5  # type: ignore[assignment]
    with pytest.raises(ActorError, match="the event `new_message` is wrong"):
        Room.new_message.encode(message)


def test_arguments_that_do_not_fit_are_refused_by_the_receiver() -> None:
    with pytest.raises(ActorError):
        Room.count.decode(["x"])
    with pytest.raises(ActorError):
        Room.count.decode([1, 2])
    with pytest.raises(ActorError):
        Room.moved.decode([1])


def test_broadcast() -> None:
    turn = FakeTurn(Room, 0)
    room = instance(Room, turn)
    room.broadcast(room.count, 5)
    room.broadcast(room.cleared)
    room.broadcast(room.moved, (1, "x"))
    room.broadcast("count", "6")
    room.broadcast("new_message", Message(text="x"))
    room.broadcast("moved", 1, "y")
    room.broadcast("undeclared", 1, Message(text="x"))
    assert turn.said == [
        ("broadcast", "count", [5]),
        ("broadcast", "cleared", []),
        ("broadcast", "moved", [1, "x"]),
        ("broadcast", "count", [6]),
        ("broadcast", "newMessage", [{"text": "x"}]),
        ("broadcast", "moved", [1, "y"]),
        ("broadcast", "undeclared", [1, {"text": "x"}]),
    ]
    with pytest.raises(TypeError, match="declared in an actor class"):
        room.broadcast(Event[int](), 5)


@pytest.mark.parametrize(("conn_id", "answer"), [("member", True), ("stranger", False)])
async def test_can_subscribe_sees_the_connection(conn_id: str, answer: bool) -> None:
    room = instance(Room, FakeTurn(Room, 0, conns=[connection(conn_id)]))
    assert await Room.private.allows(room) is answer
    assert await Room.count.allows(room) is True


async def test_can_subscribe_may_be_a_method() -> None:
    assert await Room.own.allows(instance(Room, FakeTurn(Room, 1))) is True
    assert await Room.own.allows(instance(Room, FakeTurn(Room, 0))) is False


async def test_can_subscribe_answers_a_bool() -> None:
    room = instance(Room, FakeTurn(Room, 0))
    with pytest.raises(TypeError, match="`can_subscribe` of the event `odd` answers True or False"):
        await Room.odd.allows(room)
