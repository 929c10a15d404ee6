"""Errors: what callers are told, what they are not told, and that nothing breaks."""

from typing import Any

import pytest

from rivetless import ActorError
from rivetless.errors import INTERNAL_MESSAGE
from tests.behaviour.actors.calling import Failing
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.world import Ear, World

CASES: list[tuple[str, str, str, Any]] = [
    ("simple", "user.user_error", "Something is wrong.", None),
    (
        "detailed",
        "user.bad_name",
        "Bad name.",
        {"field": "name", "limits": [1, 2], "nested": {"deep": True}},
    ),
    ("internal", "rivetkit.internal_error", INTERNAL_MESSAGE, None),
    ("grouped", "billing.card_declined", INTERNAL_MESSAGE, None),
    ("forbidden", "auth.forbidden", "Only for admins.", {"role": "guest"}),
]
EACH = pytest.mark.parametrize(("action", "name", "message", "metadata"), CASES)


def check(error: ActorError, name: str, message: str, metadata: object) -> None:
    assert error.name == name
    assert error.message == message
    assert error.metadata == metadata


@EACH
async def test_of_calls(
    world: World, action: str, name: str, message: str, metadata: object
) -> None:
    failing = world.client.get_or_create(Failing, world.key)
    with pytest.raises(ActorError) as caught:
        await getattr(failing, action)()
    check(caught.value, name, message, metadata)
    assert await failing.works() == "fine"


@EACH
async def test_of_calls_over_a_connection(
    world: World, action: str, name: str, message: str, metadata: object
) -> None:
    failing = world.client.get_or_create(Failing, world.key)
    async with world.client.connect(failing) as conn:
        with pytest.raises(ActorError) as caught:
            await getattr(conn.actor, action)()
        check(caught.value, name, message, metadata)
        assert await conn.actor.works() == "fine"
        assert conn.status == "connected"


@pytest.mark.parametrize(
    ("refuse", "name", "message", "metadata"),
    [
        ("user", "user.not_welcome", "You are not welcome.", {"who": "ada"}),
        ("state", "user.no_seat", "No seat for you.", None),
        ("connect", "user.thrown_out", "Thrown out.", None),
        ("crash", "rivetkit.internal_error", INTERNAL_MESSAGE, None),
    ],
)
async def test_of_connecting(
    world: World, refuse: str, name: str, message: str, metadata: object
) -> None:
    room = world.client.get_or_create(Room, world.key)
    params = JoinParams(name="ada", refuse=refuse)
    conn = world.client.connect(room, params)
    errors = Ear()
    conn.on_error(errors)
    with pytest.raises(ActorError) as caught:
        await conn.ready()
    check(caught.value, name, message, metadata)
    assert [error.name for error in errors.heard] == [name]
    assert conn.status == "idle"
    await conn.close()
    # The same for a call without a connection.
    refused = world.client.get_or_create(Room, world.key, params=params)
    with pytest.raises(ActorError) as caught:
        await refused.me()
    check(caught.value, name, message, metadata)


async def test_pending_calls_of_a_refused_connection_fail(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    conn = world.client.connect(room, JoinParams(name="ada", refuse="user"))
    with pytest.raises(ActorError) as caught:
        await conn.actor.me()
    assert caught.value.name == "user.not_welcome"
    await conn.close()
