"""``on_state_change``: once for each turn that changes something, never otherwise."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Watched
from tests.behaviour.world import Ear, World


async def test_once_for_each_changing_action(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    await watched.set_value(1)
    await watched.set_value(2)
    assert await watched.seen() == (2, 2)


async def test_once_for_a_burst(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    await watched.burst(100)
    assert await watched.seen() == (1, 100)


async def test_not_for_reads(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    await watched.read()
    await watched.computed()
    async with world.client.connect(watched) as conn:
        await conn.actor.read()
    assert await watched.seen() == (0, None)


async def test_not_for_a_change_that_is_none(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    await watched.set_value(0)
    assert await watched.seen() == (0, None)


async def test_it_may_broadcast(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    async with world.client.connect(watched) as conn:
        heard = Ear()
        conn.on(Watched.told, heard)
        await conn.actor.set_value(5)
        assert heard.heard == [5]


async def test_it_may_not_change_the_state(world: World) -> None:
    watched = world.client.get_or_create(Watched, world.key)
    await watched.set_value(5)
    with pytest.raises(ActorError) as caught:
        await watched.set_value(666)
    assert caught.value.name == "actor.state_mutation_reentrant"
    assert await watched.read() == 5
