"""Actions, queues, raw requests and an actor's own routes, over HTTP."""

from typing import Any

import pytest

from rivetless.errors import ActorError, ActorSpecifier, UserError, make
from rivetless.gateway.http import ACTOR_VERSION
from rivetless.keys import Address
from rivetless.protocol.signatures import call_parts, sign
from rivetless.runtime.commands import (
    ActionResult,
    ById,
    ByKey,
    CallAction,
    GetActor,
    RawRequest,
    RawResponse,
    SendMessage,
    SendResult,
)
from tests.unit.gateway.gateways import ACTOR_ID, QUERY, World

ACTION = f"/gateway/counter/action/increment?{QUERY}"
RAW = f"/gateway/counter/request/a%20b?x=1&{QUERY}"

# Byte by byte what the protocol's section 4.3 has on the wire.
ENCODINGS = [
    ("json", b'{"args":[5]}', b'{"output":10}', "application/json"),
    (
        "cbor",
        bytes.fromhex("b9000164617267738105"),
        bytes.fromhex("a1666f75747075740a"),
        "application/octet-stream",
    ),
    ("bare", bytes.fromhex("0400028105"), bytes.fromhex("0400010a"), "application/octet-stream"),
]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("encoding", "body", "answer", "content_type"), ENCODINGS)
async def test_action(
    world: World, encoding: str, body: bytes, answer: bytes, content_type: str
) -> None:
    reply = await world.request("POST", ACTION, body, headers={"x-rivet-encoding": encoding})

    assert (reply.status, reply.body) == (200, answer)
    assert reply.headers["content-type"] == content_type
    assert reply.headers["content-length"] == str(len(answer))
    assert reply.headers["x-rivet-actor"] == ACTOR_ID
    assert reply.headers["x-rivet-actor-key"] == "k"
    assert reply.headers["x-rivet-actor-generation"] == "1"
    (command,) = world.runtime.commands
    assert command.target == ByKey(Address("default", "counter", ("k",)), create=True)
    assert (command.action, command.args) == ("increment", [5])


async def test_action_in_chunks_without_a_length(world: World) -> None:
    reply = await world.request("POST", ACTION, [b'{"ar', b'gs":', b"[5]}", b""])

    assert reply.status == 200
    assert world.runtime.commands[0].args == [5]


async def test_answers_repeat_the_version_of_a_bare_request(world: World) -> None:
    body = bytes.fromhex("0300028105")
    reply = await world.request("POST", ACTION, body, headers={"x-rivet-encoding": "bare"})

    assert reply.body == bytes.fromhex("0300010a")


@pytest.mark.parametrize(
    ("body", "args"),
    [
        (b'{"args":null}', []),
        (b"{}", []),
        (b'{"args":7}', [7]),
        (b"", []),
        (b'{"args":[["$BigInt","5"]]}', [5]),
    ],
)
async def test_arguments_are_normalised(world: World, body: bytes, args: list[Any]) -> None:
    reply = await world.request("POST", ACTION, body)

    assert reply.status == 200
    assert world.runtime.commands[0].args == args


async def test_actors_are_found_by_id_too(world: World) -> None:
    await world.request("POST", f"/gateway/{ACTOR_ID}@secret/action/increment", b"{}")

    assert world.runtime.commands[0].target == ById(None, ACTOR_ID)


async def test_names_in_snake_case_are_understood(world: World) -> None:
    await world.request("POST", f"/gateway/chat_room/action/say?{QUERY}", b"{}")

    assert world.runtime.commands[0].target.address.name == "chatRoom"


async def test_the_action_sees_its_request(world: World) -> None:
    headers = {"authorization": "Bearer t", "x-rivet-conn-params": '{"a":"é"}'}
    await world.request(
        "POST", f"/gateway/counter/action/increment?x=1&{QUERY}", b"{}", headers=headers
    )

    origin = world.runtime.commands[0].origin
    assert origin.params == {"a": "é"}
    assert origin.request.method == "POST"
    assert origin.request.url == "http://127.0.0.1/action/increment?x=1"
    assert origin.request.headers == ((b"authorization", b"Bearer t"),)


