"""Events: who hears them, when, in which order, and which are never sent."""

import asyncio
import gc

import pytest

from rivetless import ActorError
from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.meeting import JoinParams, Message, Room
from tests.behaviour.cells import SORTED
from tests.behaviour.world import Ear, World

ADA = JoinParams(name="ada", role="admin")
BOB = JoinParams(name="bob")


async def test_a_broadcast_reaches_all_that_listen(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        to_ada, to_bob = Ear(), Ear()
        ada.on(Room.message, to_ada)
        bob.on(Room.message, to_bob)
        await bob.actor.me()
        assert await ada.actor.say("hi") == 1
        assert await to_ada.wait() == [Message(sender="ada", text="hi")]
        assert await to_bob.wait() == [Message(sender="ada", text="hi")]


async def test_it_reaches_only_those(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        ticks, messages = Ear(), Ear()
        bob.on(Room.tick, ticks)
        ada.on(Room.message, messages)
        await bob.actor.me()
        await ada.actor.say("hi")
        await ada.actor.tock()
        await ticks.wait()
        assert ticks.heard == [None]
        assert len(messages.heard) == 1


async def test_events_of_an_action_come_before_its_answer(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        order: list[str] = []
        conn.on(Counter.changed, lambda count: order.append(f"event {count}"))
        for number in range(1, 6):
            await conn.actor.increment()
            order.append(f"answer {number}")
        assert order == [f"{kind} {n}" for n in range(1, 6) for kind in ("event", "answer")]


async def test_calls_without_a_connection_cause_events_too(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.get()
        await counter.increment(4)
        assert await heard.wait() == [4]


async def test_events_keep_their_order(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        heard = Ear()
        ada.on(Room.message, heard)
        await ada.actor.say_many([str(number) for number in range(50)])
        await ada.actor.say("last")
        texts = [message.text for message in await heard.wait(51)]
        assert texts == [*map(str, range(50)), "last"]


async def test_once_is_once(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        once, always = Ear(), Ear()
        conn.once(Counter.changed, once)
        conn.on(Counter.changed, always)
        await conn.actor.increment()
        await conn.actor.increment()
        assert await always.wait(2) == [1, 2]
        assert once.heard == [1]


async def test_unsubscribing_stops_delivery(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        heard = Ear()
        stop = conn.on(Counter.changed, heard)
        await conn.actor.increment()
        stop()
        stop()
        await conn.actor.increment()
        conn.on(Counter.changed, heard)
        await conn.actor.increment()
        assert await heard.wait(2) == [1, 3]


async def test_a_stream_of_events(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        stream = conn.events(Counter.changed)
        for _ in range(3):
            await conn.actor.increment()
        assert [await anext(stream) for _ in range(3)] == [1, 2, 3]
        del stream
        gc.collect()


async def test_what_on_connect_sends_is_heard(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        heard = Ear()
        ada.on(Room.welcome, heard)
        assert await heard.wait() == ["welcome ada"]


async def test_sending_to_one_connection(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        to_ada, to_bob = Ear(), Ear()
        ada.on(Room.message, to_ada)
        bob.on(Room.message, to_bob)
        await bob.actor.me()
        assert bob.connection_id is not None
        assert await ada.actor.tell(bob.connection_id, "psst")
        assert [message.text for message in await to_bob.wait()] == ["psst"]
        await ada.actor.say("aloud")
        assert [message.text for message in await to_ada.wait()] == ["aloud"]
        assert not await ada.actor.tell("nobody", "psst")


async def test_telling_all_but_oneself(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada, world.client.connect(room, BOB) as bob:
        to_ada, to_bob = Ear(), Ear()
        ada.on(Room.message, to_ada)
        bob.on(Room.message, to_bob)
        await bob.actor.me()
        assert await ada.actor.tell_others("guess who") == 1
        assert [message.text for message in await to_bob.wait()] == ["guess who"]
        await ada.actor.me()
        assert to_ada.heard == []


async def test_payloads_of_all_shapes(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        moved, ticked, renamed, plain = Ear(), Ear(), Ear(), Ear()
        ada.on(Room.moved, moved)
        ada.on(Room.tick, ticked)
        ada.on(Room.renamed, renamed)
        ada.on("moved", plain)
        await ada.actor.move(5, "north")
        await ada.actor.tock()
        await ada.actor.rename("anything")
        assert moved.heard == [(5, "north")]
        assert ticked.heard == [None]
        assert renamed.heard == ["anything"]
        assert plain.heard == [(5, "north")]


async def test_events_need_no_declaration(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        none, one, two = Ear(), Ear(), Ear()
        ada.on("none", none)
        ada.on("one", one)
        ada.on("two", two)
        await ada.actor.shout("none")
        await ada.actor.shout("one", {"deep": [1]})
        await ada.actor.shout("two", 1, "x")
        assert (none.heard, one.heard, two.heard) == ([()], [{"deep": [1]}], [(1, "x")])


async def test_a_wrong_payload_is_the_senders_mistake(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        heard = Ear()
        ada.on(Room.message, heard)
        with pytest.raises(ActorError) as caught:
            await ada.actor.say_wrong()
        assert caught.value.name == "actor.validation_error"
        await ada.actor.say("right")
        assert [message.text for message in heard.heard] == ["right"]


async def test_what_is_rolled_back_is_not_heard(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        heard = Ear()
        ada.on(Room.message, heard)
        with pytest.raises(ActorError, match="Never mind"):
            await ada.actor.say_and_fail("boo")
        await ada.actor.say("real")
        assert [message.text for message in heard.heard] == ["real"]
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        counts = Ear()
        conn.on(Counter.changed, counts)
        with pytest.raises(ActorError):
            await conn.actor.increment_and_refuse()
        with pytest.raises(ActorError):
            await conn.actor.increment_and_crash()
        await conn.actor.increment()
        assert counts.heard == [1]


async def test_a_turn_without_changes_may_send(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.announce(99)
        assert heard.heard == [99]
        assert await conn.actor.get() == 0


async def test_who_may_subscribe_hears(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, ADA) as ada:
        heard = Ear()
        ada.on(Room.secret, heard)
        await ada.actor.whisper("gold")
        assert heard.heard == ["gold"]


async def test_who_may_not_is_thrown_out(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    async with world.client.connect(room, BOB) as bob:
        errors, heard = Ear(), Ear()
        bob.on_error(errors)
        await bob.actor.me()
        stop = bob.on(Room.secret, heard)
        with pytest.raises(ActorError) as caught:
            await bob.actor.me()
        stop()
        assert caught.value.name == "auth.forbidden"
        assert (await errors.wait())[0].name == "auth.forbidden"
        assert heard.heard == []


async def test_an_answer_that_is_no_bool_throws_out_too(world: World) -> None:
    room = world.client.get_or_create(Room, world.key)
    params = JoinParams(name="eve", role="confused")
    async with world.client.connect(room, params) as eve:
        await eve.actor.me()
        stop = eve.on(Room.secret, print)
        with pytest.raises(ActorError) as caught:
            await eve.actor.me()
        stop()
        assert caught.value.name == "rivetkit.internal_error"


@SORTED
async def test_concurrent_changes_are_told_in_order(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.get()
        await asyncio.gather(*(counter.increment() for _ in range(10)))
        assert await heard.wait(10) == list(range(1, 11))


async def test_subscriptions_outlive_the_process(world: World) -> None:
    counter = world.client.get_or_create(Counter, world.key)
    async with world.client.connect(counter) as conn:
        heard = Ear()
        conn.on(Counter.changed, heard)
        await conn.actor.increment()
        connection = conn.connection_id
        await world.forget(counter)
        await world.client.get_or_create(Counter, world.key).increment()
        assert await heard.wait(2) == [1, 2]
        assert conn.connection_id == connection
