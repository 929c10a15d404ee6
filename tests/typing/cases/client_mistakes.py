"""Mistakes in the use of the Python client that both checkers must see. Never imported."""

from __future__ import annotations

from pydantic import BaseModel

from rivetless import ActionGroup, Actor, Client, Event, action
from rivetless.client import Connection, MockTransport


class Message(BaseModel):
    text: str


class JoinParams(BaseModel):
    token: str


class RoomInput(BaseModel):
    name: str


class Admin(ActionGroup["Room"]):
    @action
    async def ban(self, name: str) -> bool:
        return True


class Room(Actor[int, None, JoinParams]):
    new_message = Event[Message]()
    cleared = Event[None]()

    admin = Admin()

    async def create_state(self, input: RoomInput) -> int:
        return 0

    @action
    async def send_message(self, text: str) -> Message:
        return Message(text=text)


class Counter(Actor[int]):
    @action
    async def increment(self, amount: int = 1) -> int:
        return amount


async def wrong_params() -> int:
    return 5


async def handles(client: Client) -> None:
    client.get(Message)  # error
    client.get(5)  # error
    client.get(Counter, 5)  # error
    client.get_or_create(Room, "a", input=5)  # error
    client.get_or_create(Room, "a", input=Message(text="x"))  # error
    client.get_or_create(Counter, "a", input=5)  # error
    client.get_or_create(Counter, "a", inptu=5)  # error
    await client.create(Room, "a", input={"name": "n"})  # error
    client.get_for_id(Counter)  # error


async def calls(client: Client) -> None:
    counter = client.get(Counter)
    room = client.get(Room)
    await counter.incremnt(1)  # error
    await counter.increment("1")  # error
    await counter.increment(amout=1)  # error
    await room.send_message()  # error
    await room.admin.ban(5)  # error
    await room.admin.bann("eve")  # error
    text: str = await counter.increment()  # error
    counter.increment()  # error


async def connections(client: Client) -> None:
    room = client.get(Room)
    client.connect(room, {"token": "t"})  # error
    client.connect(room, JoinParams)  # error
    client.connect(room, wrong_params)  # error
    client.connect(Room)  # error
    client.connect("room")  # error
    async with client.connect(room) as conn:
        await conn.actor.send_mesage("hi")  # error
        await conn.send_message("hi")  # error
        events(conn)
    with client.connect(room):  # error
        pass


def events(conn: Connection[Room]) -> None:
    conn.on(Room.new_message, lambda message: message.txt)  # error
    conn.on(Room.new_message, take_number)  # error
    conn.on(Room.new_message, lambda message: take_number(message))  # error
    conn.on(Room.new_mesage, print)  # error
    conn.on(5, print)  # error
    conn.on_status(lambda: None)  # error
    status: int = conn.status  # error


def take_number(number: int) -> None: ...


async def others(client: Client) -> None:
    room = client.get(Room)
    await client.fetch(room, body={"a": 1})  # error
    number: int = await client.resolve(room)  # error
    Client("http://h", encoding="xml")  # error
    Client(transport=MockTransport)  # error
