"""Where the gateway may be mounted, what it says of itself, who may use it and how often."""

from typing import Any

import pytest

from rivetless.errors import make
from rivetless.gateway.asgi import local_path
from rivetless.gateway.limits import Limits, is_loopback
from rivetless.runtime.commands import CallAction
from tests.unit.gateway.gateways import ACTOR_ID, QUERY, World, paths

ACTION = f"/gateway/counter/action/increment?{QUERY}"


@pytest.fixture
def world() -> World:
    return World()


# -- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api/rivet"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/metadata?namespace=default", 200),
        ("HEAD", "/metadata", 200),
        ("GET", "/actors?namespace=default&actor_ids=x", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/asyncapi.json", 200),
        ("POST", ACTION, 200),
        ("GET", "/nope", 404),
        ("GET", "/api", 404),
        ("POST", "/metadata", 405),
        ("POST", "/openapi.json", 405),
    ],
)
async def test_everything_is_at_the_root_and_below_the_base_path(
    world: World, prefix: str, method: str, path: str, status: int
) -> None:
    body = b"{}" if path == ACTION else b""
    reply = await world.request(method, prefix + path, body)

    assert reply.status == status
    assert reply.headers["x-rivet-ray-id"]


async def test_the_base_path_alone_greets(world: World) -> None:
    reply = await world.request("GET", "/api/rivet")

    assert reply.body == b"This is a RivetKit server.\n\nLearn more at https://rivet.dev"


async def test_what_only_begins_like_the_base_path_is_not_below_it(world: World) -> None:
    assert (await world.request("GET", "/api/rivets/health")).status == 404


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({**paths("/a/b"), "root_path": ""}, "/a/b"),
        # Starlette and Litestar: everything is said in full.
        ({**paths("/mnt/a/b"), "root_path": "/mnt"}, "/a/b"),
        # Older ones: `path` is cut, `raw_path` is not.
        ({"path": "/a/b", "raw_path": b"/mnt/a/b", "root_path": "/mnt"}, "/a/b"),
        ({"path": "/a b", "raw_path": b"/mnt/a%20b", "root_path": "/mnt"}, "/a%20b"),
        # A key with a slash in it.
        ({**paths("/m%20t/x/a%2Fb"), "root_path": "/m t"}, "/x/a%2Fb"),
        ({**paths("/x/a%2Fb/"), "root_path": ""}, "/x/a%2Fb/"),
        # No raw path at all.
        ({"path": "/mnt/é", "root_path": "/mnt"}, "/%C3%A9"),
        ({"path": "/mnt", "raw_path": b"/mnt", "root_path": "/mnt"}, "/"),
        ({"path": "/mntx", "raw_path": b"/mntx", "root_path": "/mnt"}, "/mntx"),
        ({"path": "/a//b", "raw_path": b"/a//b", "root_path": ""}, "/a//b"),
        ({"path": "/\ufffd", "raw_path": b"/%ff", "root_path": ""}, "/%ff"),
        # Litestar: cut, without a root path, and with a slash at the end that was not there.
        ({"path": "/a/b/", "raw_path": b"/mnt/a/b", "root_path": ""}, "/a/b"),
        ({"path": "/a/b/", "raw_path": b"/mnt/a%2Fb", "root_path": ""}, "/a%2Fb"),
        ({"path": "/", "raw_path": b"/mnt", "root_path": ""}, "/"),
        ({"path": "/a/", "raw_path": b"/a/", "root_path": ""}, "/a/"),
        # A path that its raw form has nothing to do with.
        ({"path": "/a b", "raw_path": b"/%63", "root_path": ""}, "/a%20b"),
    ],
)
def test_local_path(scope: Any, path: str) -> None:
    assert local_path(scope) == path


@pytest.mark.parametrize("root", ["/mnt", "/a/b", "/m t"])
async def test_mounted_below_a_prefix(world: World, root: str) -> None:
    from urllib.parse import quote

    reply = await world.request("POST", quote(root) + ACTION, b"{}", root_path=root)
    assert reply.status == 200
    reply = await world.request("GET", quote(root) + "/api/rivet/health", root_path=root)
    assert reply.status == 200


async def test_the_document_says_where_it_was_found(world: World) -> None:
    async def server(path: str, root: str = "") -> str:
        reply = await world.request("GET", path, root_path=root)
        url: str = reply.json()["servers"][0]["url"]
        return url

    assert await server("/openapi.json") == "/"
    assert await server("/api/rivet/openapi.json") == "/api/rivet"
    assert await server("/mnt/api/rivet/openapi.json", "/mnt") == "/mnt/api/rivet"


