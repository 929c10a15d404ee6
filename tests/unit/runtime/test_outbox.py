"""The outbox: effects on others happen once their commit is durable, however long it takes."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.keys import Address
from rivetless.runtime.commands import ById, DestroyActor, Origin, Wake
from rivetless.runtime.job import digest
from rivetless.runtime.outbox import SEND, Dispatch, Outbox
from rivetless.runtime.outgoings import ABREAST, GIVEN_UP_AFTER, KNOWN_FOR, OLD
from rivetless.store.base import Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Bells, Process, World

LOG = logging.getLogger("rivetless")


class Sent(BaseModel):
    count: int = 0


class Sender(Actor[Sent]):
    @action
    async def send(self, text: str, fail: bool = False) -> str:
        self.state.count += 1
        # What a feature does for an actor; there is no face for it.
        effect = self._turn.part(Outbox).add("test", text.encode())  # type: ignore[attr-defined]
        if fail:
            raise RuntimeError("injected")
        return str(effect)

    @action
    async def think_better(self) -> None:
        """Have one effect, and take another back."""
        part: Outbox = self._turn.part(Outbox)  # type: ignore[attr-defined]
        part.add("test", b"kept")
        undo = part.savepoint()
        part.add("test", b"undone")
        undo()

    @action
    async def letters(self) -> list[str]:
        return [f"{x.kind} {x.attempts} {x.body!r}" for x in await self.dead_letters.list()]

    @action
    async def reasons(self) -> list[str]:
        return [x.error for x in await self.dead_letters.list()]

    @action
    async def replay(self) -> None:
        for letter in await self.dead_letters.list():
            await self.dead_letters.replay(letter.id)


class Other:
    """The receiver: knows what it has had by its id."""

    def __init__(self) -> None:
        self.had: dict[str, str] = {}
        self.last: Dispatch | None = None
        self.asked = 0
        self.broken = False

    async def receive(self, dispatch: Dispatch) -> None:
        self.asked += 1
        self.last = dispatch
        if self.broken:
            raise RuntimeError("out of order")
        self.had[dispatch.id] = dispatch.body.decode()

    @property
    def texts(self) -> list[str]:
        return list(self.had.values())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rivetless")


async def start(world: World, other: Other, *, staying: bool = True) -> Process:
    process = world.staying() if staying else world.process(Bells())
    process.runtime.outgoings.handle("test", other.receive)
    return process


async def head_of(world: World) -> Head:
    head = await world.store.inner.load(Address("default", "sender", ("a",)))
    assert head is not None
    return head


async def dispatch(process: Process, head: Head) -> None:
    """Have what is in an outbox, whoever else does."""
    entries = [Dispatch.read(head.actor_id, entry) for entry in head.outbox.values()]
    await process.runtime.outgoings.dispatch(entries)


async def test_an_effect_follows_its_commit() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    await process.call("sender", "letters")
    world.store.reset()
    await process.call("sender", "send", "hello")
    await settle()
    assert other.texts == ["hello"]
    assert world.store.writes == 2  # the commit, and the entry's end
    assert not (await head_of(world)).outbox


async def test_a_rollback_has_no_effect() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    with pytest.raises(RuntimeError):
        await process.call("sender", "send", "hello", True)
    await world.clock.advance(100)
    assert other.asked == 0
    process.runtime.abandon()


async def test_what_failed_is_tried_again() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    other.broken = True
    await process.call("sender", "send", "hello")
    await world.clock.advance(1.9)
    assert other.asked == 1
    await world.clock.advance(0.2)
    assert other.asked == 2
    await world.clock.advance(600)
    assert other.asked < 12
    other.broken = False
    await world.clock.advance(3600)
    assert other.texts == ["hello"]
    assert not (await head_of(world)).outbox
    process.runtime.abandon()


async def test_what_fails_for_a_day_is_a_dead_letter() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    other.broken = True
    effect = await process.call("sender", "send", "hello")
    await world.clock.advance(26 * 3600)
    (letter,) = await process.call("sender", "letters")
    assert letter.startswith("test ")
    assert letter.endswith("b'hello'")
    assert not (await head_of(world)).outbox
    asked = other.asked
    await world.clock.advance(26 * 3600)
    assert other.asked == asked
    other.broken = False
    await process.call("sender", "replay")
    await settle()
    assert other.had == {effect: "hello"}
    assert await process.call("sender", "letters") == []
    process.runtime.abandon()


async def test_what_a_dead_process_left_is_dispatched_by_another() -> None:
    world, other = await World.open(Sender), Other()
    one = await start(world, other, staying=False)
    one.runtime.outgoings.committed = lambda *_: None  # type: ignore[method-assign]
    await one.call("sender", "send", "hello")
    one.runtime.abandon()
    two = await start(world, other)
    await world.clock.advance(29)
    assert other.asked == 0  # whoever committed it has the first say
    await world.clock.advance(32)
    assert other.texts == ["hello"]
    assert not (await head_of(world)).outbox
    two.runtime.abandon()


async def test_a_destroyed_actor_has_its_effects() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    other.broken = True
    await process.call("sender", "send", "hello")
    head = await head_of(world)
    await process.runtime.dispatch(DestroyActor(ById(None, head.actor_id)))
    await settle()
    other.broken = False
    await process.runtime.dispatch(Wake(head.actor_id))
    await world.clock.advance(100)
    assert other.texts == ["hello"]
    assert await world.store.inner.load(head.actor_id) is None
    process.runtime.abandon()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.UNACKNOWLEDGED, Fault.VANISHED])
@pytest.mark.parametrize("skip", range(3))
async def test_a_fault_at_any_commit(fault: Fault, skip: int) -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    await process.call("sender", "letters")
    world.faults.inject(fault, skip=skip)
    for text in ("one", "two"):
        try:
            await process.call("sender", "send", text)
        except Exception:
            LOG.debug("refused", exc_info=True)
    await world.clock.advance(200)
    count = (await head_of(world)).state
    assert count is not None
    assert f'"count":{len(other.had)}'.encode() in count.replace(b" ", b"")
    assert not (await head_of(world)).outbox
    process.runtime.abandon()


async def test_an_effect_tells_whose_it_is_and_what_led_to_it() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    await process.call("sender", "send", "a\0b", origin=Origin(hops=2.0))
    await settle()
    assert other.last is not None
    assert other.last.actor_id == (await head_of(world)).actor_id
    assert (other.last.kind, other.last.body, other.last.attempts) == ("test", b"a\0b", 0)
    assert other.last.hops == 2.0 + SEND
    assert other.last.created_at == world.clock.now()


async def test_an_effect_is_named_alike_by_processes_of_all_versions() -> None:
    """Receivers know it by that name."""
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    await process.call("sender", "letters")
    life = (await head_of(world)).actor_id
    effect = await process.call("sender", "send", "x", origin=Origin(call_key="o:k"))
    assert effect == digest("outbox", life, digest("turn", "o:k"), "0.0")
    assert [*other.had] == [effect]


async def test_what_is_taken_back_has_no_effect() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    await process.call("sender", "think_better")
    await settle()
    assert other.texts == ["kept"]


async def test_a_handler_that_keeps_its_entries_removes_them_itself() -> None:
    world, other = await World.open(Sender), Other()
    process = world.staying()
    process.runtime.outgoings.handle("test", other.receive, keeps=True)
    await process.call("sender", "send", "hello")
    await settle()
    assert other.texts == ["hello"]
    assert len((await head_of(world)).outbox) == 1
    other.broken = True
    await world.clock.advance(3 * 24 * 3600)
    assert await process.call("sender", "letters") == []
    assert len((await head_of(world)).outbox) == 1
    process.runtime.abandon()


async def test_pauses_grow_up_to_an_hour() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    other.broken = True
    await process.call("sender", "send", "hello")
    await settle()
    pauses: list[float] = []
    for _ in range(4):
        (entry,) = (await head_of(world)).outbox.values()
        again = entry.created_at + OLD
        pauses.append(round(again - world.clock.now(), 3))
        await world.clock.advance(again - world.clock.now())
        await settle()
    assert pauses == [2, 4, 8, 16]
    assert other.asked == 5
    await world.clock.advance(12 * 3600)
    asked = other.asked
    await world.clock.advance(5 * 3600)
    assert asked + 4 <= other.asked <= asked + 6
    process.runtime.abandon()


async def test_a_letter_says_how_often_it_was_tried() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other)
    other.broken = True
    await process.call("sender", "send", "hello")
    await world.clock.advance(GIVEN_UP_AFTER + 2 * 3600)
    assert await process.call("sender", "letters") == [f"test {other.asked} b'hello'"]
    process.runtime.abandon()


async def test_what_two_processes_give_up_is_one_letter() -> None:
    world, other = await World.open(Sender), Other()
    one, two = [await start(world, other, staying=False) for _ in range(2)]
    other.broken = True
    await one.call("sender", "send", "hello")
    await settle()
    head = await head_of(world)
    await world.clock.advance(GIVEN_UP_AFTER)
    for process in one, two:
        await dispatch(process, head)
    after = await head_of(world)
    assert (after.outbox, after.counters["dead"]) == ({}, 1)
    assert len(await one.call("sender", "letters")) == 1


@pytest.mark.parametrize(
    ("age", "letters"), [(GIVEN_UP_AFTER - 1, []), (GIVEN_UP_AFTER, ["rivetkit.internal_error"])]
)
async def test_an_effect_is_given_up_after_a_day(age: float, letters: list[str]) -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    other.broken = True
    await process.call("sender", "send", "hello")
    await settle()
    await world.clock.advance(age)
    await dispatch(process, await head_of(world))
    assert await process.call("sender", "reasons") == letters


@pytest.mark.parametrize(
    ("age", "texts", "letters"),
    [(KNOWN_FOR - 1, ["hello"], []), (KNOWN_FOR, [], ["actor.outcome_unknown"])],
)
async def test_what_a_receiver_may_have_forgotten_is_not_had_again(
    age: float, texts: list[str], letters: list[str]
) -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    process.runtime.outgoings.committed = lambda *_: None  # type: ignore[method-assign]
    await process.call("sender", "send", "hello")
    head = await head_of(world)
    await world.clock.advance(age)
    await dispatch(process, head)
    assert other.texts == texts
    assert await process.call("sender", "reasons") == letters


async def test_an_effect_under_way_is_not_had_once_more() -> None:
    world, other = await World.open(Sender), Other()
    process = await start(world, other, staying=False)
    gate = asyncio.Event()

    async def slow(dispatch: Dispatch) -> None:
        await gate.wait()
        await other.receive(dispatch)

    process.runtime.outgoings.handle("test", slow)
    await process.call("sender", "send", "hello")
    await settle()
    head = await head_of(world)
    for _ in range(3):
        await dispatch(process, head)
    gate.set()
    await settle()
    assert other.asked == 1


async def test_effects_of_one_commit_are_had_in_order_and_those_of_many_receivers_abreast() -> None:
    world = await World.open(Sender)
    process = world.process(Bells())
    under_way: set[str] = set()
    had: list[str] = []
    gate = asyncio.Event()

    async def slow(dispatch: Dispatch) -> None:
        under_way.add(dispatch.body.decode())
        await gate.wait()
        had.append(dispatch.body.decode())

    outgoings = process.runtime.outgoings
    outgoings.handle("test", slow, receiver=lambda dispatch: dispatch.body.decode()[:-1])
    outgoings.committed = lambda *_: None  # type: ignore[method-assign]
    count = ABREAST + 3
    for number in range(count):
        for place in "ab":
            await process.call("sender", "send", f"{number}{place}")
    head = await head_of(world)
    done = asyncio.create_task(dispatch(process, head))
    await settle()
    assert under_way == {f"{number}a" for number in range(ABREAST)}
    gate.set()
    await settle()
    assert done.done()
    assert sorted(had) == sorted(f"{number}{place}" for number in range(count) for place in "ab")
    assert all(had.index(f"{n}a") < had.index(f"{n}b") for n in range(count))
    assert not (await head_of(world)).outbox
