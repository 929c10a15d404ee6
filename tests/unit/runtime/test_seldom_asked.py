"""What is asked seldom: twice, too late, of a life that has ended, or with nothing to say."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, UserError, action
from rivetless.actor.schedule import FireInfo
from rivetless.actor.turn import RequestInfo
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ById,
    ByKey,
    CallAction,
    DestroyActor,
    GetActor,
    Origin,
    RawRequest,
    SendMessage,
)
from rivetless.testing.clock import settle
from rivetless.testing.rig import Rig
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World

GATES: dict[str, asyncio.Event] = {}
TOLD: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    GATES.clear()
    TOLD.clear()


class Log(BaseModel):
    lines: list[str] = []


class Desk(Actor[Log], action_timeout=10, max_queue_size=3):
    """Does what tests want."""

    notes = Queue[str]()
    asks = Queue[str, str]()

    async def on_request(self, request: Any) -> Any:
        """Never get here: there was no request."""
        raise AssertionError

    @action
    async def note(self, line: str) -> int:
        """Write a line."""
        self.state.lines.append(line)
        return len(self.state.lines)

    @action
    async def look(self) -> list[str]:
        """Look."""
        return self.state.lines

    @action
    async def end(self) -> None:
        """End."""
        self.destroy()

    @action
    async def no_seat(self) -> bool:
        """Look at the state of a connection that has none."""
        conn: Any = self.conn
        return conn.state is None

    @action
    async def in_parts(self) -> list[str]:
        """Commit what there is, thrice, where there is something once."""
        self.state.lines.append("once")
        for _ in range(3):
            await self.save_state()
        return self.state.lines

    @action
    async def tell_in_parts(self) -> None:
        """Send somebody else a message with a checkpoint, and no more."""
        await self.client.send(self.client.get_or_create(Desk, "b"), Desk.notes, "once")
        await self.save_state()

    @action
    async def overfill(self) -> str:
        """Send more than the queue takes, and take no notice of being told."""
        for number in range(5):
            self.queue.send(self.notes, str(number))
        try:
            await self.save_state()
        except ActorError as error:
            TOLD.append(error.name)
        return "done"

    @action
    async def take(self) -> list[str]:
        """Receive what is there."""
        return [message.body for message in await self.queue.try_next_batch(count=10)]

    @action
    async def look_again(self, gate: str) -> list[str]:
        """Look, wait, and look at what is newest."""
        before = list(self.state.lines)
        await GATES.setdefault(gate, asyncio.Event()).wait()
        await self.refresh()
        return before + self.state.lines

    @action
    async def twice(self) -> list[Any]:
        """Read pairs that were written in the same turn, and one that was not."""
        await self.kv.put("here", "x")
        await self.kv.delete("gone")
        own = await self.kv.get_batch(["here", "gone"])
        return [*own, await self.kv.get("nowhere")]

    @action
    async def told(self, line: str, fire: FireInfo | None = None, more: str = "") -> None:
        """Write down whether it was told why it runs."""
        self.state.lines.append(f"{line} {fire is not None} {more}")

    @action
    async def plan(self) -> None:
        """Plan actions, with all arguments and with some."""
        self.schedule.after(1, self.told, "some")
        self.schedule.after(2, self.told, "all", None, "given")
        self.schedule.after(3, self.note, "plain")

    @action
    async def repeat(self) -> None:
        """Have a job that remembers nothing."""
        self.cron.every("job", timedelta(minutes=1), self.note, "run", max_history=0)

    @action
    async def history(self) -> int:
        """Count what it remembers."""
        return len(await self.cron.history("job"))


TARGET = ByKey(Address("default", "desk", ("a",)), create=True)


async def life_of(process: Process) -> str:
    return (await process.runtime.dispatch(GetActor(TARGET))).actor_id


async def test_a_checkpoint_with_nothing_to_commit_commits_nothing() -> None:
    world = await World.open(Desk)
    process = world.process()
    await process.call("desk", "note", "first")
    world.store.reset()
    assert await process.call("desk", "in_parts") == ["first", "once"]
    assert world.store.calls["commit"] <= 2


async def test_what_was_sent_with_a_checkpoint_is_sent_once() -> None:
    async with Rig() as rig:
        await rig.client.get_or_create(Desk, "a").tell_in_parts()
        await rig.settle()
        assert await rig.client.get_or_create(Desk, "b").take() == ["once"]


class Answering(Actor[Log]):
    """Answers requests, and looks at what it has as it begins."""

    async def on_create(self) -> None:
        """Look at pairs: there are none yet."""
        self.state.lines.append(f"{len(await self.kv.list())} pairs")

    async def on_connect(self, conn: Any) -> None:
        """Greet."""
        self.state.lines.append("connected")

    async def on_disconnect(self, conn: Any) -> None:
        """Take leave."""
        self.state.lines.append("disconnected")

    async def on_request(self, request: Any) -> Any:
        """Answer in two parts, with something in between that servers may know."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b"one ", "more_body": True})
            await send({"type": "http.response.debug", "info": {}})
            await send({"type": "http.response.body", "body": b"two"})

        return answer

    @action
    async def look(self) -> list[str]:
        """Look."""
        return self.state.lines


