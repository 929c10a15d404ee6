"""Destroy: everything is gone, the key is free, and stale handles find their way."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Counter, Seeded, SeedInput
from tests.behaviour.actors.living import Journal, Life
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.actors.raw import Web
from tests.behaviour.world import Ear, ServerWorld, World


async def test_state_is_gone(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    await counter.increment(5)
    first = await world.client.resolve(counter)
    await counter.end()
    assert await counter.get() == 0
    assert await world.client.resolve(counter) != first


async def test_state_is_gone_with_a_connection(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, JoinParams(name="ada")) as conn:
        closed = Ear()
        conn.on_close(closed)
        await conn.actor.say("hi")
        await room.end()
        await closed.wait()
        log = await conn.actor.log_of_hooks()
    assert log == ["before:ada:0", "state:ada:0", "connect:ada:1"]


async def test_the_action_that_asks_goes_on_and_answers(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    assert await life.end() is False


async def test_once_is_enough(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    assert await life.end_twice() == "actor.stopping"
    assert await life.read() == ["state", "create", "vars", "wake:life"]


async def test_on_destroy_runs_and_may_call_others(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.end()
    journal = world.client.get_or_create(Journal, world.key)
    lines = await world.eventually(journal.read, len)
    assert lines == [f"destroyed:{world.key}:5"]


async def test_on_disconnect_runs(world: World) -> None:
    handle = world.client.get_or_create("life", world.key)
    life = world.client.get_or_create(Life, world.key)
    async with world.client.connect(handle, {"loud": True}) as conn:
        await conn.actor.read()
        await life.end()
        journal = world.client.get_or_create(Journal, world.key)
        lines = await world.eventually(journal.read, len)
    assert lines[0].startswith("destroyed:")


async def test_a_failing_action_destroys_nothing(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    first = await world.client.resolve(life)
    with pytest.raises(ActorError, match="Changed my mind"):
        await life.end_and_fail()
    assert await world.client.resolve(life) == first
    assert await life.read() == ["state", "create", "vars", "wake:life"]


async def test_id_and_key_lead_nowhere(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    actor_id = await world.client.resolve(counter)
    await counter.end()
    with pytest.raises(ActorError) as caught:
        await world.client.get_for_id(Counter, actor_id).get()
    assert caught.value.name == "actor.not_found"
    with pytest.raises(ActorError) as caught:
        await world.client.resolve(world.client.get(Counter, world.key))
    assert caught.value.name == "actor.not_found"


async def test_a_handle_of_create_dies_with_its_actor(world: World) -> None:
    counter = await world.client.create(Counter, world.key)
    await counter.increment()
    await counter.end()
    with pytest.raises(ActorError) as caught:
        await counter.get()
    assert caught.value.name == "actor.not_found"
    again = await world.client.create(Counter, world.key)
    assert await again.get() == 0


async def test_a_new_life_is_made_from_its_own_input(world: World) -> None:
    seeded = world.client.get_or_create(Seeded, world.key, input=SeedInput(name="first"))
    assert (await seeded.read()).made_from == SeedInput(name="first")
    await seeded.end()
    again = world.client.get_or_create(Seeded, world.key, input=SeedInput(name="second"))
    state = await again.read()
    assert state.made_from == SeedInput(name="second")
    assert state.created == 1


async def test_stale_handles_follow_the_key(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    existing = world.client.get(Web, world.key)
    await world.client.fetch(web, "/hit", method="POST")
    for _ in range(3):
        await web.end()
        assert (await web.read()).hits == 0
        answer = await world.client.fetch(web, "/hit", method="POST")
        assert answer.json() == {"hits": 1}
        assert (await existing.read()).hits == 1
        async with world.client.web_socket(web) as socket:
            assert await socket.receive() == "hello from /websocket/"
        async with world.client.connect(web, None) as conn:
            assert (await conn.actor.read()).hits == 1


async def test_rapid_cycles(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    ids = set()
    for _ in range(8):
        assert await counter.increment() == 1
        ids.add(await world.client.resolve(counter))
        await counter.end()
    assert len(ids) == 8


async def test_raw_sockets_are_closed(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web) as socket:
        await socket.receive()
        await web.end()
        assert [frame async for frame in socket] == []
        assert socket.close_code == 1000


async def test_from_outside(server: ServerWorld) -> None:
    life = server.client.get_or_create(Life, server.key)
    actor_id = await server.client.resolve(life)
    for _ in range(2):
        answer = await server.http.delete(f"/actors/{actor_id}?namespace=default")
        assert (answer.status_code, answer.json()) == (200, {})
    journal = server.client.get_or_create(Journal, server.key)
    await server.eventually(journal.read, len)
    found = await server.http.get(f"/actors?namespace=default&actor_ids={actor_id}")
    # A tombstone lasts only until everything of the life is cleared away (design section 4).
    assert all(actor["destroy_ts"] for actor in found.json()["actors"])