@pytest.mark.parametrize(
    ("failure", "status", "body"),
    [
        (
            UserError("bad thing", code="my_code", metadata={"a": 1}),
            400,
            {"group": "user", "code": "my_code", "message": "bad thing", "metadata": {"a": 1}},
        ),
        (
            ActorError("actor", "callback_timed_out", "on_wake took too long", {"hook": "on_wake"}),
            500,
            {
                "group": "actor",
                "code": "callback_timed_out",
                "message": "An internal error occurred",
            },
        ),
        (
            RuntimeError("the password is hunter2"),
            500,
            {
                "group": "rivetkit",
                "code": "internal_error",
                "message": "An internal error occurred",
            },
        ),
        (
            ActorError("auth", "forbidden", "No.", actor=ActorSpecifier(ACTOR_ID, 1, "k")),
            403,
            {
                "actor": {"actorId": ACTOR_ID, "generation": 1, "key": "k"},
                "group": "auth",
                "code": "forbidden",
                "message": "No.",
            },
        ),
    ],
)
async def test_failures(world: World, failure: Exception, status: int, body: Any) -> None:
    world.runtime.fail(CallAction, failure)

    reply = await world.request("POST", ACTION, b"{}", headers={"x-rivet-ray-id": "ray-1"})

    assert (reply.status, reply.json()) == (status, body)
    assert reply.headers["x-rivet-error"] == f"{body['group']}.{body['code']}"
    assert reply.headers["x-rivet-ray-id"] == "ray-1"


async def test_failures_in_bare(world: World) -> None:
    world.runtime.fail(CallAction, UserError("bad thing", code="my_code", metadata={"a": 1}))

    body = bytes.fromhex("04000180")
    reply = await world.request("POST", ACTION, body, headers={"x-rivet-encoding": "bare"})

    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.body == (
        bytes.fromhex("0400") + b"\x04user\x07my_code\x09bad thing\x01\x04\xa1aa\x01" + b"\x00"
    )


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("json", b"{"),
        ("json", b"\xff\xfe"),
        ("json", b"[1]"),
        ("json", b"[" * 10_000),
        ("cbor", b"\xff"),
        ("cbor", b"\x81" * 10_000),
        ("bare", b"\x09\x00\x01\x80"),
        ("bare", b"\x04\x00\xff"),
    ],
)
async def test_malformed_bodies(world: World, encoding: str, body: bytes) -> None:
    reply = await world.request("POST", ACTION, body, headers={"x-rivet-encoding": encoding})

    assert reply.status == 400
    assert reply.headers["x-rivet-error"] == "actor.invalid_request"
    assert world.runtime.commands == []


async def test_a_body_that_is_announced_too_long_is_not_read(world: World) -> None:
    reply = await world.request(
        "POST", ACTION, [b"x" * 40_000] * 10, headers={"content-length": "400000"}
    )

    assert (reply.status, reply.error) == (400, "message.incoming_too_long")
    assert reply.json()["metadata"] == {"limit": 65536, "size": 400000}
    assert world.unread == 10


async def test_a_body_that_grows_too_long_is_not_kept(world: World) -> None:
    reply = await world.request("POST", ACTION, [b"x" * 40_000] * 10)

    assert reply.error == "message.incoming_too_long"
    assert world.unread == 8


async def test_results_that_are_too_long(world: World) -> None:
    world.runtime.answers[CallAction] = lambda command: ActionResult("x" * 2**20, ACTOR_ID, ())

    reply = await world.request("POST", ACTION, b"{}")

    assert (reply.status, reply.error) == (400, "message.outgoing_too_long")


