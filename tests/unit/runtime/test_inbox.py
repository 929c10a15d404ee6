"""What one process knows of an actor's messages: what it reads when, and who gets which."""

from __future__ import annotations

import asyncio

import pytest

from rivetless import Actor, Queue, action
from rivetless.keys import Address
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ByKey
from rivetless.runtime.inbox import PAGE, POLLS, Inbox
from rivetless.runtime.messages import write_message
from rivetless.store.base import Append, Changes, Collection, Record, RecordKey
from rivetless.testing.clock import settle

from .worlds import World


class Owner(Actor[None]):
    notes = Queue[str]()

    @action
    async def touch(self) -> None:
        """Do nothing."""


class Messages:
    """An actor's messages in the store, and its inbox in one process."""

    def __init__(self, world: World, cell: Cell) -> None:
        self.world = world
        self.cell = cell
        self.inbox = Inbox(cell, world.store, world.clock)
        world.store.reset()

    async def send(self, count: int, queue: str = "notes") -> None:
        """Have messages sent by some other process."""
        data = write_message(queue, '"m"', 0.0, None, 0.0)
        appends = tuple(Append(Collection.MESSAGE, data) for _ in range(count))
        await self.world.store.inner.commit(
            self.cell.actor_id, Changes("send", appends=appends), expected=None
        )

    async def remove(self, *numbers: int) -> None:
        """Have messages removed by some other process."""
        deletes = tuple(RecordKey(Collection.MESSAGE, Append.key(n)) for n in numbers)
        await self.world.store.inner.commit(
            self.cell.actor_id, Changes("remove", deletes=deletes), expected=None
        )

    async def take(self, count: int = 1, *names: str) -> list[int]:
        return [message.number for message in await self.inbox.take(names, count)]

    @property
    def reads(self) -> int:
        """How often the store was asked for messages since this was last looked at."""
        count = self.world.store.calls["records"]
        self.world.store.reset()
        return count


async def begin(*, shared: bool = True) -> Messages:
    world = await World.open(Owner, shared=shared)
    process = world.process()
    await process.call("owner", "touch")
    target = ByKey(Address("default", "owner", ("a",)))
    return Messages(world, await process.runtime.cells.of(target))


# -- taking -------------------------------------------------------------------------------------


async def test_each_message_is_taken_once_the_oldest_first() -> None:
    messages = await begin()
    await messages.send(5)
    assert await messages.take(2) == [1, 2]
    assert await messages.take(2) == [3, 4]
    assert await messages.take(2) == [5]
    assert await messages.take(2) == []


async def test_where_no_message_is_none_is_the_last() -> None:
    messages = await begin()
    assert messages.inbox.last == 0
    assert await messages.take() == []
    assert messages.inbox.last == 0


async def test_names_choose() -> None:
    messages = await begin()
    await messages.send(1, "a")
    await messages.send(1, "b")
    await messages.send(1, "c")
    assert await messages.take(9, "b", "c") == [2, 3]
    assert await messages.take(9) == [1]


async def test_what_is_given_back_is_taken_again_in_its_place() -> None:
    messages = await begin()
    await messages.send(3)
    assert await messages.take(3) == [1, 2, 3]
    messages.inbox.release([2, 9])
    messages.inbox.removed([1])
    assert await messages.take(3) == [2]


async def test_what_was_removed_is_forgotten() -> None:
    messages = await begin()
    await messages.send(2)
    assert await messages.take(1) == [1]
    await messages.remove(1)
    messages.inbox.removed([1])
    messages.inbox.release([1])
    assert await messages.take(2) == [2]


# -- reading ------------------------------------------------------------------------------------


async def test_a_page_is_read_once_for_all_in_it() -> None:
    messages = await begin()
    await messages.send(3)
    assert [await messages.take() for _ in range(3)] == [[1], [2], [3]]
    assert messages.reads == 1


async def test_what_was_read_to_its_end_is_looked_at_once_more_without_a_read() -> None:
    """Who has taken the last message of a page looks for the next one at once."""
    messages = await begin()
    await messages.send(2)
    assert [await messages.take() for _ in range(3)] == [[1], [2], []]
    assert messages.reads == 1
    await messages.send(1)
    assert await messages.take() == [3]
    assert messages.reads == 1


async def test_news_are_read_at_once() -> None:
    messages = await begin()
    await messages.send(1)
    assert await messages.take() == [1]
    await messages.send(1)
    messages.inbox.poke()
    assert await messages.take() == [2]
    assert messages.reads == 2


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 1])
async def test_messages_come_page_by_page(count: int) -> None:
    messages = await begin()
    await messages.send(count)
    assert await messages.take(1) == [1]
    assert messages.reads == 1
    assert await messages.take(count) == [*range(2, count + 1)]
    assert messages.inbox.last == count
    assert await messages.take(1) == []


