"""Messages that come again, or whose writes arrive, when others have gone on: once is once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rivetless.errors import ActorError
from rivetless.hosts.aws_lambda.sockets import Phase
from rivetless.hosts.aws_lambda.websocket import Disconnect, Frame
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, Origin
from rivetless.runtime.reconcile import ATTEMPTS
from rivetless.store.base import Collection
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.sockets import CID, HTTP, TARGET, Function, Hall, Sockets
from tests.unit.runtime.worlds import World

RAW = f"/gateway/hall/websocket?{TARGET}"


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    world = await World.open(Hall)
    async with world.store:
        yield Sockets(world)


async def say(function: Function) -> None:
    """Have the process know the actor, by a call over HTTP."""
    target = ByKey(Address("default", "hall", ("a",)), create=True)
    await function.runtime.dispatch(CallAction(target, "say", ["hi"], Origin(params=HTTP)))


async def connections(sockets: Sockets) -> int:
    head = await sockets.world.store.load(Address("default", "hall", ("a",)))
    assert head is not None
    return len(await sockets.world.store.records(head.actor_id, Collection.CONNECTION))


def fail(sockets: Sockets, verb: str, times: int = 1) -> None:
    """Have the store be away for the next calls of a verb."""
    for _ in range(times):
        sockets.world.faults.inject(Fault.BEFORE, verb=verb)


# -- connects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_connect_that_was_held_up_lets_nobody_in_who_has_left(
    sockets: Sockets, ordered: bool
) -> None:
    slow, quick = sockets.function(ordered=ordered), sockets.function(ordered=ordered)
    await say(quick)
    connect = sockets.connect()
    held = sockets.world.faults.inject(Fault.HELD, verb="load")
    late = asyncio.create_task(slow.work(connect))
    await held.reached.wait()
    await quick.work(connect)
    await quick.work(sockets.hang_up())
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    held.release()
    await sockets.clock.advance(60)
    await late
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    assert await connections(sockets) == 0


async def test_a_connection_that_was_let_in_and_is_gone_leaves_no_socket(sockets: Sockets) -> None:
    slow, quick = sockets.function(), sockets.function()
    await say(quick)
    connect = sockets.connect()
    held = sockets.world.faults.inject(Fault.HELD, verb="load")
    late = asyncio.create_task(slow.work(connect))
    await held.reached.wait()
    await quick.work(connect)
    await quick.work(Disconnect(CID, 1000, ""))
    held.release()
    await late
    # It got nothing more, and is closed, should it be there by mistake.
    assert sockets.got() == ["Init", ("said", "welcome")]
    assert sockets.api.lines[CID].ended == "server"


async def test_an_opening_that_arrives_after_the_end_is_closed(sockets: Sockets) -> None:
    function = sockets.function()
    await say(function)
    opening = sockets.world.faults.inject(Fault.LATE, skip=1)  # the route's own commit comes first
    fail(sockets, "load", ATTEMPTS)
    await function.work(sockets.connect())
    assert sockets.got() == [("actor.outcome_unknown", None)]
    await function.work(Disconnect(CID, 1005, ""))
    opening.release()
    await opening.finished.wait()
    assert await sockets.state() == {"joined": 1, "left": 0, "said": 1}
    assert await sockets.forgets(sockets.function())
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    assert await connections(sockets) == 0


# -- frames ---------------------------------------------------------------------------------------


async def joined(sockets: Sockets, *, ordered: bool, raw: bool = False) -> Function:
    function = sockets.function(ordered=ordered)
    await function.work(sockets.connect(RAW) if raw else sockets.connect())
    return function


async def test_a_frame_that_nobody_sends_again_does_not_fail_for_the_end_of_its_socket(
    sockets: Sockets,
) -> None:
    function = await joined(sockets, ordered=False)
    sockets.api.hang_up()
    fail(
        sockets, "records", 2
    )  # the event finds out that the socket is gone, and so does the answer
    # It has no stored answer, so whoever puts it off has the action done twice.
    await function.work(sockets.action("say", "hi", unordered=True))
    assert await sockets.state() == {"joined": 1, "left": 0, "said": 1}
    ((end, delay),) = function.put_off
    assert (end, delay) == (Disconnect(CID, 1006, ""), 1.0)
    await function.work(end)
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    assert await function.routes.find(CID) is None


async def test_a_frame_from_a_queue_comes_again_for_the_end_of_its_socket(sockets: Sockets) -> None:
    function = await joined(sockets, ordered=True)
    sockets.api.hang_up()
    fail(sockets, "records")
    frame = sockets.action("say", "hi")
    with pytest.raises(ActorError, match=r"guard\.service_unavailable"):
        await function.work(frame)
    await sockets.function().work(frame)
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}
    assert function.put_off == []


async def test_a_raw_message_of_unknown_outcome_is_not_put_off(sockets: Sockets) -> None:
    function = await joined(sockets, ordered=False, raw=True)
    sockets.world.faults.inject(Fault.UNACKNOWLEDGED)
    sockets.world.faults.inject(Fault.BEFORE, verb="load", skip=1)  # whose class it is, first
    fail(sockets, "load", ATTEMPTS - 1)
    fail(sockets, "records")
    await function.work(sockets.frame("hi", unordered=True))
    assert (await sockets.state())["said"] == 1
    assert sockets.api.lines[CID].ended == "server"
    ((end, _),) = function.put_off
    await function.work(end)
    assert (await sockets.state())["left"] == 1
    assert await connections(sockets) == 0


async def test_an_end_that_cannot_even_be_put_off_is_left_to_others(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    function = await joined(sockets, ordered=False)

    async def broken(message: Frame | Disconnect, delay: float) -> None:
        raise ActorError("guard", "service_unavailable", "no queue")

    function.worker._later = broken
    gone = sockets.hang_up()
    fail(sockets, "records", 2)
    await function.work(sockets.action("say", "hi", unordered=True))
    assert "could not be put off" in caplog.text
    await function.work(gone)
    assert await sockets.state() == {"joined": 1, "left": 1, "said": 1}


async def test_a_refusal_that_is_certain_needs_no_further_look(sockets: Sockets) -> None:
    function = sockets.function(ordered=False)
    await function.work(sockets.connect(params={"banned": True}))
    route = await function.routes.find(CID)
    assert route is not None
    assert route.phase is Phase.CLOSED
    await settle()
    assert sockets.api.lines[CID].ended == "server"
