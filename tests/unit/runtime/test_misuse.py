"""What handlers must not do, or do too late, and sockets that ask for what cannot be."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, UserError, WorkflowContext, action, workflow
from rivetless.actor.turn import RequestInfo
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ByKey,
    CallAction,
    CloseConnection,
    ConnectionAction,
    ListActors,
    OpenConnection,
    Origin,
    Subscribe,
)
from rivetless.store.base import Collection
from rivetless.store.memory import CAPABILITIES, MemoryStore
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.rig import Rig
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World

LEAKED: list[Any] = []
"""Actors of turns that have ended."""

RUNS: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    LEAKED.clear()
    RUNS.clear()


class Text(BaseModel):
    text: str = ""


class Seat(BaseModel):
    number: int = 0


class Plain(Actor):
    """Has neither a state nor states of connections."""

    @action
    async def set_state(self) -> None:
        """Set what is not there."""
        actor: Any = self
        actor.state = 5

    @action
    async def set_conn_state(self) -> None:
        """Set what is not there either."""
        conn: Any = self.conn
        conn.state = 5

    @action
    async def leak(self) -> None:
        """Let the turn be kept for later."""
        LEAKED.append(self)


class Early(Actor[Text]):
    """Reads its state before there is one."""

    async def create_state(self) -> Text:
        """Read."""
        return self.state

    @action
    async def look(self) -> str:
        """Look."""
        return self.state.text


class EarlyConn(Actor[None, Seat]):
    """Reads a connection's state before there is one."""

    async def create_conn_state(self, params: object) -> Seat:
        """Read."""
        return self.conn.state

    @action
    async def look(self) -> int:
        """Look."""
        return self.conn.state.number


class Watched(Actor[Text]):
    """Does in ``on_state_change`` what must not be done there."""

    def on_state_change(self, state: Text) -> None:
        """Do it."""
        if state.text == "set":
            self.state = Text(text="other")
        if state.text == "plan":
            self.cron.every("again", 10, self.write, "later")

    @action
    async def write(self, text: str) -> str:
        """Write."""
        self.state.text = text
        return text

    @action
    async def read(self) -> str:
        """Read."""
        return self.state.text


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("actor.state_not_enabled", lambda rig: rig.client.get_or_create(Plain, "a").set_state()),
        (
            "actor.state_not_enabled",
            lambda rig: rig.client.get_or_create(Plain, "a").set_conn_state(),
        ),
        ("actor.invalid_operation", lambda rig: rig.client.get_or_create(Early, "a").look()),
        ("actor.invalid_operation", lambda rig: rig.client.get_or_create(EarlyConn, "a").look()),
        (
            "actor.state_mutation_reentrant",
            lambda rig: rig.client.get_or_create(Watched, "a").write("set"),
        ),
        (
            "actor.invalid_operation",
            lambda rig: rig.client.get_or_create(Watched, "a").write("plan"),
        ),
        (
            "actor.state_too_large",
            lambda rig: rig.client.get_or_create(Watched, "a").write("x" * 2000),
        ),
    ],
)
async def test_mistakes_of_handlers_are_told(name: str, of: Any) -> None:
    clock = FakeClock()
    narrow = type(CAPABILITIES)(single_writer=True, max_state_bytes=1000)
    async with Rig(store=MemoryStore(clock=clock, capabilities=narrow), clock=clock) as rig:
        with pytest.raises(ActorError) as raised:
            await of(rig)
        assert raised.value.name == name
        # Nothing of it is left.
        assert await rig.client.get_or_create(Watched, "a").read() == ""


async def test_a_turn_that_has_ended_does_nothing_more() -> None:
    async with Rig() as rig:
        await rig.client.get_or_create(Plain, "a").leak()
        (actor,) = LEAKED
        for use in (
            lambda: actor.broadcast("event"),
            lambda: actor.schedule.after(1, Plain.leak),
            actor.destroy,
        ):
            with pytest.raises(ActorError, match="ended"):
                use()


class Failing(Actor[Text]):
    """Has a step that fails after it has begun something for later."""

    async def later(self) -> None:
        """Never run."""
        RUNS.append("later")

    async def fail(self) -> None:
        """Begin something, then fail."""
        self.wait_until(self.later())
        raise UserError("no")

    async def note(self) -> None:
        """Begin something."""
        self.wait_until(self.later())

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        """Try, and go on."""
        await ctx.try_step("fail", self.fail, retries=0)
        await ctx.step("note", self.note)

    @action
    async def look(self) -> str:
        """Look."""
        return self.state.text


async def test_a_step_that_fails_begins_nothing_for_later() -> None:
    async with Rig() as rig:
        await rig.client.get_or_create(Failing, "a").look()
        await rig.advance(1)
        assert RUNS == ["later"]


# -- connections ----------------------------------------------------------------------------------


class Room(Actor[Text, Seat]):
    """Has connections with states, and hooks that may fail."""

    said = Event[str]()
    fails: str = ""

    async def create_conn_state(self, params: object) -> Seat:
        """Begin with a seat."""
        return Seat(number=1)

    async def on_disconnect(self, conn: Any) -> None:
        """Note it, or fail."""
        RUNS.append("disconnect")
        if self.state.text == "user":
            raise UserError("no")
        if self.state.text == "other":
            raise ZeroDivisionError

    @action
    async def write(self, text: str) -> None:
        """Say how ``on_disconnect`` fails."""
        self.state.text = text

    @action
    async def answer(self) -> int:
        """Tell the caller something on the way; a call without a socket has nowhere to hear it."""
        self.conn.send(self.said, "hi")
        self.conn.disconnect()
        return self.conn.state.number

    @action
    async def move_in_parts(self) -> int:
        """Change the seat before and after a checkpoint."""
        self.conn.state.number += 1
        await self.save_state()
        self.conn.state.number += 1
        return self.conn.state.number

    @action
    async def look_again(self) -> int:
        """Ask for the newest state of the connection."""
        before = self.conn.state.number
        await self.refresh()
        return before + self.conn.state.number


