"""What clients try again by themselves, so that nobody sees an actor being born or reborn."""

import asyncio

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Counter
from tests.behaviour.world import Ear, ServerWorld, World


async def test_a_get_handle_waits_for_its_actor(server: ServerWorld) -> None:
    existing = server.client.get(Counter, server.key)
    waiting = asyncio.ensure_future(existing.get())
    done, _ = await asyncio.wait({waiting}, timeout=0.15)
    assert not done
    await server.client.get_or_create(Counter, server.key).increment(4)
    assert await waiting == 4


async def test_it_does_not_wait_for_ever(server: ServerWorld) -> None:
    missing = server.client.get(Counter, server.key)
    with pytest.raises(ActorError) as caught:
        await missing.get()
    assert caught.value.name == "actor.not_found"


async def test_an_id_is_tried_once(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    by_id = world.client.get_for_id(Counter, await world.client.resolve(counter))
    await counter.end()
    await counter.increment()
    with pytest.raises(ActorError) as caught:
        await by_id.get()
    assert caught.value.name == "actor.not_found"


async def test_calls_during_a_destroy_meet_one_life_or_the_other(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    await counter.increment()
    results = await world.elapse(
        0.1, asyncio.gather(counter.end(), *(counter.increment() for _ in range(6)))
    )
    assert all(isinstance(result, int) for result in results[1:])
    assert await counter.get() >= 0


async def test_connections_follow_a_destroyed_actor(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        await conn.actor.increment(5)
        first = conn.actor_id
        statuses = Ear()
        conn.on_status(statuses)
        await counter.end()
        await world.elapse(1, statuses.wait_for("connected"))
        assert conn.actor_id != first
        assert await conn.actor.get() == 0
