"""The outbox: effects on others happen once their commit is durable, however long it takes."""

from __future__ import annotations

import logging

import pytest
from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.keys import Address
from rivetless.runtime.commands import ById, DestroyActor, Wake
from rivetless.runtime.outbox import Dispatch, Outbox
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
    async def letters(self) -> list[str]:
        return [f"{x.kind} {x.attempts} {x.body!r}" for x in await self.dead_letters.list()]

    @action
    async def replay(self) -> None:
        for letter in await self.dead_letters.list():
            await self.dead_letters.replay(letter.id)


class Other:
    """The receiver: knows what it has had by its id."""

    def __init__(self) -> None:
        self.had: dict[str, str] = {}
        self.asked = 0
        self.broken = False

    async def receive(self, dispatch: Dispatch) -> None:
        self.asked += 1
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
