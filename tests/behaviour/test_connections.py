"""Connections: hooks and their order, who is there, their own state, their end."""

import asyncio
from typing import Any

import pytest

from rivetless import ActorError
from tests.behaviour.actors.calling import Gated
from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.living import Life
from tests.behaviour.actors.meeting import JoinParams, Room
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import Ear, World

ADA = JoinParams(name="ada", role="admin")
BOB = JoinParams(name="bob")


async def test_hooks_run_in_order_and_the_connection_is_there_from_on_connect_on(
    world: World,
) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        assert await ada.actor.log_of_hooks() == ["before:ada:0", "state:ada:0", "connect:ada:1"]
        async with world.client.connect(room, BOB) as bob:
            await bob.actor.me()
        log = await world.eventually(ada.actor.log_of_hooks, lambda log: len(log) == 7)
        assert log[3:] == ["before:bob:1", "state:bob:1", "connect:bob:2", "disconnect:bob:1"]


async def test_calls_without_a_connection_run_the_hooks_once_each(world: World) -> None:
    room = world.client.get_or_create(Room, world.key, params=BOB)
    await room.me()
    watcher = world.client.get_or_create(Room, world.key, params=ADA)
    log = await world.eventually(watcher.log_of_hooks, lambda log: "disconnect:bob:0" in log)
    assert [line for line in log if "bob" in line] == [
        "before:bob:0",
        "state:bob:0",
        "connect:bob:1",
        "disconnect:bob:0",
    ]


async def test_a_call_has_a_connection_of_its_own(world: World) -> None:
    room = world.client.get_or_create(Room, world.key, params=BOB)
    first, second = await room.me(), await room.me()
    assert first["name"] == "bob"
    assert first["id"] != second["id"]
    assert await room.say("to nobody") == 1
    assert (await room.me())["said"] == 0


@pytest.mark.parametrize("refuse", ["user", "crash", "state"])
async def test_a_refused_connection_never_was(world: World, refuse: str) -> None:
    room = world.client.get_or_create(Room, world.key)
    params = JoinParams(name="eve", refuse=refuse)
    with pytest.raises(ActorError):
        async with world.client.connect(room, params):
            pass
    refused = world.client.get_or_create(Room, world.key, params=params)
    with pytest.raises(ActorError):
        await refused.me()
    log = await room.log_of_hooks()
    assert not [line for line in log if "disconnect:eve" in line or "connect:eve" in line]


