"""What API Gateway's events say of sockets, and what CloudFront's function makes of URLs."""

import json
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from rivetless.errors import ActorError
from rivetless.hosts.aws_lambda.websocket import (
    MAX_URL,
    Connect,
    Disconnect,
    Frame,
    SocketMessage,
    accepted,
    message_of,
    read_message,
    stage_query,
    write_message,
)
from rivetless.protocol.headers import Subprotocols
from rivetless.protocol.targets import ByKey, GatewayRequest, parse_gateway, parse_socket_target

ROOT = Path(__file__).parents[4]
EVENTS = ROOT / "tests/events"
REWRITE = ROOT / "infra/cloudfront/rewrite.js"
VECTORS = json.loads((ROOT / "infra/cloudfront/vectors.json").read_text())
CID = "Cbm5xfjKFiACFKw="
LIFE = "3m2a1y1fsi4k286dhd0yiynz9ahirs"


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"websocket_{name}.json").read_text())
    return found


# -- events ---------------------------------------------------------------------------------------


def test_a_connect_says_which_actor_it_is_for() -> None:
    message = message_of(event("connect"))
    assert isinstance(message, Connect)
    assert (message.conn_id, message.at) == (CID, 1_700_000_000.0)
    offer = message.offer()
    assert (offer.encoding, offer.params) == ("json", {"name": "bob"})
    request = message.request(offer)
    assert request.target == ByKey("hall", ("a",), create=True, pool="default")
    assert (request.namespace, request.subpath, request.query) == ("default", "/connect", "")


def test_the_one_subprotocol_is_answered() -> None:
    message = message_of(event("connect"))
    assert isinstance(message, Connect)
    answer = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "rivet"}}
    assert accepted(message) == answer
    assert accepted(Connect(CID, {}, {"sec-websocket-protocol": "chat"}, 0.0)) == {
        "statusCode": 200
    }
    assert accepted(Connect(CID, {}, {}, 0.0)) == {"statusCode": 200}


def test_headers_and_parameters_that_come_once_are_enough() -> None:
    found = event("connect")
    del found["multiValueHeaders"], found["multiValueQueryStringParameters"]
    assert message_of(found) == message_of(event("connect"))


def test_a_message_is_a_frame() -> None:
    message = message_of(event("message"))
    assert isinstance(message, Frame)
    assert (message.conn_id, message.frame_id, message.unordered) == (CID, "Cbm5_HuGFiAFRSQ=", True)
    assert json.loads(message.text)["body"]["val"]["args"] == ["hällo"]


def test_a_body_may_be_base64() -> None:
    found = event("message") | {"body": "aGk=", "isBase64Encoded": True}
    message = message_of(found)
    assert isinstance(message, Frame)
    assert message.text == "hi"


def test_a_message_may_be_empty() -> None:
    found = event("message")
    del found["body"]
    message = message_of(found)
    assert isinstance(message, Frame)
    assert message.data == b""


def test_half_of_a_character_is_no_text() -> None:
    message = message_of(event("message") | {"body": "\ud800"})
    assert isinstance(message, Frame)
    with pytest.raises(ActorError, match=r"message\.invalid_utf8"):
        assert message.text


def test_frames_have_numbers_of_their_own() -> None:
    numbers = {Frame(CID, f"r{number}", b"", 0.0).number for number in range(100)}
    assert len(numbers) == 100
    assert Frame(CID, "r", b"a", 0.0).number == Frame(CID, "r", b"b", 1.0).number


def test_a_disconnect_says_how_it_ended() -> None:
    assert message_of(event("disconnect")) == Disconnect(CID, 1000, "Disposed")
    found = event("disconnect")
    del found["requestContext"]["disconnectStatusCode"]
    found["requestContext"]["disconnectReason"] = None
    assert message_of(found) == Disconnect(CID, 1005, "")


