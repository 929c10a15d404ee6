"""The lab as a whole, with a handler of the tests: HTTP, sockets, queues, schedules, the sweep."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.lambda_lab import LambdaLab
from tests.behaviour.world import NO_TLS

APP = "tests.unit.testing.lambda_lab.handlers:gateway"
ROOT = Path(__file__).parents[4]
SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=lab"}

New: TypeAlias = Callable[..., Any]


@pytest.fixture
async def new() -> AsyncIterator[New]:
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> LambdaLab:
            lab = LambdaLab(APP, folder=ROOT, **options)
            return await stack.enter_async_context(lab)

        yield make


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        yield client


def socket(lab: LambdaLab, path: str, *protocols: str) -> connect:
    url = lab.endpoint.replace("http", "ws", 1) + path
    offered = [Subprotocol(protocol) for protocol in protocols]
    return connect(url, subprotocols=offered or None, compression=None, proxy=None)


async def only(lab: LambdaLab) -> str:
    """Return the id of the only connection, which is there soon after the handshake."""
    for _ in range(100):
        if lab.sockets.connections:
            break
        await asyncio.sleep(0.01)
    (name,) = lab.sockets.connections
    return name


async def closing_code(ws: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        await ws.recv()
    assert ws.close_code is not None
    return ws.close_code


# -- HTTP --------------------------------------------------------------------------------------


async def test_requests_become_events_of_format_2(new: New, http: httpx.AsyncClient) -> None:
    lab = await new()
    answer = await http.post(
        f"{lab.endpoint}/a%20b/c?x=1&x=2&y=%26",
        content=b"\xff\x00",
        headers=[("cookie", "a=1; b=2"), ("x-twice", "1"), ("x-twice", "2")],
    )
    event = answer.json()
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b/c", "x=1&x=2&y=%26")
    assert event["queryStringParameters"] == {"x": "1,2", "y": "&"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-twice"] == "1,2"
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    text = (await http.post(lab.endpoint, json={"a": 1})).json()
    assert (json.loads(text["body"]), text["isBase64Encoded"]) == ({"a": 1}, False)


async def test_answers_may_be_binary_and_have_cookies(new: New, http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{(await new()).endpoint}/binary")
    assert (answer.status_code, answer.content) == (201, bytes(range(256)))
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/fail", "http_api", 500),
        ("/fail", "function_url", 502),
        ("/nonsense", "http_api", 500),
    ],
)
async def test_functions_that_fail(
    new: New, http: httpx.AsyncClient, path: str, kind: str, status: int
) -> None:
    answer = await http.get((await new(http=kind)).endpoint + path)
    assert (answer.status_code, answer.json()) == (status, {"message": "Internal Server Error"})


async def test_requests_are_limited_to_what_lambda_takes(new: New, http: httpx.AsyncClient) -> None:
    lab = await new()
    answer = await http.post(lab.endpoint, content=b"\0" * 5_000_000)
    assert answer.status_code == 413
    assert lab.function.cold_starts == 0


# -- sockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("ordered", "answer"), [(True, "hi?"), (False, "hi!")])
async def test_a_socket_is_answered(new: New, ordered: bool, answer: str) -> None:
    lab = await new(ordered=ordered)
    async with socket(lab, "/gateway/x/connect?rvt-a=b", "rivet", "other") as ws:
        assert ws.subprotocol == "rivet"
        await ws.send("hi")
        assert await ws.recv() == answer
    async with socket(lab, "/live") as ws:
        assert ws.subprotocol is None


async def test_the_path_says_what_is_a_socket(new: New, http: httpx.AsyncClient) -> None:
    lab = await new()
    for path in ("/connect", "/websocket", "/gateway/x/websocket/a/b?c=d"):
        async with socket(lab, path):
            pass
        assert (await http.get(lab.endpoint + path)).status_code == 404
    for path in ("/", "/gateway/x/action/connect", "/gateway/x/request/websocket"):
        with pytest.raises(InvalidStatus) as caught:
            async with socket(lab, path):
                pass
        assert caught.value.response.status_code == 403
        assert (await http.get(lab.endpoint + path)).json()["rawPath"] == path


@pytest.mark.parametrize("status", [401, 403, 503])
async def test_connect_may_refuse(new: New, status: int) -> None:
    lab = await new()
    with pytest.raises(InvalidStatus) as caught:
        async with socket(lab, f"/gateway/x/connect?refuse={status}"):
            pass
    assert caught.value.response.status_code == status
    assert lab.sockets.connections == {}


async def test_nothing_can_be_posted_before_connect_has_returned(new: New) -> None:
    async with socket(await new(), "/gateway/x/connect?early"):
        pass


@pytest.mark.parametrize(("message", "code"), [(b"binary", 1003), ("x" * (32 * 1024 + 1), 1009)])
async def test_what_a_client_may_not_send(new: New, message: Any, code: int) -> None:
    async with socket(await new(), "/gateway/x/connect") as ws:
        await ws.send(message)
        assert await closing_code(ws) == code


async def test_a_message_may_be_longer_than_a_frame(new: New) -> None:
    lab = await new(ordered=False)
    async with socket(lab, "/gateway/x/connect") as ws:
        await ws.send(["x" * 30_000] * 4)
        assert await ws.recv() == "x" * 120_000 + "!"
        await ws.send(["x" * 30_000] * 5)
        assert await closing_code(ws) == 1009


async def test_a_route_that_fails_is_told(new: New) -> None:
    lab = await new(ordered=False)
    async with socket(lab, "/gateway/x/connect") as ws:
        await ws.send("fail")
        told = json.loads(await ws.recv())
        assert told["message"] == "Internal server error"
        assert told["connectionId"] == await only(lab)


async def test_connections_can_be_managed(new: New, http: httpx.AsyncClient) -> None:
    lab = await new()
    async with socket(lab, "/gateway/x/connect") as ws:
        url = f"{lab.services_endpoint}/live/@connections/{await only(lab)}"
        assert (await http.post(url, content=b"hello", headers=SIGNED)).status_code == 200
        assert await ws.recv() == "hello"
        about = (await http.get(url, headers=SIGNED)).json()
        assert about["identity"]["sourceIp"] == "127.0.0.1"
        assert about["lastActiveAt"] >= about["connectedAt"]
        lab.sockets.connections[await only(lab)].throttled = 1
        refusals = {
            "unsigned": await http.post(url, content=b"x"),
            "throttled": await http.post(url, content=b"x", headers=SIGNED),
            "long": await http.post(url, content=b"x" * 131_073, headers=SIGNED),
            "binary": await http.post(url, content=b"\xff", headers=SIGNED),
            "other": await http.put(url, content=b"x", headers=SIGNED),
            "elsewhere": await http.get(f"{lab.services_endpoint}/x", headers=SIGNED),
        }
        assert {name: answer.status_code for name, answer in refusals.items()} == {
            "unsigned": 403,
            "throttled": 429,
            "long": 413,
            "binary": 400,
            "other": 403,
            "elsewhere": 403,
        }
        assert refusals["throttled"].headers["x-amzn-errortype"] == "LimitExceededException"
        assert (await http.delete(url, headers=SIGNED)).status_code == 204
        assert await closing_code(ws) == 1000
    for verb in (http.post, http.get, http.delete):
        assert (await verb(url, headers=SIGNED)).status_code == 410


@pytest.mark.parametrize(("idle", "lifetime"), [(600, 7200), (8000, 7200)])
async def test_sockets_do_not_last(new: New, idle: float, lifetime: float) -> None:
    clock = FakeClock()
    lab = await new(clock=clock, idle=idle, lifetime=lifetime, ordered=False)
    async with socket(lab, "/gateway/x/connect") as ws:
        await only(lab)
        await clock.advance(min(idle, lifetime) - 1)
        assert lab.sockets.connections
        await ws.send("hi")
        assert await ws.recv() == "hi!"
        await clock.advance(1)
        if idle < lifetime:
            assert lab.sockets.connections
            await clock.advance(idle)
        assert await closing_code(ws) == 1001


# -- queues, schedules, the sweep --------------------------------------------------------------


def sqs(lab: LambdaLab, operation: str, **request: Any) -> dict[str, Any]:
    return {
        "url": lab.services_endpoint,
        "headers": SIGNED | {"x-amz-target": f"AmazonSQS.{operation}"},
        "json": {"QueueUrl": f"{lab.services_endpoint}/000000000000/wakes"} | request,
    }


async def heard(lab: LambdaLab, count: int) -> list[str]:
    """Wait until so many messages have been handled, and return them in order."""
    for _ in range(500):
        lines = [line.removeprefix("message ") for line in lab.function.log if "message " in line]
        if len(lines) >= count:
            return lines
        await asyncio.sleep(0.01)
    raise AssertionError(list(lab.function.log))


async def test_messages_invoke_the_function(new: New, http: httpx.AsyncClient) -> None:
    lab = await new()
    entries = [{"Id": str(n), "MessageBody": json.dumps({"n": n})} for n in (1, 2)]
    entries.append({"Id": "3", "MessageBody": ""})
    answer = (await http.post(**sqs(lab, "SendMessageBatch", Entries=entries))).json()
    assert [good["Id"] for good in answer["Successful"]] == ["1", "2"]
    assert [(bad["Id"], bad["Code"]) for bad in answer["Failed"]] == [("3", "MissingParameter")]
    assert sorted(await heard(lab, 2)) == ["1", "2"]
    sent = (await http.post(**sqs(lab, "SendMessage", MessageBody='{"n": 4}'))).json()
    assert sent["MessageId"]
    assert "4" in await heard(lab, 3)


async def test_a_poisoned_message_is_alone_in_its_fate(new: New, http: httpx.AsyncClient) -> None:
    clock = FakeClock()
    lab = await new(clock=clock, visibility=30, max_receives=2)
    lab.wakes.send('{"poison": true}')
    lab.wakes.send('{"n": 1}')
    assert await heard(lab, 1) == ["1"]
    for _ in range(100):
        if lab.dead_wakes.messages:
            break
        await asyncio.sleep(0.01)
        await clock.advance(30)
    assert [message.body for message in lab.dead_wakes.messages] == ['{"poison": true}']
    assert lab.wakes.messages == []
    assert await heard(lab, 1) == ["1"]


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("SendMessage", {"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ("SendMessage", {"MessageBody": "x", "QueueUrl": "http://x/0/y"}, "QueueDoesNotExist"),
        ("SendMessageBatch", {"Entries": []}, "EmptyBatchRequest"),
        (
            "SendMessageBatch",
            {"Entries": [{"Id": str(n), "MessageBody": "x"} for n in range(11)]},
            "TooManyEntriesInBatchRequest",
        ),
        (
            "SendMessageBatch",
            {"Entries": [{"Id": "1", "MessageBody": "x"}] * 2},
            "BatchEntryIdsNotDistinct",
        ),
        (
            "SendMessageBatch",
            {"Entries": [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]},
            "BatchRequestTooLong",
        ),
        ("PurgeQueue", {}, "UnknownOperationException"),
    ],
)
async def test_what_sqs_refuses(
    new: New, http: httpx.AsyncClient, operation: str, request_: dict[str, Any], code: str
) -> None:
    answer = await http.post(**sqs(await new(), operation, **request_))
    assert (answer.status_code, answer.json()["__type"]) == (400, code)


async def test_a_schedule_sends_to_the_queue(new: New, http: httpx.AsyncClient) -> None:
    clock = FakeClock(1_767_225_600.0)  # 2026-01-01T00:00:00Z
    lab = await new(clock=clock)
    request = {
        "GroupName": "rivetless",
        "ScheduleExpression": "at(2026-01-01T01:00:00)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": lab.wakes.arn, "RoleArn": "role", "Input": '{"n": 7}'},
        "ActionAfterCompletion": "DELETE",
    }
    url = f"{lab.services_endpoint}/schedules/one"
    assert (await http.post(url, json=request, headers=SIGNED)).status_code == 200
    assert (await http.post(url, json=request, headers=SIGNED)).status_code == 409
    await clock.advance(3600)
    assert await heard(lab, 1) == ["7"]
    answer = await http.delete(f"{url}?groupName=rivetless", headers=SIGNED)
    assert (answer.status_code, answer.json()["__type"]) == (404, "ResourceNotFoundException")
    assert (await http.get(url, headers=SIGNED)).status_code == 403


async def test_the_sweep_comes_each_minute_and_when_asked_for(new: New) -> None:
    clock = FakeClock()
    lab = await new(clock=clock)
    assert (await lab.sweep()).value == {"swept": True}
    (environment,) = lab.function.environments
    await settle()
    assert environment.invocations == 1
    await clock.advance(60)
    await settle()
    assert environment.invocations == 2
