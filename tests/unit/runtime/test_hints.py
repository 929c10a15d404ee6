"""Hints between processes: everything at once, on a clock that stands still; and without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.keys import Address
from rivetless.runtime.claim import LATER, LENGTH, WATCH
from rivetless.runtime.commands import ByKey, SendMessage, SendResult
from rivetless.runtime.ports import Hint, Topic
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .worlds import Process, World

SEEN: list[tuple[str, str]] = []


WORLDS: list[World] = []


@pytest.fixture(autouse=True)
async def clean() -> AsyncIterator[None]:
    SEEN.clear()
    WORLDS.clear()
    yield
    for world in WORLDS:
        for process in world.neighbourhood.homes.values():
            process.runtime.abandon()
    await settle()


class Log(BaseModel):
    lines: list[str] = []


class Worker(Actor[Log]):
    tasks = Queue[str, int]()

    async def run(self) -> None:
        where = self.vars
        SEEN.append((where, "begins"))
        async for message in self.queue.iter():
            SEEN.append((where, message.body))
            message.complete(len(message.body))

    async def create_vars(self) -> str:
        return PLACES.pop(0)

    @action
    async def touch(self) -> None:
        pass

    @action
    async def remind(self, seconds: float) -> None:
        self.schedule.after(seconds, self.ring)

    @action
    async def ring(self) -> None:
        self.state.lines.append("rings")

    @action
    async def read(self) -> list[str]:
        return self.state.lines

    @action
    async def doze(self) -> None:
        self.sleep()


class Brief(Actor[Log]):
    """Takes what there is and comes to its end."""

    notes = Queue[str]()

    async def run(self) -> None:
        for message in await self.queue.try_next_batch(self.notes, count=9):
            SEEN.append(("brief", message.body))

    @action
    async def touch(self) -> None:
        self.state.lines.append("touch")


class Waiter(Actor[Log]):
    notes = Queue[str]()

    @action
    async def next(self) -> str:
        return (await self.queue.next(self.notes)).body


PLACES: list[str] = []


async def opened(*actors: type[Actor[Any, Any, Any]]) -> tuple[World, Process, Process]:
    """Two processes that hear each other. The first runs the worker's loop, the second knows it."""
    world = await World.open(*actors)
    WORLDS.append(world)
    one, two = world.neighbour("one"), world.neighbour("two")
    PLACES[:] = ["one", "two", "one again", "two again"]
    if Worker in actors:
        await one.call("worker", "touch")
        await settle()
        await two.call("worker", "touch")
        await settle()
    return world, one, two


async def send(process: Process, body: str, *, name: str = "worker", wait: bool = False) -> Any:
    target = ByKey(Address("default", name, ("a",)), create=True)
    queue = "tasks" if name == "worker" else "notes"
    return await process.runtime.dispatch(SendMessage(target, queue, body, wait=wait))


def topics(world: World) -> list[tuple[str, Topic]]:
    return [(name, hint.topic) for name, hint in world.neighbourhood.told]


async def test_a_message_is_taken_at_once_where_the_loop_runs() -> None:
    _, _, two = await opened(Worker)
    await send(two, "hi")
    await settle()

    assert SEEN == [("one", "begins"), ("one", "hi")]


async def test_a_reply_comes_at_once_to_another_process() -> None:
    _, _, two = await opened(Worker)
    sent = asyncio.ensure_future(send(two, "hello", wait=True))
    await settle()

    result: SendResult = sent.result()
    assert result.response == 5


async def test_an_action_that_waits_elsewhere_is_told_too() -> None:
    world, one, two = await opened(Waiter)
    waits = asyncio.ensure_future(one.call("waiter", "next"))
    await settle()
    await send(two, "hi", name="waiter")
    await settle()

    assert waits.result() == "hi"
    assert topics(world) == [("two", Topic.MESSAGES)]


async def test_a_loop_tells_nobody_of_what_it_sees_itself() -> None:
    world, one, _ = await opened(Worker)
    await send(one, "hi")
    await settle()

    assert topics(world) == []


async def test_the_loop_goes_on_elsewhere_when_it_is_given_up() -> None:
    world, one, two = await opened(Worker)
    await one.call("worker", "doze")
    await settle()
    await send(two, "hi")
    await settle()

    assert SEEN == [("one", "begins"), ("two", "begins"), ("two", "hi")]
    assert ("one", Topic.RUNNER) in topics(world)


async def test_what_ends_with_its_process_goes_on_at_once() -> None:
    world, one, _ = await opened(Worker)
    closing = asyncio.ensure_future(one.runtime.aclose())
    await settle()
    await closing

    assert SEEN == [("one", "begins"), ("two", "begins")]
    assert world.clock.next_at is not None


async def test_a_dead_process_is_noticed_within_a_second() -> None:
    world, _, two = await opened(Worker)
    world.kill("one")
    await send(two, "hi")
    await world.clock.advance(WATCH)

    assert SEEN == [("one", "begins"), ("two", "begins"), ("two", "hi")]


