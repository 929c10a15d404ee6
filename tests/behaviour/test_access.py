"""Access: the request behind a connection, and refusals over every way in."""

import pytest

from rivetless import ActorError
from rivetless.client import SocketClosed
from tests.behaviour.actors.meeting import JoinParams, Requested, Room
from tests.behaviour.actors.raw import Web
from tests.behaviour.cells import UNEXPLAINED_CLOSE
from tests.behaviour.world import ServerWorld, World


async def test_hooks_see_the_request_of_a_call(server: ServerWorld) -> None:
    url = "/gateway/requested/action/read?rvt-namespace=default&rvt-method=getOrCreate"
    url += f"&rvt-runner=default&rvt-key={server.key}"
    answer = await server.http.post(url, json={"args": []}, headers={"x-tracking": "T1"})
    assert answer.json() == {"output": ["before:T1", "connect:T1"]}


async def test_hooks_see_the_upgrade_of_a_connection(server: ServerWorld) -> None:
    requested = server.client.get_or_create(Requested, server.key)
    async with server.client.connect(requested) as conn:
        assert await conn.actor.read() == ["before:None", "connect:None"]
        assert await conn.actor.path() is None or (await conn.actor.path() or "").startswith("/")


async def test_a_header_can_be_the_key(server: ServerWorld) -> None:
    url = "/gateway/requested/action/path?rvt-namespace=default&rvt-method=getOrCreate"
    url += f"&rvt-runner=default&rvt-key={server.key}"
    headers = {"x-rivet-conn-params": '{"token":"required"}', "authorization": "Bearer good"}
    answer = await server.http.post(url, json={"args": []}, headers=headers)
    assert answer.json() == {"output": "/action/path"}
    headers["authorization"] = "Bearer bad"
    answer = await server.http.post(url, json={"args": []}, headers=headers)
    assert answer.json()["code"] == "unauthorised"
    assert answer.json()["group"] == "user"


async def test_parameters_reach_the_actor_as_they_are(world: World) -> None:
    for params in ({"a": [1, None, "é"]}, [1], "text", 5, False):
        requested = world.client.get_or_create(Requested, world.key, params=params)
        assert await requested.params() == params
        async with world.client.connect(requested) as conn:
            assert await conn.actor.params() == params or not params
    assert await world.client.get_or_create(Requested, world.key).params() is None


async def test_actions_are_not_gated_by_the_framework(world: World) -> None:
    room = world.client.get_or_create(Room, world.key, params=JoinParams(name="anybody"))
    assert (await room.me())["name"] == "anybody"


async def test_raw_requests_can_be_refused(world: World) -> None:
    web = world.client.get_or_create(Web, world.key, params={"deny": "forbidden"})
    answer = await world.client.fetch(web, "/hit")
    assert answer.status == 403
    assert answer.json()["code"] == "forbidden"
    web = world.client.get_or_create(Web, world.key, params={"deny": "user"})
    answer = await world.client.fetch(web, "/hit")
    assert not answer.ok
    error = answer.error()
    assert error is not None
    assert (error.name, error.metadata) == ("user.stay_out", {"door": "front"})
    web = world.client.get_or_create(Web, world.key)
    assert (await web.read()).hits == 0


@UNEXPLAINED_CLOSE
async def test_raw_sockets_can_be_refused(world: World) -> None:
    web = world.client.get_or_create(Web, world.key, params={"deny": "forbidden"})
    async with world.client.web_socket(web, "/x") as socket:
        with pytest.raises((ActorError, SocketClosed)) as caught:
            await socket.receive()
        assert isinstance(caught.value, ActorError)
        assert caught.value.name == "auth.forbidden"
        assert (socket.close_code, socket.close_reason) == (1011, "auth.forbidden")
    web = world.client.get_or_create(Web, world.key)
    assert (await web.read()).opened == 0
