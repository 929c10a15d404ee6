"""Lifecycle: which hook runs when, and what a hook that fails does."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Fragile, Life, Slow
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import World

BORN = ["state", "create", "vars", "wake:life"]
WOKEN = ["migrate:False", "vars", "wake:life"]


async def test_birth(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    assert await life.read() == BORN
    assert await life.read() == BORN


async def test_waking_up_in_another_process(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    await life.read()
    await world.forget(life)
    life = world.client.get_or_create(Life, world.key)
    lines = await life.read()
    assert lines[:4] == BORN
    assert [line for line in lines[4:] if line != "sleep"] == WOKEN
    assert await life.read() == lines


async def test_many_handles_wake_it_once(world: World) -> None:
    for _ in range(5):
        lines = await world.new_client().get_or_create(Life, world.key).read()
    assert lines == BORN


@IN_MEMORY
async def test_hooks_around_a_connection(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    async with world.client.connect(
        world.client.get_or_create("life", world.key), {"loud": True}
    ) as conn:
        assert await conn.actor.read() == [*BORN, "connect"]
    lines = await world.eventually(life.read, lambda lines: lines[-1] == "disconnect")
    assert lines == [*BORN, "connect", "disconnect"]


@pytest.mark.parametrize("hook", ["create_state", "on_create", "create_vars", "on_wake"])
async def test_a_failing_start_is_told_and_tried_again(world: World, hook: str) -> None:
    fragile = world.client.get_or_create(Fragile, [world.key, hook])
    for _ in range(2):
        with pytest.raises(ActorError) as caught:
            await fragile.ping()
        assert caught.value.code == f"{hook}_fails"
    with pytest.raises(ActorError) as caught:
        async with world.client.connect(fragile):
            pass
    assert caught.value.code == f"{hook}_fails"


@pytest.mark.parametrize("hook", ["create_state", "on_create"])
async def test_an_actor_that_failed_to_be_born_does_not_exist(world: World, hook: str) -> None:
    key = [world.key, hook]
    with pytest.raises(ActorError):
        await world.client.get_or_create(Fragile, key).ping()
    with pytest.raises(ActorError) as caught:
        await world.elapse(3, world.client.resolve(world.client.get(Fragile, key)))
    assert caught.value.name == "actor.not_found"


@pytest.mark.parametrize("hook", ["on_disconnect", "on_sleep"])
async def test_a_failing_end_is_nobody_elses_problem(world: World, hook: str) -> None:
    key = [world.key, hook]
    fragile = world.client.get_or_create(Fragile, key)
    async with world.client.connect(fragile) as conn:
        assert await conn.actor.ping() == "pong"
    await fragile.doze()
    assert await fragile.ping() == "pong"
    await world.forget(fragile)
    assert await world.client.get_or_create(Fragile, key).ping() == "pong"


async def test_a_failing_on_destroy_does_not_save_the_actor(world: World) -> None:
    key = [world.key, "on_destroy"]
    fragile = world.client.get_or_create(Fragile, key)
    first = await world.client.resolve(fragile)
    await fragile.end()
    assert await fragile.ping() == "pong"
    assert await world.client.resolve(fragile) != first


async def test_a_hook_that_takes_too_long_times_out(world: World) -> None:
    for hook in ("on_migrate", "on_create", "create_vars", "on_wake"):
        slow = world.client.get_or_create(Slow, [world.key, hook])
        with pytest.raises(ActorError) as caught:
            await world.elapse(0.1, slow.ping())
        assert caught.value.name == "actor.callback_timed_out"


async def test_so_does_a_hook_of_a_connection(world: World) -> None:
    for hook in ("on_before_connect", "on_connect"):
        slow = world.client.get_or_create(Slow, world.key, params=[hook])
        with pytest.raises(ActorError) as caught:
            await world.elapse(0.1, slow.ping())
        assert caught.value.name == "actor.callback_timed_out"
        conn = world.client.connect(slow)
        with pytest.raises(ActorError) as caught:
            await world.elapse(0.1, conn.ready())
        assert caught.value.name == "actor.callback_timed_out"
        await conn.close()
    late = world.client.get_or_create(Slow, world.key, params=["on_disconnect"])
    assert await world.elapse(0.1, late.ping()) == "pong"
    assert await world.client.get_or_create(Slow, world.key).ping() == "pong"