async def test_results_that_have_no_form_are_masked(world: World) -> None:
    world.runtime.answers[CallAction] = lambda command: ActionResult(object(), ACTOR_ID, ())

    reply = await world.request("POST", ACTION, b"{}")

    assert (reply.status, reply.error) == (500, "rivetkit.internal_error")


async def test_a_client_that_hangs_up_gets_nothing(world: World) -> None:
    reply = await world.request("POST", ACTION, [])

    assert reply.status == 0
    assert world.runtime.commands == []


async def test_keys_that_no_header_can_hold(world: World) -> None:
    world.runtime.answers[CallAction] = lambda command: ActionResult(
        1, ACTOR_ID, ("a\r\nb: c", "é")
    )

    reply = await world.request("POST", ACTION, b"{}")

    assert reply.headers["x-rivet-actor-key"] == "a%0D%0Ab%3A%20c/%C3%A9"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/gateway/nobody/action/x?" + QUERY, 404, "actor.not_registered"),
        ("/gateway/counter/nope?" + QUERY, 404, "actor.not_found"),
        ("/gateway/counter/action/a/b?" + QUERY, 404, "actor.not_found"),
        ("/gateway/counter/inspector/state?" + QUERY, 404, "actor.not_found"),
        ("/gateway/counter/metrics?" + QUERY, 405, "actor.method_not_allowed"),
        ("/gateway/counter/action/%ff?" + QUERY, 400, "actor.invalid_request"),
        ("/gateway/%ff/action/x?" + QUERY, 400, "guard.query_invalid_percent_encoding"),
        ("/gateway//action/x?" + QUERY, 404, "guard.no_route"),
        ("/gateway/", 404, "guard.no_route"),
        ("/gateway/counter/action/x?rvt-nope=1", 400, "guard.query_invalid_params"),
        (f"/gateway/counter/action/x?{QUERY}&rvt-key=2", 400, "guard.query_duplicate_param"),
        (f"/gateway/counter@t/action/x?{QUERY}", 400, "guard.query_path_token_syntax"),
        (f"/gateway/counter/action/x?{QUERY}&rvt-input=!", 400, "guard.query_invalid_base64_input"),
        (f"/gateway/counter/action/x?{QUERY}{'x' * 200}", 400, "actor.key_too_large"),
        (
            "/gateway/counter/action/x?rvt-method=get&rvt-namespace=%00",
            400,
            "actor.invalid_request",
        ),
    ],
)
async def test_requests_that_lead_nowhere(world: World, path: str, status: int, error: str) -> None:
    reply = await world.request("POST", path, b"{}", headers={"x-rivet-encoding": "bare"})

    # In JSON, whatever encoding was asked for.
    assert (reply.status, reply.error) == (status, error)
    assert reply.headers["x-rivet-error"] == error
    assert world.runtime.commands == []


@pytest.mark.parametrize("params", ["{", "x" * 4097, '"' + "é" * 2100 + '"'])
async def test_parameters_that_cannot_be_read(world: World, params: str) -> None:
    reply = await world.request("POST", ACTION, b"{}", headers={"x-rivet-conn-params": params})

    assert (reply.status, reply.error) == (400, "actor.invalid_request")


# -- who calls ------------------------------------------------------------------------------------


async def test_idempotency_key(world: World) -> None:
    await world.request("POST", ACTION, b"{}", headers={"idempotency-key": "order-7"})

    assert world.runtime.commands[0].origin.call_key == "i:order-7"


@pytest.mark.parametrize("key", ["", "x" * 257, "a\x01b"])
async def test_idempotency_keys_that_are_none(world: World, key: str) -> None:
    reply = await world.request("POST", ACTION, b"{}", headers={"idempotency-key": key})

    assert (reply.status, reply.error) == (400, "actor.invalid_request")


SECRET = b"a secret of sixteen"


