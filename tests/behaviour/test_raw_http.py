"""Raw HTTP: any request reaches ``on_request`` as it was sent, and the answer comes back as is."""

import asyncio

import pytest

from tests.behaviour.actors.raw import Mute, Web
from tests.behaviour.world import ServerWorld, World


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_methods_headers_query_and_body_arrive(world: World, method: str) -> None:
    web = world.client.get_or_create(Web, world.key)
    body = "" if method == "GET" else "some text"
    answer = await world.client.fetch(
        web, "/a/b%20c?x=1&y=%C3%A9&x=2", method=method, headers={"X-Mixed": "Case"}, body=body
    )
    assert answer.status == 200
    seen = answer.json()
    assert seen["method"] == method
    assert seen["path"] == "/a/b%20c"
    assert seen["decoded"] == "/a/b c"
    assert seen["query"] == "x=1&y=%C3%A9&x=2"
    assert ["x-mixed", "Case"] in seen["headers"]
    assert seen["body"] == body
    assert answer.header("x-custom") == "Yes"


@pytest.mark.parametrize("path", ["/", "", "/x", "x", "/x/", "//x", "/request", "/request/x"])
async def test_paths_lose_their_prefix_only(world: World, path: str) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(web, path)
    seen = answer.json()["path"]
    assert seen in {path, f"/{path}", path.replace("//", "/")}


async def test_statuses_and_bodies_pass_through(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    empty = await world.client.fetch(web, "/empty")
    assert (empty.status, empty.body) == (204, b"")
    teapot = await world.client.fetch(web, "/teapot")
    assert (teapot.status, teapot.text) == (418, "short and stout")
    away = await world.client.fetch(web, "/away")
    assert (away.status, away.header("location")) == (307, "https://example.com/")


async def test_state_changes_are_saved(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    assert (await world.client.fetch(web, "/hit", method="POST")).json() == {"hits": 1}
    again = await world.client.fetch(web, "/hit", method="POST")
    assert (again.status, again.json()) == (201, {"hits": 2})
    assert (await web.read()).hits == 2


async def test_a_stream_that_waits_is_collected_to_its_end(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(web, "/stream?hits=3", method="POST")
    assert (answer.status, answer.text) == (200, "1 2 3 ")
    assert (await web.read()).hits == 3


async def test_an_error_undoes_them(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(web, "/hit-and-fail", method="POST")
    error = answer.error()
    assert error is not None
    assert (error.name, error.metadata) == ("user.no_hit", {"path": "/hit-and-fail"})
    assert (await web.read()).hits == 0


@pytest.mark.parametrize("path", ["/crash", "/wrong"])
async def test_unexpected_errors_are_masked(world: World, path: str) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(web, path)
    assert answer.status == 500
    error = answer.error()
    assert error is not None
    assert error.name == "rivetkit.internal_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_binary_bodies_come_back_as_they_were(world: World, size: int) -> None:
    web = world.client.get_or_create(Web, world.key)
    body = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256)
    answer = await world.client.fetch(
        web, "/body", method="POST", body=body, headers={"content-type": "image/png"}
    )
    assert answer.body == body
    assert answer.header("content-type") == "image/png"


async def test_long_answers_arrive(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(web, "/large?size=2000000")
    assert answer.body == b"x" * 2_000_000


async def test_long_urls_arrive(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    value = "v" * 4000
    answer = await world.client.fetch(web, f"/long?x={value}")
    assert answer.json()["query"] == f"x={value}"


async def test_forms_and_cookies(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    answer = await world.client.fetch(
        web,
        "/form",
        method="POST",
        body="a=1&b=x+y",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.json() == {"a": "1", "b": "x y"}
    answer = await world.client.fetch(web, "/cookies", headers={"cookie": "c=3; d=4"})
    assert answer.text == "[('c', '3'), ('d', '4')]"
    cookies = [value for name, value in answer.headers if name == "set-cookie"]
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]


async def test_requests_have_a_connection(world: World) -> None:
    web = world.client.get_or_create(Web, world.key, params={"name": "ada"})
    answer = await world.client.fetch(web, "/conn")
    assert answer.json() == {"name": "ada", "params": {"name": "ada"}}


async def test_an_actor_without_a_handler_answers_404(world: World) -> None:
    mute = world.client.get_or_create(Mute, world.key)
    answer = await world.client.fetch(mute, "/anything")
    assert (answer.status, answer.body) == (404, b"")
    assert await mute.ping() == "pong"


async def test_concurrent_requests_do_not_mix(world: World) -> None:
    web = world.client.get_or_create(Web, world.key)
    answers = await asyncio.gather(
        *(world.client.fetch(web, f"/p/{number}?n={number}") for number in range(10))
    )
    assert [answer.json()["query"] for answer in answers] == [f"n={n}" for n in range(10)]


async def test_head_and_options(server: ServerWorld) -> None:
    web = server.client.get_or_create(Web, server.key)
    actor_id = await server.client.resolve(web)
    head = await server.http.head(f"/gateway/{actor_id}/request/large?size=10")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == "10"
    options = await server.http.options(
        f"/gateway/{actor_id}/request/hit",
        headers={"origin": "https://app.example", "access-control-request-headers": "x-a,x-b"},
    )
    assert options.status_code == 204
    assert options.headers["access-control-allow-origin"] == "https://app.example"
    assert options.headers["access-control-allow-headers"] == "x-a,x-b"
    assert (await web.read()).hits == 0


async def test_the_answer_says_who_gave_it(server: ServerWorld) -> None:
    web = server.client.get_or_create(Web, [server.key, "é"])
    actor_id = await server.client.resolve(web)
    answer = await server.http.get(f"/gateway/{actor_id}/request/teapot")
    assert answer.headers["x-rivet-actor"] == actor_id
    assert answer.headers["x-rivet-actor-generation"].isdigit()
    assert answer.headers["x-rivet-ray-id"]


async def test_multipart_arrives(server: ServerWorld) -> None:
    web = server.client.get_or_create(Web, server.key)
    actor_id = await server.client.resolve(web)
    answer = await server.http.post(
        f"/gateway/{actor_id}/request/body", files={"file": ("a.txt", b"hello")}
    )
    assert b'filename="a.txt"' in answer.content
    assert answer.headers["content-type"].startswith("multipart/form-data; boundary=")


async def test_chunked_bodies_arrive(server: ServerWorld) -> None:
    web = server.client.get_or_create(Web, server.key)
    actor_id = await server.client.resolve(web)

    async def chunks() -> object:
        yield b"one "
        yield b"two"

    answer = await server.http.post(f"/gateway/{actor_id}/request/body", content=chunks())  # type: ignore[arg-type]
    assert answer.content == b"one two"
