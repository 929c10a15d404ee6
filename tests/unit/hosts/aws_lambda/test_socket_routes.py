"""Routing heads and who looks after them: sweeps, keep-alives, ends that nobody told."""

from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import ServiceError
from rivetless.hosts.aws_lambda.sockets import (
    KEEP_ALIVE,
    KEEP_ALIVE_EVENT,
    LIFETIME,
    SHORT,
    Phase,
    Routes,
)
from rivetless.hosts.aws_lambda.websocket import Disconnect
from rivetless.runtime.commands import Wake
from rivetless.store.base import Conflict, Gone
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.sockets import CID, TARGET, Function, Hall, Sockets
from tests.unit.runtime.worlds import World


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    world = await World.open(Hall)
    async with world.store:
        yield Sockets(world)


async def joined(sockets: Sockets, *, keep_alive: bool = False, raw: bool = False) -> Function:
    function = sockets.function(keep_alive=keep_alive)
    url = f"/gateway/hall/{'websocket' if raw else 'connect'}?{TARGET}"
    await function.work(sockets.connect(url))
    sockets.api.lines[CID].frames.clear()
    return function


async def alarm(sockets: Sockets) -> float | None:
    """Return in how many seconds the connection is looked after."""
    due = await sockets.world.store.due(sockets.clock.now() + 1e9, limit=10)
    return due[0].at - sockets.clock.now() if due else None


# -- ends that nobody told ------------------------------------------------------------------------


async def test_a_connection_whose_end_was_not_told_is_swept(sockets: Sockets) -> None:
    function = await joined(sockets)
    sockets.api.hang_up()
    await sockets.clock.advance(LIFETIME - 1)
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 0
    await sockets.clock.advance(2)
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 1
    assert await function.routes.find(CID) is None
    await function.work(Disconnect(CID, 1001, ""))
    assert (await sockets.state())["left"] == 1


async def test_a_connection_that_is_still_there_is_let_be(sockets: Sockets) -> None:
    function = await joined(sockets)
    await sockets.clock.advance(LIFETIME + 1)
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 0
    assert await alarm(sockets) == SHORT
    assert sockets.got() == []


async def test_a_connection_is_let_be_while_nothing_is_known(sockets: Sockets) -> None:
    function = await joined(sockets)
    api = sockets.api

    async def get(connection_id: str, *, deadline: float | None = None) -> object:
        raise ServiceError("TooManyRequestsException", 429, "", {})

    await sockets.clock.advance(LIFETIME + 1)
    usual, api.get = api.get, get  # type: ignore[method-assign]
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 0
    api.get = usual  # type: ignore[method-assign]
    api.hang_up()
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 1


async def test_a_close_that_fails_is_made_by_the_next_sweep(sockets: Sockets) -> None:
    function = await joined(sockets)
    sockets.api.hang_up()
    await sockets.clock.advance(LIFETIME + 1)
    sockets.world.faults.inject(Fault.BEFORE, verb="records")
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 0
    await function.runtime.sweeper.sweep()
    assert (await sockets.state())["left"] == 1


async def test_a_connect_that_never_got_through_is_given_up(sockets: Sockets) -> None:
    function = sockets.function()
    sockets.api.connect()
    await function.routes.begin(CID, sockets.clock.now())
    await sockets.clock.advance(SHORT + 1)
    await function.runtime.sweeper.sweep()
    assert sockets.api.lines[CID].ended == "server"
    assert await sockets.forgets(function)


# -- keeping alive --------------------------------------------------------------------------------


async def test_idle_connections_are_kept_alive_if_asked(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True)
    (ring,) = function.bells.rings
    assert ring.at == sockets.clock.now() + KEEP_ALIVE
    for _ in range(3):
        await sockets.clock.advance(KEEP_ALIVE)
        await function.runtime.dispatch(Wake(ring.actor_id))
    assert sockets.got() == [(KEEP_ALIVE_EVENT,)] * 3
    assert len(function.bells.rings) == 4
    assert await alarm(sockets) == KEEP_ALIVE


