"""HTTP in the four shapes of AWS: the same requests, the same answers."""

import json
import re
import sys
from base64 import b64decode, b64encode
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from rivetless import Actor, action
from rivetless.gateway.limits import Limits
from rivetless.hosts.aws_lambda.http import MAX_ANSWER
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.protocol.codec import CBOR
from rivetless.protocol.messages import HttpActionRequest
from tests.unit.hosts.aws_lambda.functions import Context, Counter, Function, MakeFunction, recorded

SHAPES = [
    "alb",
    "alb_multi",
    "function_url",
    "http_api_v1",
    "http_api_v2",
    "http_api_v2_stage",
    "rest_api_v1",
]


class Raw(Actor):
    """Answers what it is asked for."""

    @action
    async def long(self, characters: int) -> str:
        return "é" * characters

    async def on_request(self, request: Request) -> Response:
        if request.url.path.endswith("/binary"):
            return Response(bytes(range(256)), media_type="application/octet-stream")
        if request.url.path.endswith("/cookies"):
            response = Response("", headers={"x-umlaut": "\xe4"})
            response.set_cookie("a", "1")
            response.set_cookie("b", "2")
            return response
        if request.url.path.endswith("/large"):
            return Response(b"\xff" * 5_000_000, media_type="application/octet-stream")
        told = {"path": request.url.path, "body": (await request.body()).hex()}
        told["client"] = request.client.host if request.client else ""
        return Response(json.dumps(told), media_type="application/json")


def get(name: str, path: str, **headers: str) -> dict[str, Any]:
    """Return a recorded event as a GET for another path."""
    event = recorded(name)
    event["body"] = None
    context = event["requestContext"]
    if "http" in context:
        stage = "" if context["stage"] == "$default" else "/" + context["stage"]
        event["rawPath"] = context["http"]["path"] = stage + path
        context["http"]["method"] = "GET"
    else:
        event["path"], event["httpMethod"] = path, "GET"
    for name, value in {"content-length": "0", **headers}.items():
        if "headers" in event:
            event["headers"][name] = value
        if "multiValueHeaders" in event:
            event["multiValueHeaders"][name] = [value]
    return event


def header(answer: dict[str, Any], name: str) -> str | None:
    one = {k.lower(): v for k, v in answer.get("headers", {}).items()}.get(name)
    many = answer.get("multiValueHeaders", {}).get(name)
    found: str | None = one if one is not None else (many or [None])[-1]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_an_action_is_called_and_answered(shape: str, function: Function) -> None:
    answer = function(recorded(shape))
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"output": 2})
    assert answer["isBase64Encoded"] is False
    assert header(answer, "content-type") == "application/json"
    assert len(header(answer, "x-rivet-actor") or "") == 30
    assert function.metrics["EventKind"] == "http"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_binary_encoding_goes_both_ways(shape: str, function: Function) -> None:
    event = recorded(shape)
    body = CBOR.encode(HttpActionRequest([3]))
    event |= {"body": b64encode(body).decode(), "isBase64Encoded": True}
    for place in ("headers", "multiValueHeaders"):
        if place in event:
            cbor: Any = "cbor" if place == "headers" else ["cbor"]
            length: Any = str(len(body)) if place == "headers" else [str(len(body))]
            event[place] |= {"x-rivet-encoding": cbor, "content-length": length}
    answer = function(event)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert b"output" in b64decode(answer["body"])


@pytest.mark.parametrize("shape", SHAPES)
def test_raw_answers_keep_their_bytes_and_cookies(shape: str, make_function: MakeFunction) -> None:
    function = make_function(Raw)
    answer = function(get(shape, "/gateway/raw/request/binary"))
    assert b64decode(answer["body"]) == bytes(range(256))
    answer = function(get(shape, "/gateway/raw/request/cookies"))
    cookies = answer.get("cookies") or answer.get("multiValueHeaders", {}).get("set-cookie")
    if cookies is None:  # a load balancer takes repeated headers in one way only
        cookies = [v for k, v in answer["headers"].items() if k.lower() == "set-cookie"]
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]
    assert header(answer, "x-umlaut") == "\xe4"


@pytest.mark.parametrize("shape", ["function_url", "alb", "alb_multi"])
def test_what_is_encoded_in_a_path_stays_so(shape: str, make_function: MakeFunction) -> None:
    event = get(shape, "/gateway/raw/request/a%2Fb%20c")
    assert "/a%2Fb%20c" in make_function(Raw)(event)["body"]


@pytest.mark.parametrize(
    ("host", "shape"),
    [(host, shape) for host in ("[2001:db8::1]:8443", "::1", "a:b:c", "") for shape in SHAPES],
)
def test_any_host_will_do(host: str, shape: str, function: Function) -> None:
    event = recorded(shape)
    for place in ("headers", "multiValueHeaders"):
        for name in [name for name in event.get(place, ()) if name.lower() == "host"]:
            event[place][name] = host if place == "headers" else [host]
    assert function(event)["statusCode"] == 200


def test_a_client_behind_a_load_balancer_cannot_pass_for_another(
    make_function: MakeFunction,
) -> None:
    # The event says that the client claims to be this machine, which might administer.
    event = get("alb", "/actors")
    event["queryStringParameters"] = {"namespace": "default", "name": "counter"}
    assert make_function()(event)["statusCode"] == 401


def test_a_load_balancer_may_ask_for_health(function: Function) -> None:
    event = get("alb", "/health")
    event |= {"queryStringParameters": {}, "headers": {"user-agent": "ELB-HealthChecker/2.0"}}
    assert function(event)["statusCode"] == 200


