"""What is undone in the middle of a turn is undone in every part of it; what goes on is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, UserError, action
from rivetless.actor.abort import AbortSignal
from rivetless.runtime.schedules import MOST_ATTEMPTS
from rivetless.testing.rig import Rig


class Lines(BaseModel):
    lines: list[str] = []


class Other(Actor[Lines]):
    """Gets what is sent."""

    notes = Queue[str]()

    @action
    async def take(self) -> list[str]:
        """Receive what is there."""
        return [message.body for message in await self.queue.try_next_batch(count=10)]


class Leaving(Actor[Lines]):
    """A call's connection comes and goes with it, in one turn: its last hook may fail."""

    notes = Queue[str]()

    async def on_disconnect(self, conn: Any) -> None:
        """Do a bit of everything, then fail."""
        if "fails" in self.state.lines:
            await self.do_all("lost")
            await self.queue.try_next_batch(self.notes, count=10)
            raise UserError("no")

    async def do_all(self, name: str) -> None:
        """Write to every part of a turn."""
        self.state.lines.append(name)
        await self.kv.put(name, name)
        self.queue.send(self.notes, name)
        self.schedule.after(timedelta(hours=1), self.note, f"scheduled by {name}")
        self.cron.every(name, timedelta(hours=2), self.note, f"cron of {name}")
        await self.client.send(self.client.get_or_create(Other, "o"), Other.notes, name)
        await self.dead_letters.purge()

    @action
    async def note(self, line: str) -> None:
        """Write a line."""
        self.state.lines.append(line)

    @action
    async def act(self) -> list[str]:
        """Receive something and do everything; what comes after it fails."""
        self.state.lines.append("fails")
        received = await self.queue.try_next_batch(self.notes, count=1)
        await self.do_all("kept")
        return [message.body for message in received]

    @action
    async def act_alone(self) -> int:
        """Receive all there is; what comes after it, and fails, finds nothing."""
        self.state.lines.append("fails")
        return len(await self.queue.try_next_batch(self.notes, count=10))

    @action
    async def mend(self) -> None:
        """Fail no more."""
        self.state.lines.remove("fails")

    @action
    async def put(self, text: str) -> None:
        """Send a message."""
        self.queue.send(self.notes, text)

    @action
    async def look(self) -> dict[str, Any]:
        """Show all there is."""
        return {
            "lines": self.state.lines,
            "kv": [key for key, _ in await self.kv.list()],
            "planned": [str(each.args[0]) for each in await self.schedule.list()],
            "crons": [job.name for job in await self.cron.list()],
            "messages": [message.body for message in await self.queue.try_next_batch(count=10)],
        }


async def test_a_hook_that_fails_in_a_turn_undoes_its_own_part_only() -> None:
    async with Rig() as rig:
        leaving = rig.client.get_or_create(Leaving, "a")
        for text in ("first", "second"):
            await leaving.put(text)
        assert await leaving.act_alone() == 2
        await leaving.mend()
        for text in ("first", "second"):
            await leaving.put(text)
        assert await leaving.act() == ["first"]
        await leaving.mend()
        assert await leaving.look() == {
            "lines": ["kept"],
            "kv": ["kept"],
            "planned": ["scheduled by kept"],
            "crons": ["kept"],
            "messages": ["second", "kept"],
        }
        await rig.settle()
        assert await rig.client.get_or_create(Other, "o").take() == ["kept"]


class Planner(Actor[Lines]):
    """Changes its mind within a turn."""

    @action
    async def note(self, line: str) -> None:
        """Write a line."""
        self.state.lines.append(line)

    @action
    async def fail(self) -> None:
        """Fail for good."""
        raise UserError("no")

    @action
    async def plan_and_cancel(self) -> list[bool]:
        """Plan and take back, twice."""
        planned = self.schedule.after(1, self.note, "never")
        return [await self.schedule.cancel(planned) for _ in range(2)]

    @action
    async def plan(self, count: int) -> list[str]:
        """Plan many."""
        return [self.schedule.after(10 + n, self.note, str(n)) for n in range(count)]

    @action
    async def cancel(self, planned: list[str]) -> list[bool]:
        """Take some back."""
        return [await self.schedule.cancel(each) for each in planned]

    @action
    async def set_and_drop(self) -> None:
        """Make a job and drop it; drop one that never was."""
        self.cron.every("job", 10, self.note, "never")
        self.cron.delete("job")
        self.cron.delete("nobody's")

    @action
    async def plan_to_fail(self) -> None:
        """Leave a dead letter."""
        self.schedule.after(1, self.fail)

    @action
    async def replay_and_look(self) -> list[Any]:
        """Put a letter back, then look for it in the same turn."""
        (letter,) = await self.dead_letters.list()
        found = await self.dead_letters.get(letter.id)
        assert found == letter
        replayed = await self.dead_letters.replay(letter.id)
        again = await self.dead_letters.replay(letter.id)
        return [replayed, again, await self.dead_letters.get(letter.id)]

    @action
    async def read(self) -> list[str]:
        """Return what was written."""
        return self.state.lines


