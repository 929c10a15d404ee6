"""What both checkers see in the Python client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, reveal_type

from pydantic import BaseModel

from rivetless import ActionGroup, Actor, Client, Event, action
from rivetless.client import Connection, MockTransport, RetryPolicy


class Message(BaseModel):
    text: str


class Member(BaseModel):
    name: str


class JoinParams(BaseModel):
    token: str


class RoomInput(BaseModel):
    name: str


class RoomState(BaseModel):
    name: str


class Admin(ActionGroup["Room"]):
    @action
    async def ban(self, name: str, *, for_ever: bool = False) -> bool:
        return True


class Room(Actor[RoomState, Member, JoinParams]):
    new_message = Event[Message]()
    cleared = Event[None]()
    moved = Event[tuple[int, str]]()
    typing = Event[Member | None]()

    admin = Admin()

    async def create_state(self, input: RoomInput) -> RoomState:
        return RoomState(name=input.name)

    async def create_conn_state(self, params: JoinParams) -> Member:
        return Member(name=params.token)

    @action
    async def send_message(self, text: str, *, urgent: bool = False) -> Message:
        return Message(text=text)


class Counter(Actor[int]):
    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        return amount


async def fresh_params() -> JoinParams:
    return JoinParams(token="t")


async def handles(client: Client) -> None:
    reveal_type(client.get(Counter))  # assert-type: Counter
    reveal_type(client.get(Counter, ["a", "b"], params={"any": 1}))  # assert-type: Counter
    reveal_type(client.get_or_create(Counter, "a", region="eu"))  # assert-type: Counter
    reveal_type(client.get_or_create(Room, "a", input=RoomInput(name="n")))  # assert-type: Room
    # Whoever only wants what exists, or resolves later, gives no input.
    reveal_type(client.get_or_create(Room, "a"))  # assert-type: Room
    reveal_type(client.get_for_id(Room, "id"))  # assert-type: Room
    reveal_type(await client.create(Counter, "a"))  # assert-type: Counter
    reveal_type(await client.create(Room, "a", input=RoomInput(name="n")))  # assert-type: Room
    reveal_type(client.get("counter", "a"))  # assert-type: Handle
    reveal_type(client.get_or_create("counter", "a", input=5))  # assert-type: Handle
    reveal_type(await client.create("counter", "a", input=5))  # assert-type: Handle
    reveal_type(client.get_for_id("counter", "id"))  # assert-type: Handle
    room = client.get(Room)
    reveal_type(client.with_options(room, idempotency_key="k"))  # assert-type: Room


async def calls(client: Client) -> None:
    counter = client.get(Counter)
    room = client.get(Room)
    reveal_type(await counter.increment(3))  # assert-type: int
    reveal_type(await counter.increment(amount=3))  # assert-type: int
    reveal_type(await room.send_message("hi", urgent=True))  # assert-type: Message
    reveal_type(await room.admin.ban("eve", for_ever=True))  # assert-type: bool
    reveal_type(await client.get("counter").anything(1, two=2))  # assert-type: Any
    reveal_type(await client.get("counter").some.group.add())  # assert-type: Any


async def connections(client: Client) -> None:
    room = client.get(Room)
    reveal_type(client.connect(room, JoinParams(token="t")))  # assert-type: Connection[Room]
    reveal_type(client.connect(room, fresh_params))  # assert-type: Connection[Room]
    reveal_type(client.connect(room))  # assert-type: Connection[Room]
    reveal_type(client.connect(client.get(Counter)))  # assert-type: Connection[Counter]
    # Without declared parameters anything goes.
    reveal_type(client.connect(client.get(Counter), {"a": 1}))  # assert-type: Connection[Counter]
    reveal_type(client.connect(client.get("room"), {"a": 1}))  # assert-type: Connection[Any]
    async with client.connect(room) as conn:
        reveal_type(conn)  # assert-type: Connection[Room]
        reveal_type(conn.actor)  # assert-type: Room
        reveal_type(await conn.actor.send_message("hi"))  # assert-type: Message
        reveal_type(conn.actor_id)  # assert-type: str | None
        await events(conn)
        everything(conn)


async def events(conn: Connection[Room]) -> None:
    conn.on(Room.new_message, lambda message: take(message))
    conn.on(Room.typing, lambda member: take_member(member))
    conn.on(Room.moved, lambda place: place[1].upper())
    conn.on(Room.cleared, lambda: None)
    conn.on(Room.cleared, lambda _: None)
    conn.on(Room.new_message, take)
    conn.on(Room.new_message, take_later)
    conn.on("newMessage", lambda *args: take(*args))
    conn.once(Room.new_message, take)
    conn.once(Room.cleared, lambda: None)
    conn.once("newMessage", take)
    async for message in conn.events(Room.new_message):
        reveal_type(message)  # assert-type: Message
    async for place in conn.events(Room.moved):
        reveal_type(place)  # assert-type: tuple[int, str]
    async with conn.events("moved") as stream:
        reveal_type(await anext(stream))  # assert-type: Any


def take(message: Message) -> None: ...


def take_member(member: Member | None) -> None: ...


async def take_later(message: Message) -> None: ...


def everything(conn: Connection[Any]) -> None:
    conn.on_status(lambda status: reveal_type(status == "connected"))  # assert-type: bool
    conn.on_error(lambda error: reveal_type(error.code))  # assert-type: str
    stop = conn.on_open(lambda: None)
    reveal_type(stop())  # assert-type: None


async def others(client: Client) -> None:
    room = client.get(Room)
    await client.send(room, "jobs", {"url": "x"})
    answer = await client.send_and_wait(room, "jobs", 1, timeout=timedelta(seconds=1))
    reveal_type(answer)  # assert-type: Any
    response = await client.fetch(room, "/x", method="POST", json={"a": 1}, query={"q": "1"})
    reveal_type(response.status)  # assert-type: int
    reveal_type(response.json())  # assert-type: Any
    reveal_type(await client.resolve(room))  # assert-type: str
    async with client.web_socket(room, "/chat") as ws:
        await ws.send(b"x")
        reveal_type(await ws.receive())  # assert-type: str | bytes
        async for message in ws:
            reveal_type(message)  # assert-type: str | bytes
    reveal_type(await client.web_socket(room))  # assert-type: WebSocket


async def making() -> None:
    Client()
    Client(transport=MockTransport(lambda request: None))
    async with Client(
        "https://ns:token@host",
        encoding="json",
        headers={"x": "y"},
        timeout=5,
        retries=RetryPolicy(idempotent=True),
    ) as client:
        reveal_type(client)  # assert-type: Client
