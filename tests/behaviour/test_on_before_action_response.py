"""``on_before_action_response``: changes a result on its way out."""

import pytest

from rivetless import ActorError
from tests.behaviour.actors.calling import Answering
from tests.behaviour.world import World


async def test_it_may_leave_it_as_it_is(world: World) -> None:
    assert await world.client.get_or_create(Answering, world.key).plain() == "plain"


async def test_it_may_replace_it(world: World) -> None:
    wanted = {"name": "wrapped", "args": [4], "output": 8}
    answering = world.client.get_or_create(Answering, world.key)
    assert await answering.wrapped(4) == wanted
    async with world.client.connect(answering) as conn:
        assert await conn.actor.wrapped(4) == wanted


async def test_its_errors_fail_the_action(world: World) -> None:
    answering = world.client.get_or_create(Answering, world.key)
    with pytest.raises(ActorError) as caught:
        await answering.refused("ada")
    assert caught.value.name == "user.withheld"


async def test_it_does_not_see_failures(world: World) -> None:
    answering = world.client.get_or_create(Answering, world.key)
    with pytest.raises(ActorError) as caught:
        await answering.failing()
    assert caught.value.name == "user.no_answer"