# -- what it says of itself -----------------------------------------------------------------------


async def test_metadata_is_exactly_what_the_engine_expects(world: World) -> None:
    reply = await world.request("GET", "/api/rivet/metadata")

    assert reply.body == (
        b'{"actorNames":{"chatRoom":{"metadata":{}},'
        b'"counter":{"metadata":{"icon":"hashtag","name":"Counter"}}},'
        b'"envoy":{"kind":{"serverless":{}},"version":1},"envoyProtocolVersion":8,'
        b'"runtime":"rivetkit","version":"2.3.19"}'
    )


async def test_health(world: World) -> None:
    reply = await world.request("GET", "/health")

    assert reply.json() == {"runtime": "rivetkit", "status": "ok", "version": "2.3.19"}


START = {
    "x-rivet-endpoint": "http://engine:6420",
    "x-rivet-pool-name": "default",
    "x-rivet-namespace-name": "default",
}


async def test_there_is_no_engine_to_start_for(world: World) -> None:
    reply = await world.request("POST", "/api/rivet/start", b"\x08\x00", headers=START)

    assert (reply.status, reply.error) == (501, "engine.not_served")


@pytest.mark.parametrize("missing", list(START))
async def test_start_says_which_header_is_missing(world: World, missing: str) -> None:
    headers = {name: value for name, value in START.items() if name != missing}
    reply = await world.request("POST", "/api/rivet/start", headers=headers)

    assert (reply.status, reply.error) == (400, "request.invalid")
    assert reply.json()["metadata"] == {"reason": f"{missing} header is required"}


async def test_start_knows_the_older_name_of_a_pool(world: World) -> None:
    headers = {**START, "x-rivet-runner-name": "default"}
    del headers["x-rivet-pool-name"]

    reply = await world.request("POST", "/api/rivet/start", headers=headers)

    assert reply.error == "engine.not_served"


async def test_start_takes_no_more_than_it_must(world: World) -> None:
    headers = {**START, "content-length": str(16 * 1024 * 1024 + 1)}
    reply = await world.request("POST", "/api/rivet/start", headers=headers)

    assert reply.error == "message.incoming_too_long"


# -- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ACTION, "/metadata", "/actors", "/nope"])
async def test_preflight(world: World, path: str) -> None:
    headers = {
        "origin": "https://page.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,user-agent",
    }
    reply = await world.request("OPTIONS", path, headers=headers)

    assert (reply.status, reply.body) == (204, b"")
    reply.headers.pop("x-rivet-ray-id")
    assert reply.headers == {
        "access-control-allow-origin": "https://page.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, PATCH",
        "access-control-allow-headers": "content-type,user-agent",
        "access-control-expose-headers": "*",
        "access-control-max-age": "86400",
        "vary": "Origin",
    }
    assert world.runtime.commands == []


async def test_preflight_of_nobody(world: World) -> None:
    reply = await world.request("OPTIONS", ACTION)

    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-headers"] == "*"
    assert "vary" not in reply.headers


@pytest.mark.parametrize("path", [ACTION, "/gateway/nobody/action/x", "/actors", "/metadata"])
async def test_every_answer_may_be_read(world: World, path: str) -> None:
    reply = await world.request("POST", path, b"{}", headers={"origin": "https://page.example"})

    assert reply.headers["access-control-allow-origin"] == "https://page.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["access-control-expose-headers"] == "*"
    assert reply.headers["vary"] == "Origin"