_BAD_ID: list[Any] = [None, "", 7, "é", "x" * 129]
_BAD_TIME: list[Any] = [None, "now", True, []]
_SPOILED: list[tuple[str, str, list[Any]]] = [
    ("connect", "requestContext.connectionId", _BAD_ID),
    ("connect", "requestContext.requestTimeEpoch", _BAD_TIME),
    ("connect", "multiValueHeaders", [1, {"a": [1]}]),
    ("connect", "multiValueQueryStringParameters", ["x", {"a": {}}]),
    ("message", "requestContext.connectionId", _BAD_ID),
    ("message", "requestContext.requestTimeEpoch", _BAD_TIME),
    ("message", "requestContext.requestId", [None, "", 1]),
    ("message", "body", [1, {}, []]),
    ("disconnect", "requestContext.connectionId", _BAD_ID),
    ("disconnect", "requestContext.disconnectStatusCode", ["x", -1, 5000, True]),
    ("disconnect", "requestContext.disconnectReason", [1]),
]


def spoiled() -> list[tuple[str, str, Any]]:
    return [(kind, where, value) for kind, where, values in _SPOILED for value in values]


@pytest.mark.parametrize(("kind", "where", "value"), spoiled())
def test_malformed_events_are_refused(kind: str, where: str, value: Any) -> None:
    found = deepcopy(event(kind))
    *folders, name = where.split(".")
    place = found
    for folder in folders:
        place = place[folder]
    place[name] = value
    with pytest.raises(ActorError, match=r"actor\.invalid_request"):
        message_of(found)


# -- our own messages -----------------------------------------------------------------------------

