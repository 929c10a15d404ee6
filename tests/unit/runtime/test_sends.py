"""Sends between actors: in order, once, without end only with pauses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.keys import Address
from rivetless.runtime import outbox
from rivetless.runtime.commands import ById, ByKey, DestroyActor
from rivetless.runtime.outbox import Dispatch
from rivetless.runtime.outgoings import GIVEN_UP_AFTER, OLD
from rivetless.runtime.sending import Sending
from rivetless.runtime.waking import MAX_HOPS
from rivetless.store.base import Collection, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault

from .worlds import Process, World

WORLDS: list[World] = []


class Log(BaseModel):
    lines: list[str] = []
    count: int = 0


async def nobody(actor: Actor[Log]) -> bool:
    return False


class Inbox(Actor[Log]):
    notes = Queue[str]()
    closed = Queue[str](can_publish=nobody)

    async def run(self) -> None:
        async for message in self.queue.iter():
            self.state.lines.append(str(message.body))

    @action
    async def read(self) -> list[str]:
        return self.state.lines


class Sender(Actor[Log]):
    @action
    async def send(self, to: str, *texts: str) -> None:
        for text in texts:
            await self.client.send(self.client.get_or_create(Inbox, to), Inbox.notes, text)

    @action
    async def send_by_id(self, actor_id: str, text: str) -> None:
        await self.client.send(self.client.get_for_id(Inbox, actor_id), Inbox.notes, text)

    @action
    async def change_and_send(self, to: str, text: str) -> None:
        self.state.count += 1
        await self.client.send(self.client.get_or_create(Inbox, to), Inbox.notes, text)

    @action
    async def send_wrong(self, to: str) -> None:
        inbox = self.client.get_or_create(Inbox, to)
        await self.client.send(inbox, Inbox.closed, "let me in")

    @action
    async def letters(self) -> list[str]:
        return [f"{x.kind} {x.error}" for x in await self.dead_letters.list()]

    @action
    async def replay(self) -> None:
        for letter in await self.dead_letters.list():
            await self.dead_letters.replay(letter.id)


class Player(Actor[Log]):
    """Plays ball with another one."""

    balls = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            self.state.count += 1
            other = self.client.get_or_create(Player, message.body)
            await self.client.send(other, Player.balls, self.key[0])

    @action
    async def serve(self, other: str) -> None:
        await self.client.send(self.client.get_or_create(Player, other), Player.balls, self.key[0])

    @action
    async def call(self, other: str) -> None:
        self.state.count += 1
        self.schedule.after(0, self.back, other)

    @action
    async def back(self, other: str) -> None:
        await self.client.get_or_create(Player, other).call(self.key[0])

    @action
    async def count(self) -> int:
        return self.state.count


@pytest.fixture(autouse=True)
async def quiet(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    caplog.set_level(logging.CRITICAL, "rivetless")
    WORLDS.clear()
    yield
    for world in WORLDS:
        for process in world.neighbourhood.homes.values():
            process.runtime.abandon()
    await settle()


async def start(*actors: type[Actor[Any, Any, Any]]) -> tuple[World, Process, Post]:
    world = await World.open(*actors)
    WORLDS.append(world)
    process = world.neighbour("one")
    return world, process, Post(process)


class Post:
    """Stands between a process's outboxes and the receivers."""

    def __init__(self, process: Process) -> None:
        self.tried: list[str] = []
        self.broken: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        sending = process.runtime.sending
        right = Sending._deliver

        async def deliver(entry: Dispatch) -> None:
            text = entry.body.decode()
            self.tried.append(text)
            for word, gate in self.gates.items():
                if word in text:
                    await gate.wait()
            if any(word in text for word in self.broken):
                raise RuntimeError("out of order")
            await right(sending, entry)

        known = process.runtime.outgoings._handlers["send"]
        process.runtime.outgoings._handlers["send"] = deliver, known[1]

    def hold(self, word: str) -> asyncio.Event:
        gate = self.gates[word] = asyncio.Event()
        return gate


async def read(process: Process, key: str) -> list[str]:
    lines: list[str] = await process.call("inbox", "read", key=key)
    return lines


async def head_of(world: World, name: str = "sender") -> Head:
    head = await world.store.inner.load(Address("default", name, ("a",)))
    assert head is not None
    return head


# -- order ----------------------------------------------------------------------------------------


async def test_what_is_sent_later_arrives_later() -> None:
    _, process, post = await start(Sender, Inbox)
    gate = post.hold("first")
    await process.call("sender", "send", "x", "first")
    await process.call("sender", "send", "x", "second")
    await process.call("sender", "send", "y", "other")
    await settle()
    assert await read(process, "x") == []
    assert await read(process, "y") == ["other"]
    gate.set()
    await settle()

    assert await read(process, "x") == ["first", "second"]