def signed(world: World, *, secret: bytes = SECRET, ttl: float = 30.0, path: str = ACTION) -> Any:
    chain = '["counter[a]@t1"]'
    token = sign(
        secret,
        "call",
        call_parts("POST", path, "key-1", chain),
        nonce="1",
        expires_at=world.clock.now() + ttl,
    )
    return {
        "x-rivetless-call-key": "key-1",
        "x-rivetless-chain": chain,
        "x-rivetless-signature": token,
        "idempotency-key": "other",
    }


async def test_calls_of_actors_are_believed_if_signed(world: World) -> None:
    world.gateway.trust(SECRET)
    await world.request("POST", ACTION, b"{}", headers=signed(world))

    origin = world.runtime.commands[0].origin
    assert (origin.call_key, origin.chain) == ("a:key-1", ("counter[a]@t1",))


@pytest.mark.parametrize(
    "change",
    [
        {"secret": b"another secret of sixteen"},
        {"ttl": -1.0},
        {"ttl": 3600.0},
        {"path": "/gateway/other/action/increment"},
    ],
)
async def test_calls_of_actors_are_ignored_if_not(world: World, change: Any) -> None:
    world.gateway.trust(SECRET)
    await world.request("POST", ACTION, b"{}", headers=signed(world, **change))

    origin = world.runtime.commands[0].origin
    assert (origin.call_key, origin.chain) == ("i:other", ())


async def test_nobody_is_believed_without_a_secret(world: World) -> None:
    await world.request("POST", ACTION, b"{}", headers=signed(world))

    assert world.runtime.commands[0].origin.chain == ()


# -- raw requests ---------------------------------------------------------------------------------


async def test_raw_request(world: World) -> None:
    headers = {"cookie": "a=b", "x-rivet-conn-params": "1", "x-rivet-token": "t"}
    reply = await world.request("PATCH", RAW, b"\x00body", headers=headers)

    assert (reply.status, reply.body) == (200, b"hi")
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["x-rivet-actor"] == ACTOR_ID
    assert reply.headers["access-control-allow-origin"] == "*"
    request = world.runtime.commands[0].origin.request
    assert (request.method, request.url) == ("PATCH", "http://127.0.0.1/a%20b?x=1")
    assert request.body == b"\x00body"
    assert request.headers == ((b"cookie", b"a=b"), (b"x-rivet-token", b"t"))
    assert world.runtime.commands[0].origin.params == 1


@pytest.mark.parametrize(("path", "seen"), [("", "/"), ("/", "/"), ("/x/y", "/x/y")])
async def test_raw_paths(world: World, path: str, seen: str) -> None:
    await world.request("GET", f"/gateway/counter/request{path}?{QUERY}")

    assert world.runtime.commands[0].origin.request.url == f"http://127.0.0.1{seen}"


async def test_the_original_url_is_what_the_actor_sees(world: World) -> None:
    headers = {"x-rivet-internal-original-request-url": "https://example.com/z?y=1"}
    await world.request("GET", RAW, headers=headers)

    request = world.runtime.commands[0].origin.request
    assert request.url == "https://example.com/z?y=1"
    assert request.headers == ()


async def test_raw_requests_routed_by_header(world: World) -> None:
    headers = {"x-rivet-target": "actor", "x-rivet-actor": ACTOR_ID}
    reply = await world.request("GET", "/request/x?y=1", headers=headers)

    assert reply.status == 200
    assert world.runtime.commands[0].target == ById(None, ACTOR_ID)
    assert world.runtime.commands[0].origin.request.url == "http://127.0.0.1/x?y=1"


@pytest.mark.parametrize("path", ["/metadata", "/health", "/action/x", "/inspector/summary"])
async def test_other_paths_are_not_routed_by_header(world: World, path: str) -> None:
    headers = {"x-rivet-target": "actor", "x-rivet-actor": ACTOR_ID}
    reply = await world.request("GET", path, headers=headers)

    assert (reply.status, reply.error) == (404, "guard.no_route")


def respond(status: int, *headers: tuple[str, str], body: bytes = b"hi") -> Any:
    return lambda command: RawResponse(status, headers, body, ACTOR_ID, ("k",))