MESSAGES: list[SocketMessage] = [
    Connect(CID, {"a": ("1", "2")}, {"host": "x"}, 1_700_000_000.5),
    Frame(CID, "r", "hällo".encode(), 1_700_000_000.0),
    Frame(CID, "r", b"", 1_700_000_000.0, unordered=True, tries=3),
    Disconnect(CID, 1000, "Disposed"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_go_through_a_queue(message: SocketMessage) -> None:
    assert read_message(json.loads(json.dumps(write_message(message)))) == message


CONNECT = write_message(MESSAGES[0])
FRAME = write_message(MESSAGES[1])
DISCONNECT = write_message(MESSAGES[3])


def without(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    "document",
    [
        without(FRAME, "connection"),
        FRAME | {"connection": 1},
        FRAME | {"connection": "a\0b"},
        without(FRAME, "request"),
        FRAME | {"request": ["r"]},
        without(FRAME, "data"),
        FRAME | {"data": "&&&"},
        FRAME | {"data": "aGk"},
        FRAME | {"data": "hä"},
        without(FRAME, "at"),
        FRAME | {"at": "now"},
        FRAME | {"tries": "many"},
        FRAME | {"rivetless": "fame"},
        without(CONNECT, "at"),
        CONNECT | {"query": []},
        CONNECT | {"query": {"a": 1}},
        CONNECT | {"headers": "x"},
        CONNECT | {"headers": {"a": ["x"]}},
        without(DISCONNECT, "connection"),
        DISCONNECT | {"code": "1000"},
        DISCONNECT | {"reason": {}},
    ],
)
def test_malformed_messages_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ActorError, match=r"actor\.invalid_request"):
        read_message(document)


def test_messages_may_leave_out_what_has_a_meaning_without() -> None:
    assert read_message({"rivetless": "disconnect", "connection": CID}) == Disconnect(CID, 1005, "")
    found = read_message({"rivetless": "connect", "connection": CID, "at": 0})
    assert found == Connect(CID, {}, {}, 0.0)


# -- URLs, the whole way: CloudFront, API Gateway, us ---------------------------------------------


def url_of(vector: dict[str, Any]) -> str:
    return str(vector["url"]) + "x" * int(vector.get("pad", 0))


def expected(vector: dict[str, Any], *, rebuilt: bool = False) -> str:
    query = str(vector.get("rebuilt", vector["query"]) if rebuilt else vector["query"])
    return query if "refused" in query else query + "x" * int(vector.get("pad", 0))


def ids(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def viewer_request(url: str, *, upgrade: str | None = "websocket") -> dict[str, Any]:
    """Return a URL the way CloudFront tells a function of it."""
    path, _, query = url.partition("?")
    parameters: dict[str, dict[str, Any]] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name in parameters:
            parameters[name].setdefault("multiValue", [{"value": parameters[name]["value"]}])
            parameters[name]["multiValue"].append({"value": value})
        else:
            parameters[name] = {"value": value}
    headers = {"host": {"value": "d111111abcdef8.cloudfront.net"}}
    if upgrade is not None:
        headers["upgrade"] = {"value": upgrade}
    return {"method": "GET", "uri": path, "querystring": parameters, "headers": headers}


_DRIVER = """
const source = require('fs').readFileSync(process.argv[1], 'utf8');
const handler = new Function(source + '; return handler;')();
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const answers = asked.map(({request, raw}) => {
    if (raw !== null) { request.rawQueryString = () => raw; }
    return handler({version: '1.0', context: {eventType: 'viewer-request'}, request});
});
process.stdout.write(JSON.stringify(answers));
"""


def rewrite(*asked: tuple[dict[str, Any], str | None]) -> list[dict[str, Any]]:
    """Run CloudFront's function under Node.js."""
    given = json.dumps([{"request": request, "raw": raw} for request, raw in asked])
    done = subprocess.run(
        ["node", "-e", _DRIVER, str(REWRITE)],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def query_of(request: dict[str, Any]) -> str:
    return "&".join([f"{name}={one['value']}" for name, one in request["querystring"].items()])


@pytest.mark.node
def test_cloudfront_moves_the_url_into_the_query() -> None:
    urls = [url_of(vector) for vector in VECTORS]
    asked = [(viewer_request(url), url.partition("?")[2]) for url in urls]
    answers = rewrite(*asked)
    assert {answer["uri"] for answer in answers} == {"/live"}
    assert [query_of(answer) for answer in answers] == [expected(vector) for vector in VECTORS]
    assert all(len(query_of(answer)) <= MAX_URL + len("rivetless-url=") for answer in answers)


@pytest.mark.node
def test_cloudfront_can_do_without_the_raw_query() -> None:
    answers = rewrite(*[(viewer_request(url_of(vector)), None) for vector in VECTORS])
    wanted = [expected(vector, rebuilt=True) for vector in VECTORS]
    assert [query_of(answer) for answer in answers] == wanted


@pytest.mark.node
@pytest.mark.parametrize("upgrade", [None, "h2c"])
def test_what_is_no_socket_gets_an_answer(upgrade: str | None) -> None:
    request = viewer_request("/gateway/x/request/connect", upgrade=upgrade)
    (answer,) = rewrite((request, ""))
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "no_route"


@pytest.mark.node
def test_cloudfront_refuses_what_cannot_be_encoded() -> None:
    (answer,) = rewrite((viewer_request("/gateway/\ud800/connect"), ""))
    assert query_of(answer) == "rivetless-refused=url_too_long"


@pytest.mark.parametrize("vector", VECTORS, ids=ids)
def test_we_write_the_same_query(vector: dict[str, Any]) -> None:
    assert stage_query(url_of(vector)) == expected(vector)


def understood(path: str, query: str, offer: Subprotocols) -> GatewayRequest | str | None:
    """Read a URL as the ASGI gateway does."""
    try:
        return parse_gateway(path, query) or parse_socket_target(offer, path, query)
    except ActorError as error:
        return error.name


OFFERS = [Subprotocols(), Subprotocols(target="actor", actor=LIFE, token="t")]


@pytest.mark.parametrize("offer", OFFERS, ids=["by-url", "by-subprotocols"])
@pytest.mark.parametrize("vector", VECTORS, ids=ids)
def test_the_url_is_understood_as_any_gateway_would(
    vector: dict[str, Any], offer: Subprotocols
) -> None:
    path, _, query = url_of(vector).partition("?")
    wanted = understood(path, query, offer) or "guard.no_route"
    if "refused" in vector["query"]:
        wanted = "guard.query_invalid_params"
    found = event("connect")
    # API Gateway shows parameters decoded.
    found["multiValueQueryStringParameters"] = parse_qs(
        expected(vector), keep_blank_values=True, strict_parsing=True
    )
    message = message_of(found)
    assert isinstance(message, Connect)
    got: GatewayRequest | str
    try:
        got = message.request(offer)
    except ActorError as error:
        got = error.name
    assert got == wanted


def test_without_cloudfront_subprotocols_say_the_actor() -> None:
    message = Connect(CID, {"q": ("1", "a b&c"), "flag": ("",)}, {}, 0.0)
    request = message.request(OFFERS[1])
    assert (request.subpath, request.query) == ("/connect", "q=1&q=a+b%26c&flag=")
    with pytest.raises(ActorError, match=r"guard\.no_route"):
        message.request(OFFERS[0])
