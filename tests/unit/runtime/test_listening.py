"""Who listens to an actor's events: what it takes to find out, and that nobody is missed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from rivetless import Actor, Event, action
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CloseConnection, OpenConnection, Subscribe
from rivetless.store.base import Collection
from rivetless.testing.stores import Fault, StoreWrapper
from tests.unit.runtime.worlds import Process, World

T = TypeVar("T")

TARGET = ByKey(Address("default", "hall", ("a",)), create=True)


class Hall(Actor[int]):
    """Tells what is said in it."""

    said = Event[str]()
    initial_state = 0

    @action
    async def say(self, text: str) -> None:
        self.state += 1
        self.broadcast("said", text)

    @action
    async def whisper(self, text: str) -> None:
        """Change nothing."""
        self.broadcast("said", text)


async def connect(process: Process, conn_id: str = "c1") -> str:
    return (await process.runtime.dispatch(OpenConnection(TARGET, conn_id, "events", "h"))).actor_id


async def listen(process: Process, life: str, conn_id: str = "c1", event: str = "said") -> None:
    await process.runtime.dispatch(Subscribe(life, conn_id, event, subscribe=True))


def told(process: Process) -> list[tuple[str, ...]]:
    return [push.conns for _, push in process.mailbox.pushes]


async def test_where_nobody_has_listened_nobody_is_looked_for() -> None:
    world = await World.open(Hall)
    process = world.process()
    await connect(process)
    world.store.reset()
    await process.call("hall", "say", "hi")
    assert world.store.calls == {"commit": 1}
    await process.call("hall", "whisper", "hi")
    assert world.store.calls == {"commit": 1, "current": 1}


@pytest.mark.parametrize("how", ["say", "whisper"])
async def test_a_process_that_remembers_silence_misses_nobody(how: str) -> None:
    world = await World.open(Hall)
    one, two = world.process(), world.process()
    life = await connect(two)
    await one.call("hall", how, "nobody hears")
    await listen(two, life)
    await one.call("hall", how, "hello")
    assert one.mailbox.events == [("said", ["hello"])]
    assert told(one) == [("c1",)]


async def test_only_the_first_to_listen_moves_the_version() -> None:
    world = await World.open(Hall)
    process = world.process()
    life = await connect(process)
    before = await world.store.load(life)
    await listen(process, life)
    first = await world.store.load(life)
    for number in range(5):
        await connect(world.process(), f"x{number}")
        await listen(world.process(), life, f"x{number}")
    after = await world.store.load(life)
    assert before is not None
    assert first is not None
    assert after is not None
    assert (first.version, after.version) == (before.version + 1, before.version + 1)
    await process.call("hall", "say", "hi")
    assert sorted(told(process)[-1]) == ["c1", *(f"x{n}" for n in range(5))]


async def test_many_may_be_the_first_at_once() -> None:
    world = await World.open(Hall)
    processes = [world.process() for _ in range(4)]
    life = await connect(processes[0], "c0")
    for number, process in enumerate(processes[1:], 1):
        await connect(process, f"c{number}")
    await asyncio.gather(*(listen(p, life, f"c{n}") for n, p in enumerate(processes)))
    await processes[0].call("hall", "say", "hi")
    assert sorted(told(processes[0])[-1]) == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize("fault", [Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.CONFLICT])
async def test_the_first_to_listen_is_heard_although_a_commit_is_lost(fault: Fault) -> None:
    world = await World.open(Hall)
    one, two = world.process(), world.process()
    life = await connect(two)
    await one.call("hall", "say", "nobody hears")
    world.faults.inject(fault)
    await listen(two, life)
    await one.call("hall", "say", "hello")
    assert told(one) == [("c1",)]


async def test_a_connection_that_closes_reads_its_own_subscriptions() -> None:
    world = await World.open(Hall)
    process = world.process()
    life = await connect(process)
    await connect(process, "c2")
    for conn_id in ("c1", "c2"):
        for event in ("said", "other"):
            await listen(process, life, conn_id, event)
    # Two processes, or one twice, close it: what is left is what the other listens to.
    closing = CloseConnection(life, "c1", 1000)
    await asyncio.gather(*(p.runtime.dispatch(closing) for p in (process, world.process())))
    await process.runtime.dispatch(closing)
    keys = [record.key for record in await world.store.records(life, Collection.SUBSCRIPTION)]
    assert keys == [b"other\0c2", b"said\0c2"]
    keys = [record.key for record in await world.store.records(life, Collection.LISTENING)]
    assert keys == [b"c2\0other", b"c2\0said"]
    await process.call("hall", "say", "hi")
    assert told(process)[-1] == ("c2",)


class Rows(StoreWrapper):
    """Counts the records that are read: DynamoDB is paid by their size."""

    rows = 0

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        answer = await call()
        self.rows += len(answer) if verb == "records" and isinstance(answer, list) else 0
        return answer


async def test_a_connection_that_closes_reads_nobody_elses_subscriptions() -> None:
    world = await World.open(Hall)
    process = world.process()
    for number in range(50):
        life = await connect(process, f"c{number}")
        await listen(process, life, f"c{number}")
    rows = world.store.inner = Rows(world.faults)
    await process.runtime.dispatch(CloseConnection(life, "c7"))
    assert rows.rows == 2  # itself, and what it listens to


async def test_who_listens_no_more_leaves_nothing_behind() -> None:
    world = await World.open(Hall)
    process = world.process()
    life = await connect(process)
    await listen(process, life)
    for _ in range(2):
        await process.runtime.dispatch(Subscribe(life, "c1", "said", subscribe=False))
    for collection in (Collection.SUBSCRIPTION, Collection.LISTENING):
        assert await world.store.records(life, collection) == []
    await process.call("hall", "say", "hi")
    assert told(process) == []


async def test_more_subscriptions_than_a_commit_takes_are_dropped() -> None:
    world = await World.open(Hall)
    world.limit(max_commit_records=10)
    process = world.process()
    life = await connect(process)
    for number in range(23):
        await listen(process, life, event=f"e{number}")
    await process.runtime.dispatch(CloseConnection(life, "c1", 1000))
    for collection in (Collection.SUBSCRIPTION, Collection.LISTENING, Collection.CONNECTION):
        assert await world.store.records(life, collection) == []
