"""Records that are written without a version, and arrive when others have been written since."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from rivetless import Actor, Event, action
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CloseConnection, OpenConnection, Subscribe
from rivetless.runtime.steps import Step, cut
from rivetless.store.base import (
    Append,
    Capabilities,
    Changes,
    Collection,
    Outgoing,
    Record,
    RecordKey,
)
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World


class Count(BaseModel):
    count: int = 0


class Hall(Actor[Count]):
    said = Event[int]()

    @action
    async def say(self) -> None:
        self.state.count += 1
        self.broadcast(self.said, self.state.count)


async def opened(process: Process, conn_id: str) -> str:
    """Open a connection and have it listen once, so that it is known that somebody does."""
    target = ByKey(Address("default", "hall", ("a",)), create=True)
    command = OpenConnection(target, conn_id, "actor", "host")
    life: str = (await process.runtime.dispatch(command)).actor_id
    await listen(process, life, conn_id, True)
    return life


async def listen(process: Process, life: str, conn_id: str, subscribe: bool) -> None:
    await process.runtime.dispatch(Subscribe(life, conn_id, "said", subscribe=subscribe))


@pytest.mark.parametrize("listens", [False, True])
async def test_a_late_subscription_undoes_no_newer_one(listens: bool) -> None:
    world = await World.open(Hall)
    one, two = world.process(), world.process()
    life = await opened(one, "c1")
    if listens:
        await listen(one, life, "c1", False)
    late = world.faults.inject(Fault.LATE)
    await listen(one, life, "c1", listens)
    await listen(two, life, "c1", not listens)
    late.release()
    await late.finished.wait()
    await one.call("hall", "say")
    await settle()
    assert len(one.mailbox.events) == (0 if listens else 1)


async def test_a_connection_that_was_closed_does_not_come_back() -> None:
    world = await World.open(Hall)
    one, two = world.process(), world.process()
    life = await opened(one, "c0")
    late = world.faults.inject(Fault.LATE)
    target = ByKey(Address("default", "hall", ("a",)))
    await one.runtime.dispatch(OpenConnection(target, "c1", "actor", "host"))
    await two.runtime.dispatch(CloseConnection(life, "c1", 1000))
    late.release()
    await late.finished.wait()
    records = await world.store.records(life, Collection.CONNECTION)
    assert [record.key for record in records] == [b"c0"]


async def test_who_tells_of_an_end_too_waits_until_it_is_written_down() -> None:
    world = await World.open(Hall)
    one = world.process()
    life = await opened(one, "c1")
    held = world.faults.inject(Fault.HELD)
    first, second = [
        asyncio.create_task(one.runtime.dispatch(CloseConnection(life, "c1", 1000)))
        for _ in range(2)
    ]
    await held.reached.wait()
    await settle()
    assert not second.done()
    held.release()
    await asyncio.gather(first, second)
    assert await world.store.records(life, Collection.CONNECTION) == []


# -- which of them share a commit ----------------------------------------------------------------

PUT = Changes("1", puts=(Record(Collection.SUBSCRIPTION, b"k", b""),))
DELETE = Changes("2", deletes=(RecordKey(Collection.SUBSCRIPTION, b"k"),))
SEND = Changes("3", appends=(Append(Collection.MESSAGE, b""),))
GUARDED = Changes("4", puts=PUT.puts, absent=DELETE.deletes)
NOTE = Changes("5", outbox_add=(Outgoing("n", 1.0, b""),))
STATE = Changes("6", state=b"{}")


@pytest.mark.parametrize(
    ("staged", "counts"),
    [
        ([PUT, DELETE, PUT], [3]),
        ([PUT, SEND, DELETE], [1, 1, 1]),
        ([SEND, NOTE, GUARDED, PUT, DELETE], [3, 2]),
        ([PUT, SEND, STATE], [3]),
        ([PUT], [1]),
    ],
)
async def test_bare_records_are_committed_alone_or_with_a_version(
    staged: list[Changes], counts: list[int]
) -> None:
    left = [Step(changes) for changes in staged]
    found: list[int] = []
    while left:
        front, left = cut(left, Capabilities())
        found.append(len(front))
    assert found == counts


async def test_a_send_beside_a_late_subscription_is_committed_for_itself() -> None:
    """Else the two would have to be told apart to be sent again."""
    world = await World.open(Hall)
    one = world.process()
    life = await opened(one, "c1")
    cell = one.runtime.cells.known(life)
    assert cell is not None
    before = world.store.calls["commit"]
    await asyncio.gather(
        listen(one, life, "c1", False),
        one.runtime.commit_loose(life, Changes("x", counters={"n": 1}), cell),
        listen(one, life, "c1", True),
    )
    head = await world.store.load(life)
    assert head is not None
    assert head.counters["n"] == 1
    assert world.store.calls["commit"] > before + 1
