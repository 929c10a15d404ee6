"""Work beside the answer: ``wait_until``, ``keep_awake``."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.living import Background
from tests.behaviour.world import Ear, World


async def test_work_is_done_after_the_answer(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.begin("tea") == "begun"
    assert await world.eventually(background.done, len) == ["tea"]


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
    assert await world.eventually(background.done, len) == ["tea"]


async def test_failing_work_harms_nobody(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.begin_badly() == "begun"
    assert await background.begin("tea") == "begun"
    assert await world.eventually(background.done, len) == ["tea"]


async def test_many_pieces_of_work(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    for number in range(5):
        await background.begin(str(number))
    done = await world.eventually(background.done, lambda done: len(done) == 5)
    assert sorted(done) == [str(number) for number in range(5)]


async def test_tracked_work_gives_its_result(world: World) -> None:
    background = world.client.get_or_create(Background, world.key)
    assert await background.think(21) == 42
    with pytest.raises(ActorError) as caught:
        await background.think(-1)
    assert caught.value.name == "user.below_zero"
