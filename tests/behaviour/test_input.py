"""Input: given at creation, seen by the hooks of creation, and by nobody later."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Seeded, SeedInput
from tests.behaviour.world import World

SEED = SeedInput(name="Ünï 💙", start=7)


async def test_it_reaches_both_hooks(world: World) -> None:
    seeded = world.client.get_or_create(Seeded, world.key, input=SEED)
    state = await seeded.read()
    assert state.made_from == SEED
    assert state.seen_on_create == SEED
    assert state.created == 1


async def test_it_reaches_them_through_create(world: World) -> None:
    seeded = await world.client.create(Seeded, world.key, input=SEED)
    assert (await seeded.read()).seen_on_create == SEED


async def test_it_may_be_left_out(world: World) -> None:
    state = await world.client.get_or_create("seeded", world.key).read()
    assert state["made_from"] is None
    assert state["seen_on_create"] is None


async def test_the_first_one_counts(world: World) -> None:
    await world.client.get_or_create(Seeded, world.key, input=SEED).read()
    second = world.client.get_or_create(Seeded, world.key, input=SeedInput(name="other"))
    assert (await second.read()).made_from == SEED
    third = world.client.get_or_create("seeded", world.key)
    assert (await third.read())["made_from"]["start"] == 7


async def test_a_wrong_one_is_refused(world: World) -> None:
    wrong = world.client.get_or_create("seeded", world.key, input={"start": 1})
    with pytest.raises(ActorError) as caught:
        await wrong.read()
    assert caught.value.name == "actor.validation_error"
    right = world.client.get_or_create(Seeded, world.key, input=SEED)
    assert (await right.read()).made_from == SEED


async def test_the_actor_may_refuse_it(world: World) -> None:
    bad = SeedInput(name="x", start=-1)
    with pytest.raises(ActorError) as caught:
        await world.client.get_or_create(Seeded, world.key, input=bad).read()
    assert caught.value.name == "user.bad_start"
    with pytest.raises(ActorError) as caught:
        await world.client.create(Seeded, world.key, input=bad)
    assert caught.value.name == "user.bad_start"


async def test_a_long_one_goes_through_create(world: World) -> None:
    long = SeedInput(name="x" * 20_000)
    seeded = await world.client.create(Seeded, world.key, input=long)
    assert (await seeded.read()).made_from == long
