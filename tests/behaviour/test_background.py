"""Work beside the answer: ``wait_until``, ``keep_awake``."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Background
from tests.behaviour.world import Ear, RigWorld, World


async def done(background: Background) -> list[str]:
    """Return the work that was done, whether the actor has slept meanwhile or not."""
    return [work for work in await background.done() if work != "slept"]


async def test_work_is_done_after_the_answer(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.begin("tea") == "begun"
    assert await world.eventually(lambda: done(background), len) == ["tea"]


async def test_it_may_send_events(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    async with world.client.connect(background) as conn:
        heard = Ear()
        conn.on(Background.finished, heard)
        await conn.actor.begin("tea")
        assert await heard.wait() == ["tea"]


async def test_work_of_a_failing_action_is_not_begun(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    with pytest.raises(ActorError):
        await background.begin_in_vain("never")
    await background.begin("tea")
    assert await world.eventually(lambda: done(background), len) == ["tea"]


async def test_failing_work_harms_nobody(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.begin_badly() == "begun"
    assert await background.begin("tea") == "begun"
    assert await world.eventually(lambda: done(background), len) == ["tea"]


async def test_many_pieces_of_work(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    for number in range(5):
        await background.begin(str(number))
    work = await world.eventually(lambda: done(background), lambda work: len(work) == 5)
    assert sorted(work) == [str(number) for number in range(5)]


async def test_tracked_work_puts_sleep_off(rig_world: RigWorld) -> None:
    background = rig_world.client.get_or_create(Background, rig_world.key)
    assert await background.stay() == "staying"
    await rig_world.rig.advance(60)
    assert await background.done() == []
    await background.go()
    await rig_world.rest()
    await rig_world.rig.advance(60)
    await rig_world.rest()
    assert (await background.done()).count("slept") == 1


async def test_tracked_work_gives_its_result(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.think(21) == 42
    with pytest.raises(ActorError) as caught:
        await background.think(-1)
    assert caught.value.name == "user.below_zero"
