"""KV: pairs beside the state, ordered by their keys' bytes, written with the turn or not at all."""

import asyncio

import pytest

from rivetless import ActorError
from tests.behaviour.actors.keeping import Shelf
from tests.behaviour.world import RigWorld, World

FRUIT = {"apple": "1", "banana": "2", "cherry": "3", "date": "4"}


async def test_a_value_is_there_for_later_turns(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put("greeting", "hällo")
    assert await shelf.get("greeting") == "hällo"
    assert await shelf.get("nothing") is None
    await world.forget(shelf)
    assert await world.client.get_or_create(Shelf, world.key).get("greeting") == "hällo"


async def test_a_hook_that_creates_the_actor_writes_pairs_too(world: World) -> None:
    assert await world.client.get_or_create(Shelf, world.key).get("made") == "on creation"


async def test_bytes_and_text_are_one_name_space(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put_bytes(b"k", b"\xff\x00")
    assert await shelf.get_bytes(b"k") == b"\xff\x00"
    assert await shelf.get("k") == "\ufffd\x00"
    await shelf.put("k", "text")
    assert await shelf.get_bytes(b"k") == b"text"
    assert await shelf.pairs_of_bytes(b"k") == [(b"k", b"text")]


async def test_lists_are_in_the_order_of_keys(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.delete("made")
    await shelf.put_batch(dict(reversed(FRUIT.items())))
    assert await shelf.pairs() == list(FRUIT.items())
    assert await shelf.pairs(reverse=True, limit=2) == [("date", "4"), ("cherry", "3")]
    assert await shelf.pairs("b") == [("banana", "2")]
    assert await shelf.pairs("", "banana", "date") == [("banana", "2"), ("cherry", "3")]
    assert await shelf.pairs("c", "date") == []
    assert await shelf.pairs(limit=0) == []


async def test_batches_keep_their_order(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put_batch(FRUIT)
    assert await shelf.get_batch(["date", "none", "apple", "date"]) == ["4", None, "1", "4"]
    await shelf.delete_batch(["date", "none", "made"])
    assert await shelf.pairs() == list(FRUIT.items())[:-1]


async def test_a_range_can_be_deleted(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put_batch(FRUIT)
    await shelf.delete_range("banana", "date")
    assert [key for key, _ in await shelf.pairs()] == ["apple", "date", "made"]


async def test_a_turn_reads_its_own_writes(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put_batch({"a": "1", "b": "2", "c": "3"})
    seen = [("b", "new"), ("c", "3"), ("d", "added")]
    assert await shelf.see_own_writes() == seen
    assert await shelf.pairs(limit=3) == seen


async def test_a_failed_turn_writes_nothing(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    with pytest.raises(ActorError, match="not_today"):
        await shelf.put_and_refuse("k", "v")
    assert await shelf.get("k") is None


async def test_no_update_is_lost(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.get("n")
    numbers = await asyncio.gather(*(shelf.add("n") for _ in range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert await shelf.get("n") == "8"


@pytest.mark.parametrize(
    ("key_bytes", "value_bytes", "code"),
    [(2049, 1, "key_too_large"), (1, 128 * 1024 + 1, "value_too_large")],
)
async def test_what_is_too_large_is_refused(
    world: World, key_bytes: int, value_bytes: int, code: str
) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    with pytest.raises(ActorError) as caught:
        await shelf.put_large(key_bytes, value_bytes)
    assert (caught.value.group, caught.value.code) == ("kv", code)
    await shelf.put_large(512, 128 * 1024)
    assert len(await shelf.pairs("k")) == 1


async def test_a_batch_has_a_limit(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    with pytest.raises(ActorError) as caught:
        await shelf.put_many(129)
    assert (caught.value.name, caught.value.metadata) == (
        "kv.batch_too_large",
        {"limit": 128, "size": 129},
    )


async def test_pairs_go_with_the_actor(world: World) -> None:
    shelf = world.client.get_or_create(Shelf, world.key)
    await shelf.put("k", "v")
    await shelf.leave()
    assert await world.client.get_or_create(Shelf, world.key).get("k") is None


async def test_a_read_costs_no_commit(rig_world: RigWorld) -> None:
    shelf = rig_world.client.get_or_create(Shelf, rig_world.key)
    await shelf.put("k", "v")
    actor_id = await rig_world.client.resolve(shelf)
    before = await rig_world.rig.store.load(actor_id)
    assert await shelf.get("k") == "v"
    after = await rig_world.rig.store.load(actor_id)
    assert before is not None
    assert after is not None
    assert before.version == after.version
