"""Commands of connections that a queue delivers: again, or before their time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from rivetless import Actor, Event, action
from rivetless.actor.context import Conn, RawWebSocket
from rivetless.errors import ActorError
from rivetless.keys import Address, actor_id
from rivetless.runtime import replies
from rivetless.runtime.commands import (
    ByKey,
    CallAction,
    CloseConnection,
    ConnectionAction,
    GetActor,
    ListActors,
    OpenConnection,
    Origin,
    RawMessage,
    Subscribe,
    Wake,
)
from rivetless.runtime.reconcile import ATTEMPTS
from rivetless.runtime.records import admission_key
from rivetless.store.base import Changes, Collection, Creation, Head
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World


class Hall(Actor[int]):
    said = Event[str]()

    async def may_listen(self) -> bool:
        return True

    secret = Event[str](can_subscribe=may_listen)

    async def create_state(self) -> int:
        return 0

    async def on_connect(self, conn: Conn[Any, Any]) -> None:
        self.broadcast(self.said, "hello")

    @action
    async def say(self, text: str) -> int:
        self.state += 1
        self.broadcast(self.said, text)
        self.broadcast(self.secret, text)
        return self.state

    async def on_websocket_message(
        self, websocket: RawWebSocket[Any, Any], message: str | bytes
    ) -> None:
        self.state += 1
        websocket.send(message)


class Porch(Actor[int]):
    """Notes who comes before they are let in."""

    async def create_state(self) -> int:
        return 0

    async def on_connect(self, conn: Conn[Any, Any]) -> None:
        if conn.params is None:
            self.state += 1
            await self.save_state()

    @action
    async def came(self) -> int:
        return self.state


TARGET = ByKey(Address("default", "hall", ("a",)), create=True)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.open(Hall, Porch)
    async with world.store:
        yield world


async def connect(process: Process, conn_id: str = "c1", kind: str = "events") -> str:
    command = OpenConnection(TARGET, conn_id, kind, "apigw", again=True)
    return (await process.runtime.dispatch(command)).actor_id


async def test_a_connection_that_is_opened_again_is_let_be(world: World) -> None:
    one, two = world.process(), world.process()
    life = await connect(one)
    assert await connect(two) == life
    await one.runtime.dispatch(Subscribe(life, "c1", "said", subscribe=True))
    await connect(one)
    assert one.mailbox.events == two.mailbox.events == []
    await connect(one, "c2")
    assert one.mailbox.events == [("said", ["hello"])]


def frame(life: str, text: str, number: int = 1, *, unordered: bool = False) -> ConnectionAction:
    origin = Origin(call_key=f"f:c1:{number}")
    return ConnectionAction(life, "c1", number, "say", [text], origin, unordered=unordered)


async def test_a_frame_that_comes_again_gets_the_answer_it_had(world: World) -> None:
    one, two = world.process(), world.process()
    life = await connect(one)
    first = await one.runtime.dispatch(frame(life, "hi"))
    again = await two.runtime.dispatch(frame(life, "hi"))
    other = await two.runtime.dispatch(frame(life, "hi", 2))
    assert (first.output, again.output, other.output) == (1, 1, 2)


async def test_answers_to_frames_are_not_kept_for_days(world: World) -> None:
    process = world.process()
    life = await connect(process)
    await process.runtime.dispatch(frame(life, "hi"))
    head = await world.store.load(life)
    assert head is not None
    (reply,) = head.replies
    assert json.loads(reply.data) == 1
    assert reply.expires_at == world.clock.now() + replies.KEPT_FRAMES


async def test_a_connection_that_goes_on_costs_no_records(world: World) -> None:
    process = world.process()
    life = await connect(process)
    for number in range(30):
        await process.runtime.dispatch(frame(life, "hi", number))
    written = await world.store.records(life, Collection.REPLY)
    assert [record.key for record in written] == [admission_key("c1").key]
    # A queue may deliver ten together, and again when their process dies.
    other = world.process()
    for number in range(20, 30):
        assert (await other.runtime.dispatch(frame(life, "hi", number))).output == number + 1


async def test_answers_of_many_connections_are_all_kept(world: World) -> None:
    process = world.process()
    life = await connect(process)
    for number in range(30):
        origin = Origin(call_key=f"f:c{number % 3}:{number}")
        action = ConnectionAction(life, "c1", number, "say", ["hi"], origin)
        await process.runtime.dispatch(action)
    other = world.process()
    for number in range(30):
        origin = Origin(call_key=f"f:c{number % 3}:{number}")
        action = ConnectionAction(life, "c1", number, "say", ["hi"], origin)
        assert (await other.runtime.dispatch(action)).output == number + 1


async def test_a_raw_message_that_comes_again_does_nothing(world: World) -> None:
    one, two = world.process(), world.process()
    life = await connect(one, kind="raw")
    message = RawMessage(life, "c1", 7, "hi", Origin(call_key="f:c1:7"))
    await one.runtime.dispatch(message)
    await two.runtime.dispatch(message)
    head = await world.store.load(life)
    assert head is not None
    assert head.state == b"1"
    assert len(one.mailbox.pushes) == 1
    assert two.mailbox.pushes == []


async def test_an_unordered_action_echoes_to_its_connection(world: World) -> None:
    process = world.process()
    life = await connect(process)
    await process.runtime.dispatch(frame(life, "ordered"))
    assert process.mailbox.pushes == []
    await process.runtime.dispatch(frame(life, "unordered", 2, unordered=True))
    # The other event needs a permission, which nobody has given yet.
    assert process.mailbox.events == [("said", ["unordered"])]
    (host, push), *_ = process.mailbox.pushes
    assert (host, push.conns) == ("apigw", ("c1",))


async def test_an_echo_is_not_sent_twice(world: World) -> None:
    process = world.process()
    life = await connect(process)
    await process.runtime.dispatch(Subscribe(life, "c1", "said", subscribe=True))
    await process.runtime.dispatch(frame(life, "hi", unordered=True))
    assert [push.conns for _, push in process.mailbox.pushes] == [("c1",)]


# -- heads that are no actors ---------------------------------------------------------------------

HIDDEN = Address("$sockets", "hall", ("x",))
HIDDEN_ID = actor_id(HIDDEN, 1)


async def hide(world: World, alarm: float) -> None:
    creation = Creation(HIDDEN, world.clock.now())
    changes = Changes("c", create=creation, state=b"{}", alarm=alarm)
    await world.store.commit(HIDDEN_ID, changes, expected=0)


@pytest.mark.parametrize(
    "command",
    [
        GetActor(ByKey(HIDDEN)),
        CallAction(ByKey(HIDDEN, create=True), "say", ["hi"]),
        OpenConnection(ByKey(HIDDEN), "c", "events", "here"),
        ListActors("$sockets", "hall"),
    ],
)
async def test_reserved_namespaces_cannot_be_named(world: World, command: Any) -> None:
    await hide(world, world.clock.now())
    with pytest.raises(ActorError, match=r"actor\.invalid_request"):
        await world.process().runtime.dispatch(command)


async def test_what_a_host_keeps_is_no_actor(world: World) -> None:
    await hide(world, world.clock.now())
    runtime = world.process().runtime
    assert await runtime.find(HIDDEN_ID) is None
    with pytest.raises(ActorError, match=r"actor\.not_found"):
        await runtime.dispatch(Subscribe(HIDDEN_ID, "c", "said", subscribe=True))


async def test_its_keeper_looks_after_it(world: World) -> None:
    tended: list[Head] = []

    class Keeper:
        async def tend(self, head: Head) -> None:
            tended.append(head)

    await hide(world, world.clock.now())
    runtime = world.process().runtime
    runtime.keepers["$sockets"] = Keeper()
    await runtime.sweeper.sweep()
    await runtime.dispatch(Wake(HIDDEN_ID))
    assert [head.address for head in tended] == [HIDDEN, HIDDEN]


# -- what comes when it is over -------------------------------------------------------------------


async def let_in(world: World, life: str) -> list[str]:
    found = await world.store.records(life, Collection.CONNECTION)
    return [record.key.decode() for record in found]


async def test_a_connection_that_has_left_is_not_let_in_again(world: World) -> None:
    one, two = world.process(), world.process()
    life = await connect(one)
    await two.runtime.dispatch(CloseConnection(life, "c1"))
    for process in (one, two):
        with pytest.raises(ActorError, match=r"connection\.not_found"):
            await connect(process)
    assert await let_in(world, life) == []
    assert await connect(two, "c2") == life


async def test_an_opening_that_arrives_late_opens_nothing(world: World) -> None:
    """Its commit moves no version, so nothing but the note of the other keeps it out."""
    one, two = world.process(), world.process()
    target = ByKey(Address("default", "porch", ("a",)), create=True)
    quiet = OpenConnection(target, "c1", "events", "apigw", Origin(params="quiet"), again=True)
    life = (await one.runtime.dispatch(replace(quiet, conn_id="c0"))).actor_id
    late = world.faults.inject(Fault.LATE)
    for _ in range(ATTEMPTS):
        world.faults.inject(Fault.BEFORE)
    with pytest.raises(ActorError, match=r"actor\.outcome_unknown"):
        await one.runtime.dispatch(quiet)
    await two.runtime.dispatch(quiet)
    await two.runtime.dispatch(CloseConnection(life, "c1"))
    late.release()
    await late.finished.wait()
    assert await let_in(world, life) == ["c0"]


async def test_of_two_openings_at_once_one_tells_the_others(world: World) -> None:
    """Neither changes the state, so that nothing but the note of the first stops the second."""
    one, two = world.process(), world.process()
    life = await connect(one, "c0")
    await connect(two, "c0")
    one.mailbox.pushes.clear()
    await one.runtime.dispatch(Subscribe(life, "c0", "said", subscribe=True))
    held = world.faults.inject(Fault.HELD)
    slow = asyncio.create_task(connect(one))
    await held.reached.wait()
    assert await connect(two) == life
    held.release()
    assert await slow == life
    assert (one.mailbox.events, two.mailbox.events) == ([], [("said", ["hello"])])


async def test_an_opening_that_has_committed_something_is_not_begun_again(world: World) -> None:
    one, two = world.process(), world.process()
    target = ByKey(Address("default", "porch", ("a",)), create=True)
    command = OpenConnection(target, "c1", "events", "apigw", again=True)
    world.faults.inject(Fault.BEFORE, skip=1)  # first what the hook saves
    with pytest.raises(ActorError):
        await one.runtime.dispatch(command)
    await world.clock.advance(60)  # the lease that the first has taken is over
    with pytest.raises(ActorError, match=r"connection\.not_found"):
        await two.runtime.dispatch(command)
    assert await two.call("porch", "came", origin=Origin(params="none")) == 1
