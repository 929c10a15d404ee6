"""Being written down among the hosts: heartbeats, other ids, and nobody's connections closed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rivetless import Actor, ActorError
from rivetless.hosts.announcement import HEARTBEAT, LIFETIME, MARGIN, Announcement
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, OpenConnection, Sweep
from rivetless.store.base import OVER, Collection, Host, OutcomeUnknown, StoreError
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World

URL = "http://127.0.0.1:1"


class Hall(Actor[None]):
    """Somewhere to connect to."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.open(Hall)
    yield world
    for name in list(world.neighbourhood.homes):
        world.kill(name)


class Node:
    """One process, and how often its sockets were closed."""

    def __init__(self, world: World, name: str = "h") -> None:
        self.closed: list[str] = []
        self.own = Announcement(world.store, name, world.clock, self.close)

    def close(self) -> None:
        self.closed.append(self.own.id)


@pytest.fixture
async def node(world: World) -> Node:
    node = Node(world)
    await node.own.begin(URL)
    return node


async def hosts(world: World) -> list[Host]:
    return sorted(await world.store.hosts(), key=lambda host: host.id)


async def secure(node: Node) -> str:
    return await node.own.secure()


async def test_heartbeats_keep_the_id(world: World, node: Node) -> None:
    for _ in range(10):
        world.clock.jump(LIFETIME - MARGIN - 1)
        await node.own.renew()

    assert await hosts(world) == [Host("h", URL, world.clock.now() + LIFETIME)]
    assert (await secure(node), node.closed) == ("h", [])


async def test_who_was_away_for_too_long_has_another_id(world: World, node: Node) -> None:
    began = world.clock.now()
    world.clock.jump(LIFETIME - MARGIN)
    await node.own.renew()

    assert node.closed == ["h~1"]
    assert [host.id for host in await hosts(world)] == ["h", "h~1"]
    assert [host.over for host in await hosts(world)] == [True, False]
    assert node.own.owns("h")
    assert node.own.owns("h~1")
    assert not node.own.owns("h~2")
    world.clock.jump(LIFETIME)
    assert await secure(node) == "h~2"
    assert all(host.expires_at > began + LIFETIME for host in await hosts(world))


async def test_a_socket_does_not_wait_for_the_next_heartbeat(world: World, node: Node) -> None:
    world.clock.jump(LIFETIME)

    assert {await secure(node), await secure(node)} == {"h~1"}
    assert node.closed == ["h~1"]
    assert Host("h~1", URL, world.clock.now() + LIFETIME) in await hosts(world)


async def test_many_sockets_wait_for_one_heartbeat(world: World, node: Node) -> None:
    world.clock.jump(LIFETIME)
    world.store.reset()

    assert set(await asyncio.gather(*(secure(node) for _ in range(9)))) == {"h~1"}
    assert world.store.calls["announce"] == 2  # that the old one is over, and the new one


async def test_a_heartbeat_that_took_too_long_came_too_late(world: World, node: Node) -> None:
    world.clock.jump(LIFETIME - MARGIN - 1)
    held = world.faults.inject(Fault.HELD_AFTER, verb="announce")
    renewing = asyncio.ensure_future(node.own.renew())
    await settle()
    world.clock.jump(1)
    assert not node.own.holds
    held.release()
    await renewing

    # Nobody knows when it was there, so others may have read that it is dead.
    assert node.closed == ["h~1"]
    assert await secure(node) == "h~1"


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.VANISHED, Fault.UNACKNOWLEDGED])
async def test_no_socket_is_taken_in_while_that_is_not_announced(
    world: World, fault: Fault
) -> None:
    node = Node(world)
    with pytest.raises(ActorError, match="service_unavailable"):
        await secure(node)  # nothing is known yet, not even where it is
    world.faults.inject(fault, verb="announce")
    with pytest.raises(StoreError):
        await node.own.begin(URL)

    world.faults.inject(fault, verb="announce")
    with pytest.raises(ActorError, match="service_unavailable"):
        await secure(node)
    assert await secure(node) == "h"
    assert [host.id for host in await hosts(world)] == ["h"]


