"""Outside effects and repeats: ``once``, exclusive actions, checkpoints, idempotency keys."""

import asyncio

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Shop, Teller
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import World


async def test_once_is_once(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    assert await shop.charge() == ("receipt 1", "receipt 1")
    assert await shop.outside() == 1
    assert await shop.charges() == 1


async def test_other_names_are_other_things(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    assert await shop.charge_other() == ["receipt 1", "receipt 2"]


async def test_each_call_does_it_anew(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    await shop.charge()
    assert await shop.charge() == ("receipt 2", "receipt 2")


async def test_what_fails_is_not_stored(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    for _ in range(2):
        with pytest.raises(ActorError) as caught:
            await shop.decline()
        assert caught.value.name == "user.declined"
    assert await shop.outside() == 2


@IN_MEMORY
async def test_concurrent_charges_happen_once_each(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    receipts = await world.elapse(1, asyncio.gather(*(shop.charge() for _ in range(8))))
    assert sorted(first for first, _ in receipts) == sorted(f"receipt {n}" for n in range(1, 9))
    assert (await shop.outside(), await shop.charges()) == (8, 8)


async def test_exclusive_actions_wait_for_each_other(world: World) -> None:
    teller = world.client.get_or_create(Teller, world.key)
    seen = await world.elapse(1, asyncio.gather(*(teller.count_alone() for _ in range(8))))
    assert sorted(seen) == list(range(1, 9))


async def test_what_was_saved_stays_when_the_rest_fails(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    with pytest.raises(ActorError, match="In between"):
        await shop.save("first", "second")
    assert await shop.saved() == ["first"]
    await world.forget(shop)
    assert await world.client.get_or_create(Shop, world.key).saved() == ["first"]


async def test_a_checkpoint_and_the_rest(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    assert await shop.save_both("first", "second") == ["first", "second"]
    assert await shop.saved() == ["first", "second"]


async def test_a_repeated_key_gets_the_stored_answer(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    keyed = world.client.with_options(shop, idempotency_key="order-1")
    assert await keyed.add(5) == 5
    assert await keyed.add(5) == 5
    other = world.client.with_options(shop, idempotency_key="order-2")
    assert await other.add(5) == 10
    await world.forget(shop)
    shop = world.client.get_or_create(Shop, world.key)
    keyed = world.client.with_options(shop, idempotency_key="order-1")
    assert await keyed.add(5) == 5
    assert await shop.charges() == 10


async def test_concurrent_repeats_are_one_call(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    keyed = world.client.with_options(shop, idempotency_key="order-1")
    answers = await world.elapse(1, asyncio.gather(*(keyed.add(3) for _ in range(6))))
    assert answers == [3] * 6
    assert await shop.charges() == 3


async def test_a_key_belongs_to_its_arguments(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    keyed = world.client.with_options(shop, idempotency_key="order-1")
    await keyed.add(5)
    with pytest.raises(ActorError) as caught:
        await keyed.add(6)
    assert caught.value.name == "actor.idempotency_mismatch"
    assert await shop.charges() == 5


async def test_turns_have_ids_of_their_own(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    ids = [await shop.buy() for _ in range(3)]
    assert len(set(ids)) == 3
    assert await shop.turns() == ids


async def test_a_keyed_turns_id_comes_from_its_key(world: World) -> None:
    shop = world.client.get_or_create(Shop, world.key)
    keyed = world.client.with_options(shop, idempotency_key="order-1")
    first = await keyed.buy()
    assert await keyed.buy() == first
    assert await shop.turns() == [first]
