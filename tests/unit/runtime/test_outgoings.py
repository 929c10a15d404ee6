"""What is in outboxes: in which order it goes, who waits for whom, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from rivetless import errors
from rivetless.runtime import sending
from rivetless.runtime.commands import SendMessage
from rivetless.runtime.outbox import SEND, Dispatch
from rivetless.runtime.outgoings import BATCH, FIRST_PAUSE, OLD, RefusedError
from rivetless.runtime.waking import MAX_HOPS
from rivetless.store.base import Changes, Collection, Head
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.lone_cells import BORN, ID, Plain
from tests.unit.runtime.worlds import Bells, World


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rivetless")


class Post:
    """An actor's outbox, which is written by hand; the first letter of a body names the receiver.

    Attributes:
        asked: the bodies that receivers were asked to have, in order.
        had: those that they have had.
        failing: which of the receivers have nothing.
        gate: what they wait for.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.process = world.process(Bells())
        self.outgoings = self.process.runtime.outgoings
        self.asked: list[str] = []
        self.had: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.last: Dispatch | None = None
        self.outgoings.handle("test", self._have, receiver=lambda entry: entry.body.decode()[0])
        self.outgoings.handle("kept", self._have, keeps=True)

    @classmethod
    async def open(cls) -> Post:
        world = await World.open(Plain)
        await world.store.commit(ID, BORN, expected=0)
        return cls(world)

    async def _have(self, entry: Dispatch) -> None:
        body = entry.body.decode()
        self.asked.append(body)
        self.last = entry
        await self.gate.wait()
        if body[0] in self.failing:
            raise self.failing[body[0]]
        self.had.append(body)

    def fail(self, receiver: str, error: Exception | None = None) -> None:
        self.failing[receiver] = error or RuntimeError("out of order")

    def entry(
        self, body: str, ago: float = 0.0, *, attempts: int = 0, noted: float | None = None
    ) -> Dispatch:
        """Return an entry that was committed a while ago."""
        at = self.world.clock.now() - ago
        name = f"id-{body}"
        return Dispatch(ID, name, "test", body.encode(), at, attempts, 0.0, noted or at)

    async def put(self, *entries: Dispatch) -> Changes:
        """Write entries to the outbox; return what was committed."""
        changes = Changes("put", outbox_add=tuple(entry.written() for entry in entries))
        await self.world.store.inner.commit(ID, changes, expected=None)
        return changes

    async def head(self) -> Head:
        head = await self.world.store.inner.load(ID)
        assert head is not None
        return head

    async def left(self) -> dict[str, Dispatch]:
        """Return what is in the outbox, by its body."""
        head = await self.head()
        entries = [Dispatch.read(ID, outgoing) for outgoing in head.outbox.values()]
        return {entry.body.decode(): entry for entry in entries}

    async def sweep(self) -> None:
        await self.outgoings.dispatch_old(await self.head())


@pytest.mark.parametrize("hops", [0.0, 2.5])
async def test_an_entry_is_read_as_it_was_written(hops: float) -> None:
    entry = Dispatch(ID, "x", "test", b"a\0b", 5.0, 3, hops, 7.0)
    assert Dispatch.read(ID, entry.written()) == entry


# -- what goes at once ----------------------------------------------------------------------------


async def test_new_entries_go_behind_those_of_other_processes_to_the_same_receivers() -> None:
    post = await Post.open()
    await post.put(post.entry("a1", 2), post.entry("b1", 2), post.entry("a2", 1))
    changes = await post.put(post.entry("a3"))
    post.outgoings.committed(ID, changes, await post.head())
    await settle()
    assert post.had == ["a1", "a2", "a3"]
    assert [*await post.left()] == ["b1"]


async def test_new_entries_go_though_the_head_is_not_known() -> None:
    post = await Post.open()
    changes = await post.put(post.entry("a1"))
    post.outgoings.committed(ID, changes, None)
    await settle()
    assert post.had == ["a1"]


async def test_what_a_handler_keeps_is_had_no_second_time_because_of_what_follows() -> None:
    post = await Post.open()
    await post.put(replace(post.entry("x1", 1), kind="kept"))
    changes = await post.put(replace(post.entry("x2"), kind="kept"))
    post.outgoings.committed(ID, changes, await post.head())
    await settle()
    assert post.had == ["x2"]