async def test_a_request_has_a_connection_for_as_long_as_it_takes() -> None:
    world = await World.open(Answering)
    process = world.process()
    target = ByKey(Address("default", "answering", ("a",)), create=True)
    request = RequestInfo("GET", "http://localhost/")
    answer = await process.runtime.dispatch(RawRequest(target, Origin(request=request)))
    assert (answer.status, answer.body) == (201, b"one two")
    lines = await process.call("answering", "look")
    assert lines[:3] == ["0 pairs", "connected", "disconnected"]


class Listening(Actor[None]):
    """Answers with an app that breaks off when the client leaves, as some do."""

    async def on_request(self, request: Any) -> Any:
        """Answer when it is clear that the client has not left."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            messages = [await receive()]
            leaving = asyncio.ensure_future(receive())
            await asyncio.wait([leaving], timeout=0)
            messages += [leaving.result()] if leaving.done() else []
            leaving.cancel()
            body = ", ".join(message["type"] for message in messages).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        return answer


async def test_nobody_leaves_before_the_end_of_an_answer() -> None:
    process = (await World.open(Listening)).process()
    target = ByKey(Address("default", "listening", ("a",)), create=True)
    request = RequestInfo("GET", "http://localhost/")
    answer = await process.runtime.dispatch(RawRequest(target, Origin(request=request)))
    assert answer.body == b"http.request"


async def test_a_turn_whose_checkpoint_was_refused_cannot_end_well() -> None:
    async with Rig() as rig:
        desk = rig.client.get_or_create(Desk, "a")
        with pytest.raises(ActorError) as raised:
            await desk.overfill()
        assert [raised.value.name, *TOLD] == ["queue.full", "queue.full"]
        assert await desk.take() == []


async def test_pairs_of_the_turn_itself_are_not_read() -> None:
    async with Rig() as rig:
        assert await rig.client.get_or_create(Desk, "a").twice() == ["x", None, None]


async def test_a_connection_without_a_state() -> None:
    async with Rig() as rig:
        assert await rig.client.get_or_create(Desk, "a").no_seat()


async def test_an_action_that_takes_why_it_runs_is_told_unless_it_was_given_it() -> None:
    async with Rig() as rig:
        desk = rig.client.get_or_create(Desk, "a")
        await desk.plan()
        await rig.advance(5)
        assert await desk.look() == ["some True ", "all False given", "plain"]


async def test_a_job_without_a_history() -> None:
    async with Rig() as rig:
        desk = rig.client.get_or_create(Desk, "a")
        await desk.repeat()
        await rig.advance(150)
        rig.restart()
        rig.clock.jump(600)  # missed, while nobody was there
        await rig.advance(61)
        assert await desk.history() == 0
        assert len(await desk.look()) >= 3


async def test_there_must_be_a_request_to_answer() -> None:
    world = await World.open(Desk)
    with pytest.raises(ActorError, match="no request to answer"):
        await world.process().runtime.dispatch(RawRequest(TARGET, Origin()))


async def test_a_life_that_has_ended_is_not_found_by_its_id() -> None:
    world = await World.open(Desk)
    one, two = world.process(), world.process()
    first = await life_of(one)
    await two.call("desk", "end")
    await settle()
    second = await life_of(two)
    assert first != second
    assert await life_of(one) in (first, second)
    for process in (one, two):
        with pytest.raises(ActorError) as raised:
            await process.runtime.dispatch(CallAction(ById("default", first), "note", ["x"]))
        assert raised.value.name == "actor.not_found"
    assert await one.call("desk", "note", "x") == 1


async def test_the_newest_state_may_be_another_lifes() -> None:
    world = await World.open(Desk)
    one, two = world.process(), world.process()
    await one.call("desk", "note", "old")
    looking = asyncio.create_task(one.call("desk", "look_again", "gate"))
    await settle()
    await two.call("desk", "end")
    await settle()
    await two.call("desk", "note", "new")
    GATES["gate"].set()
    while not looking.done():
        await world.clock.advance(0.1)
    assert await looking == ["new", "new"]  # of one life both


async def test_to_destroy_fails_where_the_store_is_away() -> None:
    world = await World.open(Desk)
    process = world.process()
    life = await life_of(process)
    world.faults.inject(Fault.BEFORE)
    with pytest.raises(ActorError) as raised:
        await process.runtime.dispatch(DestroyActor(ById("default", life)))
    assert raised.value.name == "guard.service_unavailable"
    for _ in range(2):
        await process.runtime.dispatch(DestroyActor(ById("default", life)))
    await settle()
    assert await world.store.load(life) is None


async def test_nobody_waits_for_a_reply_longer_than_for_an_action() -> None:
    world = await World.open(Desk)
    process = world.process()

    async def ask(timeout: float | None) -> Any:
        send = SendMessage(TARGET, "asks", "x", True, timeout, Origin())
        asking = asyncio.create_task(process.runtime.dispatch(send))
        while not asking.done():
            await world.clock.advance(1)
        return await asking

    assert (await ask(5)).status == "timedOut"
    for timeout in (None, 100):
        with pytest.raises(ActorError) as raised:
            await ask(timeout)
        assert raised.value.name == "actor.action_timed_out"


async def test_a_repeated_send_to_a_life_that_has_ended_is_not_taken_for_done() -> None:
    world = await World.open(Desk)
    process = world.process()
    send = SendMessage(TARGET, "notes", "x", False, None, Origin(call_key="i:key"))
    first = await process.runtime.dispatch(send)
    await process.call("desk", "end")
    await settle()
    second = await process.runtime.dispatch(send)
    assert second.actor_id != first.actor_id


class Caller(Actor[Log]):
    """Calls, as it is created, somebody who calls it."""

    async def on_create(self) -> None:
        """Call."""
        await self.client.get_or_create(Callee, "b").call_back(self.key[0])

    @action
    async def look(self) -> list[str]:
        """Look."""
        return self.state.lines


class Callee(Actor):
    """Calls back."""

    @action
    async def call_back(self, who: str) -> list[str]:
        """Call."""
        try:
            return await self.client.get_or_create(Caller, who).look()
        except ActorError as error:
            TOLD.append(error.name)
            raise


async def test_a_hook_that_waits_for_its_own_actor_is_a_deadlock() -> None:
    async with Rig() as rig:
        with pytest.raises(ActorError):
            await rig.client.get_or_create(Caller, "a").look()
        assert TOLD == ["actor.deadlock"]


class Flooding(Actor[Log], max_queue_size=2):
    """Sends itself more than its queue takes, from its loop."""

    notes = Queue[str]()

    async def run(self) -> None:
        """Send, and see."""
        if not TOLD:
            for number in range(5):
                self.queue.send(self.notes, str(number))
            try:
                await self.queue.next(self.notes, timeout=1)
            except ActorError as error:
                TOLD.append(error.name)
                raise
        async for message in self.queue.iter(self.notes):
            self.state.lines.append(message.body)

    @action
    async def look(self) -> list[str]:
        """Look."""
        return self.state.lines


async def test_a_loop_is_told_that_its_queue_is_full() -> None:
    async with Rig() as rig:
        flooding = rig.client.get_or_create(Flooding, "a")
        await flooding.look()
        await rig.advance(60)
        assert TOLD == ["queue.full"]
        await rig.client.send(flooding, Flooding.notes, "on")
        await rig.settle()
        assert await flooding.look() == ["on"]


class Ears(Actor):
    """Listens, and has no state."""

    heard = Queue[str]()

    async def run(self) -> None:
        """Note what comes, and plan something for each."""
        async for message in self.queue.iter(self.heard):
            self.schedule.after(1, self.note, message.body)
            TOLD.append(message.body)

    @action
    async def note(self, text: str) -> None:
        """Note it once more."""
        TOLD.append(f"again {text}")

    @action
    async def plan(self) -> None:
        """Move the actor's version."""
        self.schedule.after(1, self.note, "planned")


