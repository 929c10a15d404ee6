"""Posts and pushes: in order for each connection, many connections at once, lost at most."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from rivetless.aws.client import AnswerLost, ServiceError
from rivetless.gateway.frames import Wire
from rivetless.hosts.aws_lambda.pushes import AT_ONCE, MAX_OUTGOING, ApiGatewayPusher, Posts
from rivetless.hosts.aws_lambda.sockets import HOST, Routes
from rivetless.protocol.messages import ToClient
from rivetless.runtime.ports import ClosePush, EventPush, Push, RawPush
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.sockets import CID, Hall, Sockets
from tests.unit.runtime.worlds import World


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    world = await World.open(Hall)
    async with world.store:
        yield Sockets(world)


@pytest.fixture
def routes(sockets: Sockets) -> Routes:
    return Routes(sockets.world.store, sockets.clock)


@pytest.fixture
def posts(sockets: Sockets, routes: Routes) -> Posts:
    return Posts(sockets.api, routes, sockets.clock)


def push(
    content: EventPush | RawPush | ClosePush, *conns: str, version: int = 1, index: int = 0
) -> Push:
    return Push("life", version, index, content, conns or (CID,))


def events(*names: str) -> Sequence[Push]:
    return [push(EventPush(name, [1]), index=index) for index, name in enumerate(names)]


# -- pushes ---------------------------------------------------------------------------------------


async def test_events_arrive_in_order(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    assert await ApiGatewayPusher(posts).push(HOST, events("a", "b", "c")) == frozenset()
    assert sockets.got() == [("a", 1), ("b", 1), ("c", 1)]


async def test_a_thousand_connections_in_a_second(sockets: Sockets, posts: Posts) -> None:
    sockets.api.delay = 0.01
    conns = [f"c{number}" for number in range(1000)]
    for conn_id in conns:
        sockets.api.connect(conn_id)
    began = sockets.clock.now()
    pushing = asyncio.ensure_future(
        ApiGatewayPusher(posts).push(HOST, [push(EventPush("a", []), *conns)])
    )
    while not pushing.done():
        await sockets.clock.advance(0.01)
    assert sockets.clock.now() - began <= 0.2
    assert sockets.api.at_once == AT_ONCE
    assert sockets.api.requests == 1000
    assert {len(line.frames) for line in sockets.api.lines.values()} == {1}


async def test_order_is_kept_while_many_are_under_way(sockets: Sockets, posts: Posts) -> None:
    sockets.api.delay = 0.01
    sockets.api.connect()
    pusher = ApiGatewayPusher(posts)
    pushing = [
        asyncio.ensure_future(pusher.push(HOST, [push(EventPush("n", [number]), version=number)]))
        for number in range(20)
    ]
    await sockets.clock.advance(1)
    assert all(one.done() for one in pushing)
    assert sockets.got() == [("n", number) for number in range(20)]


async def test_one_event_is_written_once(
    sockets: Sockets, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        sockets.api.connect(f"c{number}")
    written: list[ToClient] = []
    frame = Wire.frame

    def counted(wire: Wire, message: ToClient) -> str | bytes:
        written.append(message)
        return frame(wire, message)

    monkeypatch.setattr(Wire, "frame", counted)
    conns = [f"c{number}" for number in range(10)]
    await ApiGatewayPusher(posts).push(HOST, [push(EventPush("a", ["x"]), *conns)])
    assert len(written) == 1


async def test_other_hosts_are_out_of_reach(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    assert await ApiGatewayPusher(posts).push("elsewhere", events("a")) == frozenset()
    assert sockets.got() == []


async def test_a_close_comes_last(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    pushes = [*events("a"), push(ClosePush(1000, "enough")), push(EventPush("late", []), index=2)]
    gone = await ApiGatewayPusher(posts).push(HOST, pushes)
    assert sockets.got() == [("a", 1)]
    assert sockets.api.lines[CID].ended == "server"
    assert gone == {CID}


async def test_a_close_of_what_is_gone_is_none(sockets: Sockets, posts: Posts) -> None:
    gone = await ApiGatewayPusher(posts).push(HOST, [push(ClosePush(1000, "", forget=True))])
    assert gone == {CID}


async def test_raw_frames_go_as_they_are(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    await ApiGatewayPusher(posts).push(HOST, [push(RawPush("hällo"))])
    assert sockets.api.lines[CID].frames == ["hällo"]
    await ApiGatewayPusher(posts).push(HOST, [push(RawPush("x" * MAX_OUTGOING), version=2)])
    assert sockets.api.lines[CID].ended is None
    await ApiGatewayPusher(posts).push(HOST, [push(RawPush("é" * MAX_OUTGOING), version=3)])
    assert sockets.api.lines[CID].ended == "server"


async def test_an_event_that_has_no_form_ends_the_connection(
    sockets: Sockets, posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    sockets.api.connect()
    await ApiGatewayPusher(posts).push(HOST, [push(EventPush("a", [object()]))])
    assert sockets.got() == [("rivetkit.internal_error", None)]
    assert sockets.api.lines[CID].ended == "server"
    assert "no form on the wire" in caplog.text


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [ServiceError("LimitExceededException", 429, "", {}), AnswerLost("timed out")],
)
async def test_what_fails_is_lost_and_nobody_is_gone(
    sockets: Sockets, posts: Posts, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    sockets.api.connect()
    sockets.api.failures.append(failure)
    assert await ApiGatewayPusher(posts).push(HOST, events("a", "b")) == frozenset()
    assert sockets.got() == [("b", 1)]
    assert "missed a frame" in caplog.text


async def test_one_that_nobody_knows_is_gone(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect("there")
    gone = await ApiGatewayPusher(posts).push(HOST, [push(EventPush("a", []), CID, "there")])
    assert gone == {CID}
    assert sockets.got("there") == [("a",)]


async def test_one_that_is_being_opened_is_waited_for(
    sockets: Sockets, posts: Posts, routes: Routes
) -> None:
    await routes.begin(CID, sockets.clock.now())
    sockets.api.connect(opens_in=0.5)
    pushing = asyncio.ensure_future(ApiGatewayPusher(posts).push(HOST, events("a")))
    await sockets.clock.advance(1)
    assert pushing.result() == frozenset()
    assert sockets.got() == [("a", 1)]


async def test_one_that_does_not_open_holds_nobody_up_and_is_not_gone(
    sockets: Sockets, posts: Posts, routes: Routes
) -> None:
    await routes.begin(CID, sockets.clock.now())
    sockets.api.connect(opens_in=20)
    pushing = asyncio.ensure_future(ApiGatewayPusher(posts).push(HOST, events("a")))
    await sockets.clock.advance(1.5)
    assert pushing.result() == frozenset()
    assert sockets.got() == []


async def test_one_that_was_reached_before_is_gone_without_a_look(
    sockets: Sockets, posts: Posts
) -> None:
    sockets.api.connect()
    await posts.send(CID, b"hi")
    sockets.api.hang_up()
    sockets.world.store.reset()
    assert await ApiGatewayPusher(posts).push(HOST, events("a")) == {CID}
    assert sockets.world.store.calls == {}


async def test_one_whose_route_cannot_be_read_is_not_gone(sockets: Sockets, posts: Posts) -> None:
    for _ in range(10):
        sockets.world.faults.inject(Fault.BEFORE, verb="load")
    pushing = asyncio.ensure_future(ApiGatewayPusher(posts).push(HOST, events("a")))
    await sockets.clock.advance(2)
    assert pushing.result() == frozenset()


# -- connections that are being opened ------------------------------------------------------------


async def test_what_is_held_goes_out_behind_the_first_frame(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    posts.hold(CID)
    assert await posts.send(CID, b"two")
    assert sockets.got() == []
    assert await posts.open(CID, b"one", until=0)
    assert await posts.send(CID, b"three")
    assert sockets.got() == ["one", "two", "three"]


async def test_what_is_held_for_nobody_is_dropped(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    posts.hold(CID)
    await posts.send(CID, b"two")
    posts.drop(CID)
    posts.drop(CID)
    assert await posts.send(CID, b"three")
    assert sockets.got() == ["three"]


async def test_a_client_that_leaves_while_it_is_opened(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    posts.hold(CID)
    await posts.send(CID, b"two", None, b"three")
    assert not await posts.open(CID, b"one", until=0)
    assert sockets.got() == ["one", "two"]
    assert not await posts.send(CID, b"four")


async def test_nothing_is_kept_of_connections_at_rest(sockets: Sockets, posts: Posts) -> None:
    sockets.api.connect()
    sockets.api.delay = 1
    sending = [asyncio.ensure_future(posts.send(CID, b"a")) for _ in range(3)]
    await settle()
    sending[1].cancel()
    await sockets.clock.advance(5)
    assert sockets.got() == ["a", "a"]
    assert posts._lanes == {}
