"""What both checkers see in actor classes and in the clients of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, reveal_type

from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypeVar

from rivetless import (
    ActionGroup,
    Actor,
    Client,
    Conn,
    Event,
    FireInfo,
    RawWebSocket,
    Registry,
    UserError,
    action,
    setup,
)

if TYPE_CHECKING:
    from starlette.requests import Request


class CounterState(BaseModel):
    count: int = 0


class Message(BaseModel):
    text: str


class Member(BaseModel):
    name: str = ""


class JoinParams(BaseModel):
    token: str


class RoomInput(BaseModel):
    name: str


class RoomState(BaseModel):
    messages: list[Message] = []


class RoomVars:
    cache: dict[str, int]


class Counter(Actor[CounterState]):
    """A counter."""

    changed = Event[int]()

    @action
    async def increment(self, amount: int = 1) -> int:
        """Add ``amount`` and tell everybody."""
        self.state.count += amount
        self.broadcast(self.changed, self.state.count)
        reveal_type(self.state)  # assert-type: CounterState
        reveal_type(self.vars)  # assert-type: Any
        reveal_type(self.conn.state)  # assert-type: None
        reveal_type(self.conn.params)  # assert-type: Any
        reveal_type(self.conns.current)  # assert-type: Conn[None, Any] | None
        reveal_type(self.key)  # assert-type: tuple[str, ...]
        reveal_type(self.client)  # assert-type: Client
        reveal_type(self.abort_signal)  # assert-type: AbortSignal
        reveal_type(self.request.url.path if self.request else None)  # assert-type: str | None
        reveal_type(await self.kv.get("k"))  # assert-type: str | None
        reveal_type(await self.kv.get(b"k", type="binary"))  # assert-type: bytes | None
        pairs = await self.kv.list("k", key_type="binary")
        reveal_type(pairs)  # assert-type: list[tuple[bytes, str]]
        return self.state.count

    @action(exclusive=True, timeout=timedelta(seconds=5), name="charge")
    async def charge_card(self, amount: float = 1, *, currency: str = "EUR") -> str:
        reveal_type(await self.once("charge", self.charge))  # assert-type: str
        reveal_type(await self.once("charge", self.charge, returns=str))  # assert-type: str
        return await self.once("charge", self.charge)

    async def charge(self) -> str:
        return "receipt"

    @action
    async def delete(self) -> None:
        self.wait_until(self.increment(2))
        reveal_type(await self.keep_awake(self.increment(3)))  # assert-type: int
        other = self.client.get_or_create(Counter, "other")
        reveal_type(await other.increment(1))  # assert-type: int
        self.destroy()


async def members_only(room: ChatRoom) -> bool:
    return room.conn.state.name != ""


class Users(ActionGroup["ChatRoom"]):
    @action
    async def add(self, name: str) -> int:
        reveal_type(self.actor)  # assert-type: ChatRoom
        reveal_type(self.actor.state)  # assert-type: RoomState
        return len(name)


class ChatRoom(Actor[RoomState, Member, JoinParams], name="chatRoom", icon="x", action_timeout=10):
    vars: RoomVars

    new_message = Event[Message]()
    typing = Event[Member | None](can_subscribe=members_only)
    moved = Event[tuple[int, str]]()
    cleared = Event[None]()

    users = Users()

    async def create_state(self, input: RoomInput) -> RoomState:
        return RoomState()

    async def create_vars(self) -> RoomVars:
        return RoomVars()

    async def on_create(self, input: RoomInput) -> None: ...

    async def create_conn_state(self, params: JoinParams) -> Member:
        if not params.token:
            raise UserError("Bad token", code="bad_token", metadata={"hint": "log in again"})
        return Member()

    async def on_before_connect(self, params: JoinParams) -> None: ...

    async def on_connect(self, conn: Conn[Member, JoinParams]) -> None:
        conn.send(self.typing, conn.state)
        conn.send(self.typing, None)
        conn.send(self.cleared)
        conn.send("anything", 1, "two")

    async def on_disconnect(self, conn: Conn) -> None: ...

    def on_state_change(self, state: RoomState) -> None:
        self.broadcast(self.moved, (1, "x"))

    @action
    async def send_message(self, text: str) -> int:
        reveal_type(self.vars)  # assert-type: RoomVars
        async for conn in self.conns:
            reveal_type(conn)  # assert-type: Conn[Member, JoinParams]
            reveal_type(conn.state)  # assert-type: Member
            reveal_type(conn.params.token)  # assert-type: str
            if conn != self.conn:
                conn.send(self.new_message, Message(text=text))
                conn.disconnect("bye")
        reveal_type(await self.conns.get("x"))  # assert-type: Conn[Member, JoinParams] | None
        reveal_type(await self.conns.count())  # assert-type: int
        self.state = RoomState()
        self.conn.state = Member(name="x")
        return await self.users.add(text)

    async def on_request(self, request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    async def on_websocket(self, ws: RawWebSocket) -> None:
        ws.send(b"hello")

    async def on_websocket_message(self, ws: RawWebSocket, data: str | bytes) -> None:
        ws.close(1000, "bye")

    async def on_websocket_close(self, ws: RawWebSocket[Member, JoinParams], code: int) -> None: ...

    async def on_before_action_response(self, name: str, args: list[Any], output: Any) -> Any:
        return output


class Plain(Actor):
    @action
    async def ping(self) -> str:
        reveal_type(self.state)  # assert-type: None
        return "pong"


ItemT = TypeVar("ItemT", bound=BaseModel)


class Shelf(Actor[list[ItemT]]):
    """A generic base: those that derive from it say what lies on the shelf."""

    added = Event[ItemT]()

    async def create_state(self) -> list[ItemT]:
        return []

    @action
    async def put(self, item: ItemT) -> int:
        self.state.append(item)
        self.broadcast(self.added, item)
        return len(self.state)

    @action
    async def items(self) -> list[ItemT]:
        return self.state


class Messages(Shelf[Message]): ...


registry = setup(use=[Counter, ChatRoom, Messages], base_path="/rivet")
reveal_type(registry)  # assert-type: Registry
reveal_type(setup(use={"counter": Counter}))  # assert-type: Registry


def events() -> None:
    reveal_type(ChatRoom.new_message)  # assert-type: Event[Message]
    reveal_type(ChatRoom.typing)  # assert-type: Event[Member | None]
    reveal_type(ChatRoom.moved)  # assert-type: Event[tuple[int, str]]
    reveal_type(Event(name="x"))  # assert-type: Event[Any]


async def client_of(client: Client) -> None:
    counter = client.get_or_create(Counter, "my-counter")
    reveal_type(counter)  # assert-type: Counter
    reveal_type(await counter.increment(3))  # assert-type: int
    reveal_type(await counter.increment(amount=3))  # assert-type: int
    reveal_type(await counter.charge_card(1.5, currency="USD"))  # assert-type: str
    room = client.get_or_create(ChatRoom, ["org", "general"], input=RoomInput(name="General"))
    reveal_type(room)  # assert-type: ChatRoom
    reveal_type(await room.users.add("x"))  # assert-type: int
    reveal_type(client.get_or_create(ChatRoom, "general"))  # assert-type: ChatRoom
    reveal_type(client.get(Counter))  # assert-type: Counter
    reveal_type(await client.create(Counter, "x"))  # assert-type: Counter
    shelf = client.get_or_create(Messages)
    reveal_type(await shelf.put(Message(text="x")))  # assert-type: int
    reveal_type(await shelf.items())  # assert-type: list[Message]
    async with client.connect(room, JoinParams(token="t")) as conn:
        conn.on(ChatRoom.new_message, lambda m: m.text)
        conn.on(ChatRoom.typing, lambda m: m.name if m is not None else None)
        reveal_type(await conn.actor.send_message("hi"))  # assert-type: int
    async with client.connect(counter) as plain:
        reveal_type(plain.actor)  # assert-type: Counter
    anything = client.get_or_create("counter", "k")
    await anything.whatever(1, 2)


async def stream() -> AsyncIterator[Registry]:
    yield registry


class Planner(Actor[CounterState]):
    @action
    async def note(self, text: str, times: int = 1, fire: FireInfo | None = None) -> None: ...

    @action
    async def deliver(self, message: Message, *, twice: bool = False) -> int:
        return 1

    @action
    async def plan(self) -> None:
        reveal_type(self.schedule.after(timedelta(minutes=5), self.note, "tea"))  # assert-type: str
        self.schedule.after(5, self.note, "tea", times=2)
        self.schedule.at(datetime.now(UTC), self.deliver, Message(text="x"), twice=True)
        self.schedule.after(5, "note", "tea")
        for planned in await self.schedule.list():
            reveal_type(planned.run_at)  # assert-type: datetime
        reveal_type(await self.schedule.cancel("id"))  # assert-type: bool
        self.cron.set("a", "0 9 * * *", self.note, "tea", timezone="Europe/Berlin")
        self.cron.set("b", "0 9 * * *", self.note, "tea", 2)
        self.cron.every("c", timedelta(minutes=5), self.deliver, Message(text="x"), max_history=5)
        self.cron.every("d", 60, "note", "tea")
        job = await self.cron.get("a")
        if job is not None:
            reveal_type(job.interval)  # assert-type: timedelta | None
        for run in await self.cron.history("a"):
            reveal_type(run.ended_at)  # assert-type: datetime | None
        for letter in await self.dead_letters.list():
            reveal_type(await self.dead_letters.replay(letter.id))  # assert-type: bool
