"""Sleep: asked for, or by itself after a while; nothing is lost and nobody notices."""

import asyncio

from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.living import Life
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.cells import IN_MEMORY, RESIDENT
from tests.behaviour.world import Ear, RigWorld, World


@IN_MEMORY
async def test_asked_for(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.read()
    await life.doze()
    lines = await world.eventually(life.read, lambda lines: lines.count("wake:life") == 2)
    assert lines.count("sleep") == 1
    assert lines[4:] == ["sleep", "migrate:False", "vars", "wake:life"]


@RESIDENT
async def test_by_itself(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.read()
    actor_id = await world.client.resolve(life)
    async with world.client.connect(world.client.get_or_create("life", world.key)) as conn:
        heard = Ear()
        conn.on("sleeping", heard)
        await conn.actor.read()
        await world.elapse(0.3, heard.wait())
    lines = await life.read()
    assert lines.count("sleep") == 1
    assert lines.count("wake:life") == 2
    assert await world.client.resolve(life) == actor_id


async def test_many_cycles_lose_nothing(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    for number in range(1, 6):
        assert await counter.increment() == number
        await counter.doze()


async def test_a_connection_does_not_notice(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, JoinParams(name="ada")) as conn:
        opened, closed = Ear(), Ear()
        conn.on_open(opened)
        conn.on_close(closed)
        await opened.wait()
        for number in range(1, 4):
            await conn.actor.doze()
            assert await conn.actor.say("still here") == number
        assert (len(opened.heard), len(closed.heard)) == (1, 0)
        log = await conn.actor.log_of_hooks()
        assert log == ["before:ada:0", "state:ada:0", "connect:ada:1"]


async def test_calls_put_it_off(rig_world: RigWorld) -> None:
    life = rig_world.client.get_or_create(Life, rig_world.key)
    for _ in range(5):
        await life.read()
        await rig_world.rig.advance(0.2)
    assert "sleep" not in await life.read()


async def test_calls_meanwhile_are_answered(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        calls = [conn.actor.increment() if n % 2 else counter.increment() for n in range(10)]
        dozes = asyncio.gather(*(counter.doze() for _ in range(3)))
        results = await world.elapse(0.1, asyncio.gather(*calls))
        await world.elapse(0.1, dozes)
        assert sorted(results) == list(range(1, 11))
        assert await conn.actor.get() == 10
