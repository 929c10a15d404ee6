"""Sockets: hostile offers, frames that cannot be read. Accepted, then closed with the reason."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from socket import SHUT_RDWR
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.adversity.conftest import Target
from tests.adversity.test_bodies import BARE, CBOR

pytestmark = pytest.mark.timeout(60)


def open_socket(target: Target, path: str, *offer: str) -> ClientConnection:
    """Open a socket with any subprotocols."""
    url = target.server.endpoint.replace("http", "ws") + path
    return connect(
        url,
        subprotocols=[Subprotocol(token) for token in offer] or None,
        compression=None,
        proxy=None,
        max_size=None,
    )


def closing(socket: ClientConnection) -> tuple[int, str]:
    """Read until the server closes, and return how."""
    closed: ConnectionClosed | None = None
    while closed is None:
        try:
            socket.recv(timeout=10)
        except ConnectionClosed as error:
            closed = error
    assert closed.rcvd is not None
    return closed.rcvd.code, closed.rcvd.reason.partition("#")[0]


Connected = Callable[[str], AbstractContextManager[ClientConnection]]


@pytest.fixture
def connected(target: Target) -> Connected:
    """Opens managed connections to the counter."""

    @contextmanager
    def open_one(encoding: str) -> Iterator[ClientConnection]:
        offer = ("rivet", f"rivet_encoding.{encoding}")
        with open_socket(target, target.url("/connect"), *offer) as socket:
            assert socket.subprotocol == "rivet"
            init = socket.recv(timeout=10)
            assert isinstance(init, str) is (encoding == "json")
            yield socket

    return open_one


JSON_FRAMES = [
    "",
    "{",
    "nonsense",
    "null",
    "[]",
    "{}",
    '{"body":5}',
    '{"body":{}}',
    '{"body":{"tag":"Nope","val":{}}}',
    '{"body":{"tag":"ActionRequest"}}',
    '{"body":{"tag":"ActionRequest","val":{}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":"x","name":"get","args":[]}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":-1,"name":"get","args":[]}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":1.5,"name":"get","args":[]}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":1,"name":5,"args":[]}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","99999999999999999999999"],"name":"get"}}}',
    '{"body":{"tag":"ActionRequest","val":{"id":1,"name":"get","args":[["$Nope",1]]}}}',
    '{"body":{"tag":"SubscriptionRequest","val":{}}}',
    '{"body":{"tag":"SubscriptionRequest","val":{"eventName":5,"subscribe":true}}}',
    '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"x","subscribe":"yes"}}}',
    '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"","subscribe":true}}}',
    '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"'
    + "x" * 300
    + '","subscribe":true}}}',
    '{"body":{"tag":"Init","val":{"actorId":"a","connectionId":"b"}}}',
    '{"body":' + "[" * 5_000 + "]" * 5_000 + "}",
    '{"body":{"tag":"ActionRequest","val":{"id":1,"name":"get","args":["\\ud800"]}}}',
]


def test_malformed_json(connected: Connected) -> None:
    for frame in JSON_FRAMES:
        with connected("json") as socket:
            socket.send(frame)
            assert closing(socket) == (1011, "actor.invalid_request"), frame[:80]


def test_malformed_cbor(connected: Connected) -> None:
    for frame in CBOR:
        with connected("cbor") as socket:
            socket.send(frame)
            assert closing(socket) == (1011, "actor.invalid_request"), frame[:80]


def test_malformed_bare(connected: Connected) -> None:
    more = [
        b"",
        b"\x04\x00\x02",
        b"\x04\x00\xff",
        b"\x04\x00\x00\x00\xff\xff",
        b"\x04\x00\x01\x01x\x02",
    ]
    for frame in [*BARE, *more]:
        with connected("bare") as socket:
            socket.send(frame)
            assert closing(socket) == (1011, "actor.invalid_request"), frame[:80]


def test_frames_of_the_wrong_kind(connected: Connected) -> None:
    with connected("bare") as socket:
        socket.send('{"body":{"tag":"ActionRequest","val":{"id":1,"name":"get","args":[]}}}')
        assert closing(socket) == (1011, "actor.invalid_request")
    with connected("cbor") as socket:
        socket.send("text")
        assert closing(socket) == (1011, "actor.invalid_request")
    with connected("json") as socket:
        socket.send(b"\xff\xfe")
        assert closing(socket) == (1011, "actor.invalid_request")


@pytest.mark.parametrize("encoding", ["json", "cbor", "bare"])
def test_oversize(connected: Connected, encoding: str) -> None:
    with connected(encoding) as socket:
        socket.send("x" * 70_000 if encoding == "json" else b"x" * 70_000)
        assert closing(socket) == (1011, "message.incoming_too_long")


def test_wrong_actions_fail_and_the_connection_goes_on(connected: Connected) -> None:
    with connected("json") as socket:
        for number, (name, args) in enumerate(
            [("nope", []), ("increment", ["text"]), ("increment", [1, 2]), ("_turn", []), ("", [])]
        ):
            val = {"id": ["$BigInt", str(number)], "name": name, "args": args}
            socket.send(json.dumps({"body": {"tag": "ActionRequest", "val": val}}))
            body = json.loads(socket.recv(timeout=10))["body"]
            assert body["tag"] == "Error", body
            assert body["val"]["actionId"] == ["$BigInt", str(number)]
            assert body["val"]["code"] in ("action_not_found", "validation_error")
        val = {"id": 99, "name": "get", "args": []}
        socket.send(json.dumps({"body": {"tag": "ActionRequest", "val": val}}))
        body = json.loads(socket.recv(timeout=10))["body"]
        assert body["val"] == {"id": ["$BigInt", "99"], "output": 3}


BAD_OFFERS = [
    (("rivet", "rivet_encoding.yaml"), 1003, "actor.unsupported_websocket_encoding"),
    (("rivet", "rivet_encoding."), 1003, "actor.unsupported_websocket_encoding"),
    (("rivet", "rivet_encoding.JSON"), 1003, "actor.unsupported_websocket_encoding"),
    (("rivet", "rivet_conn_params.%zz"), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params.%ff"), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params.%7B"), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params."), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params.nonsense"), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params." + "%5B" * 1_200), 1011, "actor.invalid_request"),
    (("rivet", "rivet_conn_params.%22" + "x" * 4_200 + "%22"), 1011, "actor.invalid_request"),
]


@pytest.mark.parametrize(("offer", "code", "reason"), BAD_OFFERS, ids=lambda value: str(value)[:50])
def test_hostile_offers(target: Target, offer: tuple[str, ...], code: int, reason: str) -> None:
    for subpath in ("/connect", "/websocket/x"):
        if subpath == "/websocket/x" and code == 1003:
            continue
        actor = "counter" if subpath == "/connect" else "web"
        with open_socket(target, target.url(subpath, actor), *offer) as socket:
            assert socket.subprotocol == "rivet"
            assert closing(socket) == (code, reason), offer


def test_odd_offers_that_will_do(target: Target) -> None:
    for offer in (
        ("rivet",),
        ("rivet", "rivet_encoding.json", "rivet_encoding.yaml"),
        ("rivet_encoding.json", "rivet"),
        ("rivet", "rivet_encoding.json", "rivet_nope.x", "other", "x" * 1_000),
        ("rivet", "rivet_test_ack_hook.5"),
        ("rivet", "rivet_target.actor"),
        ("rivet", "rivet_target.nobody", "rivet_actor."),
        ("rivet", f"rivet_conn_params.{quote(json.dumps({'a': '💙'}))}"),
    ):
        with open_socket(target, target.url("/connect"), *offer) as socket:
            assert socket.subprotocol == "rivet"
            assert "Init" in str(socket.recv(timeout=10)), offer


def test_no_offer_at_all(target: Target) -> None:
    with open_socket(target, target.url("/connect")) as socket:
        assert socket.subprotocol is None
        assert "Init" in str(socket.recv(timeout=10))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "guard.no_route"),
        ("/nope", "guard.no_route"),
        ("/gateway/", "guard.no_route"),
        ("/gateway/x/connect?rvt-nope=1", "guard.query_invalid_params"),
        ("/gateway/nonsense/connect", "actor.not_found"),
        ("/gateway/%ff/connect", "actor.invalid_request"),
        (f"/gateway/{'0' * 30}/websocket", "actor.not_found"),
        ("/metadata", "guard.no_route"),
        ("/actors?namespace=default", "guard.no_route"),
    ],
)
def test_nowhere(target: Target, path: str, reason: str) -> None:
    with open_socket(target, path, "rivet", "rivet_encoding.json") as socket:
        assert closing(socket) == (1011, reason)


def test_unknown_sockets_of_an_actor(target: Target) -> None:
    for subpath in ("/", "/nope", "/connect/x", "/action/get", "/websocketx"):
        path = f"/gateway/{target.actor_id}{subpath}"
        with open_socket(target, path, "rivet") as socket:
            assert closing(socket) == (1011, "actor.not_found"), subpath
    path = f"/gateway/{target.actor_id}/inspector/connect"
    with open_socket(target, path, "rivet") as socket:
        assert closing(socket)[0] == 1011


def test_missing_target_tokens(target: Target) -> None:
    for offer in (
        ("rivet", "rivet_target.actor"),
        ("rivet", "rivet_target.nobody", "rivet_actor.x"),
        ("rivet", "rivet_target.actor", "rivet_actor."),
        ("rivet", "rivet_target.actor", "rivet_actor." + "%" * 10),
        ("rivet", "rivet_target.actor", "rivet_actor." + "0" * 30),
    ):
        with open_socket(target, "/connect", *offer) as socket:
            code, reason = closing(socket)
            assert code == 1011, offer
            assert reason.partition(".")[0] in ("guard", "actor"), offer


def test_a_client_that_vanishes(target: Target, connected: Connected) -> None:
    for _ in range(5):
        with connected("json") as socket:
            val = {"id": 1, "name": "get"}
            socket.send(json.dumps({"body": {"tag": "ActionRequest", "val": val}}))
            socket.socket.shutdown(SHUT_RDWR)