async def test_a_loop_without_a_state_goes_on_while_its_actor_changes() -> None:
    async with Rig() as rig:
        ears = rig.client.get_or_create(Ears, "a")
        for text in ("one", "two"):
            await rig.client.send(ears, Ears.heard, text)
            await ears.plan()
            await rig.advance(2)
        assert sorted(TOLD) == [
            "again one",
            "again planned",
            "again planned",
            "again two",
            "one",
            "two",
        ]


class Leaving(Actor[Log]):
    """Sends somebody a message and ends, in one turn."""

    @action
    async def look(self) -> list[str]:
        """Look."""
        return self.state.lines

    @action
    async def say_and_end(self) -> None:
        """Send, and end."""
        self.state.lines.append("said")
        await self.client.send(self.client.get_or_create(Desk, "a"), Desk.notes, "goodbye")
        self.destroy()

    @action
    async def fail(self) -> None:
        """Fail."""
        raise UserError("no")


async def test_an_address_is_free_when_what_its_life_has_sent_is_out() -> None:
    world = await World.open(Desk, Leaving)
    process = world.process()
    await process.call("leaving", "look")
    world.faults.inject(Fault.BEFORE, skip=1)
    for _ in range(20):
        world.faults.inject(Fault.BEFORE)
    await process.call("leaving", "say_and_end")
    await settle()
    assert 0 < world.faults.planned < 21
    with pytest.raises(ActorError) as raised:
        await process.call("leaving", "look")
    assert raised.value.name == "guard.service_unavailable"
    world.faults.clear()
    process.runtime.sweeper.start()
    for _ in range(20):
        await world.clock.advance(30)
    assert await process.call("leaving", "look") == []
    await process.runtime.aclose()