async def test_one_of_several_heirs_runs_the_loop() -> None:
    world, _, two = await opened(Worker)
    PLACES[:] = ["three"]
    three = world.neighbour("three")
    await three.call("worker", "touch")
    await settle()
    world.kill("one")
    PLACES[:] = ["heir", "another"]
    await send(two, "hi")
    await world.clock.advance(WATCH)
    heirs = [place for place, what in SEEN if what == "begins"]
    assert len(heirs) == 2
    await world.clock.advance(3 * LENGTH)

    assert [what for _, what in SEEN] == ["begins", "begins", "hi"]


async def test_without_hints_a_dead_process_is_noticed_when_its_claim_ends() -> None:
    world = await World.open(Worker)
    PLACES[:] = ["one", "two"]
    one, two = world.staying(), world.staying()
    await one.call("worker", "touch")
    await settle()
    await two.call("worker", "touch")
    await settle()
    one.runtime.abandon()
    await send(two, "hi")
    await world.clock.advance(LENGTH + LATER)

    assert SEEN == [("one", "begins"), ("two", "begins"), ("two", "hi")]
    assert LENGTH + LATER < 6


async def test_a_frozen_process_leaves_the_loop_to_whoever_has_begun_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, one, _ = await opened(Worker)
    held_back: list[Any] = []
    with monkeypatch.context() as frozen:
        frozen.setattr(one.runtime, "begin", held_back.append)
        await world.clock.advance(LENGTH + LATER)
    assert SEEN == [("one", "begins"), ("two", "begins")]
    for work in held_back:
        one.runtime.begin(work)
    await settle()
    await send(one, "hi")
    await settle()

    assert SEEN == [("one", "begins"), ("two", "begins"), ("two", "hi")]
    await world.clock.advance(3 * LENGTH)
    await send(one, "ho")
    await settle()
    assert SEEN[-1] == ("two", "ho")


@pytest.mark.parametrize("fault", [Fault.UNACKNOWLEDGED, Fault.VANISHED])
async def test_a_claim_whose_answer_is_lost_is_not_taken_for_made(fault: Fault) -> None:
    world, one, _ = await opened(Worker)
    PLACES[:] = ["three"]
    three = world.neighbour("three")
    claim = world.faults.inject(fault)
    await three.call("worker", "read")
    await settle()
    assert claim.finished.is_set()
    await send(one, "hi")
    await world.clock.advance(LENGTH)

    assert SEEN == [("one", "begins"), ("one", "hi")]


@pytest.mark.parametrize("fault", [Fault.UNACKNOWLEDGED, Fault.VANISHED, Fault.BEFORE])
async def test_a_claim_whose_answer_is_lost_is_made_in_the_end(fault: Fault) -> None:
    world, one, _ = await opened(Worker)
    world.kill("two")
    await one.call("worker", "doze")
    await settle()
    claim = world.faults.inject(fault)
    await one.call("worker", "touch")
    await settle()
    assert claim.finished.is_set()
    await send(one, "hi")
    await world.clock.advance(1)

    assert SEEN == [("one", "begins"), ("one again", "begins"), ("one again", "hi")]


async def test_an_alarm_of_a_dead_process_is_rung_by_another() -> None:
    world, one, two = await opened(Worker)
    await one.call("worker", "remind", 10)
    await settle()
    assert ("one", Topic.ALARM) in topics(world)
    world.kill("one")
    await world.clock.advance(9)
    assert await two.call("worker", "read") == []
    await world.clock.advance(2)

    assert await two.call("worker", "read") == ["rings"]


async def test_an_alarm_that_was_rung_costs_the_other_one_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, one, two = await opened(Worker)
    await one.call("worker", "remind", 10)
    await world.clock.advance(10.5)
    assert await one.call("worker", "read") == ["rings"]
    woken: list[object] = []
    monkeypatch.setattr(two.runtime.waking, "wake", woken.append)
    await world.clock.advance(2)

    assert woken == []


async def test_later_alarms_follow_earlier_ones() -> None:
    world, one, two = await opened(Worker)
    for seconds in (12, 4, 8):
        await one.call("worker", "remind", seconds)
    await world.clock.advance(6)
    world.kill("one")
    await world.clock.advance(7.5)

    assert await two.call("worker", "read") == ["rings"] * 3


async def test_hints_about_what_nobody_knows_do_nothing() -> None:
    world, one, _ = await opened(Worker)
    head = await world.store.load(Address("default", "worker", ("a",)))
    assert head is not None
    unknown = "3m2a1y1fsi4k286dhd0yiynz9ahirs"
    now = world.clock.now()
    for actor_id in (unknown, "nonsense", head.actor_id):
        one.runtime.hints.hear([Hint(topic, actor_id, "w", now) for topic in Topic])
    await world.clock.advance(5)

    assert SEEN == [("one", "begins")]


async def test_who_sends_with_an_old_cache_begins_the_loop() -> None:
    _, one, two = await opened(Brief)
    await one.call("brief", "touch")
    await settle()
    # The loop has come to its end here, and the version moves elsewhere.
    await two.call("brief", "touch")
    await settle()
    SEEN.clear()
    await send(one, "hi", name="brief")
    await settle()

    assert SEEN == [("brief", "hi")]
