"""Sending to connections of API Gateway, through both clients, against a server that is told."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import AnswerLost, NotSent, ServiceError
from rivetless.aws.management import Connection, ConnectionGone, Management
from rivetless.aws.services import MANAGEMENT
from tests.unit.aws.clients import MakeClient, make_client
from tests.unit.aws.scripted import ScriptedClient
from tests.unit.aws.servers import Server, answer, server

__all__ = ["make_client", "server"]

CONNECTION = "L0SM9cOFvHcCIhw="
REFUSED = json.dumps({"message": "no"}).encode()


@pytest.fixture
async def management(server: Server, make_client: MakeClient) -> AsyncIterator[Management]:
    server.reply = lambda body: answer(b"")
    client = make_client(MANAGEMENT, f"{server.url}/prod")
    async with Management(client=client, patience=15) as management:
        yield management


async def test_a_message_is_the_body(server: Server, management: Management) -> None:
    await management.post(CONNECTION, b'{"a":1}')
    assert server.lines == ["POST /prod/@connections/L0SM9cOFvHcCIhw%3D"]
    headers, body = server.requests[0]
    assert body == b'{"a":1}'
    assert headers["authorization"].startswith("AWS4-HMAC")


async def test_connections_are_closed_and_asked_about(
    server: Server, management: Management
) -> None:
    server.reply = lambda body: answer(b"", "204 No Content")
    await management.delete(CONNECTION)
    server.reply = lambda body: answer(
        b'{"connectedAt":"2026-11-26T12:00:00.500Z","lastActiveAt":"2026-11-26T12:00:01Z",'
        b'"identity":{"sourceIp":"192.0.2.1","userAgent":"x"}}'
    )
    found = await management.get(CONNECTION)
    assert found == Connection(1795694400.5, 1795694401.0, "192.0.2.1", "x")
    server.reply = lambda body: answer(b"{}")
    assert await management.get(CONNECTION) == Connection()
    assert [line.split(" ")[0] for line in server.lines] == ["DELETE", "GET", "GET"]


@pytest.mark.parametrize("body", [b"", REFUSED, b"<html>"], ids=["empty", "json", "html"])
async def test_gone(server: Server, management: Management, body: bytes) -> None:
    named = "x-amzn-ErrorType: GoneException:http://internal.amazon.com/coral/"
    server.reply = lambda _: answer(body, "410 Gone", named)
    for call in (
        lambda: management.post(CONNECTION, b"x"),
        lambda: management.delete(CONNECTION),
        lambda: management.get(CONNECTION),
    ):
        with pytest.raises(ConnectionGone) as raised:
            await call()
        assert raised.value.status == 410
    assert len(server.requests) == 3


async def test_a_status_says_enough(server: Server, management: Management) -> None:
    server.reply = lambda _: answer(b"", "410 Gone")
    with pytest.raises(ConnectionGone):
        await management.post(CONNECTION, b"x")


@pytest.mark.parametrize(
    ("status", "code"), [(413, "PayloadTooLargeException"), (403, "ForbiddenException")]
)
async def test_refusals_are_final(
    server: Server, management: Management, status: int, code: str
) -> None:
    server.reply = lambda _: answer(REFUSED, f"{status} No", f"x-amzn-ErrorType: {code}")
    with pytest.raises(ServiceError, match="no") as raised:
        await management.post(CONNECTION, b"x")
    assert (raised.value.status, raised.value.code) == (status, code)
    assert not isinstance(raised.value, ConnectionGone)
    assert len(server.requests) == 1


async def test_throttled_posts_are_sent_again(server: Server, management: Management) -> None:
    answers = [answer(REFUSED, "429 Slowly"), answer(b"")]
    server.reply = lambda _: answers.pop(0)
    await management.post(CONNECTION, b"x")
    assert len(server.requests) == 2


async def test_throttled_for_good(server: Server, make_client: MakeClient) -> None:
    server.reply = lambda _: answer(
        REFUSED, "429 Slowly", "x-amzn-ErrorType: LimitExceededException"
    )
    async with Management(client=make_client(MANAGEMENT, server.url), patience=0.3) as management:
        with pytest.raises(ServiceError) as raised:
            await management.post(CONNECTION, b"x")
    assert raised.value.status == 429
    assert server.requests


async def test_a_deadline_ends_patience(server: Server, management: Management) -> None:
    server.reply = lambda _: answer(REFUSED, "429 Slowly")
    with pytest.raises(ServiceError):
        await management.post(CONNECTION, b"x", deadline=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
async def test_what_may_have_arrived_is_not_sent_again(
    server: Server, management: Management, resets: bool
) -> None:
    server.resets = resets
    server.reply = lambda _: None
    with pytest.raises(AnswerLost):
        await management.post(CONNECTION, b"x")
    server.reply = lambda _: answer(b'{"message":"oops"}', "500 Oops")
    with pytest.raises(ServiceError) as raised:
        await management.post(CONNECTION, b"x")
    assert raised.value.status == 500
    assert len(server.requests) == 2


async def test_closing_may_be_repeated(server: Server, management: Management) -> None:
    answers = [None, answer(b"", "500 Oops"), answer(b"", "204 No Content")]
    server.reply = lambda _: answers.pop(0)
    await management.delete(CONNECTION)
    assert len(server.requests) == 3


@pytest.mark.parametrize("connection", ["", ".", ".."])
async def test_what_is_no_id_is_not_sent(server: Server, connection: str) -> None:
    async with Management(server.url, patience=0) as management:
        with pytest.raises(NotSent, match="ConnectionId"):
            await management.delete(connection)
    assert server.requests == []


async def test_many_posts_are_under_way_at_once(server: Server, management: Management) -> None:
    full, most, busy = asyncio.Event(), 0, 0

    async def hold() -> None:
        nonlocal most, busy
        busy += 1
        most = max(most, busy)
        if busy == 64:
            full.set()
        await full.wait()
        busy -= 1

    server.hold = hold
    await asyncio.gather(*(management.post(f"c{number}", b"x") for number in range(200)))
    assert most == 64
    assert server.connections == 64


def test_the_endpoint_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ValueError, match="AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"):
        Management()
    monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "http://127.0.0.1:1/prod")
    assert "127.0.0.1:1/prod" in repr(Management())


def test_a_client_knows_where_it_sends() -> None:
    with pytest.raises(ValueError, match="already"):
        Management("http://127.0.0.1:1", client=ScriptedClient())


async def test_an_instant_that_is_none() -> None:
    client = ScriptedClient({"ConnectedAt": "yesterday"})
    async with Management(client=client) as management:
        assert await management.get(CONNECTION) == Connection()