def test_a_load_balancer_s_client_is_the_one_that_it_saw(make_function: MakeFunction) -> None:
    function = make_function(limits=Limits(requests_per_minute=1))
    event = recorded("alb")
    statuses = []
    for claimed in ("1.1.1.1", "2.2.2.2"):
        event["headers"]["x-forwarded-for"] = f"{claimed}, 72.12.164.125"
        statuses.append(function(event)["statusCode"])
    assert statuses == [200, 429]


def test_as_many_requests_are_taken_as_are_let_through(function: Function) -> None:
    event = get("function_url", "/gateway/counter/health")
    assert {function(event)["statusCode"] for _ in range(1300)} == {200}


def test_the_invocation_s_id_is_the_ray_id_unless_the_client_has_one(function: Function) -> None:
    event = recorded("function_url")
    assert header(function(event), "x-rivet-ray-id") == Context.aws_request_id
    event["headers"]["x-rivet-ray-id"] = "mine"
    assert header(function(event), "x-rivet-ray-id") == "mine"


def test_a_custom_domain_s_path_comes_before_ours(make_function: MakeFunction) -> None:
    function = make_function(root_path="/v1")
    answer = function(get("http_api_v2", "/v1/gateway/counter/health"))
    assert answer["statusCode"] == 200


@pytest.mark.parametrize("shape", SHAPES)
def test_the_base_path_serves_metadata(shape: str, make_function: MakeFunction) -> None:
    endpoint = "https://d111111abcdef8.cloudfront.net"
    function = make_function(settings=Settings(public_endpoint=endpoint))
    metadata = json.loads(function(get(shape, "/api/rivet/metadata"))["body"])
    assert metadata["clientEndpoint"] == endpoint
    assert metadata["webSocketEncodings"] == ["json"]
    assert metadata["envoy"]["kind"] == {"serverless": {}}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_socket_is_shown_the_way(shape: str, function: Function) -> None:
    event = get(shape, "/gateway/counter/connect", upgrade="websocket")
    answer = function(event)
    assert (answer["statusCode"], header(answer, "x-rivet-error")) == (404, "guard.no_route")
    assert "WebSocket API" in answer["body"]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_that_lambda_would_refuse_is_refused(
    shape: str, make_function: MakeFunction
) -> None:
    function = make_function(Raw)
    event = get(shape, "/gateway/raw/request/large", origin="https://app.example.com")
    answer = function(event)
    error = json.loads(answer["body"])
    assert header(answer, "x-rivet-error") == "message.outgoing_too_long"
    assert error["metadata"]["limit"] <= MAX_ANSWER < error["metadata"]["size"]
    assert header(answer, "access-control-allow-origin") == "https://app.example.com"
    assert len(json.dumps(answer)) < 10_000


def test_a_long_text_is_measured_as_lambda_sends_it(make_function: MakeFunction) -> None:
    function = make_function(Raw)
    event = recorded("function_url")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/gateway/raw/action/long"
    event["body"] = json.dumps({"args": [100_000]})
    event["headers"]["content-length"] = str(len(event["body"]))
    assert function(event)["statusCode"] == 200


MALFORMED: list[tuple[str, str, dict[str, Any]]] = [
    ("http that is no object", "function_url", {"requestContext": {"http": 5}}),
    ("http without a method", "function_url", {"requestContext": {"http": {"path": "/"}}}),
    ("no version", "function_url", {"version": None}),
    ("headers that are a list", "function_url", {"headers": []}),
    ("a header without a value", "function_url", {"headers": {"x": None}}),
    ("a body that is no base64", "function_url", {"body": "%%%", "isBase64Encoded": True}),
    ("a body that is an object", "function_url", {"body": {"args": []}}),
    ("a body that is a number", "rest_api_v1", {"body": 5}),
    ("half of a character", "function_url", {"body": "\ud800"}),
    ("a port that is none", "rest_api_v1", {"multiValueHeaders": {"x-forwarded-port": ["x"]}}),
    ("a path that is null", "http_api_v1", {"path": None, "resource": None}),
    ("a path that is a number", "alb", {"path": 5}),
    ("a method that is null", "alb", {"httpMethod": None}),
    ("no headers", "alb", {"headers": None}),
    ("a query that is a text", "alb", {"queryStringParameters": "a=b"}),
    ("a query that is a list", "rest_api_v1", {"multiValueQueryStringParameters": [1]}),
    ("cookies that are numbers", "function_url", {"cookies": [1]}),
    ("a query string that is a number", "function_url", {"rawQueryString": 5}),
]


@pytest.mark.parametrize(
    ("shape", "change"),
    [(shape, change) for _, shape, change in MALFORMED],
    ids=[name for name, _, _ in MALFORMED],
)
def test_a_malformed_request_is_answered_and_logged(
    shape: str, change: dict[str, Any], function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    answer = function(recorded(shape) | change)
    assert 200 <= answer["statusCode"] < 500
    if answer["statusCode"] != 200:
        assert json.loads(answer["body"])["message"]
        name = header(answer, "x-rivet-error") or ""
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
        assert (name == "request.invalid") == bool(caplog.records)
    assert function(recorded(shape))["statusCode"] == 200


def test_a_failure_of_the_store_is_told_in_http(make_function: MakeFunction) -> None:
    answer = make_function(store="nonsense:")(recorded("function_url"))
    assert (answer["statusCode"], header(answer, "x-rivet-error")) == (
        503,
        "guard.service_unavailable",
    )


def test_a_missing_package_is_told_in_http(
    function: Function, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "mangum", None)
    assert function(recorded("function_url"))["statusCode"] == 500
    assert "rivetless[aws]" in caplog.text


def test_calls_over_http_and_directly_meet_the_same_actor(make_function: MakeFunction) -> None:
    function = make_function(Counter)
    function(recorded("rest_api_v1"))
    assert function.call("increment")["output"] == 3
