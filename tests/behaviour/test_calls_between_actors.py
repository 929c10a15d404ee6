"""Calls between actors: exactly once, through any re-run; and nobody waits for oneself for ever."""

import asyncio

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Ledger, Teller
from tests.behaviour.world import World


async def test_both_change(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    ledger = world.client.get_or_create(Ledger, world.key)
    assert await teller.pay(5) == 5
    assert await teller.pay(2) == 7
    assert (await teller.balance(), await ledger.balance()) == (-7, 7)


async def test_the_same_call_twice_is_two_calls(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    assert await teller.pay_twice(5) == [5, 10]


async def test_what_the_callee_did_stays_when_the_caller_fails(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    ledger = world.client.get_or_create(Ledger, world.key)
    with pytest.raises(ActorError, match="Too late"):
        await teller.pay_and_fail(5)
    assert (await teller.balance(), await ledger.balance()) == (0, 5)


async def test_errors_of_the_callee_are_the_callers_to_handle(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    assert await teller.pay_anyway(13) == "user.unlucky {'amount': 13}"
    assert await teller.pay_anyway(1) == "paid"
    with pytest.raises(ActorError) as caught:
        await teller.pay(13)
    assert caught.value.name == "user.unlucky"
    assert await teller.balance() == 0


async def test_actors_are_strangers_to_each_other(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    with pytest.raises(ActorError) as caught:
        await teller.crash_there()
    assert caught.value.name == "rivetkit.internal_error"
    assert "secret" not in str(caught.value)


async def test_concurrent_callers_pay_exactly_once_each(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    ledger = world.client.get_or_create(Ledger, world.key)
    await world.elapse(1, asyncio.gather(*(teller.pay(1) for _ in range(12))))
    assert (await teller.balance(), await ledger.balance()) == (-12, 12)


async def test_a_calls_b_calls_a(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    notes = await world.elapse(1, teller.round_trip("x"))
    assert "x" in notes
    assert await teller.notes() == ["x", "before x"] or await teller.notes() == ["before x", "x"]
    ledger = world.client.get_or_create(Ledger, world.key)
    assert await ledger.balance() == 0


async def test_waiting_for_oneself_is_a_deadlock(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    with pytest.raises(ActorError) as caught:
        await teller.alone()
    assert caught.value.name == "actor.deadlock"
    assert isinstance(caught.value.metadata, dict)
    assert len(caught.value.metadata["chain"]) >= 2
    assert await teller.balance() == 0


async def test_an_exclusive_action_of_ones_own_can_be_called(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    assert await world.elapse(1, teller.call_self_alone()) == 1
    assert await teller.balance() == 1


async def test_others_can_be_looked_for_and_made(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    key = f"{world.key}-new"
    assert await teller.find(key) == "actor.not_found"
    made = await teller.open_account(key)
    assert await teller.find(key) == made
    assert await world.client.resolve(world.client.get(Ledger, key)) == made
    assert await teller.open_account(key) == "actor.duplicate_key"


async def test_namespaces_hold_between_actors_too(world: World) -> None:
    other = world.new_client(f"other-{world.key}")
    await other.get_or_create(Teller, world.key).pay(5)
    assert await world.client.get_or_create(Ledger, world.key).balance() == 0
    assert await other.get_or_create(Ledger, world.key).balance() == 5
