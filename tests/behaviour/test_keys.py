"""Keys and the four ways to an actor."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.living import Life
from tests.behaviour.world import World


async def test_text_is_a_key_of_one_part(world: World) -> None:
    assert await world.client.get_or_create(Counter, world.key).increment() == 1
    assert await world.client.get_or_create(Counter, [world.key]).increment() == 2


async def test_no_key_is_the_empty_key(world: World) -> None:
    client = world.new_client(f"ns-{world.key}")
    assert await client.get_or_create(Counter).increment() == 1
    assert await client.get_or_create(Counter, []).increment() == 2
    assert await client.get_or_create(Counter, "keyed").increment() == 1


async def test_parts_of_a_key_are_other_keys(world: World) -> None:
    parts = [world.key, "b", "c"]
    await world.client.get_or_create(Counter, parts).increment(5)
    for other in (parts[:2], parts[:1], [*parts, "d"], ["b", world.key, "c"]):
        assert await world.client.get_or_create(Counter, other).get() == 0


PARTS = ["a/b", "a\\b", "\\", "/", "\\0", " ", "a+b", "%2F", "a&b=c", "ä💙", "a?b#c", "..", "null"]


async def test_parts_may_hold_anything(world: World) -> None:
    for part in PARTS:
        await check_part(world, part)


async def check_part(world: World, part: str) -> None:
    parts = [world.key, part]
    life = world.client.get_or_create(Life, parts)
    assert (await life.ids())["key"] == parts
    by_id = world.client.get_for_id(Life, await world.client.resolve(life))
    assert (await by_id.ids())["key"] == parts
    created = await world.client.create(Life, [world.key, part, "new"])
    assert (await created.ids())["key"] == [world.key, part, "new"]


async def test_names_keep_actors_apart(world: World) -> None:
    await world.client.get_or_create(Counter, world.key).increment()
    life = world.client.get_or_create(Life, world.key)
    assert (await life.ids())["name"] == "life"


async def test_get_does_not_create(world: World) -> None:
    with pytest.raises(ActorError) as caught:
        await world.client.resolve(world.client.get(Counter, world.key))
    assert caught.value.name == "actor.not_found"
    await world.client.get_or_create(Counter, world.key).increment()
    assert await world.client.get(Counter, world.key).get() == 1


async def test_create_refuses_a_taken_key(world: World) -> None:
    first = await world.client.create(Counter, world.key)
    await first.increment(3)
    with pytest.raises(ActorError) as caught:
        await world.client.create(Counter, world.key)
    assert caught.value.name == "actor.duplicate_key"
    assert caught.value.metadata == {
        "existing_actor_id": await world.client.resolve(first),
        "key": world.key,
    }
    assert await first.get() == 3


async def test_ids_lead_to_the_same_actor(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    actor_id = await world.client.resolve(counter)
    assert await world.client.get_for_id(Counter, actor_id).increment() == 1
    assert await world.client.get_for_id("counter", actor_id).increment() == 2
    assert await counter.get() == 2
    assert len(actor_id) == 30
    assert actor_id.isalnum()


async def test_ids_of_nobody_lead_nowhere(world: World) -> None:
    for actor_id in ("0" * 30, "z" * 30, "nonsense", "a" * 29, "Ä" * 30):
        with pytest.raises(ActorError) as caught:
            await world.client.get_for_id(Counter, actor_id).get()
        assert caught.value.name == "actor.not_found", actor_id


async def test_the_actor_knows_who_it_is(world: World) -> None:
    life = world.client.get_or_create(Life, [world.key, "x"])
    ids = await life.ids()
    assert ids["id"] == await world.client.resolve(life)
    assert ids["name"] == "life"
    assert ids["key"] == [world.key, "x"]
    assert ids["region"]
    assert ids["turn"]
    assert (await life.read())[3] == "wake:life"


@pytest.mark.parametrize(
    ("key", "code"),
    [("x" * 129, "key_too_large"), (["x" * 120] * 9, "key_too_large"), ("a,b", "invalid_key")],
)
async def test_keys_that_cannot_be(world: World, key: str | list[str], code: str) -> None:
    with pytest.raises(ActorError) as caught:
        await world.client.get_or_create(Counter, key).get()
    assert caught.value.code == code


async def test_namespaces_keep_actors_apart(world: World) -> None:
    other = world.new_client(f"other-{world.key}")
    one = world.client.get_or_create(Counter, world.key)
    two = other.get_or_create(Counter, world.key)
    await one.increment(5)
    assert await two.get() == 0
    first, second = await world.client.resolve(one), await other.resolve(two)
    assert first != second
    with pytest.raises(ActorError) as caught:
        await other.resolve(other.get(Counter, f"{world.key}-none"))
    assert caught.value.name == "actor.not_found"