@pytest.mark.parametrize("fault", [Fault.HELD_AFTER, Fault.UNACKNOWLEDGED])
async def test_the_first_announcement_counts_from_when_it_was_sent(
    world: World, fault: Fault
) -> None:
    node = Node(world)
    world.faults.inject(fault, verb="announce")
    beginning = asyncio.ensure_future(node.own.begin(URL))
    await settle()
    world.clock.jump(LIFETIME)  # frozen before it has seen the answer
    await world.clock.advance(0.1)
    with pytest.raises((TimeoutError, OutcomeUnknown)):
        await beginning

    # Others may have read that it is dead.
    assert await secure(node) == "h~1"
    assert [host.over for host in await hosts(world)] == [True, False]


async def test_a_store_that_does_not_answer_holds_nobody_up(world: World, node: Node) -> None:
    world.clock.jump(LIFETIME)
    world.faults.inject(Fault.HELD, verb="announce")
    asked = asyncio.ensure_future(secure(node))
    await settle()
    await world.clock.advance(HEARTBEAT)
    with pytest.raises(ActorError, match="service_unavailable"):
        await asked


async def test_an_end_is_written_down(world: World, node: Node) -> None:
    await node.own.end()

    # It stays, so that what is left of its connections is found.
    assert await hosts(world) == [Host("h", OVER, world.clock.now() + LIFETIME)]
    assert not node.own.reachable
    world.clock.jump(LIFETIME)
    with pytest.raises(ActorError, match="service_unavailable"):
        await secure(node)
    await node.own.end()
    assert [host.over for host in await hosts(world)] == [True]


async def test_a_heartbeat_under_way_takes_no_end_back(world: World, node: Node) -> None:
    held = world.faults.inject(Fault.HELD, verb="announce")
    renewing = asyncio.ensure_future(node.own.renew())
    await settle()
    ending = asyncio.ensure_future(node.own.end())
    await settle()
    held.release()
    await asyncio.gather(renewing, ending)

    assert [(host.id, host.over) for host in await hosts(world)] == [("h", True)]


async def test_a_heartbeat_that_arrives_late_takes_nothing_back(world: World, node: Node) -> None:
    late = world.faults.inject(Fault.LATE, verb="announce")
    with pytest.raises(OutcomeUnknown):
        await node.own.renew()
    world.clock.jump(HEARTBEAT)
    await node.own.renew()
    latest = await hosts(world)
    late.release()
    await settle()

    assert await hosts(world) == latest


async def test_a_process_alone_on_its_store_is_not_written_down() -> None:
    world = await World.open(Hall, shared=False)
    node = Node(world)

    assert await secure(node) == "h"
    assert await hosts(world) == []


# -- connections ----------------------------------------------------------------------------------


async def connect(process: Process, node: Node, conn_id: str) -> str:
    target = ByKey(Address("default", "hall", ("a",)), create=True)
    command = OpenConnection(target, conn_id, "events", await secure(node))
    return (await process.runtime.dispatch(command)).actor_id


async def opened(world: World, actor_id: str) -> list[str]:
    records = await world.store.records(actor_id, Collection.CONNECTION)
    return [record.key.decode() for record in records]


@pytest.mark.parametrize("verb", ["hosts", "hosted"])
async def test_who_closes_a_dead_hosts_connections_leaves_those_it_opens_when_it_is_back(
    world: World, node: Node, verb: str
) -> None:
    process, reaper = world.process(), world.process()
    actor_id = await connect(process, node, "old")
    world.clock.jump(LIFETIME)
    held = world.faults.inject(Fault.HELD_AFTER if verb == "hosts" else Fault.HELD, verb=verb)
    sweeping = asyncio.ensure_future(reaper.runtime.dispatch(Sweep()))
    await settle()
    assert held.reached.is_set()
    await connect(process, node, "new")
    held.release()
    await sweeping

    assert await opened(world, actor_id) == ["new"]
    await reaper.runtime.dispatch(Sweep())
    assert await opened(world, actor_id) == ["new"]


async def test_what_is_written_under_an_id_that_was_forgotten_is_found(
    world: World, node: Node
) -> None:
    process, reaper = world.process(), world.process()
    world.clock.jump(LIFETIME)
    await reaper.runtime.dispatch(Sweep())
    world.clock.jump(3600)
    await reaper.runtime.dispatch(Sweep())
    assert await hosts(world) == []
    target = ByKey(Address("default", "hall", ("a",)), create=True)
    # It was frozen for hours while it opened a connection.
    info = await process.runtime.dispatch(OpenConnection(target, "late", "events", "h"))
    await node.own.renew()
    await reaper.runtime.dispatch(Sweep())

    assert await opened(world, info.actor_id) == []