async def test_raw_answers_keep_their_headers(world: World) -> None:
    world.runtime.answers[RawRequest] = respond(
        201,
        ("Set-Cookie", "a=b"),
        ("Content-Length", "99"),
        ("Transfer-Encoding", "chunked"),
        ("Access-Control-Allow-Origin", "https://mine"),
    )
    reply = await world.request("GET", RAW, headers={"origin": "https://theirs"})

    assert reply.status == 201
    assert reply.headers["set-cookie"] == "a=b"
    assert reply.headers["content-length"] == "2"
    assert reply.headers["access-control-allow-origin"] == "https://mine"
    assert "transfer-encoding" not in reply.headers


async def test_raw_answers_without_a_body(world: World) -> None:
    world.runtime.answers[RawRequest] = respond(204, body=b"")
    assert "content-length" not in (await world.request("DELETE", RAW)).headers

    world.runtime.answers[RawRequest] = respond(200)
    reply = await world.request("HEAD", RAW)
    assert (reply.headers["content-length"], reply.body) == ("2", b"")


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (respond(200, ("x-a", "b\r\nset-cookie: c=d")), 500, "rivetkit.internal_error"),
        (respond(99), 500, "rivetkit.internal_error"),
        (respond(200, body=b"x" * 101), 502, "guard.invalid_response_body"),
    ],
)
async def test_raw_answers_that_cannot_be_sent(answer: Any, status: int, error: str) -> None:
    from rivetless.gateway.limits import Limits

    world = World(limits=Limits(body=100))
    world.runtime.answers[RawRequest] = answer
    reply = await world.request("GET", RAW)

    assert (reply.status, reply.error) == (status, error)


async def test_raw_bodies_that_are_too_long() -> None:
    from rivetless.gateway.limits import Limits

    world = World(limits=Limits(body=100))
    reply = await world.request("POST", RAW, b"x" * 101)

    assert (reply.status, reply.error) == (413, "guard.invalid_request_body")


# -- what every actor answers ---------------------------------------------------------------------


async def test_own_routes(world: World) -> None:
    metadata = await world.request("GET", f"/gateway/counter/metadata?{QUERY}")
    assert metadata.json() == {"runtime": "rivetkit", "type": "local", "version": ACTOR_VERSION}
    assert metadata.headers["referrer-policy"] == "no-referrer"

    health = await world.request("GET", f"/gateway/counter/health?{QUERY}")
    assert (health.body, health.headers["content-type"]) == (b"ok", "text/plain; charset=utf-8")

    root = await world.request("GET", f"/gateway/counter?{QUERY}")
    assert root.body == b"This is an RivetKit actor.\n\nLearn more at https://rivetkit.org"
    assert len(world.runtime.of(GetActor)) == 3


async def test_own_routes_of_an_actor_that_is_not_there(world: World) -> None:
    world.runtime.fail(GetActor, make("actor.not_found"))

    reply = await world.request("GET", f"/gateway/{ACTOR_ID}/health")

    assert (reply.status, reply.error) == (404, "actor.not_found")


async def test_sends_to_queues(world: World) -> None:
    world.runtime.answers[SendMessage] = lambda command: SendResult(
        "completed", {"got": 1}, ACTOR_ID, ()
    )
    body = bytes.fromhex("040006b90001616a02 01046a6f6273 0101 01b80b000000000000")
    reply = await world.request(
        "POST", f"/gateway/counter/queue/jobs?{QUERY}", body, headers={"x-rivet-encoding": "bare"}
    )

    assert reply.status == 200
    assert reply.body == bytes.fromhex("0400 09636f6d706c65746564 01 06a163676f7401")
    (command,) = world.runtime.of(SendMessage)
    assert (command.queue, command.body, command.wait, command.timeout) == (
        "jobs",
        {"j": 2},
        True,
        3.0,
    )