async def test_what_is_taken_back_in_its_own_turn_was_never_there() -> None:
    async with Rig() as rig:
        planner = rig.client.get_or_create(Planner, "a")
        assert await planner.plan_and_cancel() == [True, False]
        await planner.set_and_drop()
        await rig.advance(60)
        assert await planner.read() == []


async def test_any_of_many_can_be_taken_back() -> None:
    async with Rig() as rig:
        planner = rig.client.get_or_create(Planner, "a")
        planned = await planner.plan(200)
        # The first, one far behind, one twice, and one that has been.
        taken = [planned[0], planned[150], planned[150], "nobody's"]
        assert await planner.cancel(taken) == [True, True, False, False]
        await rig.advance(300)
        assert await planner.read() == [str(n) for n in range(200) if n not in (0, 150)]


async def test_a_letter_is_put_back_once() -> None:
    async with Rig() as rig:
        planner = rig.client.get_or_create(Planner, "a")
        await planner.plan_to_fail()
        for _ in range(2 * MOST_ATTEMPTS):
            await rig.advance(3600)
        assert await planner.replay_and_look() == [True, False, None]


class Loop(Actor[Lines], abstract=True):
    """A loop that does what a loop must not; what becomes of it is in ``told``."""

    notes = Queue[str]()
    told: list[str] = []  # noqa: RUF012 - shared on purpose: it is not rolled back

    @action
    async def look(self) -> list[str]:
        """Wake, and look."""
        return self.state.lines


async def refused(rig: Rig, cls: type[Any]) -> str:
    """Run a loop; return what it was told."""
    Loop.told.clear()
    await rig.client.get_or_create(cls, "a").look()
    await rig.advance(1)
    return Loop.told[0]


async def test_a_loop_cannot_leave_work_for_after_its_commit() -> None:
    class Later(Loop):
        async def run(self) -> None:
            """Try."""
            try:
                self.wait_until(self.queue.next(self.notes))
            except ActorError as error:
                self.told.append(error.name)
            await self.abort_signal.wait()

    async with Rig() as rig:
        assert await refused(rig, Later) == "actor.invalid_operation"


async def test_a_loop_with_changes_cannot_ask_for_the_newest_state() -> None:
    class Refreshing(Loop):
        async def run(self) -> None:
            """Ask without changes, and with some."""
            await self.refresh()
            self.state.lines.append("kept")
            try:
                await self.refresh()
            except ActorError as error:
                self.told.append(error.name)
            await self.queue.next(self.notes)

    async with Rig() as rig:
        assert await refused(rig, Refreshing) == "actor.invalid_operation"
        await rig.settle()
        assert await rig.client.get_or_create(Refreshing, "a").look() == ["kept"]


async def test_a_loop_completes_a_message_before_it_takes_the_next() -> None:
    class Holding(Loop):
        async def run(self) -> None:
            """Take two."""
            self.queue.send(self.notes, "first")
            held = await self.queue.next(self.notes, completable=True)
            assert held is not None
            try:
                await self.queue.next(self.notes)
            except ActorError as error:
                self.told.append(error.name)
            held.complete()
            await self.queue.next(self.notes)

    async with Rig() as rig:
        assert await refused(rig, Holding) == "queue.previous_message_not_completed"