async def test_what_a_commit_puts_off_does_not_go_at_once() -> None:
    post = await Post.open()
    later = post.world.clock.now() + 5
    changes = await post.put(
        post.entry("a1", 1, attempts=1, noted=later), post.entry("a2", noted=later)
    )
    post.outgoings.committed(ID, changes, await post.head())
    await settle()
    assert post.asked == []


async def test_a_new_entry_joins_one_that_is_tried_again_right_now() -> None:
    post = await Post.open()
    post.gate.clear()
    first = post.entry("a1", 1, attempts=1)
    await post.put(first)
    trying = asyncio.create_task(post.outgoings.dispatch([first]))
    await settle()
    changes = await post.put(post.entry("a2"))
    post.outgoings.committed(ID, changes, await post.head())
    await settle()
    post.gate.set()
    await trying
    assert post.asked == post.had == ["a1", "a2"]
    assert await post.left() == {}


@pytest.mark.parametrize(("hops", "had"), [(MAX_HOPS, ["a"]), (MAX_HOPS + SEND, [])])
async def test_an_actor_that_sends_in_circles_is_left_to_the_sweeper(
    hops: float, had: list[str]
) -> None:
    post = await Post.open()
    changes = await post.put(replace(post.entry("a"), hops=hops))
    post.outgoings.committed(ID, changes, await post.head())
    await settle()
    assert post.had == had
    await post.world.clock.advance(OLD)
    await post.sweep()
    assert post.had == ["a"]
    if not had:
        assert post.last is not None
        assert post.last.hops == 0.0


async def test_new_entries_are_dated_after_all_that_are_there_though_the_clock_is_slow() -> None:
    post = await Post.open()
    ahead = post.entry("a1", -100)
    await post.put(ahead)
    stamps = post.outgoings.stamps(await post.head())
    first, second = next(stamps), next(stamps)
    assert ahead.created_at < first < second
    assert next(post.outgoings.stamps(None)) > second


# -- what the sweeper finds -----------------------------------------------------------------------


@pytest.mark.parametrize("ago", [OLD, OLD + 5])
async def test_what_is_behind_an_entry_that_was_put_off_waits_for_it_in_the_store(
    ago: float,
) -> None:
    post = await Post.open()
    noted = post.world.clock.now() - 1
    await post.put(
        post.entry("a1", 60, attempts=1, noted=noted), post.entry("a2", ago), post.entry("b1", ago)
    )
    await post.sweep()
    assert post.had == ["b1"]
    left = await post.left()
    assert {body: entry.noted_at for body, entry in left.items()} == {"a1": noted, "a2": noted}
    assert left["a2"].created_at == post.world.clock.now() - ago
    await post.world.clock.advance(OLD - 1)
    await post.sweep()
    assert post.had == ["b1", "a1", "a2"]


async def test_nothing_is_written_about_what_is_new() -> None:
    post = await Post.open()
    await post.put(post.entry("a1", 2), post.entry("a2", 1), post.entry("b1", 1))
    post.world.store.reset()
    await post.sweep()
    assert (post.asked, post.world.store.writes) == ([], 0)


async def test_the_sweeper_goes_by_the_store_if_it_could_not_be_put_off_there() -> None:
    post = await Post.open()
    post.fail("a")
    await post.put(post.entry("a1", OLD))
    post.world.faults.inject(Fault.BEFORE)
    await post.sweep()
    post.failing.clear()
    await post.sweep()
    assert post.asked == ["a1", "a1"]
    assert post.had == ["a1"]


# -- one receiver ---------------------------------------------------------------------------------


async def test_behind_what_fails_everything_waits_until_it_is_tried_again() -> None:
    post = await Post.open()
    post.fail("a")
    entries = [post.entry("a1", 1), post.entry("a2"), post.entry("b1")]
    await post.put(*entries)
    await post.outgoings.dispatch(entries)
    assert sorted(post.asked) == ["a1", "b1"]
    left = await post.left()
    again_at = post.world.clock.now() + FIRST_PAUSE
    assert {(body, e.attempts, e.noted_at) for body, e in left.items()} == {
        ("a1", 1, again_at - OLD),
        ("a2", 0, again_at - OLD),
    }
    await post.world.clock.advance(FIRST_PAUSE / 2)
    await post.outgoings.dispatch(left.values())
    assert len(post.asked) == 2
    post.failing.clear()
    await post.world.clock.advance(FIRST_PAUSE / 2)
    await post.outgoings.dispatch(left.values())
    assert post.had == ["b1", "a1", "a2"]


