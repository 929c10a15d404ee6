"""What a client does with handles, over any transport: tries, keys, fetch, queues, the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from rivetless.client import Client, FetchResponse, QueueReply, RetryPolicy
from rivetless.client.calls import ActionCall, ByKey, FetchRequest, Location, QueueSend
from rivetless.client.sockets import MemorySocket, memory_sockets
from rivetless.errors import ActorError, make
from rivetless.testing.clock import FakeClock, settle

from .actors import Counter, ScriptedTransport

RESTARTING = make("actor.restarting")
LOST = ActorError("client", "answer_lost", "lost")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport(RetryPolicy())


@pytest.fixture
def client(transport: ScriptedTransport, clock: FakeClock) -> Client:
    return Client(transport=transport, clock=clock)


def keys(transport: ScriptedTransport) -> list[str | None]:
    return [
        request.idempotency_key
        for request in transport.requests
        if isinstance(request, ActionCall | QueueSend)
    ]


# -- tries ----------------------------------------------------------------------------------------


async def test_later_tries_carry_one_key(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.answers = [RESTARTING, RESTARTING, 5]
    call = asyncio.ensure_future(client.get(Counter).increment())
    await settle()
    await clock.advance(1)
    assert await call == 5
    first, second, third = keys(transport)
    assert first is None
    assert second is not None
    assert second == third


async def test_calls_have_keys_of_their_own(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    for _ in range(2):
        transport.answers = [RESTARTING, 5]
        call = asyncio.ensure_future(client.get(Counter).increment())
        await settle()
        await clock.advance(1)
        await call
    assert len(set(keys(transport))) == 3


async def test_an_idempotent_policy_sends_the_key_at_once_and_asks_for_lost_answers(
    transport: ScriptedTransport, clock: FakeClock
) -> None:
    client = Client(transport=transport, clock=clock, retries=RetryPolicy(idempotent=True))
    transport.answers = [LOST, 5]
    call = asyncio.ensure_future(client.get(Counter).increment())
    await settle()
    await clock.advance(1)
    assert await call == 5
    first, second = keys(transport)
    assert first is not None
    assert first == second


async def test_a_lost_answer_is_not_asked_for_without(
    client: Client, transport: ScriptedTransport
) -> None:
    transport.answers = [LOST, 5]
    with pytest.raises(ActorError, match=r"client\.answer_lost"):
        await client.get(Counter).increment()


async def test_an_action_called_destroy_is_sent_once(
    client: Client, transport: ScriptedTransport
) -> None:
    for error in (RESTARTING, make("actor.not_found")):
        transport.answers = [error, None]
        with pytest.raises(ActorError):
            await client.get("a").destroy()
    assert len(transport.requests) == 2


async def test_creating_is_tried_again_only_while_nobody_was_reached(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.answers = [ActorError("client", "connection_failed", "refused"), "made"]
    making = asyncio.ensure_future(client.create("a"))
    await settle()
    await clock.advance(1)
    await making
    transport.answers = [RESTARTING]
    with pytest.raises(ActorError, match=r"actor\.restarting"):
        await client.create("a")


# -- queues ---------------------------------------------------------------------------------------


async def test_send(client: Client, transport: ScriptedTransport) -> None:
    await client.send(client.get("worker", "a", params=1), "jobs", {"url": "x"})
    assert transport.requests == [
        QueueSend(ByKey("worker", ("a",)), "jobs", {"url": "x"}, params=1)
    ]


async def test_send_and_wait(client: Client, transport: ScriptedTransport) -> None:
    transport.answers = [QueueReply("completed", 7), QueueReply("timedOut")]
    worker = client.get("worker")
    assert await client.send_and_wait(worker, "jobs", 1, timeout=timedelta(seconds=2)) == 7
    with pytest.raises(ActorError) as caught:
        await client.send_and_wait(worker, "jobs", 1, timeout=2)
    assert caught.value.name == "queue.timed_out"
    sends = [request for request in transport.requests if isinstance(request, QueueSend)]
    assert [(send.wait, send.timeout) for send in sends] == [(True, 2), (True, 2)]


# -- fetch ----------------------------------------------------------------------------------------


async def test_fetch(client: Client, transport: ScriptedTransport) -> None:
    transport.answers = [FetchResponse(201, (("x", "y"),), b'{"a":1}')]
    response = await client.fetch(
        client.get("a", params=1),
        "my items/ü%20?limit=5",
        method="post",
        query={"q": "a b"},
        headers={"X-Tag": "1"},
        json={"name": "ü"},
    )
    assert (response.status, response.ok, response.json()) == (201, True, {"a": 1})
    (request,) = transport.requests
    assert request == FetchRequest(
        ByKey("a"),
        "POST",
        "/my%20items/%C3%BC%20?limit=5&q=a+b",
        (("x-tag", "1"), ("content-type", "application/json")),
        b'{"name": "\\u00fc"}',
        1,
    )


async def test_fetch_with_text_and_lists(client: Client, transport: ScriptedTransport) -> None:
    await client.fetch(
        client.get("a"), query=[("a", "1"), ("a", "2")], headers=[("b", "1"), ("b", "2")], body="ü"
    )
    (request,) = transport.requests
    assert request == FetchRequest(
        ByKey("a"), "GET", "/?a=1&a=2", (("b", "1"), ("b", "2")), "ü".encode()
    )


def refusal(name: str, status: int = 503) -> FetchResponse:
    group, _, code = name.partition(".")
    body = f'{{"group":"{group}","code":"{code}","message":"m"}}'.encode()
    return FetchResponse(status, (("content-type", "application/json"),), body)


async def test_fetch_is_tried_again_like_actions(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.answers = [refusal("guard.service_unavailable"), refusal("actor.starting"), "ok"]
    response = asyncio.ensure_future(client.fetch(client.get("a")))
    await settle()
    await clock.advance(1)
    assert (await response).status == 200
    assert len(transport.requests) == 3


async def test_fetch_returns_the_last_answer(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.answers = [refusal("actor.restarting")] * 5
    response = asyncio.ensure_future(client.fetch(client.get("a")))
    await settle()
    await clock.advance(1)
    assert (await response).status == 503
    transport.answers = [refusal("user.teapot", 418)]
    assert (await client.fetch(client.get("a"))).status == 418


async def test_fetch_raises_what_was_no_answer(
    client: Client, transport: ScriptedTransport
) -> None:
    transport.answers = [LOST]
    with pytest.raises(ActorError, match="answer_lost"):
        await client.fetch(client.get("a"))


def test_responses() -> None:
    response = FetchResponse(404, (("x-a", "1"), ("x-a", "2")), b"\xff no")
    assert response.header("X-A") == "1"
    assert response.header("none") is None
    assert response.text == "\N{REPLACEMENT CHARACTER} no"
    assert response.error() is None
    with pytest.raises(ActorError) as caught:
        response.raise_for_status()
    assert (caught.value.name, caught.value.metadata) == (
        "client.unsuccessful_response",
        {"status": 404},
    )
    with pytest.raises(ActorError, match=r"user\.teapot"):
        refusal("user.teapot").raise_for_status()
    fine = FetchResponse(204)
    assert fine.raise_for_status() is fine
    assert fine.error() is None


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{}", b'{"group":1,"code":2,"message":3}'])
def test_json_that_is_no_error(body: bytes) -> None:
    response = FetchResponse(500, (("content-type", "application/json"),), body)
    assert response.error() is None


# -- resolve, raw sockets, the end ----------------------------------------------------------------


async def test_resolve(client: Client, transport: ScriptedTransport, clock: FakeClock) -> None:
    assert await client.resolve(client.get_for_id("a", "id")) == "id"
    assert transport.requests == []
    transport.answers = [RESTARTING, "id2"]
    found = asyncio.ensure_future(client.resolve(client.get("a")))
    await settle()
    await clock.advance(1)
    assert await found == "id2"
    assert transport.requests[-1] == Location(ByKey("a"))


async def test_resolve_says_at_once_that_there_is_none(
    client: Client, transport: ScriptedTransport
) -> None:
    transport.answers = [make("actor.not_found")]
    with pytest.raises(ActorError, match=r"actor\.not_found"):
        await client.resolve(client.get("a"))


async def test_raw_sockets(client: Client, transport: ScriptedTransport) -> None:
    async with client.web_socket(client.get("a", params=1), "chat?x=1") as ws:
        server = transport.server.socket
        assert (transport.server.request.path, transport.server.request.params) == (
            "/websocket/chat?x=1",
            1,
        )
        await ws.send("hi")
        await ws.send(b"\x00")
        assert [await server.receive(), await server.receive()] == ["hi", b"\x00"]
        await server.send("yo")
        assert await ws.receive() == "yo"
    assert (server.close_code, ws.close_code) == (1000, 1000)


async def test_a_raw_socket_is_iterated_until_it_closes(
    client: Client, transport: ScriptedTransport
) -> None:
    ws = await client.web_socket(client.get("a"))
    server = transport.server.socket
    await server.send("a")
    await server.send(b"b")
    await server.close(1000, "done")
    assert [item async for item in ws] == ["a", b"b"]
    assert (ws.close_code, ws.close_reason) == (1000, "done")
    await ws.close()
    assert ws.close_reason == "done"


@pytest.mark.parametrize(
    ("code", "reason", "name"),
    [(1011, "user.no", "user.no"), (1006, "", "client.connection_lost")],
)
async def test_a_raw_socket_that_breaks(
    client: Client, transport: ScriptedTransport, code: int, reason: str, name: str
) -> None:
    ws = await client.web_socket(client.get("a"))
    await transport.server.socket.close(code, reason)
    for attempt in (anext(ws), ws.receive(), ws.send("x")):
        with pytest.raises(ActorError) as caught:
            await attempt
        assert caught.value.name == name
    assert ws.close_code == code


async def test_a_raw_socket_is_opened_again_where_calls_would_be(
    client: Client, transport: ScriptedTransport, clock: FakeClock
) -> None:
    transport.refusals = [RESTARTING]
    opening = asyncio.ensure_future(_open(client))
    await settle()
    await clock.advance(1)
    await opening
    assert len(transport.sockets) == 1


async def _open(client: Client) -> object:
    return await client.web_socket(client.get("a"))


async def test_a_closed_client(client: Client, transport: ScriptedTransport) -> None:
    counter = client.get(Counter)
    async with client:
        pass
    await client.aclose()
    assert transport.closed
    attempts = (
        counter.increment(),
        client.send(counter, "q"),
        client.fetch(counter),
        client.resolve(counter),
    )
    for attempt in attempts:
        with pytest.raises(ActorError) as caught:
            await attempt
        assert caught.value.name == "client.closed"


def test_endpoints_belong_to_the_transport(transport: ScriptedTransport) -> None:
    with pytest.raises(ValueError, match="belong to the transport"):
        Client("http://h", transport=transport)


def test_memory_sockets_are_two() -> None:
    assert all(isinstance(end, MemorySocket) for end in memory_sockets())