async def test_named_origins() -> None:
    world = World(origins=("https://mine.example/",))

    reply = await world.request("POST", ACTION, b"{}", headers={"origin": "https://mine.example"})
    assert reply.headers["access-control-allow-origin"] == "https://mine.example"

    reply = await world.request("POST", ACTION, b"{}")
    assert reply.status == 200
    assert "access-control-allow-origin" not in reply.headers

    reply = await world.request("OPTIONS", ACTION, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in reply.headers

    same = {"origin": "https://api.example", "host": "api.example"}
    assert (await world.request("POST", ACTION, b"{}", headers=same)).status == 200

    calls = len(world.runtime.commands)
    reply = await world.request("POST", ACTION, b"{}", headers={"origin": "https://evil.example"})
    assert (reply.status, reply.error) == (403, "auth.forbidden")
    assert len(world.runtime.commands) == calls

    peer = world.socket(
        f"/gateway/counter/connect?{QUERY}", headers={"origin": "https://evil.example"}
    )
    await peer.task
    assert peer.close == (1011, "auth.forbidden")


# -- how often ------------------------------------------------------------------------------------


async def test_requests_per_minute() -> None:
    world = World(limits=Limits(requests_per_minute=2))

    async def call(key: str = "k", client: str = "192.0.2.1") -> Any:
        path = ACTION.replace("rvt-key=k", f"rvt-key={key}")
        return await world.request("POST", path, b"{}", client=client)

    assert [(await call()).status for _ in range(2)] == [200, 200]
    await world.clock.advance(12)
    reply = await call()
    assert (reply.status, reply.error) == (429, "guard.rate_limit")
    assert reply.headers["retry-after"] == "48"
    # Others are not concerned, nor are other actors, nor those on this machine.
    assert (await call(client="192.0.2.2")).status == 200
    assert (await call(key="other")).status == 200
    assert [(await call(client="127.0.0.1")).status for _ in range(3)] == [200, 200, 200]

    peer = world.socket(f"/gateway/counter/connect?{QUERY}", client="192.0.2.1")
    await peer.task
    assert peer.close is not None
    assert peer.close[1].startswith("guard.rate_limit#")

    await world.clock.advance(49)
    assert (await call()).status == 200


async def test_requests_in_flight() -> None:
    import asyncio

    world = World(limits=Limits(in_flight=1, limit_loopback=True))
    gate = asyncio.Event()

    async def slow(command: Any) -> Any:
        await gate.wait()
        return world.runtime.usual(command)

    world.runtime.answers[CallAction] = slow
    first = asyncio.ensure_future(world.request("POST", ACTION, b"{}"))
    await asyncio.sleep(0)
    second = await world.request("POST", ACTION, b"{}")
    gate.set()

    assert second.status == 429
    assert second.headers["retry-after"] == "1"
    assert second.json()["metadata"]["reason"] == "requests in flight"
    assert (await first).status == 200
    assert (await world.request("POST", ACTION, b"{}")).status == 200


async def test_failed_requests_do_not_stay_in_flight() -> None:
    world = World(limits=Limits(in_flight=1, limit_loopback=True))
    world.runtime.fail(CallAction, make("actor.not_found"))

    for _ in range(3):
        assert (await world.request("POST", ACTION, b"{}")).status == 404


async def test_limits_can_be_switched_off() -> None:
    world = World(limits=Limits(in_flight=0, requests_per_minute=0, limit_loopback=True))

    assert (await world.request("POST", ACTION, b"{}")).status == 200


async def test_many_addresses_are_counted_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rivetless.gateway import limits

    monkeypatch.setattr(limits, "_MAX_PAIRS", 2)
    world = World(limits=Limits(requests_per_minute=2))
    for key in ("a", "b", "c", "d"):
        path = ACTION.replace("rvt-key=k", f"rvt-key={key}")
        reply = await world.request("POST", path, b"{}", client="192.0.2.1")
        assert reply.status == 200
    reply = await world.request("POST", ACTION, b"{}", client="192.0.2.1")
    assert reply.status == 429


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), (None, False)],
)
def test_loopback(host: str | None, is_it: bool) -> None:
    assert is_loopback(host) is is_it


# -- odds and ends --------------------------------------------------------------------------------


async def test_ray_ids_that_could_do_harm_are_replaced(world: World) -> None:
    for given in ("a\nb", "x" * 65, "é", ""):
        reply = await world.request("GET", "/health", headers={"x-rivet-ray-id": given})
        assert reply.headers["x-rivet-ray-id"] != given
    one = await world.request("GET", "/health")
    other = await world.request("GET", "/health")
    assert one.headers["x-rivet-ray-id"] != other.headers["x-rivet-ray-id"]


async def test_errors_of_ours_are_logged_and_masked(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.runtime.fail(CallAction, RuntimeError("secret"))

    reply = await world.request(
        "POST", ACTION, b"{}", headers={"x-rivet-ray-id": "ray-7"}, client=None
    )

    assert b"secret" not in reply.body
    assert "ray-7" in caplog.text
    assert "secret" in caplog.text


async def test_other_scopes_are_refused(world: World) -> None:
    with pytest.raises(RuntimeError, match="does not speak"):
        await world.gateway(
            {"type": "other", "path": "/", "headers": []},
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
        )


async def test_actor_ids_never_need_escaping() -> None:
    assert ACTOR_ID.isalnum()