async def test_each_receiver_that_fails_is_waited_for_by_itself() -> None:
    post = await Post.open()
    post.fail("a")
    post.fail("b")
    first, second = post.entry("a1"), post.entry("b1")
    await post.put(first, second)
    await post.outgoings.dispatch([first])
    await post.world.clock.advance(FIRST_PAUSE / 2)
    await post.outgoings.dispatch([second])
    await post.outgoings.dispatch([first])
    assert post.asked == ["a1", "b1"]
    await post.world.clock.advance(FIRST_PAUSE / 2)
    await post.outgoings.dispatch([second])
    await post.outgoings.dispatch([first])
    assert post.asked == ["a1", "b1", "a1"]
    await post.world.clock.advance(FIRST_PAUSE / 2)
    post.fail("c")
    await post.outgoings.dispatch([post.entry("c1")])
    assert len(post.outgoings._held_back) == 2  # nothing is remembered of b, which may be tried


async def test_whoever_dispatches_waits_until_all_receivers_have_answered() -> None:
    post = await Post.open()
    entries = [post.entry("a1"), post.entry("b1")]
    await post.put(*entries)
    post.gate.clear()
    work = asyncio.create_task(post.outgoings.dispatch(entries))
    await settle()
    assert not work.done()
    post.gate.set()
    await work
    assert await post.left() == {}


async def test_what_is_done_is_cleared_in_commits_of_a_limited_size() -> None:
    post = await Post.open()
    entries = [post.entry(f"a{number}", 100 - number) for number in range(BATCH + 1)]
    await post.put(*entries)
    post.world.store.reset()
    await post.outgoings.dispatch(entries)
    assert post.world.store.writes == 2
    assert await post.left() == {}


async def test_what_was_given_up_half_way_can_be_begun_anew() -> None:
    post = await Post.open()
    entries = [post.entry("a1", 1), post.entry("a2")]
    await post.put(*entries)
    post.gate.clear()
    work = asyncio.create_task(post.outgoings.dispatch(entries))
    await settle()
    work.cancel()
    await settle()
    post.gate.set()
    await post.outgoings.dispatch(entries)
    assert post.had == ["a1", "a2"]


# -- what is never taken --------------------------------------------------------------------------


async def test_processes_of_all_versions_know_that_an_entry_was_given_up() -> None:
    post = await Post.open()
    post.fail("a", RefusedError(ValueError("never")))
    entry = post.entry("a1")
    await post.put(entry)
    await post.outgoings.dispatch([entry])
    keys = {record.key for record in await post.world.store.records(ID, Collection.REPLY)}
    assert keys == {f"buried:{entry.id}:{entry.created_at!r}".encode()}


async def test_an_entry_that_comes_back_after_it_was_given_up_only_goes() -> None:
    """A slow process has put it off meanwhile."""
    post = await Post.open()
    post.fail("a", RefusedError(ValueError("never")))
    entry = post.entry("a1")
    for _ in range(2):
        await post.put(entry)
        await post.outgoings.dispatch([entry])
    head = await post.head()
    assert (head.outbox, head.counters["dead"]) == ({}, 1)


# -- messages to other actors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "left"), [("guard.service_unavailable", 1), ("auth.forbidden", 0)]
)
async def test_a_message_is_sent_again_unless_its_receiver_can_never_have_it(
    name: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = await Post.open()
    body = b'["default",["plain",["a"],false,null],"q",null,null]'
    entry = replace(post.entry("m"), kind=sending.SEND, body=body)
    await post.put(entry)

    async def refuse(command: SendMessage) -> None:
        assert command.origin.call_key == "o:id-m"  # by which receivers know what they have had
        raise errors.make(name)

    monkeypatch.setattr(post.process.runtime, "dispatch", refuse)
    await post.outgoings.dispatch([entry])
    head = await post.head()
    assert len(head.outbox) == left
    assert head.counters.get("dead", 0) == 1 - left
