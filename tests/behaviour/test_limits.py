"""Limits: what is too long is refused, in words, and nothing breaks."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.calling import Calls
from tests.behaviour.actors.counting import Seeded, SeedInput
from tests.behaviour.actors.meeting import JoinParams, Message, Room
from tests.behaviour.cells import WITHIN_6_MB, WITHIN_128_KB
from tests.behaviour.world import Ear, ServerWorld, World

KIB = 1024


@WITHIN_128_KB
async def test_48_kib_pass_both_ways(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    text = "x" * 48 * KIB
    assert await calls.echo(text) == text
    async with world.client.connect(calls) as conn:
        assert await conn.actor.echo(text) == text


async def test_90_kib_are_too_long_a_request(server: ServerWorld) -> None:
    calls = server.client.get_or_create(Calls, server.key)
    with pytest.raises(ActorError) as caught:
        await calls.length("x" * 90 * KIB)
    assert caught.value.name == "message.incoming_too_long"
    assert isinstance(caught.value.metadata, dict)
    assert caught.value.metadata["limit"] == 64 * KIB
    assert await calls.length("x") == 1


@WITHIN_128_KB
async def test_90_kib_are_too_long_a_frame(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    async with world.client.connect(calls) as conn:
        closed = Ear()
        conn.on_close(closed)
        with pytest.raises(ActorError) as caught:
            await conn.actor.length("x" * 90 * KIB)
        assert caught.value.name == "message.incoming_too_long"
        await closed.wait()
        assert await conn.actor.length("x") == 1


@WITHIN_128_KB
async def test_900_kib_pass_as_an_answer(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    assert len(await calls.repeat("x" * KIB, 900)) == 900 * KIB
    async with world.client.connect(calls) as conn:
        assert len(await conn.actor.repeat("x" * KIB, 900)) == 900 * KIB


async def test_1200_kib_are_too_long_an_answer(server: ServerWorld) -> None:
    calls = server.client.get_or_create(Calls, server.key)
    with pytest.raises(ActorError) as caught:
        await calls.repeat("x" * KIB, 1200)
    assert caught.value.name == "message.outgoing_too_long"


async def test_1200_kib_are_too_long_an_answer_over_a_connection(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    async with world.client.connect(calls) as conn:
        with pytest.raises(ActorError) as caught:
            await conn.actor.repeat("x" * KIB, 1200)
        assert caught.value.name == "message.outgoing_too_long"
        assert await conn.actor.length("x") == 1
        assert conn.status == "connected"


@WITHIN_128_KB
async def test_an_event_that_is_too_long_closes_the_connection(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, JoinParams(name="ada")) as conn:
        heard, errors = Ear(), Ear()
        conn.on(Room.message, heard)
        conn.on_error(errors)
        await conn.actor.say_long(900 * KIB)
        assert len((await heard.wait())[0].text) == 900 * KIB
        talker = world.client.get_or_create(Room, world.key)
        await talker.say_long(1100 * KIB)
        assert (await errors.wait())[0].name == "message.outgoing_too_long"
        await conn.actor.say("back again")
        assert heard.heard[-1] == Message(sender="ada", text="back again")


@WITHIN_6_MB
async def test_raw_bodies_have_a_limit_of_their_own(server: ServerWorld) -> None:
    calls = server.client.get_or_create("web", server.key)
    actor_id = await server.client.resolve(calls)
    size = 20 * KIB * KIB + 1
    answer = await server.http.post(f"/gateway/{actor_id}/request/body", content=bytes(size))
    assert answer.status_code == 413
    assert answer.json()["code"] == "invalid_request_body"


async def test_parameters_have_a_limit(server: ServerWorld) -> None:
    room = server.client.get_or_create("room", server.key, params={"name": "x" * 4000})
    assert (await room.me())["name"] == "x" * 4000
    long = server.client.get_or_create("room", server.key, params={"name": "x" * 5000})
    with pytest.raises(ActorError) as caught:
        await long.me()
    assert caught.value.name == "actor.invalid_request"


async def test_an_input_too_long_for_a_url_takes_another_way(world: World) -> None:
    seed = SeedInput(name="x" * 5000)
    seeded = world.client.get_or_create(Seeded, world.key, input=seed)
    assert (await seeded.read()).made_from == seed


async def test_input_has_a_limit(server: ServerWorld) -> None:
    seed = SeedInput(name="x" * (4 * KIB * KIB + 1))
    with pytest.raises(ActorError) as caught:
        await server.client.create(Seeded, server.key, input=seed)
    assert caught.value.name == "actor.input_too_large"
    with pytest.raises(ActorError) as caught:
        await server.client.resolve(server.client.get(Seeded, server.key))
    assert caught.value.name == "actor.not_found"
