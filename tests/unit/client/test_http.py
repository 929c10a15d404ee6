"""``HTTPTransport``: what goes over the wire, byte for byte, and what is made of the answers."""

from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64decode, urlsafe_b64decode
from typing import Any

import httpx
import pytest

from rivetless.client import Client, HTTPTransport, RetryPolicy
from rivetless.client.retry import NO_RETRIES
from rivetless.client.sockets import Socket, memory_sockets
from rivetless.errors import ActorError, ActorSpecifier
from rivetless.protocol import cbor
from rivetless.protocol.codec import EncodingName, codec_for
from rivetless.protocol.messages import (
    HttpActionRequest,
    HttpActionResponse,
    HttpError,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
)
from rivetless.testing.clock import FakeClock, settle

from .actors import ChatRoom, Counter, JoinParams, RoomInput

ENCODINGS: list[EncodingName] = ["json", "cbor", "bare"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RIVET_ENGINE", "RIVET_ENDPOINT", "RIVET_NAMESPACE", "RIVET_TOKEN", "RIVET_POOL"):
        monkeypatch.delenv(name, raising=False)


class Wire:
    """A server in httpx's stead.

    Attributes:
        requests: what came.
        answers: for each request in turn: a response, or an error to raise.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(
        self,
        endpoint: str = "http://h",
        *,
        metadata_lookup: bool = False,
        retries: RetryPolicy = NO_RETRIES,
        clock: FakeClock | None = None,
        encoding: EncodingName = "json",
        **options: Any,
    ) -> Client:
        clock = clock or FakeClock()
        transport = HTTPTransport(
            endpoint,
            metadata_lookup=metadata_lookup,
            http=self.http,
            clock=clock,
            encoding=encoding,
            **options,
        )
        return Client(transport=transport, retries=retries, clock=clock)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def output(value: object, encoding: EncodingName = "json") -> httpx.Response:
    codec = codec_for(encoding)
    return httpx.Response(
        200,
        content=codec.encode(HttpActionResponse(value)),
        headers={"content-type": codec.content_type},
    )


# -- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_action(wire: Wire, encoding: EncodingName) -> None:
    codec = codec_for(encoding)
    wire.answers = [output(8, encoding)]
    client = wire.client("http://h/api/rivet", encoding=encoding)
    assert await client.get_or_create(Counter, ["a", "b"]).increment(5) == 8
    (request,) = wire.requests
    assert request.method == "POST"
    assert str(request.url) == (
        "http://h/api/rivet/gateway/counter/action/increment?rvt-namespace=default"
        "&rvt-method=getOrCreate&rvt-runner=default&rvt-key=a%2Cb&rvt-crash-policy=sleep"
    )
    assert request.headers["x-rivet-encoding"] == encoding
    assert request.headers["content-type"] == codec.content_type
    assert request.headers["user-agent"].startswith("rivetless/")
    assert codec.decode(HttpActionRequest, request.content).message.args == [5]
    for absent in ("x-rivet-token", "x-rivet-conn-params", "idempotency-key", "authorization"):
        assert absent not in request.headers


async def test_everything_that_can_go_with_an_action(wire: Wire) -> None:
    wire.answers = [output(None), output(None), output(None)]
    client = wire.client(
        "http://my%20ns:to%2Fken@h",
        pool="workers",
        headers={"X-Own": "1", "Traceparent": "00-1", "tracestate": "x"},
    )
    handle = client.get_or_create(
        "room", "ü", input={"i": 1}, params={"t": "ü"}, region="eu", pool="special"
    )
    await client.with_options(handle, idempotency_key="once").do()
    await client.get_or_create("room").do()
    await client.get_for_id("room", "id/1").do()
    first, second, third = wire.requests
    assert first.url.query.decode() == (
        "rvt-namespace=my+ns&rvt-method=getOrCreate&rvt-runner=special&rvt-key=%C3%BC"
        "&rvt-input=oWFpAQ&rvt-region=eu&rvt-crash-policy=sleep&rvt-token=to%2Fken"
    )
    assert first.headers["x-rivet-conn-params"] == '{"t":"\\u00fc"}'
    assert first.headers["x-rivet-token"] == "to/ken"
    assert first.headers["idempotency-key"] == "once"
    assert first.headers["x-own"] == "1"
    assert not {"traceparent", "tracestate"} & set(first.headers)
    assert "rvt-runner=workers" in str(second.url)
    assert third.url.raw_path == b"/gateway/id%2F1@to%2Fken/action/do"


async def test_get_says_less(wire: Wire) -> None:
    wire.answers = [output(None)]
    await wire.client().get("room", "a").do()
    assert wire.requests[0].url.query == b"rvt-namespace=default&rvt-method=get&rvt-key=a"


async def test_an_input_too_long_for_a_url_goes_ahead_in_a_body(wire: Wire) -> None:
    wire.answers = [httpx.Response(200, json={"actor": {"actor_id": "made"}}), output(1)]
    handle = wire.client().get_or_create("room", "a", input="x" * 5000)
    assert await handle.do() == 1
    management, action = wire.requests
    assert (management.method, management.url.path) == ("PUT", "/actors")
    assert cbor.loads(b64decode(json.loads(management.content)["input"])) == "x" * 5000
    assert action.url.path == "/gateway/made/action/do"


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("as_json", [True, False])
async def test_errors_in_either_encoding(wire: Wire, encoding: EncodingName, as_json: bool) -> None:
    codec = codec_for("json" if as_json else encoding)
    actor = ActorSpecifier("id", 2, "a")
    error = HttpError("user", "no", "No.", {"hint": 1}, actor)
    wire.answers = [
        httpx.Response(
            400,
            content=codec.encode(error),
            headers={"content-type": codec.content_type, "x-rivet-ray-id": "ray1"},
        )
    ]
    with pytest.raises(ActorError) as caught:
        await wire.client(encoding=encoding).get("a").do()
    raised = caught.value
    assert (raised.name, raised.message, raised.metadata) == ("user.no", "No.", {"hint": 1})
    assert raised.actor == actor
    assert raised.__notes__ == ["ray id: ray1"]


@pytest.mark.parametrize("status", [200, 404, 502])
async def test_what_is_no_rivet_servers_answer(wire: Wire, status: int) -> None:
    wire.answers = [httpx.Response(status, text="<html>" + "x" * 1000)]
    with pytest.raises(ActorError) as caught:
        await wire.client().get("a").do()
    assert caught.value.name == "client.invalid_response"
    assert caught.value.metadata == {"status": status}
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (httpx.ConnectError("refused"), "client.connection_failed"),
        (httpx.ConnectTimeout(""), "client.connection_failed"),
        (httpx.PoolTimeout(""), "client.connection_failed"),
        (httpx.ReadError("reset"), "client.answer_lost"),
        (httpx.RemoteProtocolError("gone"), "client.answer_lost"),
        (httpx.InvalidURL("what"), "client.invalid_request"),
    ],
)
async def test_failures_of_the_network(wire: Wire, failure: Exception, name: str) -> None:
    wire.answers = [failure]
    with pytest.raises(ActorError) as caught:
        await wire.client().get("a").do()
    assert caught.value.name == name
    assert caught.value.__cause__ is failure


async def test_a_header_that_cannot_be_sent(wire: Wire) -> None:
    with pytest.raises(ActorError, match=r"client\.invalid_request"):
        await wire.client().fetch(wire.client().get("a"), headers={"x": "ü\N{SNOWMAN}"})


async def test_the_time_out_is_the_clocks() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    clock = FakeClock()
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        transport = HTTPTransport(
            "http://h", metadata_lookup=False, http=http, clock=clock, timeout=5
        )
        call = asyncio.ensure_future(Client(transport=transport, clock=clock).get("a").do())
        await settle()
        await clock.advance(5)
        with pytest.raises(ActorError) as caught:
            await call
    assert caught.value.name == "client.timed_out"


# -- queues, fetch --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_queues(wire: Wire, encoding: EncodingName) -> None:
    codec = codec_for(encoding)
    reply = codec.encode(HttpQueueSendResponse("completed", {"got": 1}))
    wire.answers = [httpx.Response(200, content=reply)] * 2
    client = wire.client(encoding=encoding)
    assert await client.send_and_wait(client.get("w"), "my jobs", [1], timeout=1.5) == {"got": 1}
    await client.send(client.get("w"), "jobs")
    waiting, plain = (
        codec.decode(HttpQueueSendRequest, request.content).message for request in wire.requests
    )
    assert wire.requests[0].url.raw_path.startswith(b"/gateway/w/queue/my%20jobs?")
    assert waiting == HttpQueueSendRequest([1], "my jobs", True, 1500)
    assert plain == HttpQueueSendRequest(None, "jobs", False, None)


async def test_fetch(wire: Wire) -> None:
    wire.answers = [
        httpx.Response(418, content=b"tea", headers=[("x-a", "1"), ("x-a", "2")]),
    ]
    client = wire.client("http://h", token="t", headers={"x-own": "1", "X-Both": "config"})
    response = await client.fetch(
        client.get("a", "k", params={"p": 1}),
        "/a b/ü%20?q=1&rvt=2",
        method="PUT",
        headers={"x-both": "own"},
        body=b"\x00",
    )
    assert (response.status, response.body) == (418, b"tea")
    assert [value for name, value in response.headers if name == "x-a"] == ["1", "2"]
    (request,) = wire.requests
    assert request.method == "PUT"
    assert request.url.raw_path == (
        b"/gateway/a/request/a%20b/%C3%BC%20"
        b"?q=1&rvt=2&rvt-namespace=default&rvt-method=get&rvt-key=k&rvt-token=t"
    )
    assert request.content == b"\x00"
    assert request.headers.get_list("x-both") == ["own"]
    assert request.headers["x-own"] == "1"
    assert request.headers["x-rivet-conn-params"] == '{"p":1}'
    assert "x-rivet-encoding" not in request.headers


async def test_a_compressed_answer_says_no_longer_that_it_is(wire: Wire) -> None:
    data = gzip.compress(b"hello")
    wire.answers = [httpx.Response(200, content=data, headers={"content-encoding": "gzip"})]
    client = wire.client()
    response = await client.fetch(client.get("a"))
    assert response.body == b"hello"
    assert response.header("content-encoding") is None


# -- management -----------------------------------------------------------------------------------


async def test_resolve_and_create(wire: Wire) -> None:
    wire.answers = [
        httpx.Response(200, json={"actors": [{"actor_id": "found"}]}),
        httpx.Response(200, json={"actor": {"actor_id": "got"}, "created": False}),
        httpx.Response(200, json={"actor": {"actor_id": "made"}}),
        output(1),
    ]
    client = wire.client("http://ns:tok@h/base", headers={"x-own": "1"})
    assert await client.resolve(client.get("room", ["a/b", "", "c"])) == "found"
    made = client.get_or_create(ChatRoom, "k", input=RoomInput(title="t"), region="eu")
    assert await client.resolve(made) == "got"
    assert await (await client.create(Counter, "k")).increment() == 1
    find, put, post, action = wire.requests
    assert find.method == "GET"
    assert dict(find.url.params) == {"name": "room", "key": r"a\/b/\0/c", "namespace": "ns"}
    assert find.headers["authorization"] == "Bearer tok"
    assert find.headers["x-own"] == "1"
    assert (put.method, put.url.path, dict(put.url.params)) == (
        "PUT",
        "/base/actors",
        {"namespace": "ns"},
    )
    body = json.loads(put.content)
    assert cbor.loads(b64decode(body.pop("input"))) == {"title": "t"}
    assert body == {
        "datacenter": "eu",
        "name": "chatRoom",
        "key": "k",
        "runner_name_selector": "default",
        "crash_policy": "sleep",
    }
    assert (post.method, json.loads(post.content)["name"]) == ("POST", "counter")
    assert action.url.path == "/base/gateway/made@tok/action/increment"


async def test_falsy_inputs_are_sent(wire: Wire) -> None:
    wire.answers = [output(1)]
    await wire.client().get_or_create("a", "k", input=0).do()
    text = wire.requests[0].url.params["rvt-input"]
    assert cbor.loads(urlsafe_b64decode(text + "==")) == 0


async def test_resolve_without_an_actor(wire: Wire) -> None:
    wire.answers = [httpx.Response(200, json={"actors": []})]
    client = wire.client()
    with pytest.raises(ActorError, match=r"actor\.not_found"):
        await client.resolve(client.get("room"))


async def test_a_key_that_another_region_has(wire: Wire) -> None:
    wire.answers = [
        httpx.Response(
            400,
            json={
                "group": "actor",
                "code": "key_reserved_in_different_datacenter",
                "message": "m",
            },
        ),
        httpx.Response(200, json={"actors": [{"actor_id": "there"}]}),
    ]
    client = wire.client()
    assert await client.resolve(client.get_or_create("room")) == "there"


async def test_errors_of_the_management_api(wire: Wire) -> None:
    duplicate = {
        "group": "actor",
        "code": "duplicate_key",
        "message": "taken",
        "metadata": {"existing_actor_id": "x"},
    }
    wire.answers = [httpx.Response(400, json=duplicate)]
    with pytest.raises(ActorError) as caught:
        await wire.client(encoding="bare").create("room")
    assert caught.value.name == "actor.duplicate_key"
    assert caught.value.metadata == {"existing_actor_id": "x"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"actor":[]}', b'{"actor":{"actor_id":1}}'])
async def test_management_answers_that_make_no_sense(wire: Wire, body: bytes) -> None:
    wire.answers = [httpx.Response(200, content=body)]
    with pytest.raises(ActorError, match=r"client\.invalid_response"):
        await wire.client().create("room")


# -- metadata -------------------------------------------------------------------------------------


async def test_metadata_is_asked_once_before_the_first_call(wire: Wire) -> None:
    wire.answers = [httpx.Response(200, json={}), output(1), output(2)]
    client = wire.client("http://n:t@h", metadata_lookup=True, headers={"x-own": "1"})
    calls = asyncio.gather(client.get("a").do(), client.get("a").do())
    assert sorted(await calls) == [1, 2]
    lookup = wire.requests[0]
    assert str(lookup.url) == "http://h/metadata?namespace=n"
    assert lookup.headers["authorization"] == "Bearer t"
    assert lookup.headers["x-own"] == "1"
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("metadata", "url", "token"),
    [
        (
            {"clientEndpoint": "http://other/x", "clientNamespace": "n2", "clientToken": "t2"},
            "http://other/x/gateway/a/action/do?rvt-namespace=n2&rvt-method=get&rvt-token=t2",
            "t2",
        ),
        (
            {"clientEndpoint": "http://other"},
            "http://other/gateway/a/action/do?rvt-namespace=n&rvt-method=get&rvt-token=t",
            "t",
        ),
        (
            {"clientNamespace": "n2", "clientToken": "t2", "clientEndpoint": None},
            "http://h/gateway/a/action/do?rvt-namespace=n&rvt-method=get&rvt-token=t",
            "t",
        ),
    ],
)
async def test_a_redirect(wire: Wire, metadata: dict[str, Any], url: str, token: str) -> None:
    wire.answers = [httpx.Response(200, json=metadata), output(1)]
    await wire.client("http://n:t@h", metadata_lookup=True).get("a").do()
    assert str(wire.requests[1].url) == url
    assert wire.requests[1].headers["x-rivet-token"] == token


async def test_a_redirect_to_nowhere(wire: Wire) -> None:
    wire.answers = [httpx.Response(200, json={"clientEndpoint": "nonsense"})]
    with pytest.raises(ActorError, match="clientEndpoint"):
        await wire.client(metadata_lookup=True).get("a").do()


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_metadata_is_used_as_it_is(wire: Wire, status: int) -> None:
    wire.answers = [httpx.Response(status), output(1)]
    assert await wire.client(metadata_lookup=True).get("a").do() == 1


@pytest.mark.parametrize(
    "bad", [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(500)]
)
async def test_a_server_that_starts_is_waited_for(
    wire: Wire, bad: httpx.Response | Exception
) -> None:
    clock = FakeClock()
    client = wire.client(metadata_lookup=True, retries=RetryPolicy(), clock=clock)
    wire.answers = [bad, bad, httpx.Response(200, json={}), output(1)]
    call = asyncio.ensure_future(client.get("a").do())
    await settle()
    await clock.advance(1)
    assert await call == 1


async def test_a_server_that_is_not_there_fails_the_call_and_is_asked_again(wire: Wire) -> None:
    clock = FakeClock()
    client = wire.client(metadata_lookup=True, retries=RetryPolicy(), clock=clock)
    wire.answers = [httpx.ConnectError("refused")] * 5
    call = asyncio.ensure_future(client.get("a").do())
    await settle()
    await clock.advance(1)
    with pytest.raises(ActorError) as caught:
        await call
    assert caught.value.name == "client.connection_failed"
    assert "http://h" in caught.value.message
    wire.answers = [httpx.Response(200, json={}), output(1)]
    assert await client.get("a").do() == 1


async def test_a_refused_lookup(wire: Wire) -> None:
    forbidden = {"group": "api", "code": "unauthorized", "message": "No."}
    wire.answers = [httpx.Response(401, json=forbidden)]
    with pytest.raises(ActorError, match=r"api\.unauthorized"):
        await wire.client(metadata_lookup=True).get("a").do()


async def test_a_lookup_survives_the_caller_who_started_it(wire: Wire) -> None:
    client = wire.client(metadata_lookup=True)
    wire.answers = [httpx.Response(200, json={}), output(1)]
    first = asyncio.ensure_future(client.get("a").do())
    await asyncio.sleep(0)
    first.cancel()
    assert await client.get("a").do() == 1
    assert [request.url.path for request in wire.requests] == ["/metadata", "/gateway/a/action/do"]


# -- sockets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_what_a_socket_offers(
    wire: Wire, encoding: EncodingName, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, list[str]]] = []

    async def open_socket(self: object, url: str, subprotocols: list[str]) -> Socket:
        opened.append((url, subprotocols))
        return memory_sockets()[0]

    monkeypatch.setattr("rivetless.client.network.Network.open_socket", open_socket)
    client = wire.client("https://ns:t@h/base", encoding=encoding, headers={"x-own": "1"})
    room = client.get(ChatRoom, "k")
    conn = client.connect(room, JoinParams(token="ü"))
    conn.start()
    await settle()
    await conn.close()
    await client.web_socket(client.get_for_id("a", "id"), "chat room?x=1")
    assert opened == [
        (
            "wss://h/base/gateway/chatRoom/connect"
            "?rvt-namespace=ns&rvt-method=get&rvt-key=k&rvt-token=t",
            [
                "rivet",
                f"rivet_encoding.{encoding}",
                "rivet_conn_params.%7B%22token%22%3A%22%5Cu00fc%22%7D",
            ],
        ),
        (
            "wss://h/base/gateway/id@t/websocket/chat%20room?x=1",
            ["rivet", "rivet_encoding.bare"],
        ),
    ]


def test_the_default_encoding() -> None:
    assert HTTPTransport("http://h").encoding == "bare"
    assert HTTPTransport("http://h").retries == RetryPolicy()