async def test_early_and_doubled_rings_send_nothing(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True)
    (ring,) = function.bells.rings
    await function.runtime.dispatch(Wake(ring.actor_id))
    await sockets.clock.advance(KEEP_ALIVE)
    await function.runtime.dispatch(Wake(ring.actor_id))
    await function.runtime.dispatch(Wake(ring.actor_id))
    assert sockets.got() == [(KEEP_ALIVE_EVENT,)]
    assert len(function.bells.rings) == 2


async def test_a_lost_ring_is_made_up_for_by_the_sweeper(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True)
    function.bells.broken = True
    await sockets.clock.advance(KEEP_ALIVE)
    await function.runtime.sweeper.sweep()
    assert sockets.got() == [(KEEP_ALIVE_EVENT,)]


async def test_a_keep_alive_notices_who_is_gone(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True)
    (ring,) = function.bells.rings
    sockets.api.hang_up()
    await sockets.clock.advance(KEEP_ALIVE)
    await function.runtime.dispatch(Wake(ring.actor_id))
    await settle()
    assert (await sockets.state())["left"] == 1
    assert await function.routes.find(CID) is None
    assert len(function.bells.rings) == 1


async def test_rings_for_connections_that_are_gone_do_nothing(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True)
    (ring,) = function.bells.rings
    await function.work(sockets.hang_up())
    await sockets.clock.advance(KEEP_ALIVE)
    await function.runtime.dispatch(Wake(ring.actor_id))
    assert sockets.got() == []


async def test_nothing_is_sent_unasked(sockets: Sockets) -> None:
    function = await joined(sockets)
    assert function.bells.rings == []
    assert await alarm(sockets) == LIFETIME


async def test_raw_sockets_are_not_kept_alive(sockets: Sockets) -> None:
    function = await joined(sockets, keep_alive=True, raw=True)
    assert function.bells.rings == []
    await sockets.clock.advance(LIFETIME)
    await function.runtime.sweeper.sweep()
    assert sockets.got() == []
    assert (await sockets.state())["left"] == 0


# -- routes ---------------------------------------------------------------------------------------


async def test_routes_conflict_and_end(sockets: Sockets) -> None:
    one, two = (Routes(sockets.world.store, sockets.clock) for _ in range(2))
    route = await one.begin(CID, 1.5)
    assert await two.begin(CID, 2.5) == route
    opened = await one.establish(route, "life", raw=True, alarm=5.0)
    assert await two.find(CID) == opened
    with pytest.raises(Conflict):
        await two.establish(route, "other", raw=True, alarm=5.0)
    await two.postpone(route, 7.0)
    assert await two.find(CID) == opened
    await two.close(CID)
    closed = await one.find(CID)
    assert closed is not None
    assert (closed.phase, closed.actor_id) == (Phase.CLOSED, "life")
    await one.remove(opened)
    await two.remove(closed)
    assert await one.find(CID) is None
    with pytest.raises(Gone):
        await two.establish(route, "other", raw=True, alarm=5.0)


async def test_open_routes_are_remembered_and_closed_ones_are_not(sockets: Sockets) -> None:
    routes = Routes(sockets.world.store, sockets.clock)
    route = await routes.begin(CID, 1.0)
    await routes.establish(route, "life", raw=False, alarm=5.0)
    sockets.world.store.reset()
    assert (await routes.known(CID)) is not None
    assert sockets.world.store.calls == {}
    await routes.close(CID)
    closed = await routes.known(CID)
    assert closed is not None
    assert closed.phase is Phase.CLOSED


async def test_a_removal_that_died_in_the_middle_is_a_closed_route(sockets: Sockets) -> None:
    routes = Routes(sockets.world.store, sockets.clock)
    route = await routes.begin(CID, 1.0)
    sockets.world.faults.inject(Fault.BEFORE, verb="drain")
    with pytest.raises(Exception, match="injected"):
        await routes.remove(route)
    again = await routes.begin(CID, 1.0)
    assert again.phase is Phase.CLOSED
    await routes.remove(again)
    assert await routes.find(CID) is None
