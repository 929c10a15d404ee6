"""Vars: a process's own, as long as its tenure lasts."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Defaults, Life
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import World


@IN_MEMORY
async def test_they_last_as_long_as_the_process_does(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    assert await life.note("one") == ["one"]
    assert await life.note("two") == ["one", "two"]
    await world.forget(life)
    life = world.client.get_or_create(Life, world.key)
    assert await life.notes() == []


async def test_actors_do_not_share_them(world: World) -> None:
    one = world.client.get_or_create(Defaults, [world.key, "one"])
    two = world.client.get_or_create(Defaults, [world.key, "two"])
    assert await one.push(1) == [1]
    assert await two.push(2) == [2]
    assert await one.push(3) == [1, 3]


async def test_they_are_not_rolled_back(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    with pytest.raises(ActorError, match="Rolled back"):
        await life.note_and_fail("kept")
    assert await life.notes() == ["kept"]
    assert "never" not in await life.read()


async def test_they_can_be_assigned(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    assert await life.replace_vars(99) == 99
    assert await life.number() == 99


async def test_create_vars_sees_the_state(world: World) -> None:
    assert await world.client.get_or_create(Life, world.key).number() == 3


async def test_a_new_life_has_new_ones(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.note("old")
    await life.end()
    assert await life.notes() == []


async def test_sleep_ends_them(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.note("old")
    await life.doze()
    await world.eventually(life.notes, lambda notes: notes == [])