async def test_a_connection_that_on_connect_refuses_is_gone(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    with pytest.raises(ActorError, match="Thrown out"):
        async with world.client.connect(room, JoinParams(name="eve", refuse="connect")):
            pass
    async with world.client.connect(room, ADA) as ada:
        assert await ada.actor.members() == ["ada"]


async def test_parameters_are_checked(world: World) -> None:
    room = world.client.get_or_create("room", world.key, params={"name": ["no", "text"]})
    with pytest.raises(ActorError) as caught:
        await room.me()
    assert caught.value.name == "actor.validation_error"
    with pytest.raises(ActorError) as caught:
        async with world.client.connect(room):
            pass
    assert caught.value.name == "actor.validation_error"


async def test_parameters_may_hold_any_text(world: World) -> None:
    name = 'Zoë, "quoted" & 100 % 💙 \\ /'
    room = world.client.get_or_create(Room, world.key, params=JoinParams(name=name))
    assert (await room.me())["name"] == name
    async with world.client.connect(room) as conn:
        assert (await conn.actor.me())["name"] == name


async def test_parameters_may_be_made_for_each_connection(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    made = 0

    async def params() -> JoinParams:
        nonlocal made
        made += 1
        return JoinParams(name=f"guest {made}")

    for number in (1, 2):
        async with world.client.connect(room, params) as conn:
            assert (await conn.actor.me())["name"] == f"guest {number}"


async def test_parameters_that_cannot_be_made_are_tried_again(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    tries = 0

    async def params() -> JoinParams:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("no token yet")
        return ADA

    conn = world.client.connect(room, params)
    errors = Ear()
    conn.on_error(errors)
    await world.elapse(1, conn.ready())
    assert [error.name for error in errors.heard] == ["client.get_params_failed"]
    assert (await conn.actor.me())["name"] == "ada"
    await conn.close()


async def test_ids_are_known_once_connected(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    conn = world.client.connect(room, ADA)
    assert (conn.actor_id, conn.connection_id) == (None, None)
    await conn.ready()
    assert conn.actor_id == await world.client.resolve(room)
    assert (await conn.actor.me())["id"] == conn.connection_id
    await conn.close()


async def test_status_goes_its_way(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    conn = world.client.connect(room, ADA)
    seen, opened, closed, unwanted = Ear(), Ear(), Ear(), Ear()
    conn.on_status(seen)
    conn.on_open(opened)
    conn.on_close(closed)
    stop = conn.on_status(unwanted)
    stop()
    stop()
    before = conn.status
    await conn.actor.me()
    assert (before, conn.status) == ("idle", "connected")
    late = Ear()
    conn.on_open(late)
    await late.wait()
    await conn.close()
    assert conn.status == "idle"
    assert seen.heard == ["connecting", "connected", "idle"]
    assert (len(opened.heard), len(closed.heard), unwanted.heard) == (1, 1, [])
    with pytest.raises(ActorError) as caught:
        await conn.actor.me()
    assert caught.value.name == "client.closed"


async def test_calls_made_before_it_is_open_are_sent_in_order(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    conn = world.client.connect(counter)
    heard = Ear()
    conn.on(Counter.changed, heard)
    results = await asyncio.gather(*(conn.actor.increment() for _ in range(5)))
    assert sorted(results) == [1, 2, 3, 4, 5]
    assert heard.heard == [1, 2, 3, 4, 5]
    await conn.close()


@IN_MEMORY
async def test_answers_may_come_in_another_order(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    async with world.client.connect(gated) as conn:
        slow = asyncio.ensure_future(conn.actor.slow())
        await world.eventually(conn.actor.waiting, lambda count: count == 1)
        assert await conn.actor.fast() == "fast"
        assert not slow.done()
        await conn.actor.open()
        assert await world.elapse(0, slow) == "slow"


@IN_MEMORY
async def test_calls_in_flight_fail_when_it_is_closed(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    conn = world.client.connect(gated)
    slow = asyncio.ensure_future(conn.actor.slow())
    await world.eventually(gated.waiting, lambda count: count == 1)
    await conn.close()
    with pytest.raises(ActorError) as caught:
        await slow
    assert caught.value.name == "client.closed"
    await gated.open()


async def test_state_is_each_connections_own(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        await ada.actor.say("one")
        await ada.actor.say("two")
        assert (await ada.actor.me())["said"] == 2
        assert (await bob.actor.me())["said"] == 0
        assert await ada.actor.members() == ["ada", "bob"]


async def test_state_of_another_connection_can_be_changed(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        assert bob.connection_id is not None
        await ada.actor.promote(bob.connection_id, "king")
        assert (await bob.actor.me())["role"] == "king"


async def test_an_error_undoes_changes_of_it(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, BOB) as bob:
        with pytest.raises(ActorError, match="Not you"):
            await bob.actor.promote_and_fail("king")
        assert (await bob.actor.me())["role"] == "guest"


async def test_it_outlives_the_process(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        await ada.actor.say("one")
        await ada.actor.doze()
        me = await ada.actor.me()
        assert (me["said"], me["id"]) == (1, ada.connection_id)
        await world.forget(room)
        assert await ada.actor.say("two") == 2
        log = await ada.actor.log_of_hooks()
        assert log == ["before:ada:0", "state:ada:0", "connect:ada:1"]
        assert ada.connection_id == me["id"]


async def test_one_that_ends_while_the_actor_sleeps_is_gone(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        async with world.client.connect(room, BOB) as bob:
            await bob.actor.doze()
        members = await world.eventually(ada.actor.members, lambda names: len(names) == 1)
        assert members == ["ada"]


async def test_connections_are_equal_by_id(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        same: dict[str, Any] = await ada.actor.same()
        assert all(same.values()), same


async def test_an_actor_can_close_one(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        closed, opened = Ear(), Ear()
        bob.on_close(closed)
        first = bob.connection_id
        assert first is not None
        bob.on_open(opened)
        await opened.wait()
        await ada.actor.kick(first, "enough")
        await closed.wait()
        # It was connected before, so the client comes back, as a new connection.
        await opened.wait(2)
        assert bob.connection_id != first
        log = await world.eventually(
            ada.actor.log_of_hooks, lambda log: any("disconnect:bob" in line for line in log)
        )
        assert [line for line in log if "disconnect" in line] == ["disconnect:bob:1"] or (
            [line for line in log if "disconnect" in line] == ["disconnect:bob:2"]
        )


async def test_many_come_and_go(world: World) -> None:
    life = world.client.get_or_create(Life, world.key)
    loud = {"loud": True}

    async def visit() -> None:
        handle = world.client.get_or_create("life", world.key)
        async with world.client.connect(handle, loud) as conn:
            await conn.actor.read()

    await asyncio.gather(*(visit() for _ in range(8)))
    lines = await world.eventually(life.read, lambda lines: lines.count("disconnect") == 8)
    assert lines.count("connect") == 8