async def test_a_loop_of_tasks_stops_as_one_does() -> None:
    class Group(Loop):
        async def run(self) -> None:
            """Wait in two tasks at once."""
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.listen)
                tasks.start_soon(self.abort_signal.wait)

        async def listen(self) -> None:
            """Write down what comes; some of it cannot be borne."""
            while True:
                message = await self.queue.next(self.notes)
                self.state.lines.append(message.body)
                if message.body == "bad" and not self.told:
                    self.told.append("failed")
                    raise ZeroDivisionError

        @action
        async def doze(self) -> None:
            """Sleep."""
            self.sleep()

    async with Rig() as rig:
        group = rig.client.get_or_create(Group, "a")
        Loop.told.clear()
        for text in ("one", "bad", "two"):
            await rig.client.send(group, Group.notes, text)
            await rig.advance(10)
            await group.doze()
            await rig.advance(10)
        # What failed was rolled back, and tried again.
        assert await group.look() == ["one", "bad", "two"]
        assert Loop.told == ["failed"]


@pytest.mark.parametrize("when", ["before", "while"])
async def test_a_wait_ends_when_its_signal_fires(when: str) -> None:
    signals: list[AbortSignal] = []

    class Waiting(Loop):
        async def run(self) -> None:
            """Wait until the signal fires."""
            signal = AbortSignal()
            signals.append(signal)
            if when == "before":
                signal.fire("enough")
            try:
                await self.queue.next(self.notes, signal=signal)
            except ActorError as error:
                self.told.append(error.name)
            async for _ in self.queue.iter(self.notes, signal=signal):
                self.told.append("never")
            await self.abort_signal.wait()

        @action
        async def wait(self) -> str:
            """Wait in a turn."""
            signal = AbortSignal()
            signals.append(signal)
            try:
                await self.queue.next(self.notes, timeout=30, signal=signal)
            except ActorError as error:
                return error.name
            return "no end"

    async with Rig() as rig:
        waiting = rig.client.get_or_create(Waiting, "a")
        Loop.told.clear()
        asked = asyncio.create_task(waiting.wait())
        await rig.settle()
        for signal in signals:
            signal.fire("enough")
        await rig.advance(1)
        assert Loop.told == ["actor.aborted"]
        assert await asked == "actor.aborted"


async def test_a_loop_of_tasks_that_was_overtaken_takes_its_message_again() -> None:
    gates: list[asyncio.Event] = []

    class Slow(Loop):
        async def run(self) -> None:
            """Work off what comes, in a task."""
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.work)

        async def work(self) -> None:
            """Take long over it."""
            while True:
                message = await self.queue.next(self.notes)
                self.state.lines.append(message.body)
                gates.append(asyncio.Event())
                await gates[-1].wait()

        @action
        async def note(self, line: str) -> None:
            """Be quicker."""
            self.state.lines.append(line)

    async with Rig() as rig:
        slow = rig.client.get_or_create(Slow, "a")
        await rig.client.send(slow, Slow.notes, "slow")
        await rig.settle()
        await slow.note("quick")
        for _ in range(3):
            for gate in gates:
                gate.set()
            await rig.advance(1)
        assert await slow.look() == ["quick", "slow"]
        assert len(gates) >= 2


class Asking(Actor[Lines]):
    """Sends itself what nobody answers, and gives up."""

    asks = Queue[str, str]()

    @action
    async def ask(self) -> str:
        """Ask, and be told to stop."""
        signal = AbortSignal()
        signal_after = asyncio.get_running_loop().call_soon
        asked = self.queue.enqueue_and_wait(self.asks, "anybody?", timeout=5, signal=signal)
        signal_after(signal_after, signal.fire, "enough")
        try:
            return await asked
        except ActorError as error:
            return error.name

    @action
    async def ask_and_be_answered(self) -> str:
        """Ask, and be told to stop when that has come."""
        signal = AbortSignal()
        answer = await self.queue.enqueue_and_wait(self.asks, "me?", timeout=50, signal=signal)
        signal.fire("enough")
        return answer

    @action
    async def answer(self) -> int:
        """Answer what is there."""
        messages = await self.queue.try_next_batch(self.asks, count=10, completable=True)
        for message in messages:
            message.complete("yes")
        return len(messages)


async def test_who_waits_for_a_reply_may_stop_at_any_time() -> None:
    async with Rig() as rig:
        asking = rig.client.get_or_create(Asking, "a")
        assert await asking.ask() == "actor.aborted"
        asked = asyncio.create_task(asking.ask_and_be_answered())
        await rig.settle()
        assert await asking.answer() >= 1
        await rig.settle()
        await rig.advance(1)
        assert await asked == "yes"