async def test_an_address_by_id_is_the_same_receiver() -> None:
    _, process, post = await start(Sender, Inbox)
    await read(process, "x")
    target = ByKey(Address("default", "inbox", ("x",)))
    actor_id = (await process.runtime.cells.of(target)).actor_id
    gate = post.hold("first")
    await process.call("sender", "send", "x", "first")
    await process.call("sender", "send_by_id", actor_id, "second")
    await settle()
    gate.set()
    await settle()

    assert await read(process, "x") == ["first", "second"]


async def test_what_fails_holds_back_what_is_behind_it() -> None:
    world, process, post = await start(Sender, Inbox)
    process.runtime.sweeper.start()
    post.broken.add("second")
    await process.call("sender", "send", "x", "first", "second", "third")
    await process.call("sender", "send", "y", "other")
    await settle()
    await process.call("sender", "send", "x", "fourth")
    await settle()
    assert await read(process, "x") == ["first"]
    assert await read(process, "y") == ["other"]
    await world.clock.advance(200)
    assert await read(process, "x") == ["first"]
    assert sum("third" in text for text in post.tried) == 0
    post.broken.clear()
    await world.clock.advance(1000)

    assert await read(process, "x") == ["first", "second", "third", "fourth"]
    assert not (await head_of(world)).outbox


async def test_what_is_given_up_lets_the_others_pass() -> None:
    world, process, post = await start(Sender, Inbox)
    process.runtime.sweeper.start()
    post.broken.add("second")
    await process.call("sender", "send", "x", "first", "second")
    await world.clock.advance(3600)
    await process.call("sender", "send", "x", "third")
    await world.clock.advance(GIVEN_UP_AFTER)

    assert await read(process, "x") == ["first", "third"]
    assert await process.call("sender", "letters") == ["send rivetkit.internal_error"]


async def test_what_is_refused_is_given_up_at_once() -> None:
    world, process, _ = await start(Sender, Inbox)
    await process.call("sender", "send", "x", "first")
    await process.call("sender", "send_wrong", "x")
    await process.call("sender", "send", "x", "second")
    await settle()

    assert await read(process, "x") == ["first", "second"]
    assert await process.call("sender", "letters") == ["send auth.forbidden"]
    assert not (await head_of(world)).outbox


async def test_a_dead_process_leaves_its_sends_in_order() -> None:
    world, one, post = await start(Sender, Inbox)
    post.hold("m")
    texts = [f"m{number}" for number in range(20)]
    await one.call("sender", "send", "x", *texts[:10])
    for text in texts[10:]:
        await one.call("sender", "send", "x", text)
    world.kill("one")
    await settle()
    two = world.neighbour("two")
    two.runtime.sweeper.start()
    await world.clock.advance(3 * OLD)

    assert await read(two, "x") == texts


async def test_another_process_sends_behind_what_is_under_way() -> None:
    world, one, post = await start(Sender, Inbox)
    post.hold("first")
    await one.call("sender", "change_and_send", "x", "first")
    await settle()
    two = world.neighbour("two")
    await two.call("sender", "change_and_send", "x", "second")
    await settle()
    assert await read(two, "x") == ["first", "second"]
    for gate in post.gates.values():
        gate.set()
    await settle()

    assert await read(two, "x") == ["first", "second"]
    assert not (await head_of(world)).outbox


async def test_another_process_waits_behind_what_was_put_off() -> None:
    world, one, post = await start(Sender, Inbox)
    post.broken.add("first")
    await one.call("sender", "change_and_send", "x", "first")
    await settle()
    two = world.neighbour("two")
    await two.call("sender", "change_and_send", "x", "second")
    await settle()
    assert await read(two, "x") == []
    one.runtime.sweeper.start()
    post.broken.clear()
    await world.clock.advance(100)

    assert await read(two, "x") == ["first", "second"]


async def test_many_receivers_do_not_wait_for_each_other() -> None:
    world, process, post = await start(Sender, Inbox)
    gate = post.hold("slow")
    await process.call("sender", "send", "slow", "slow")
    for number in range(100):
        await process.call("sender", "send", f"x{number}", "hi")
    await settle()
    assert [await read(process, f"x{number}") for number in range(100)] == [["hi"]] * 100
    gate.set()
    await settle()
    assert not (await head_of(world)).outbox


# -- once -----------------------------------------------------------------------------------------


