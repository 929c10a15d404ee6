"""Two people in a room."""

from collections.abc import Callable

import pytest

from examples.chat import client
from examples.chat.app import (
    LONGEST,
    REMEMBERED,
    ChatRoom,
    Directory,
    JoinParams,
    Message,
    Typing,
)
from rivetless import ActorError, Client
from rivetless.testing.rig import Rig


# --8<-- [start:two]
async def test_everybody_sees_a_message(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby")
    async with (
        rig.client.connect(room, JoinParams(name="Ann")) as ann,
        rig.client.connect(room, JoinParams(name="Bob")) as bob,
    ):
        heard = bob.events(ChatRoom.new_message)
        said = await ann.actor.send_message("  hello  ")
        assert said.author == "Ann"
        assert await anext(heard) == said
        assert (await bob.actor.snapshot()).messages == [said]


# --8<-- [end:two]


async def test_presence(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby")
    seen: list[str] = []
    async with rig.client.connect(room, JoinParams(name="Ann")) as ann:
        ann.on(ChatRoom.joined, lambda member: seen.append(f"+{member.name}"))
        ann.on(ChatRoom.left, lambda member: seen.append(f"-{member.name}"))
        assert [member.name for member in (await ann.actor.snapshot()).members] == ["Ann"]
        async with rig.client.connect(room, JoinParams(name=" Bob ")) as bob:
            members = (await bob.actor.snapshot()).members
            assert sorted(member.name for member in members) == ["Ann", "Bob"]
        await rig.settle()
        assert seen == ["+Bob", "-Bob"]
        assert [member.name for member in (await ann.actor.snapshot()).members] == ["Ann"]


async def test_typing_reaches_the_others_and_is_not_stored(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby")
    async with (
        rig.client.connect(room, JoinParams(name="Ann")) as ann,
        rig.client.connect(room, JoinParams(name="Bob")) as bob,
    ):
        own: list[Typing] = []
        ann.on(ChatRoom.typing, own.append)
        heard = bob.events(ChatRoom.typing)
        await ann.actor.set_typing(True)
        assert await anext(heard) == Typing(name="Ann", active=True)
        await rig.settle()
        assert own == []


async def test_a_service_posts_without_a_connection(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby", params=JoinParams(name="build bot"))
    assert (await room.send_message("It is green.")).author == "build bot"


@pytest.mark.parametrize(
    ("text", "code"), [("   ", "empty_message"), ("x" * (LONGEST + 1), "message_too_long")]
)
async def test_what_cannot_be_said(rig: Rig, text: str, code: str) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby", params=JoinParams(name="Ann"))
    with pytest.raises(ActorError) as refused:
        await room.send_message(text)
    assert (refused.value.group, refused.value.code) == ("user", code)
    assert (await room.snapshot()).messages == []


async def test_a_name_is_needed(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby", params={"name": "  "})
    with pytest.raises(ActorError) as refused:
        await room.snapshot()
    assert refused.value.code == "validation_error"


async def test_old_messages_are_forgotten(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby", params=JoinParams(name="Ann"))
    for number in range(REMEMBERED + 2):
        await room.send_message(str(number))
    messages: list[Message] = (await room.snapshot()).messages
    assert len(messages) == REMEMBERED
    assert messages[0].id == 3


async def test_rooms_are_listed(rig: Rig) -> None:
    directory = rig.client.get_or_create(Directory)
    for name in ("lobby", "garden", "lobby"):
        await rig.client.get_or_create(ChatRoom, name, params=JoinParams(name="Ann")).snapshot()
    assert await directory.rooms() == ["garden", "lobby"]


async def test_connections_outlive_the_process(rig: Rig) -> None:
    room = rig.client.get_or_create(ChatRoom, "lobby")
    async with rig.client.connect(room, JoinParams(name="Ann")) as ann:
        rig.restart()
        said = await ann.actor.send_message("still here")
        assert said.author == "Ann"


async def test_over_the_network(
    serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = serve("examples.chat.app:registry")
    await client.main("Ann", "hello", endpoint, stay=0.2)
    async with Client(endpoint) as other:
        room = other.get(ChatRoom, "lobby", params=JoinParams(name="Bob"))
        assert [message.text for message in (await room.snapshot()).messages] == ["hello"]
    out = capsys.readouterr().out
    assert "Ann: hello" in out
    assert "here: Ann" in out