TARGET = ByKey(Address("default", "room", ("a",)), create=True)


async def connect(process: Process, conn_id: str = "c", origin: Origin | None = None) -> str:
    opening = OpenConnection(TARGET, conn_id, "events", "h", origin or Origin())
    return (await process.runtime.dispatch(opening)).actor_id


async def test_a_call_without_a_socket_is_told_nothing_but_its_answer() -> None:
    world = await World.open(Room)
    process = world.process()
    assert await process.call("room", "answer") == 1
    assert process.mailbox.pushes == []


async def test_a_connection_goes_on_after_a_checkpoint() -> None:
    world = await World.open(Room)
    process = world.process()
    life = await connect(process)
    for frame, (name, answer) in enumerate(
        [("move_in_parts", 3), ("move_in_parts", 5), ("look_again", 10)]
    ):
        call = ConnectionAction(life, "c", frame, name, [])
        assert (await process.runtime.dispatch(call)).output == answer
    (record,) = await world.store.records(life, Collection.CONN_STATE)
    assert record.data == b'{"number":5}'


class Pipe(Actor[Text]):
    """Has raw sockets, whose ends it cannot bear."""

    async def on_websocket(self, ws: Any) -> None:
        """Begin."""

    async def on_websocket_close(self, ws: Any, code: int) -> None:
        """Note it, and fail."""
        RUNS.append("close")
        if code == 1000:
            raise UserError("no")
        raise ZeroDivisionError


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_socket_ends_though_its_hook_fails(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = await World.open(Pipe)
    process = world.process()
    target = ByKey(Address("default", "pipe", ("a",)), create=True)
    life = (await process.runtime.dispatch(OpenConnection(target, "c", "raw", "h"))).actor_id
    with caplog.at_level(logging.WARNING, "rivetless"):
        await process.runtime.dispatch(CloseConnection(life, "c", code))
    assert "failed" in caplog.text
    assert await world.store.records(life, Collection.CONNECTION) == []
    assert RUNS == ["close"]


@pytest.mark.parametrize("how", ["user", "other"])
async def test_a_connection_ends_though_its_hook_fails(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = await World.open(Room)
    process = world.process()
    life = await connect(process)
    await process.call("room", "write", how)
    RUNS.clear()  # the call had a connection of its own
    with caplog.at_level(logging.WARNING, "rivetless"):
        await process.runtime.dispatch(CloseConnection(life, "c", 1000))
    assert "on_disconnect failed" in caplog.text
    for collection in (Collection.CONNECTION, Collection.CONN_STATE):
        assert await world.store.records(life, collection) == []
    assert RUNS == ["disconnect"]


async def test_a_connection_of_a_class_that_is_no_longer_served_is_forgotten() -> None:
    world = await World.open(Room)
    life = await connect(world.process())
    del world.definitions["room"]
    await world.process().runtime.dispatch(CloseConnection(life, "c", 1000))
    assert await world.store.records(life, Collection.CONNECTION) == []
    assert RUNS == []


@pytest.mark.parametrize("verb", ["records", "commit"])
async def test_a_connection_that_could_not_be_forgotten_is_told(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = await World.open(Room)
    process = world.process()
    life = await connect(process)
    del world.definitions["room"]
    world.faults.inject(Fault.BEFORE, verb=verb)
    with caplog.at_level(logging.WARNING, "rivetless"):
        await world.process().runtime.connections.lose(life, "c")
    assert "was not forgotten" in caplog.text
    # The next push that does not arrive tries again.
    await world.process().runtime.connections.lose(life, "c")
    assert await world.store.records(life, Collection.CONNECTION) == []


@pytest.mark.parametrize("event", ["", "a\0b", "x" * 2000])
async def test_what_is_no_name_of_an_event(event: str) -> None:
    world = await World.open(Room)
    process = world.process()
    life = await connect(process)
    with pytest.raises(ActorError, match="An event's name"):
        await process.runtime.dispatch(Subscribe(life, "c", event, subscribe=True))
    assert await world.store.records(life, Collection.SUBSCRIPTION) == []


async def test_the_body_of_an_upgrade_is_not_kept() -> None:
    world = await World.open(Room)
    request = RequestInfo("GET", "http://localhost/", (), b"x" * 1000)
    life = await connect(world.process(), origin=Origin(request=request))
    (record,) = await world.store.records(life, Collection.CONNECTION)
    assert len(record.data) < 1000


# -- management -----------------------------------------------------------------------------------


async def test_actors_are_listed_by_their_names() -> None:
    world = await World.open(Room)
    process = world.process()
    life = await connect(process)
    found = await process.runtime.dispatch(ListActors("default", "room", limit=10))
    assert [info.actor_id for info in found] == [life]
    assert await process.runtime.find(life) == found[0]
    for unknown in ("", "nobody", life[:-1] + "!"):
        assert await process.runtime.find(unknown) is None


async def test_names_are_found_in_either_writing_or_refused() -> None:
    class ChatRoom(Actor):
        @action
        async def hello(self) -> str:
            return self.key[0]

    world = await World.open(ChatRoom)
    process = world.process()
    for name in ("chatRoom", "chat_room"):
        assert await process.call(name, "hello") == "a"
    with pytest.raises(ActorError) as raised:
        await process.runtime.dispatch(
            CallAction(ByKey(Address("default", "nobody", ("a",)), create=True), "hello", [])
        )
    assert raised.value.name == "actor.not_registered"
    await settle()
