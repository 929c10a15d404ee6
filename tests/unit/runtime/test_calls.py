"""Calls between actors: repeated calls are answered once, circles pass or are told."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, action
from rivetless.runtime.commands import Origin
from rivetless.runtime.job import MAX_CHAIN
from rivetless.testing.clock import settle
from tests.unit.runtime.worlds import World


class Total(BaseModel):
    total: int = 0


opened: dict[str, asyncio.Event] = {}
runs: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    opened.clear()
    runs.clear()


class Bank(Actor[Total]):
    @action
    async def charge(self, amount: int) -> int:
        runs.append("charge")
        self.state.total += amount
        return self.state.total

    @action
    async def total(self) -> int:
        return self.state.total

    @action
    async def text(self, size: int) -> str:
        runs.append("text")
        self.state.total += 1
        return "x" * size


class Nested(Actor):
    @action
    async def depth(self, further: int) -> list[int]:
        """Return how deep the stack is here, and in each call in a call."""
        frame, depth = inspect.currentframe(), 0
        while frame is not None:
            frame, depth = frame.f_back, depth + 1
        if not further:
            return [depth]
        other = self.client.get_or_create(Nested, str(further))
        return [depth, *await other.depth(further - 1)]


class Shop(Actor[Total]):
    @action
    async def buy(self, amount: int, wait: str | None = None) -> int:
        runs.append("buy")
        charged = await self.client.get_or_create(Bank, "b").charge(amount)
        if wait is not None:
            await opened.setdefault(wait, asyncio.Event()).wait()
        self.state.total += amount
        return charged

    @action
    async def twice(self, amount: int) -> int:
        bank = self.client.get_or_create(Bank, "b")
        await bank.charge(amount)
        return await bank.charge(amount)

    @action
    async def note(self, amount: int) -> int:
        self.state.total += amount
        return self.state.total

    @action
    async def there_and_back(self, amount: int) -> int:
        runs.append("there")
        back: int = await self.client.get_or_create(Mirror, "m").call_back(self.key[0], amount)
        self.state.total += 1
        return back

    @action(exclusive=True)
    async def alone_there_and_back(self) -> int:
        back: int = await self.client.get_or_create(Mirror, "m").call_back(self.key[0], 1)
        return back

    @action
    async def round_trip(self) -> Any:
        return await self.client.get_or_create(Shop, self.key[0]).round_trip()

    @action
    async def pay_once(self, wait: str) -> str:
        async def pay() -> str:
            runs.append("pay")
            return "receipt"

        receipt = await self.once("pay", pay)
        await opened.setdefault(wait, asyncio.Event()).wait()
        self.state.total += 1
        return receipt

    @action
    async def look_for(self, key: str) -> str:
        return await self.client.resolve(self.client.get(Bank, key))

    @action
    async def fail_elsewhere(self) -> None:
        await self.client.get_or_create("bank", "b").no_such_action()


class Mirror(Actor[Total]):
    @action
    async def call_back(self, key: str, amount: int) -> int:
        runs.append("mirror")
        self.state.total += 1
        return await self.client.get_or_create(Shop, key).note(amount)


async def world() -> World:
    return await World.open(Bank, Nested, Shop, Mirror)


async def finish(w: World, task: asyncio.Task[Any]) -> Any:
    while not task.done():
        await w.clock.advance(0.1)
    return task.result()


async def test_a_turn_that_runs_again_does_not_repeat_its_calls() -> None:
    w = await world()
    process = w.process()
    buying = asyncio.create_task(process.call("shop", "buy", 5, "x"))
    await settle()
    await process.call("shop", "note", 1)
    opened.setdefault("x", asyncio.Event()).set()
    assert await finish(w, buying) == 5
    assert runs == ["buy", "charge", "buy"]
    assert await process.call("bank", "total", key="b") == 5


async def test_a_repeat_in_another_process_is_answered_from_the_store() -> None:
    w = await world()
    origin = Origin(call_key="i:order-1")
    assert await w.process().call("bank", "charge", 5, origin=origin) == 5
    assert await w.process().call("bank", "charge", 5, origin=origin) == 5
    assert await w.process().call("bank", "total") == 5
    assert runs == ["charge"]


async def test_many_keyed_calls_stay_known() -> None:
    w = await world()
    process = w.process()
    for n in range(40):
        await process.call("bank", "charge", 1, origin=Origin(call_key=f"i:{n}"))
    other = w.process()
    for n in range(40):
        answer = await other.call("bank", "charge", 1, origin=Origin(call_key=f"i:{n}"))
        assert answer == n + 1
    assert await other.call("bank", "total") == 40


async def test_long_answers_are_kept_too() -> None:
    w = await world()
    origin = Origin(call_key="i:long")
    first = await w.process().call("bank", "text", 5000, origin=origin)
    assert await w.process().call("bank", "text", 5000, origin=origin) == first
    assert runs == ["text"]


async def test_an_answer_is_forgotten_after_two_days() -> None:
    w = await world()
    origin = Origin(call_key="i:old")
    await w.process().call("bank", "charge", 5, origin=origin)
    w.clock.jump(48 * 3600 + 1)
    assert await w.process().call("bank", "charge", 5, origin=origin) == 10


async def test_a_key_used_for_another_call_is_an_error() -> None:
    w = await world()
    process = w.process()
    await process.call("bank", "charge", 5, origin=Origin(call_key="i:k"))
    with pytest.raises(ActorError) as raised:
        await process.call("bank", "charge", 6, origin=Origin(call_key="i:k"))
    assert raised.value.name == "actor.idempotency_mismatch"


async def test_a_key_is_its_callers_own() -> None:
    w = await world()
    process = w.process()
    for user, total in ((1, 5), (2, 10), (1, 5)):
        origin = Origin(params={"user": user}, call_key="i:k")
        assert await process.call("bank", "charge", 5, origin=origin) == total


async def test_the_same_call_twice_in_one_turn_happens_twice() -> None:
    w = await world()
    assert await w.process().call("shop", "twice", 3) == 6


async def test_a_circle_passes() -> None:
    w = await world()
    process = w.process()
    assert await finish(w, asyncio.create_task(process.call("shop", "there_and_back", 10))) == 10
    # The inner change was committed, the outer turn ran again and got the mirror's stored answer.
    assert await process.call("shop", "note", 0) == 11
    assert runs.count("mirror") == 1


async def test_a_circle_through_an_exclusive_turn_is_a_deadlock() -> None:
    w = await world()
    with pytest.raises(ActorError) as raised:
        await w.process().call("shop", "alone_there_and_back")
    assert raised.value.name == "actor.deadlock"
    assert "shop[a]" in str(raised.value)


async def test_endless_calls_end() -> None:
    w = await world()
    with pytest.raises(ActorError) as raised:
        await w.process().call("shop", "round_trip")
    assert raised.value.name == "actor.deadlock"


async def test_calls_in_calls_do_not_pile_up_on_the_stack() -> None:
    w = await world()
    calling = w.process().call("nested", "depth", MAX_CHAIN - 1, key="0")
    depths = await finish(w, asyncio.create_task(calling))
    assert len(depths) == MAX_CHAIN
    # Python allows a thousand frames, of which a handler and what it is served by need some.
    assert max(depths) < 400


async def test_once_is_once() -> None:
    w = await world()
    one, two = w.process(), w.process()
    paying = asyncio.create_task(one.call("shop", "pay_once", "x"))
    await settle()
    noting = asyncio.create_task(two.call("shop", "note", 1))
    await w.clock.advance(1)
    opened.setdefault("x", asyncio.Event()).set()
    assert await finish(w, paying) == "receipt"
    await finish(w, noting)
    assert runs == ["pay"]
    assert await two.call("shop", "note", 0) == 2


async def test_once_survives_the_process() -> None:
    w = await world()
    origin = Origin(call_key="i:pay")
    one = asyncio.create_task(w.process().call("shop", "pay_once", "never", origin=origin))
    await settle()
    await w.clock.advance(0)
    one.cancel()
    w.freeze()
    opened.setdefault("x", asyncio.Event()).set()
    opened["never"].set()
    two = asyncio.create_task(w.process().call("shop", "pay_once", "never", origin=origin))
    assert await finish(w, two) == "receipt"
    assert runs == ["pay"]


async def test_a_look_up_that_fails_has_done_nothing() -> None:
    w = await world()
    with pytest.raises(ActorError) as raised:
        await w.process().call("shop", "look_for", "nobody")
    assert raised.value.name == "actor.not_found"


async def test_errors_of_others_are_what_strangers_see() -> None:
    w = await world()
    with pytest.raises(ActorError) as raised:
        await w.process().call("shop", "fail_elsewhere")
    assert raised.value.name == "actor.action_not_found"
