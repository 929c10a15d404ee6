"""Dead letters as those see them who are not the actor; too many of them; none of a lost turn."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Queue, UserError, action
from rivetless.keys import Address
from rivetless.runtime import dead
from rivetless.runtime.commands import (
    ById,
    ByKey,
    ListLetters,
    PurgeLetters,
    ReplayLetter,
    SendMessage,
)
from rivetless.runtime.dead import Failure, Letter, letter_record, read_letter
from rivetless.store.base import Changes, Collection

from .worlds import Process, World

CLERK = Address("default", "clerk", ("a",))


class Log(BaseModel):
    done: list[str] = []


class Clerk(Actor[Log]):
    """Cannot do its jobs, for now."""

    jobs = Queue[str](max_deliveries=1)
    able = False

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs):
            if not Clerk.able:
                raise UserError(f"no {message.body}", code="no")
            self.state.done.append(message.body)

    @action
    async def done(self) -> list[str]:
        """Show what is done."""
        return self.state.done

    @action
    async def purge_and_fail(self) -> None:
        """Throw all away, in a turn that comes to nothing."""
        await self.dead_letters.purge()
        raise UserError("never mind")


@pytest.fixture(autouse=True)
def _unable() -> None:
    Clerk.able = False


class Office:
    """A clerk whose jobs are dead.

    Attributes:
        world: where it is.
        process: that runs it.
        target: the clerk.
    """

    def __init__(self, world: World, process: Process, target: ById) -> None:
        self.world = world
        self.process = process
        self.target = target

    @classmethod
    async def with_dead(cls, *jobs: str) -> Office:
        """Let jobs die."""
        world = await World.open(Clerk)
        process = world.staying()
        await process.call("clerk", "done")
        head = await world.store.load(CLERK)
        assert head is not None
        office = cls(world, process, ById("default", head.actor_id))
        for job in jobs:
            await office.send(job)
        return office

    async def send(self, job: str) -> None:
        """Send a job, and let it be worked."""
        command = SendMessage(ByKey(CLERK), "jobs", job)
        await self.process.runtime.dispatch(command)
        await self.world.clock.advance(10)

    async def letters(self, limit: int = 100, kind: str | None = None) -> list[Letter]:
        """List what is dead."""
        command = ListLetters(self.target, limit, kind)
        found: list[Letter] = await self.process.runtime.dispatch(command)
        return found

    async def bodies(self) -> list[object]:
        """List what was to be done."""
        return [letter.body for letter in await self.letters()]


async def test_letters_are_listed_newest_first() -> None:
    office = await Office.with_dead("a", "b", "c")
    assert await office.bodies() == [["jobs", "c"], ["jobs", "b"], ["jobs", "a"]]
    newest = (await office.letters(limit=1))[0]
    assert (newest.kind, newest.failure.message) == ("message", "no c")
    assert await office.letters(kind="message") == await office.letters()
    assert await office.letters(kind="schedule") == []


async def test_one_is_replayed() -> None:
    office = await Office.with_dead("a", "b")
    newest, _ = await office.letters()
    Clerk.able = True
    dispatch = office.process.runtime.dispatch
    assert await dispatch(ReplayLetter(office.target, newest.id)) == 1
    await office.world.clock.advance(10)
    assert await office.process.call("clerk", "done") == ["b"]
    assert await dispatch(ReplayLetter(office.target, newest.id)) == 0
    assert await office.bodies() == [["jobs", "a"]]


async def test_one_or_all_are_thrown_away() -> None:
    office = await Office.with_dead("a", "b", "c")
    dispatch = office.process.runtime.dispatch
    first = (await office.letters())[-1]
    assert await dispatch(PurgeLetters(office.target, "no letter")) == 0
    assert await dispatch(PurgeLetters(office.target, first.id)) == 1
    with pytest.raises(ActorError):
        await office.process.call("clerk", "purge_and_fail")
    assert await office.bodies() == [["jobs", "c"], ["jobs", "b"]]
    assert await dispatch(PurgeLetters(office.target)) == 2
    assert await office.bodies() == []


async def test_old_letters_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead, "MOST_LETTERS", 2)
    office = await Office.with_dead("a", "b", "c", "d")
    assert await office.bodies() == [["jobs", "d"], ["jobs", "c"]]


async def test_a_letter_of_a_kind_that_is_not_known_stays() -> None:
    office = await Office.with_dead()
    strange = Letter("telepathy", "x", 1.0, 1, Failure("user", "no", "no"), {"a": b"\x00"})
    record = letter_record(strange)
    assert read_letter(record) == strange
    made = Changes("c", puts=(record,), counters={"dead": 1})
    await office.world.store.commit(office.target.actor_id, made, expected=None)
    with pytest.raises(ActorError, match="invalid_operation"):
        await office.process.runtime.dispatch(ReplayLetter(office.target, strange.id))
    assert await office.letters() == [strange]
    records = await office.world.store.records(office.target.actor_id, Collection.DEAD)
    assert records == [record]
