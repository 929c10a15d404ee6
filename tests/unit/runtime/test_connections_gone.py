"""What is left of connections that are gone: nothing, whoever writes late."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Conn, Event, action
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ByKey,
    CloseConnection,
    OpenConnection,
    Subscribe,
    Sweep,
)
from rivetless.store.base import Collection, Host, Record
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.gates import GATES, gate
from tests.unit.runtime.worlds import Process, World

COLLECTIONS = (
    Collection.CONNECTION,
    Collection.CONN_STATE,
    Collection.SUBSCRIPTION,
    Collection.LISTENING,
)


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()


class Seen(BaseModel):
    count: int = 0


class Room(Actor[None, Seen]):
    """Counts in the states of its connections, and has no hook of their ends."""

    said = Event[str]()

    async def create_conn_state(self, params: object) -> Seen:
        return Seen()

    @action
    async def count(self, wait: str = "") -> int:
        """Count for all who are there, perhaps much later."""
        counts = 0
        async for conn in self.conns:
            conn.state.count += 1
            counts += conn.state.count
        if wait:
            await gate(wait).wait()
        return counts

    @action
    async def say(self, text: str) -> None:
        self.broadcast(self.said, text)


class Hall(Room):
    """The same with a hook."""

    async def on_disconnect(self, conn: Conn[Seen, object]) -> None:
        if self.key[0] == "broken":
            raise ValueError("injected: the hook fails")


class Tomb(Room):
    """Cannot be woken again."""

    async def on_wake(self) -> None:
        if GATES:
            raise ValueError("injected: it does not wake")


async def connect(process: Process, name: str, conn_id: str, key: str = "a") -> str:
    target = ByKey(Address("default", name, (key,)), create=True)
    info = await process.runtime.dispatch(OpenConnection(target, conn_id, "events", "h"))
    return info.actor_id


async def left(world: World, actor_id: str, conn_id: str) -> list[Record]:
    """Return all that is written down of a connection."""
    found = [each for where in COLLECTIONS for each in await world.store.records(actor_id, where)]
    return [record for record in found if conn_id.encode() in record.key]


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("name", ["room", "hall"])
async def test_who_has_read_a_connections_state_does_not_write_it_when_it_is_gone(
    name: str, where: str
) -> None:
    """Its end moved no version: the state was written after it, and nobody ever removed it."""
    world = await World.open(Room, Hall)
    here, there = world.process(), world.process()
    actor_id = await connect(here, name, "c1")
    await connect(here, name, "c2")
    counting = asyncio.create_task(here.call(name, "count", "read"))
    await settle()
    closing = here if where == "here" else there
    await closing.runtime.dispatch(CloseConnection(actor_id, "c1", 1000))
    gate("read").set()

    assert await counting == 2  # those of c2 and of the call itself
    assert await left(world, actor_id, "c1") == []
    assert len(await left(world, actor_id, "c2")) == 2


async def test_a_state_that_is_written_late_does_not_arrive() -> None:
    world = await World.open(Room)
    frozen, other = world.process(), world.process()
    actor_id = await connect(frozen, "room", "c1")
    held = world.faults.inject(Fault.HELD)
    counting = asyncio.create_task(frozen.call("room", "count"))
    await held.reached.wait()
    await other.runtime.dispatch(CloseConnection(actor_id, "c1", 1000))
    held.release()

    assert await counting == 1  # that of the call itself: it has run again
    assert await left(world, actor_id, "c1") == []


async def test_a_connection_whose_hook_fails_is_gone_with_its_state() -> None:
    world = await World.open(Hall)
    here, there = world.process(), world.process()
    actor_id = await connect(here, "hall", "c1", "broken")
    counting = asyncio.create_task(here.call("hall", "count", "read", key="broken"))
    await settle()
    await there.runtime.dispatch(CloseConnection(actor_id, "c1", 1000))
    gate("read").set()

    assert await counting == 1
    assert await left(world, actor_id, "c1") == []


async def test_an_actor_that_cannot_be_woken_keeps_no_connection() -> None:
    world = await World.open(Tomb)
    here, there = world.process(), world.process()
    actor_id = await connect(here, "tomb", "c1")
    gate("woken")
    await there.runtime.dispatch(CloseConnection(actor_id, "c1", 1000))

    assert await left(world, actor_id, "c1") == []


async def reap(world: World, process: Process) -> None:
    world.clock.jump(60)
    await process.runtime.dispatch(Sweep())


@pytest.mark.parametrize("first", [True, False])
async def test_a_subscription_that_arrives_when_its_host_is_dead_goes_too(first: bool) -> None:
    """Nobody knew of it but who sent the next event, to a host that was no more."""
    world = await World.open(Room)
    frozen, other = world.process(), world.process()
    await world.store.announce(Host("h", "http://127.0.0.1:1", world.clock.now() + 30))
    actor_id = await connect(frozen, "room", "c1")
    if not first:
        await frozen.runtime.dispatch(Subscribe(actor_id, "c1", "said", subscribe=True))
        await frozen.runtime.dispatch(Subscribe(actor_id, "c1", "said", subscribe=False))
    held = world.faults.inject(Fault.HELD)
    listening = asyncio.create_task(
        frozen.runtime.dispatch(Subscribe(actor_id, "c1", "said", subscribe=True))
    )
    await held.reached.wait()
    await reap(world, other)
    assert await left(world, actor_id, "c1") == []
    held.release()
    await asyncio.gather(listening, return_exceptions=True)
    assert len(await left(world, actor_id, "c1")) == (
        0 if first else 2
    )  # a version fences the first

    await reap(world, other)
    assert await left(world, actor_id, "c1") == []
    assert [host.id for host in await world.store.hosts()] == ["h"]


async def test_one_connection_that_cannot_be_closed_keeps_no_other() -> None:
    world = await World.open(Hall)
    one, other = world.process(), world.process()
    await world.store.announce(Host("h", "http://127.0.0.1:1", world.clock.now() + 30))
    kept = await connect(one, "hall", "c1", "kept")
    closed = await connect(one, "hall", "c2", "other")
    right = other.runtime.connections.close

    async def close(command: CloseConnection) -> None:
        if command.actor_id == kept:
            raise ActorError("actor", "conflict", "injected")
        await right(command)

    other.runtime.connections.close = close  # type: ignore[method-assign]
    await reap(world, other)
    assert await left(world, closed, "c2") == []
    assert len(await left(world, kept, "c1")) == 2
    del other.runtime.connections.close
    await reap(world, other)
    assert await left(world, kept, "c1") == []
