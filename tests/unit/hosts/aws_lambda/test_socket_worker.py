"""Connects, frames and disconnects as a queue delivers them: late, twice, out of order."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rivetless.aws.client import AnswerLost, NotSent
from rivetless.errors import ActorError
from rivetless.hosts.aws_lambda.pushes import OPENING
from rivetless.hosts.aws_lambda.sockets import NAMESPACE, SHORT, Phase
from rivetless.hosts.aws_lambda.websocket import Connect, Disconnect, Frame
from rivetless.hosts.aws_lambda.worker import MAX_INCOMING, MAX_TRIES
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, GetActor, Origin
from rivetless.store.base import Collection
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.sockets import CID, HTTP, TARGET, Function, Hall, Sockets
from tests.unit.runtime.worlds import World


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    world = await World.open(Hall)
    async with world.store:
        yield Sockets(world)


async def connections(sockets: Sockets, key: str = "a") -> list[str]:
    head = await sockets.world.store.load(Address("default", "hall", (key,)))
    assert head is not None
    found = await sockets.world.store.records(head.actor_id, Collection.CONNECTION)
    return [record.key.decode() for record in found]


async def say(function: Function, text: str) -> None:
    """Call the actor over HTTP, as somebody else."""
    target = ByKey(Address("default", "hall", ("a",)), create=True)
    await function.runtime.dispatch(CallAction(target, "say", [text], Origin(params=HTTP)))


# -- connect --------------------------------------------------------------------------------------


async def test_a_connect_runs_the_hooks_and_begins_with_init(sockets: Sockets) -> None:
    function = sockets.function()
    await function.work(sockets.connect(params={"name": "bob"}))
    assert sockets.got() == ["Init", ("said", "welcome")]
    init = json.loads(sockets.api.lines[CID].frames[0])["body"]["val"]
    route = await function.routes.find(CID)
    assert route is not None
    assert init == {"actorId": route.actor_id, "connectionId": CID}
    assert (route.phase, route.raw) == (Phase.OPEN, False)
    assert (await sockets.state())["joined"] == 1
    assert await connections(sockets) == [CID]


async def test_a_connect_that_comes_twice_is_worked_once(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    connect = sockets.connect()
    await one.work(connect)
    await two.work(connect)
    assert sockets.got() == ["Init", ("said", "welcome")]
    assert (await sockets.state())["joined"] == 1


async def test_two_processes_work_on_one_connect(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    connect = sockets.connect()
    await asyncio.gather(one.work(connect), two.work(connect))
    assert (await sockets.state())["joined"] == 1
    assert await connections(sockets) == [CID]
    assert sockets.got().count(("said", "welcome")) == 1


async def test_a_process_that_dies_while_it_opens_is_replaced(sockets: Sockets) -> None:
    connect = sockets.connect(opens_in=3600)
    one, two = sockets.function(), sockets.function()
    work = asyncio.ensure_future(one.work(connect))
    await settle()
    work.cancel()
    assert await connections(sockets) == [CID]
    sockets.api.connect()
    await two.work(connect)
    assert sockets.got() == ["Init"]
    assert (await sockets.state())["joined"] == 1
    route = await two.routes.find(CID)
    assert route is not None
    assert route.phase is Phase.OPEN


async def test_a_socket_that_is_not_open_yet_is_waited_for(sockets: Sockets) -> None:
    function = sockets.function()
    work = asyncio.ensure_future(function.work(sockets.connect(opens_in=20)))
    await sockets.clock.advance(19)
    assert not work.done()
    await sockets.clock.advance(2)
    await work
    assert sockets.got() == ["Init", ("said", "welcome")]


async def test_a_socket_that_never_opens_is_reaped(sockets: Sockets) -> None:
    function = sockets.function()
    work = asyncio.ensure_future(function.work(sockets.connect(opens_in=3600)))
    await sockets.clock.advance(31)
    await work
    assert sockets.got() == []
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 0}
    assert await connections(sockets) == []
    assert await function.routes.find(CID) is None


async def test_a_process_that_has_no_time_leaves_the_wait_to_the_queue(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect(opens_in=20)
    function.posts.deadline = sockets.clock.now() + 5
    work = asyncio.ensure_future(function.work(connect))
    await sockets.clock.advance(6)
    with pytest.raises(TimeoutError):
        await work
    function.posts.deadline = None
    again = asyncio.ensure_future(sockets.function().work(connect))
    await sockets.clock.advance(20)
    await again
    assert sockets.got() == ["Init"]
    assert (await sockets.state())["joined"] == 1


async def test_a_connect_that_waited_too_long_finds_its_client_gone(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect()
    await say(function, "hi")
    sockets.api.hang_up()
    await sockets.clock.advance(60)
    await function.work(connect)
    assert (await sockets.state())["joined"] == 0
    assert await sockets.forgets(function)


async def test_a_connect_that_waited_long_finds_its_client_waiting(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect()
    await sockets.clock.advance(60)
    await function.work(connect)
    assert sockets.got() == ["Init", ("said", "welcome")]


async def test_what_others_send_meanwhile_comes_after_init(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect(opens_in=1)
    work = asyncio.ensure_future(function.work(connect))
    await settle()
    held = asyncio.ensure_future(function.posts.send(CID, b"early"))
    await sockets.clock.advance(2)
    assert await held
    await work
    assert sockets.api.lines[CID].frames[-1] == "early"
    assert sockets.got()[0] == "Init"


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"banned": True}, "user.banned", "You are banned."),
        ({"broken": True}, "rivetkit.internal_error", None),
    ],
)
async def test_a_refusal_is_an_error_and_then_the_end(
    sockets: Sockets, params: object, code: str, message: str | None
) -> None:
    function = sockets.function()
    await function.work(sockets.connect(params=params))
    assert sockets.got() == [(code, None)]
    val = json.loads(sockets.api.lines[CID].frames[0])["body"]["val"]
    assert "secret" not in val["message"]
    assert message in (None, val["message"])
    assert "actor" not in val
    assert sockets.api.lines[CID].ended == "server"
    await function.work(Disconnect(CID, 1005, ""))
    assert await function.routes.find(CID) is None


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/gateway/nobody/connect?" + TARGET, "actor.not_registered"),
        ("/gateway/hall/nothing?" + TARGET, "actor.not_found"),
        ("/gateway/hall/inspector/connect?" + TARGET, "inspector.unauthorized"),
        ("/gateway/hall/connect?rvt-namespace=default&rvt-method=get", "actor.not_found"),
        ("/gateway/hall/connect?rvt-namespace=$sockets&rvt-method=get", "actor.invalid_request"),
        ("/gateway/hall/connect?rvt-namespace=default", "guard.query_invalid_params"),
        ("/elsewhere", "guard.no_route"),
    ],
)
async def test_what_cannot_be_served_is_refused(sockets: Sockets, url: str, code: str) -> None:
    await sockets.function().work(sockets.connect(url))
    assert sockets.got() == [(code, None)]
    assert sockets.api.lines[CID].ended == "server"


async def test_a_url_that_was_too_long_is_refused(sockets: Sockets) -> None:
    connect = replace(sockets.connect(), query={"rivetless-refused": ("url_too_long",)})
    await sockets.function().work(connect)
    assert sockets.got() == [("guard.query_invalid_params", None)]


@pytest.mark.parametrize("encoding", ["bare", "cbor"])
async def test_binary_encodings_are_refused_with_what_to_do(
    sockets: Sockets, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    await sockets.function().work(sockets.connect(encoding=encoding))
    assert sockets.got() == [("actor.unsupported_websocket_encoding", None)]
    assert sockets.api.lines[CID].ended == "server"
    assert 'createClient({ encoding: "json", ... })' in caplog.text


async def test_pages_of_other_origins_are_refused(sockets: Sockets) -> None:
    function = sockets.function(origins=["https://app.example.com"])
    await function.work(sockets.connect(origin="https://evil.example.com"))
    await function.work(sockets.connect(conn_id="other", origin="https://app.example.com"))
    assert sockets.got() == [("auth.forbidden", None)]
    assert sockets.got("other")[0] == "Init"


async def test_a_store_that_is_away_refuses_nobody(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect()
    await function.routes.begin(CID, sockets.clock.now())
    sockets.world.faults.inject(Fault.BEFORE, verb="load")
    with pytest.raises(ActorError, match=r"guard\.service_unavailable"):
        await function.work(connect)
    assert sockets.got() == []
    await function.work(connect)
    assert sockets.got() == ["Init", ("said", "welcome")]


async def test_an_init_that_was_not_sent_is_sent_again(sockets: Sockets) -> None:
    function, connect = sockets.function(), sockets.connect()
    sockets.api.failures.append(NotSent("no way"))
    with pytest.raises(NotSent):
        await function.work(connect)
    await function.work(connect)
    assert sockets.got()[0] == "Init"
    assert (await sockets.state())["joined"] == 1


# -- disconnect -----------------------------------------------------------------------------------


async def test_a_disconnect_runs_the_hook_once(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    await one.work(sockets.connect())
    gone = sockets.hang_up()
    await two.work(gone)
    await one.work(gone)
    assert (await sockets.state())["left"] == 1
    assert await connections(sockets) == []
    assert await one.routes.find(CID) is None


async def test_a_disconnect_before_its_connect(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    await say(function, "hi")
    connect, gone = sockets.connect(), sockets.hang_up()
    await function.work(gone)
    await function.work(gone)
    await function.work(connect)
    assert await sockets.state() == {"joined": 0, "left": 0, "said": 1}
    assert sockets.got() == []


async def test_a_disconnect_while_the_connect_is_worked(sockets: Sockets) -> None:
    function, other = sockets.function(ordered=False), sockets.function(ordered=False)
    work = asyncio.ensure_future(function.work(sockets.connect(opens_in=5)))
    await settle()
    await other.work(Disconnect(CID, 1001, ""))
    await sockets.clock.advance(6)
    await work
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 0}
    assert await connections(sockets) == []


async def test_marks_of_early_disconnects_are_swept(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    await function.work(Disconnect(CID, 1001, ""))
    await function.runtime.sweeper.sweep()
    assert await function.routes.find(CID) is not None
    await sockets.clock.advance(601)
    await function.runtime.sweeper.sweep()
    assert await function.routes.find(CID) is None


async def test_the_actor_is_destroyed(sockets: Sockets) -> None:
    function = sockets.function()
    await function.work(sockets.connect())
    await function.work(sockets.action("end"))
    await settle()
    assert sockets.api.lines[CID].ended == "server"
    await function.work(sockets.action("say", "after"))
    await function.work(Disconnect(CID, 1001, ""))
    assert await function.routes.find(CID) is None


async def test_a_destroyed_actor_closes_the_connections_that_call_it(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    await one.work(sockets.connect())
    await one.work(sockets.action("end"))
    await settle()
    sockets.api.connect()  # as if the close had got lost
    await two.work(sockets.subscribe("said"))
    assert sockets.got() == [("actor.not_found", None)]
    assert sockets.api.lines[CID].ended == "server"


async def test_a_connect_that_comes_after_the_end_is_none(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    connect = sockets.connect()
    await function.work(connect)
    gone = sockets.hang_up()
    await function.work(gone)
    await function.work(gone)
    await function.work(connect)
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 0}
    assert await connections(sockets) == []


async def test_nobody_looks_for_the_connections_of_api_gateway(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    await one.work(sockets.connect())
    assert await sockets.world.store.hosted("apigw") == []
    await two.work(sockets.action("kick"))
    assert sockets.api.lines[CID].ended == "server"


# -- frames ---------------------------------------------------------------------------------------


async def joined(sockets: Sockets, *, ordered: bool = True) -> Function:
    function = sockets.function(ordered=ordered)
    await function.work(sockets.connect())
    sockets.api.lines[CID].frames.clear()
    return function


async def test_an_action_is_answered_after_its_events(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.subscribe("said"))
    await function.work(sockets.action("say", "hi"))
    assert sockets.got() == [("said", "hi"), ("=", 1)]


async def test_a_frame_that_comes_twice_is_answered_twice_and_done_once(sockets: Sockets) -> None:
    one = await joined(sockets)
    two = sockets.function()
    frame = sockets.action("say", "hi")
    await one.work(frame)
    await two.work(frame)
    assert sockets.got() == [("=", 1), ("=", 1)]
    assert (await sockets.state())["said"] == 1


async def test_frames_are_told_apart_by_their_requests(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.action("say", "hi", id=3))
    await function.work(sockets.action("say", "hi", id=3))
    assert sockets.got() == [("=", 1), ("=", 2)]


async def test_subscriptions_are_idempotent_and_end(sockets: Sockets) -> None:
    function = await joined(sockets)
    frame = sockets.subscribe("said")
    await function.work(frame)
    await function.work(frame)
    await say(function, "one")
    await function.work(sockets.subscribe("said", subscribe=False))
    await say(function, "two")
    assert sockets.got() == [("said", "one")]


async def test_a_subscription_that_is_forbidden_ends_the_connection(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.subscribe("secret"))
    assert sockets.got() == [("auth.forbidden", None)]
    assert sockets.api.lines[CID].ended == "server"
    assert (await sockets.state())["left"] == 1
    # What was behind it in the queue is not worked any more.
    await function.work(sockets.action("say", "hi"))
    assert (await sockets.state())["said"] == 0
    await function.work(Disconnect(CID, 1001, ""))
    assert (await sockets.state())["left"] == 1
    assert await function.routes.find(CID) is None


async def test_errors_of_actions_are_answers(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.action("fail", id=7))
    await function.work(sockets.action("nothing", id=8))
    assert sockets.got() == [
        ("user.no", ["$BigInt", "7"]),
        ("actor.action_not_found", ["$BigInt", "8"]),
    ]
    assert sockets.api.lines[CID].ended is None


async def test_a_frame_of_32_kb_is_taken_and_no_longer_one(sockets: Sockets) -> None:
    function = await joined(sockets)
    short = len(sockets.action("say", "").data)
    await function.work(sockets.action("say", "x" * (MAX_INCOMING - short)))
    assert sockets.got() == [("=", 1)]
    await function.work(sockets.action("say", "x" * (MAX_INCOMING - short + 1)))
    assert sockets.got()[1:] == [("message.incoming_too_long", None)]
    assert sockets.api.lines[CID].ended == "server"


async def test_an_answer_over_128_kb_is_an_error(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.action("large", 130_900))
    await function.work(sockets.action("large", 131_072, id=1))
    assert len(sockets.api.lines[CID].frames[0]) > 130_900
    assert sockets.got()[1:] == [("message.outgoing_too_long", ["$BigInt", "1"])]
    assert sockets.api.lines[CID].ended is None


async def test_an_event_over_128_kb_ends_the_connections_it_is_for(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.connect(conn_id="other"))
    await function.work(sockets.subscribe("said"))
    await function.work(sockets.action("shout", 131_072, conn_id="other"))
    assert sockets.got() == [("message.outgoing_too_long", None)]
    assert sockets.api.lines[CID].ended == "server"
    assert sockets.got("other")[-1] == ("=", None)
    assert sockets.api.lines["other"].ended is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        '{"body":',
        '{"body":{"tag":"Init","val":{}}}',
        '{"body":{"tag":"ActionRequest","val":{"id":"x","name":"say","args":[]}}}',
        '{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","0"]}}}',
        '{"body":{"tag":"SubscriptionRequest","val":{"eventName":1,"subscribe":true}}}',
        '{"body":{"tag":"SubscriptionRequest","val":{"eventName":"a\\u0000b","subscribe":true}}}',
        "[" * 30_000,
    ],
)
async def test_what_is_no_frame_ends_the_connection(sockets: Sockets, text: str) -> None:
    function = await joined(sockets)
    await function.work(sockets.frame(text))
    assert sockets.got() == [("actor.invalid_request", None)]
    assert sockets.api.lines[CID].ended == "server"
    assert (await sockets.state())["left"] == 1


async def test_what_is_no_text_ends_the_connection(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(Frame(CID, "r", b"\xff\xfe", sockets.clock.now()))
    assert sockets.got() == [("message.invalid_utf8", None)]


async def test_a_client_that_is_gone_is_noticed_by_the_answer(sockets: Sockets) -> None:
    function = await joined(sockets)
    sockets.api.hang_up()
    await function.work(sockets.action("say", "hi"))
    await settle()
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}


async def test_a_client_that_is_gone_is_noticed_by_a_push(sockets: Sockets) -> None:
    one = await joined(sockets)
    await one.work(sockets.subscribe("said"))
    two = sockets.function()
    sockets.api.hang_up()
    await say(two, "hi")
    await settle()
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    await one.work(Disconnect(CID, 1001, ""))
    assert (await sockets.state())["left"] == 1


async def test_a_frame_of_a_connection_nobody_knows_closes_it(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    sockets.api.connect()
    await sockets.function().work(sockets.action("say", "hi"))
    assert sockets.api.lines[CID].ended == "server"
    assert "leads nowhere" in caplog.text


async def test_a_store_that_is_away_puts_a_subscription_off(sockets: Sockets) -> None:
    function = await joined(sockets)
    sockets.world.faults.inject(Fault.BEFORE)
    frame = sockets.subscribe("said")
    with pytest.raises(ActorError, match=r"guard\.service_unavailable"):
        await function.work(frame)
    assert sockets.api.lines[CID].ended is None
    await function.work(frame)
    await say(function, "hi")
    assert sockets.got() == [("said", "hi")]


async def test_an_answer_that_may_be_lost_is_sent_again(sockets: Sockets) -> None:
    function = await joined(sockets)
    sockets.api.failures.append(AnswerLost("where is it?"))
    await function.work(sockets.action("say", "hi"))
    assert sockets.got() == [("=", 1)]


async def test_kicked_connections_leave(sockets: Sockets) -> None:
    function = await joined(sockets)
    await function.work(sockets.action("kick"))
    assert sockets.api.lines[CID].ended == "server"
    await settle()
    assert (await sockets.state())["left"] == 1


# -- frames without an order ----------------------------------------------------------------------


async def test_a_frame_waits_for_its_connect(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    connect = sockets.connect()
    work = asyncio.ensure_future(function.work(sockets.action("say", "hi", unordered=True)))
    await sockets.clock.advance(0.1)
    await function.work(connect)
    await sockets.clock.advance(1)
    await work
    assert sockets.got() == ["Init", ("said", "welcome"), ("said", "hi"), ("=", 1)]


async def test_a_frame_that_waited_too_long_goes_into_the_queue(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    connect = sockets.connect()
    work = asyncio.ensure_future(function.work(sockets.action("say", "hi", unordered=True)))
    await sockets.clock.advance(5)
    await work
    ((frame, delay),) = function.put_off
    assert isinstance(frame, Frame)
    assert (frame.tries, delay) == (1, 1.0)
    await function.work(connect)
    await function.work(frame)
    # From a queue it may come again.
    await function.work(frame)
    assert sockets.got()[2:] == [("said", "hi"), ("=", 1), ("=", 1)]


async def test_a_frame_whose_connect_never_comes_is_given_up(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    sockets.api.connect()
    frame = sockets.action("say", "hi", unordered=True)
    delays: list[float] = []
    for _ in range(MAX_TRIES):
        work = asyncio.ensure_future(function.work(frame))
        await sockets.clock.advance(5)
        await work
        again, delay = function.put_off.pop()
        assert isinstance(again, Frame)
        frame = again
        delays.append(delay)
    work = asyncio.ensure_future(function.work(frame))
    await sockets.clock.advance(5)
    await work
    assert function.put_off == []
    assert delays == [1, 2, 4, 8, 16, 32]
    assert sockets.api.lines[CID].ended == "server"


async def test_a_function_with_little_time_does_not_wait(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    frame = sockets.action("say", "hi", unordered=True)
    await function.work(frame, deadline=sockets.clock.now() + 0.01)
    assert len(function.put_off) == 1


async def test_an_action_overtakes_its_subscription(sockets: Sockets) -> None:
    function = await joined(sockets, ordered=False)
    await function.work(sockets.action("say", "hi", unordered=True))
    await function.work(sockets.subscribe("said", unordered=True))
    await function.work(sockets.action("say", "again", unordered=True))
    assert sockets.got() == [("said", "hi"), ("=", 1), ("said", "again"), ("=", 2)]


# -- raw WebSockets -------------------------------------------------------------------------------

RAW = f"/gateway/hall/websocket/chat?q=1&{TARGET}"


async def test_raw_sockets_carry_text(sockets: Sockets) -> None:
    function = sockets.function()
    await function.work(sockets.connect(RAW, encoding="bare"))
    await function.work(sockets.frame("hi"))
    assert sockets.got() == ["open http://127.0.0.1/websocket/chat?q=1", "echo hi 1"]
    await function.work(sockets.hang_up(1001))
    assert (await sockets.state())["code"] == 1001
    assert await connections(sockets) == []


async def test_a_raw_message_that_comes_twice_is_worked_once(sockets: Sockets) -> None:
    one, two = sockets.function(), sockets.function()
    await one.work(sockets.connect(RAW))
    frame = sockets.frame("hi")
    await one.work(frame)
    await two.work(frame)
    assert sockets.got()[1:] == ["echo hi 1"]
    assert (await sockets.state())["said"] == 1


@pytest.mark.parametrize("text", ["bytes", "large"])
async def test_what_api_gateway_cannot_carry_ends_a_raw_socket(
    sockets: Sockets, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    function = sockets.function()
    await function.work(sockets.connect(RAW))
    await function.work(sockets.frame(text))
    assert sockets.got() == ["open http://127.0.0.1/websocket/chat?q=1"]
    assert sockets.api.lines[CID].ended == "server"
    assert "The socket is closed." in caplog.text


async def test_a_raw_handler_that_fails_ends_the_socket(sockets: Sockets) -> None:
    function = sockets.function()
    await function.work(sockets.connect(RAW))
    await function.work(sockets.frame("fail"))
    assert sockets.api.lines[CID].ended == "server"
    assert len(sockets.got()) == 1
    assert (await sockets.state())["code"] == 1011


async def test_raw_sockets_that_are_refused_just_end(sockets: Sockets) -> None:
    await sockets.function().work(sockets.connect(RAW, params={"banned": True}))
    assert sockets.got() == []
    assert sockets.api.lines[CID].ended == "server"


async def test_a_raw_socket_that_is_not_open_yet_is_waited_for(sockets: Sockets) -> None:
    function = sockets.function()
    work = asyncio.ensure_future(function.work(sockets.connect(RAW, opens_in=3)))
    await sockets.clock.advance(5)
    await work
    assert sockets.got() == ["open http://127.0.0.1/websocket/chat?q=1"]


# -- what it costs --------------------------------------------------------------------------------


async def test_frames_read_their_route_once(sockets: Sockets) -> None:
    one = await joined(sockets)
    await one.work(sockets.action("say", "hi"))
    sockets.world.store.reset()
    await one.work(sockets.action("say", "hi"))
    assert dict(sockets.world.store.calls) == {"commit": 1}


async def test_get_actor_does_not_see_routes(sockets: Sockets) -> None:
    function = await joined(sockets)
    target = ByKey(Address("$sockets", "socket", (CID,)))
    with pytest.raises(ActorError, match=r"actor\.(invalid_request|not_registered)"):
        await function.runtime.dispatch(GetActor(target))


async def test_refusals_are_logged_without_a_traceback(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="rivetless.hosts"):
        await sockets.function().work(sockets.connect(params={"banned": True}))
    (record,) = [r for r in caplog.records if "refused" in r.message]
    assert record.exc_info is None
    assert isinstance(sockets.connect(), Connect)


# -- who died when it was half open ---------------------------------------------------------------


async def half_open(sockets: Sockets) -> Connect:
    """Have a process open a connection, and die before it has said where it leads."""
    connect = sockets.connect(opens_in=3600)
    work = asyncio.ensure_future(sockets.function().work(connect))
    await settle()
    work.cancel()
    assert await connections(sockets) == [CID]
    return connect


async def test_the_end_of_a_connection_that_is_half_open_closes_it(sockets: Sockets) -> None:
    await half_open(sockets)
    function = sockets.function()
    await function.work(sockets.hang_up())
    assert await connections(sockets) == []
    assert (await sockets.state())["left"] == 1
    assert await sockets.forgets(function)


async def test_a_late_connect_closes_what_is_half_open_and_gone(sockets: Sockets) -> None:
    connect = await half_open(sockets)
    sockets.hang_up()
    await sockets.clock.advance(OPENING + 1)
    await sockets.function().work(connect)
    assert await connections(sockets) == []
    assert (await sockets.state())["left"] == 1


async def test_a_connect_that_comes_again_after_the_end_closes_what_is_half_open(
    sockets: Sockets,
) -> None:
    connect = await half_open(sockets)
    function = sockets.function(ordered=False)
    await function.work(sockets.hang_up())
    await sockets.function(ordered=False).work(connect)
    assert await connections(sockets) == []
    assert (await sockets.state())["left"] == 1


async def test_the_sweeper_closes_what_is_half_open(sockets: Sockets) -> None:
    await half_open(sockets)
    function = sockets.function()
    await sockets.clock.advance(SHORT + 1)
    (due,) = await sockets.world.store.due(sockets.clock.now(), limit=9)
    head = await sockets.world.store.load(due.actor_id)
    assert head is not None
    assert head.address.namespace == NAMESPACE
    await function.keeper.tend(head)
    assert await connections(sockets) == []
    assert (await sockets.state())["left"] == 1
    assert await sockets.forgets(function)
