"""Mistakes in actor classes that both checkers must see. Never imported."""

from __future__ import annotations

from pydantic import BaseModel

from rivetless import ActionGroup, Actor, Client, Conn, Event, RawWebSocket, action, setup


class State(BaseModel):
    count: int = 0


class Member(BaseModel):
    name: str = ""


class Params(BaseModel):
    token: str


class Input(BaseModel):
    name: str


async def everybody(room: Room) -> bool:
    return True


def nobody(room: Room) -> bool:
    return False


class Users(ActionGroup["Room"]):
    @action
    async def add(self, name: str) -> int:
        self.actor.state.kount = 1  # error
        self.actor = self.actor.users.actor
        return len(name)


class Room(Actor[State, Member, Params]):
    changed = Event[int]()
    moved = Event[tuple[int, str]]()
    cleared = Event[None]()
    closed = Event[int](can_subscribe=nobody)  # error
    open = Event[int](can_subscribe=everybody)

    users = Users()

    async def create_state(self, input: Input) -> State:
        return State()

    async def create_conn_state(self, params: Params) -> Member:
        params.tokn  # error
        return Member()

    @action
    async def increment(self, amount: int = 1) -> int:
        self.state.kount += 1  # error
        self.state.count = "x"  # error
        self.state = 5  # error
        self.key = ("x",)  # error
        self.name = "x"  # error
        self.stat  # error
        await self.kv.put("k", 5)  # error
        await self.kv.get("k", type="json")  # error
        self.broadcast(self.changed, "x")  # error
        self.broadcast(self.changed)  # error
        self.broadcast(self.changed, 1, 2)  # error
        self.broadcast(self.moved, (1, 2))  # error
        self.broadcast(self.moved, 1)  # error
        self.broadcast(self.cleared, 1)  # error
        self.broadcast(5, 1)  # error
        self.conn.send(self.changed, "x")  # error
        self.conn.state = 5  # error
        self.conn.state.nam  # error
        self.conn.params = None  # error
        self.conn.disconnect(5)  # error
        await self.conns.current.disconnect()  # error
        [conn for conn in self.conns]  # error
        await self.broadcast(self.changed, 1)  # error
        self.wait_until(self.increment)  # error
        self.users.add(5)  # error
        return 1

    @action
    async def result(self) -> int:
        return self.state  # error

    @action  # error
    def sync(self) -> int:
        return 1

    @action(timout=5)  # error
    async def option(self) -> int:
        return 1

    @action(timeout="soon")  # error
    async def value(self) -> int:
        return 1


class BadHooks(Actor[State, Member, Params]):
    async def on_connect(self, conn: Conn[State, Params]) -> None: ...  # error

    async def on_disconnect(self) -> None: ...  # error

    async def on_state_change(self, state: State) -> None: ...  # error

    async def on_before_connect(self, params: Member) -> None: ...  # error

    async def create_conn_state(self, params: Params) -> State: ...  # error

    async def on_websocket_message(self, ws: RawWebSocket, data: str) -> None: ...  # error

    def on_wake(self) -> None: ...  # error


class Guarded(Actor[State]):
    async def on_before_connect(self, params: Params) -> None: ...


class BadOption(Actor[State], action_timout=5): ...  # error


class BadValue(Actor[State], action_timeout="soon"): ...  # error


class TooMany(Actor[State, Member, Params, int]): ...  # error


setup(use=[State])  # error
setup(use=[Room], namespace="x")  # error
setup(use=[Room], base_path=5)  # error


async def calls(client: Client) -> None:
    room = client.get_or_create(Room, "x", input=Input(name="x"))
    client.get_or_create(Room, "x", input=Member())  # error
    client.get_or_create(Room, "x", input={"name": "x"})  # error
    client.get_or_create(BadOption, "x", input=Input(name="x"))  # error
    client.get_or_create(Room, 5)  # error
    client.get_or_create(State, "x")  # error
    await room.increment("x")  # error
    await room.increment(1, 2)  # error
    await room.incremnt(1)  # error
    await room.users.add(1)  # error
    await room.users.remove("x")  # error
    client.connect(room, Member())  # error
    async with client.connect(room, Params(token="t")) as conn:
        conn.on(Room.changed, lambda n: n.upper())  # error
        conn.on(Room.chnged, print)  # error
        await conn.actor.increment("x")  # error
    guarded = client.get_or_create(Guarded)
    client.connect(guarded, Member())  # error
    client.connect(guarded, Params(token="t"))
    await client.create(Room, "x", input=Member())  # error


class Planner(Actor[State]):
    @action
    async def note(self, text: str, times: int = 1) -> None: ...

    @action
    async def plan(self) -> None:
        self.schedule.after(5, self.note, 5)  # error
        self.schedule.after(5, self.note)  # error
        self.schedule.after(5, self.note, "tea", tims=2)  # error
        self.schedule.after("soon", self.note, "tea")  # error
        self.schedule.at(5, self.note, "tea")  # error
        self.schedule.after(5, self.nte, "tea")  # error
        self.cron.set("job", "* * * * *", self.note, 5)  # error
        self.cron.set("job", "* * * * *", self.note)  # error
        self.cron.set("job", "* * * * *", self.note, "tea", timezne="UTC")  # error
        self.cron.every("job", "5 s", self.note, "tea")  # error
