"""Raw WebSockets: frames both ways, as they are, and a close that says why."""

import asyncio

import pytest

from rivetless import ActorError
from tests.behaviour.actors.raw import Mute, Web
from tests.behaviour.cells import UNEXPLAINED_CLOSE, WITHIN_128_KB
from tests.behaviour.world import Ear, ServerWorld, World


@WITHIN_128_KB
async def test_text_and_bytes_come_back(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web, "/echo") as socket:
        assert await socket.receive() == "hello from /websocket/echo"
        for frame in ("text", "", "Ünï 💙", "x" * 100_000):
            await socket.send(frame)
            assert await socket.receive() == frame
        for data in (b"", b"\x00\x01\xff", bytes(100_000)):
            await socket.send(data)
            assert await socket.receive() == data[::-1]


async def test_frames_keep_their_order(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web) as socket:
        await socket.receive()
        for number in range(20):
            await socket.send(f"n{number}")
        assert [await socket.receive() for _ in range(20)] == [f"n{n}" for n in range(20)]
    state = await web.read()
    assert state.messages == [f"n{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/", "/websocket/"),
        ("/a/b", "/websocket/a/b"),
        ("/a?x=1&y=2", "/websocket/a?x=1&y=2"),
        ("/?token=abc", "/websocket/?token=abc"),
    ],
)
async def test_the_actor_sees_path_and_query(world: World, path: str, seen: str) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web, path) as socket:
        await socket.receive()
        await socket.send("url")
        url = await socket.receive()
        assert isinstance(url, str)
        assert url.partition("://")[2].partition("/")[2] == seen[1:]


async def test_each_has_its_own_state_and_parameters(world: World) -> None:
    ada = world.client.get_or_create(Web, world.key, params={"name": "ada"})
    bob = world.client.get_or_create(Web, world.key, params={"name": "bob"})
    async with world.client.web_socket(ada) as first, world.client.web_socket(bob) as second:
        await first.receive()
        await second.receive()
        await first.send("x")
        assert await first.receive() == "x"
        await first.send("state")
        assert await first.receive() == "ada 2"
        await second.send("state")
        assert await second.receive() == "bob 1"
        await second.send("count")
        assert await second.receive() == "2"


async def test_the_client_closes(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    socket = await world.client.web_socket(web)
    await socket.receive()
    await socket.close(4321, "bye")
    state = await world.eventually(web.read, lambda state: state.closed)
    assert (state.opened, state.closed) == (1, [4321])


@UNEXPLAINED_CLOSE
async def test_the_actor_closes(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web) as socket:
        await socket.receive()
        await socket.send("close")
        assert [frame async for frame in socket] == []
        assert (socket.close_code, socket.close_reason) == (4001, "as you wish")
    state = await world.eventually(web.read, lambda state: state.closed)
    assert len(state.closed) == 1


@UNEXPLAINED_CLOSE
async def test_a_failing_handler_closes_with_the_reason(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    for frame, reason in (("fail", "user.cannot"), ("crash", "rivetkit.internal_error")):
        async with world.client.web_socket(web) as socket:
            await socket.receive()
            await socket.send(frame)
            with pytest.raises(ActorError) as caught:
                await socket.receive()
            assert caught.value.name == reason
            assert socket.close_code == 1011
    assert (await web.read()).messages == []


@UNEXPLAINED_CLOSE
async def test_a_failing_open_closes_with_the_reason(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web, "/refuse") as socket:
        with pytest.raises(ActorError) as caught:
            await socket.receive()
        assert caught.value.name == "user.no_sockets"
        assert socket.close_code == 1011
    assert (await web.read()).opened == 0


async def test_events_do_not_reach_them(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.connect(web, None) as conn:
        heard = Ear()
        conn.on(Web.news, heard)
        await conn.actor.read()
        async with world.client.web_socket(web) as socket:
            await socket.receive()
            await socket.send("news")
            assert await socket.receive() == "told"
        assert await heard.wait() == ["to managed connections only"]


@UNEXPLAINED_CLOSE
async def test_they_are_connections_and_can_be_dropped(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    async with world.client.web_socket(web) as socket:
        await socket.receive()
        assert await web.drop_all() == 1
        assert [frame async for frame in socket] == []
        assert (socket.close_code, socket.close_reason) == (1000, "dropped")


async def test_they_outlive_the_process(world: World) -> None:
    web = world.client.get_or_create(Web, world.key, params={"name": "ada"})
    async with world.client.web_socket(web) as socket:
        await socket.receive()
        await web.doze()
        await socket.send("state")
        assert await socket.receive() == "ada 1"
        await world.forget(web)
        await socket.send("state")
        assert await socket.receive() == "ada 2"
    assert (await world.client.get_or_create(Web, world.key).read()).opened == 1


async def test_an_actor_without_a_handler_takes_them_in(world: World) -> None:
    mute = world.client.get_or_create(Mute, world.key)
    async with world.client.web_socket(mute) as socket:
        await socket.send("anybody there?")
        assert await mute.ping() == "pong"
        assert socket.close_code is None


async def test_many_at_a_time(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)

    async def talk(number: int) -> None:
        async with world.client.web_socket(web, f"/{number}") as socket:
            assert await socket.receive() == f"hello from /websocket/{number}"
            await socket.send(f"{number}")
            assert await socket.receive() == f"{number}"

    await asyncio.gather(*(talk(number) for number in range(8)))
    state = await world.eventually(web.read, lambda state: len(state.closed) == 8)
    assert state.opened == 8
    assert sorted(state.messages) == sorted(map(str, range(8)))


@WITHIN_128_KB
async def test_nothing_is_limited_to_the_size_of_managed_frames(server: ServerWorld) -> None:
    web = server.client.get_or_create(Web, server.key)
    async with server.client.web_socket(web) as socket:
        await socket.receive()
        data = bytes(900_000)
        await socket.send(data)
        assert await socket.receive() == data