async def test_nothing_is_sent_twice_after_days_of_silence() -> None:
    world, one, _ = await start(Sender, Inbox)
    await one.call("sender", "letters")
    await read(one, "x")
    # It arrives, and the process dies before it can say so.
    clearing = world.faults.inject(Fault.HELD, skip=2)
    await one.call("sender", "send", "x", "hi")
    await settle()
    assert clearing.reached.is_set()
    world.kill("one")
    await settle()
    assert (await head_of(world)).outbox
    await world.clock.advance(72 * 3600)
    two = world.neighbour("two")
    two.runtime.sweeper.start()
    await world.clock.advance(100)

    assert await read(two, "x") == ["hi"]
    assert await two.call("sender", "letters") == ["send actor.outcome_unknown"]
    assert not (await head_of(world)).outbox


async def test_within_two_days_what_has_arrived_is_known() -> None:
    world, one, _ = await start(Sender, Inbox)
    await one.call("sender", "letters")
    await read(one, "x")
    world.faults.inject(Fault.HELD, skip=2)
    await one.call("sender", "send", "x", "hi")
    await settle()
    world.kill("one")
    await world.clock.advance(46 * 3600)
    two = world.neighbour("two")
    two.runtime.sweeper.start()
    await world.clock.advance(100)

    assert await read(two, "x") == ["hi"]
    assert await two.call("sender", "letters") == []


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED])
@pytest.mark.parametrize("skip", range(6))
async def test_letters_are_counted_right(fault: Fault, skip: int) -> None:
    world, process, _ = await start(Sender, Inbox)
    process.runtime.sweeper.start()
    await process.call("sender", "letters")
    await read(process, "x")
    await process.call("sender", "send_wrong", "x")
    await settle()
    world.faults.inject(fault, skip=skip)
    for number in range(3):
        try:
            await process.call("sender", "send_wrong", f"y{number}")
        except Exception:
            logging.getLogger("test").debug("refused", exc_info=True)
    await world.clock.advance(200)

    head = await head_of(world)
    letters = await world.store.inner.records(head.actor_id, Collection.DEAD)
    assert head.counters["dead"] == len(letters)
    assert len(letters) in (3, 4)
    assert not head.outbox


async def test_a_replayed_letter_may_die_again() -> None:
    world, process, post = await start(Sender, Inbox)
    await process.call("sender", "send_wrong", "x")
    await settle()
    for _ in range(3):
        await world.clock.advance(1)
        await process.call("sender", "replay")
        await settle()

    assert await process.call("sender", "letters") == ["send auth.forbidden"]
    assert len(post.tried) == 4
    assert (await head_of(world)).counters["dead"] == 1


async def test_a_tombstone_gets_rid_of_what_is_refused() -> None:
    world, process, post = await start(Sender, Inbox)
    gate = post.hold("let me in")
    await process.call("sender", "send_wrong", "x")
    await settle()
    head = await head_of(world)
    await process.runtime.dispatch(DestroyActor(ById(None, head.actor_id)))
    gate.set()
    await settle()
    process.runtime.sweeper.start()
    await world.clock.advance(100)

    assert await world.store.inner.load(head.actor_id) is None


# -- without end ----------------------------------------------------------------------------------


async def plays(process: Process) -> int:
    a: int = await process.call("player", "count", key="a")
    b: int = await process.call("player", "count", key="b")
    return a + b


async def test_actors_that_send_each_other_on_and_on_take_a_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "SEND", 1 / 4)
    world, process, _ = await start(Player)
    await process.call("player", "serve", "b", key="a")
    for _ in range(9):
        await settle()
    most = MAX_HOPS * 4
    assert await plays(process) == most
    process.runtime.sweeper.start()
    await world.clock.advance(3 * OLD)
    for _ in range(9):
        await settle()

    assert await plays(process) == 2 * most + 1


async def test_calls_do_not_hide_that_actors_wake_themselves() -> None:
    _, process, _ = await start(Player)
    await process.call("player", "call", "b", key="a")
    for _ in range(9):
        await settle()

    assert await plays(process) == MAX_HOPS + 1


async def test_stamps_rise_whatever_the_clock_does() -> None:
    world, process, post = await start(Sender, Inbox)
    post.hold("m")
    await process.call("sender", "send", "x", "m1", "m2", "m3")
    head = await head_of(world)
    outgoings = world.neighbour("two").runtime.outgoings
    stamps = outgoings.stamps(head)

    assert next(stamps) > max(entry.created_at for entry in head.outbox.values())
    assert next(stamps) < next(stamps)
    assert len({entry.created_at for entry in head.outbox.values()}) == 3
    for gate in post.gates.values():
        gate.set()
    await settle()
