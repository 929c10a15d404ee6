"""State: it lasts, it is the actor's own, and it changes all at once or not at all."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from rivetless import ActorError
from tests.behaviour.actors.calling import Gated
from tests.behaviour.actors.counting import (
    Colour,
    Counter,
    Notes,
    Pet,
    Profile,
    ProfileState,
    Stateless,
)
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import World

RICH = ProfileState(
    name="Ünï \x00 💙",
    born=datetime(1999, 12, 31, 23, 59, 59, 123456, tzinfo=UTC),
    picture=bytes(range(256)),
    tags={"b", "a"},
    scores={"x": 1, "": -1},
    pets=[Pet(name="Rex"), Pet(name="Worm", legs=0)],
    colour=Colour.BLUE,
    big=2**80,
    price=Decimal("12.340"),
    token=UUID(int=7),
    ratio=0.1,
)


async def test_it_lasts_from_call_to_call(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    assert await counter.increment() == 1
    assert await counter.increment(5) == 6
    assert await counter.get() == 6


async def test_all_handles_of_a_key_share_it(world: World) -> None:
    first = world.client.get_or_create(Counter, world.key)
    second = world.new_client().get_or_create(Counter, [world.key])
    assert await first.increment(2) == 2
    assert await second.increment(3) == 5


async def test_actors_do_not_share_it(world: World) -> None:
    one = world.client.get_or_create(Counter, [world.key, "one"])
    two = world.client.get_or_create(Counter, [world.key, "two"])
    await one.increment(1)
    await two.increment(10)
    assert (await one.get(), await two.get()) == (1, 10)


async def test_it_survives_the_process_that_cached_it(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    await counter.increment(7)
    await world.forget(counter)
    counter = world.client.get_or_create(Counter, world.key)
    assert await counter.increment() == 8


async def test_it_can_be_replaced_as_a_whole(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    assert await counter.replace(40) == 40
    assert await counter.increment(2) == 42


async def test_a_user_error_undoes_the_changes(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    await counter.increment(3)
    with pytest.raises(ActorError) as caught:
        await counter.increment_and_refuse()
    assert caught.value.metadata == {"count": 4}
    assert await counter.get() == 3


async def test_an_unexpected_error_undoes_the_changes(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    await counter.increment(3)
    with pytest.raises(ActorError):
        await counter.increment_and_crash()
    assert await counter.get() == 3
    assert await counter.increment() == 4


async def test_values_of_many_types_come_back_as_they_were(world: World) -> None:
    profile = world.client.get_or_create(Profile, world.key)
    await profile.put(RICH)
    assert await profile.get() == RICH
    await world.forget(profile)
    profile = world.client.get_or_create(Profile, world.key)
    assert await profile.get() == RICH


async def test_changes_deep_inside_are_saved(world: World) -> None:
    profile = world.client.get_or_create(Profile, world.key)
    assert await profile.adopt(Pet(name="Rex")) == 1
    assert await profile.adopt(Pet(name="Tom", legs=3)) == 2
    await world.forget(profile)
    profile = world.client.get_or_create(Profile, world.key)
    found = await profile.get()
    assert [(pet.name, pet.legs) for pet in found.pets] == [("Rex", 4), ("Tom", 3)]
    assert found.tags == {"owner"}
    assert found.scores == {"pets": 2}


async def test_a_time_of_another_zone_is_the_same_instant(world: World) -> None:
    profile = world.client.get_or_create(Profile, world.key)
    local = RICH.born.astimezone(tz=UTC) + timedelta(microseconds=1)
    await profile.put(RICH.model_copy(update={"born": local}))
    assert (await profile.get()).born == local


async def test_plain_dicts_will_do(world: World) -> None:
    notes = world.client.get_or_create(Notes, world.key)
    assert await notes.write("milk", "two") == 1
    assert await notes.write("bread", "one") == 2
    await notes.finish("milk")
    assert await notes.read() == {
        "milk": {"text": "two", "done": True},
        "bread": {"text": "one", "done": False},
    }


async def test_an_actor_may_have_none(world: World) -> None:
    stateless = world.client.get_or_create(Stateless, world.key)
    assert await stateless.ping() == "pong"
    with pytest.raises(ActorError) as caught:
        await stateless.touch()
    assert caught.value.name == "actor.state_not_enabled"
    assert await stateless.ping() == "pong"


async def test_concurrent_changes_are_all_kept(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    seen = await asyncio.gather(*(counter.increment() for _ in range(24)))
    assert sorted(seen) == list(range(1, 25))
    assert await counter.get() == 24


@IN_MEMORY
async def test_a_change_across_an_await_loses_no_other(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    slow = asyncio.ensure_future(gated.add_slowly("slow"))
    await world.eventually(gated.waiting, lambda count: count == 1)
    assert await gated.add("fast") == ["fast"]
    await gated.open()
    assert await world.elapse(1, slow) == ["fast", "slow"]
    assert await gated.names() == ["fast", "slow"]


@IN_MEMORY
async def test_a_turn_sees_one_snapshot_until_it_refreshes(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    await gated.add("early")
    slow = asyncio.ensure_future(gated.refresh_at_gate())
    await world.eventually(gated.waiting, lambda count: count == 1)
    await gated.add("late")
    await gated.open()
    before, behind, refreshed = await world.elapse(1, slow)
    assert before == ["early"]
    assert behind == ["early"]
    assert refreshed == ["early", "late"]