@pytest.mark.parametrize(("count", "reads"), [(0, 1), (3, 1), (PAGE, 2)])
async def test_who_alone_writes_reads_nothing_twice(count: int, reads: int) -> None:
    messages = await begin(shared=False)
    await messages.send(count)
    for _ in range(count + 3):
        await messages.take()
    assert messages.reads == reads
    messages.inbox.release([1])
    assert await messages.take() == ([1] if count else [])
    assert messages.reads == 0
    await messages.send(1)
    messages.inbox.poke()
    assert await messages.take() == [count + 1]


async def test_what_was_sent_while_it_was_read_is_found() -> None:
    messages = await begin(shared=False)
    right = messages.world.store.records

    async def slow(*args: object, **options: object) -> list[Record]:
        found: list[Record] = await right(*args, **options)  # type: ignore[arg-type]
        await messages.send(1)
        messages.inbox.poke()
        messages.world.store.records = right  # type: ignore[method-assign]
        return found

    messages.world.store.records = slow  # type: ignore[method-assign]
    assert await messages.take() == [1]


async def test_two_who_look_at_once_read_each_message_once() -> None:
    messages = await begin()
    await messages.send(4)
    taken = await asyncio.gather(messages.take(2), messages.take(2), messages.take(2))
    assert sorted(taken) == [[], [1, 2], [3, 4]]


async def test_a_message_with_a_lower_number_may_come_to_light_later() -> None:
    messages = await begin()
    await messages.send(2)
    right = messages.world.store.records
    hidden = {Append.key(1)}

    async def records(*args: object, **options: object) -> list[Record]:
        found: list[Record] = await right(*args, **options)  # type: ignore[arg-type]
        return [record for record in found if record.key not in hidden]

    messages.world.store.records = records  # type: ignore[method-assign]
    assert await messages.take() == [2]
    assert await messages.take() == []
    hidden.clear()
    assert await messages.take() == []  # while somebody is about to remove one, what is new counts
    await messages.remove(2)
    messages.inbox.removed([2])
    await messages.take()
    assert await messages.take() == [1]


async def test_what_was_read_before_the_chain_was_thrown_away_is_read_again() -> None:
    messages = await begin()
    await messages.send(3)
    assert await messages.take() == [1]
    messages.inbox.release([1])
    assert messages.inbox.last == 3
    await messages.remove(1, 3)
    messages.cell.forget()
    assert messages.inbox.last == 0
    assert await messages.take(9) == []  # nothing is known of the actor
    await messages.cell.load()
    assert await messages.take(9) == [2]
    assert messages.inbox.last == 2


async def test_a_chain_that_is_thrown_away_while_it_is_read_begins_anew() -> None:
    messages = await begin(shared=False)
    await messages.send(2)
    right = messages.world.store.records

    async def records(*args: object, **options: object) -> list[Record]:
        found: list[Record] = await right(*args, **options)  # type: ignore[arg-type]
        messages.world.store.records = right  # type: ignore[method-assign]
        await messages.remove(1)
        messages.cell.forget()
        await messages.cell.load()
        return found

    messages.world.store.records = records  # type: ignore[method-assign]
    assert await messages.take(9) == [2]


# -- waiting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tries", "seconds", "expected"),
    [
        (0, None, POLLS[0]),
        (1, None, 2 * POLLS[0]),
        (3, None, 8 * POLLS[0]),
        (20, None, POLLS[1]),
        (20, 1.0, 1.0),
        (0, 1.0, POLLS[0]),
    ],
)
async def test_pauses_grow_where_others_may_send(
    tries: int, seconds: float | None, expected: float
) -> None:
    messages = await begin()
    clock = messages.world.clock
    waiting = asyncio.create_task(messages.inbox.wait(messages.inbox.pokes, seconds, tries))
    await clock.advance(expected - 0.001)
    assert not waiting.done()
    await clock.advance(0.002)
    assert waiting.done()


async def test_who_alone_writes_waits_until_there_is_something() -> None:
    messages = await begin(shared=False)
    inbox, clock = messages.inbox, messages.world.clock
    forever = asyncio.create_task(inbox.wait(inbox.pokes, None, 0))
    bounded = asyncio.create_task(inbox.wait(inbox.pokes, 5.0, 0))
    await clock.advance(4.9)
    assert not bounded.done()
    await clock.advance(0.2)
    assert bounded.done()
    await clock.advance(10_000)
    assert not forever.done()
    inbox.poke()
    await settle()
    assert forever.done()


async def test_what_came_before_the_wait_ends_it_at_once() -> None:
    messages = await begin(shared=False)
    pokes = messages.inbox.pokes
    messages.inbox.poke()
    await messages.inbox.wait(pokes, None, 0)


async def test_what_is_given_back_ends_waits() -> None:
    messages = await begin(shared=False)
    await messages.send(1)
    assert await messages.take() == [1]
    waiting = asyncio.create_task(messages.inbox.wait(messages.inbox.pokes, None, 0))
    await settle()
    messages.inbox.release([7])
    await settle()
    assert not waiting.done()
    messages.inbox.release([1])
    await settle()
    assert waiting.done()
