"""A process's copy of one actor: what it commits, whom it tells, and when it trusts itself."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from rivetless.runtime.cell import MOMENT, Cell
from rivetless.runtime.effects import Effect
from rivetless.runtime.steps import Step, Superseded, tick
from rivetless.runtime.tenure import Tenure
from rivetless.store.base import (
    Changes,
    Collection,
    Duplicate,
    Outgoing,
    Record,
    RecordKey,
)
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.lone_cells import BORN, ID, SECOND_LIFE, Lone, met, outcome

ONE, TWO = Changes("one", state=b"1"), Changes("two", state=b"2")
OTHER = Changes("other", state=b"other")
END = Changes("end", destroyed_at=5.0)


def guarded(name: bytes, data: bytes = b"mine") -> Changes:
    """Return changes without a version that can be made once only."""
    key = RecordKey(Collection.REPLY, name)
    record = Record(Collection.REPLY, name, data)
    return Changes(f"guarded-{data.decode()}", puts=(record,), absent=(key,))


def effects(*names: str) -> list[Effect]:
    return [cast("Effect", name) for name in names]


def lived_in(cell: Cell) -> Tenure:
    """Return the cell's tenure, once it has begun."""
    cell.awake = True
    return cell.tenure


# -- what is under way ----------------------------------------------------------------------------


async def test_what_is_held_back_or_being_committed_is_on_its_way() -> None:
    lone = await met()
    cell = lone.cell
    assert (cell.writing, cell.idle) == (False, True)
    (step,) = lone.stage(ONE, hold_back=True)
    assert (cell.writing, cell.idle) == (True, False)
    held = lone.faults.inject(Fault.HELD)
    assert cell.flush() is cell.flusher is not None
    await held.reached.wait()
    assert (cell.writing, cell.idle) == (True, False)
    held.release()
    await settle()
    assert outcome(step) is None
    assert (cell.writing, cell.idle, cell.flush()) == (False, True, None)


async def test_a_cell_is_not_idle_while_a_turn_runs_holds_it_or_waits_for_it() -> None:
    cell = (await met()).cell
    cell.running = 1
    assert not cell.idle
    cell.running = 0
    await cell.hold("turn")
    assert not cell.idle
    waiter = asyncio.create_task(cell.admit())
    await settle()
    cell.holder = None
    assert not cell.idle
    waiter.cancel()
    await settle()
    assert cell.idle


# -- what is read ---------------------------------------------------------------------------------


async def test_what_was_held_back_is_committed_before_the_head_is_read() -> None:
    lone = await met()
    (step,) = lone.stage(ONE, hold_back=True)
    head = await lone.cell.load()
    assert head is not None
    assert (head.state, head.version) == (b"1", 2)
    assert outcome(step) is None


async def test_a_head_on_offer_is_taken_only_by_who_knows_of_none_and_has_nothing_to_do() -> None:
    lone = await met()
    known = lone.cell.head
    await lone.others(OTHER)
    newer = await lone.store.load(ID)
    assert newer is not None
    lone.cell.offer(newer, tick())
    assert lone.cell.head is known
    fresh = Lone().cell
    fresh.running = 1
    fresh.offer(newer, tick())
    assert not fresh.known
    fresh.running = 0
    async with fresh.lock:
        fresh.offer(newer, tick())
        assert not fresh.known
    fresh.offer(newer, tick())
    assert fresh.head is newer


async def test_a_new_life_at_the_address_takes_nothing_of_the_old_one_along() -> None:
    lone = await met()
    tenure = lived_in(lone.cell)
    heard: list[str] = []
    tenure.stopping.append(heard.append)
    tenure.afterwards.append(lambda: heard.append("afterwards"))
    held = lone.faults.inject(Fault.HELD, verb="load")
    loading = asyncio.create_task(lone.cell.load())
    await held.reached.wait()
    await lone.others(END)
    while not await lone.faults.inner.drain(ID):
        pass
    await lone.others(BORN, life=SECOND_LIFE)
    (step,) = lone.stage(ONE, hold_back=True)
    held.release()
    await loading
    assert lone.cell.actor_id == SECOND_LIFE
    assert isinstance(outcome(step), Superseded)
    assert heard == ["destroyed", "afterwards"]
    assert not lone.cell.awake
    assert lone.cell.tenure is not tenure


async def test_to_read_the_same_life_again_ends_no_tenure() -> None:
    lone = await met()
    tenure = lived_in(lone.cell)
    await lone.cell.load()
    assert lone.cell.awake
    assert lone.cell.tenure is tenure


# -- whether a turn has seen the newest -----------------------------------------------------------


async def test_what_others_followed_was_the_newest_when_it_was_made() -> None:
    lone = await met()
    started = tick()
    lost = lone.faults.inject(Fault.HELD_LOST)
    (step,) = lone.stage(ONE)
    base = lone.cell.snapshot()
    await lost.reached.wait()
    await lone.others(OTHER)
    lost.release()
    await settle()
    assert outcome(step) is None
    assert not lone.cell.known  # what it holds is old
    await lone.cell.validate(base, started)
    with pytest.raises(Superseded) as caught:
        await lone.cell.validate(base, tick())
    assert caught.value.elsewhere


async def test_a_commit_on_top_shows_that_what_was_seen_was_the_newest() -> None:
    lone = await met()
    base = lone.cell.snapshot()
    held = lone.faults.inject(Fault.HELD)
    lone.stage(ONE)
    check = asyncio.create_task(lone.cell.validate(base, tick()))
    await held.reached.wait()
    await settle()
    assert not check.done()
    held.release()
    await check
    assert lone.store.calls["current"] == 0


async def test_what_was_seen_was_old_if_the_commit_on_top_is_refused() -> None:
    lone = await met()
    base = lone.cell.snapshot()
    lone.faults.inject(Fault.CONFLICT)
    lone.stage(ONE)
    with pytest.raises(Superseded) as caught:
        await lone.cell.validate(base, tick())
    assert caught.value.elsewhere


async def test_who_hears_of_a_change_while_the_store_says_there_was_none_has_seen_the_newest() -> (
    None
):
    lone = await met()
    base = lone.cell.snapshot()
    held = lone.faults.inject(Fault.HELD_AFTER, verb="current")
    check = asyncio.create_task(lone.cell.validate(base, tick()))
    await held.reached.wait()
    lone.cell.forget()
    held.release()
    await check


async def test_a_commit_proves_as_much_as_a_look_at_the_store() -> None:
    lone = await met()
    started = tick()
    await lone.commit(ONE)
    await lone.cell.validate(lone.cell.snapshot(), started)
    assert lone.store.calls["current"] == 0
    await lone.cell.validate(lone.cell.snapshot(), tick())
    assert lone.store.calls["current"] == 1


async def test_a_commit_whose_answer_was_lost_proves_as_much() -> None:
    lone = await met()
    started = tick()
    lone.faults.inject(Fault.UNACKNOWLEDGED)
    (step,) = await lone.commit(ONE)
    assert outcome(step) is None
    await lone.cell.validate(lone.cell.snapshot(), started)
    assert lone.store.calls["current"] == 0


# -- when it commits ------------------------------------------------------------------------------


async def test_steps_that_nobody_waits_for_are_committed_a_moment_after_the_last() -> None:
    lone = await met()
    first = lone.stage(ONE, hold_back=True)
    lone.cell.flush_soon(lone.clock)
    await lone.clock.advance(MOMENT * 0.4)
    second = lone.stage(TWO, hold_back=True)
    lone.cell.flush_soon(lone.clock)
    await lone.clock.advance(MOMENT * 0.8)
    lone.cell.flush_soon(lone.clock)
    assert lone.store.writes == 0
    await lone.clock.advance(MOMENT)
    assert [outcome(step) for step in (*first, *second)] == [None, None]
    assert lone.store.writes == 1
    assert lone.clock.timers == 3  # one at a time
    third = lone.stage(ONE, hold_back=True)
    lone.cell.flush_soon(lone.clock)
    await lone.clock.advance(MOMENT)
    assert outcome(third[0]) is None
    assert lone.clock.timers == 4


async def test_no_timer_is_set_for_what_is_committed_already() -> None:
    lone = await met()
    lone.cell.flush_soon(lone.clock)
    held = lone.faults.inject(Fault.HELD)
    lone.stage(ONE)
    lone.cell.flush_soon(lone.clock)
    held.release()
    await settle()
    assert lone.clock.timers == 0
    lone.stage(ONE, hold_back=True)
    lone.cell.flush_soon(lone.clock)
    await lone.clock.advance(MOMENT / 2)
    lone.cell.flush_soon(lone.clock)
    lone.cell.flush()
    await lone.clock.advance(MOMENT)
    assert lone.clock.timers == 1


async def test_what_a_cancelled_flusher_had_not_begun_runs_again() -> None:
    lone = await met()
    (step,) = lone.stage(ONE)
    assert lone.cell.flusher is not None
    lone.cell.flusher.cancel()
    await settle()
    error = outcome(step)
    assert isinstance(error, Superseded)
    assert error.elsewhere
    assert not lone.cell.writing


async def test_what_changes_nothing_needs_no_commit() -> None:
    lone = await met()
    (step,) = await lone.commit(Changes("nothing"), effects=effects("reply"))
    assert step.landed.result()
    assert lone.store.writes == 0
    assert [(out.version, out.effects) for out in lone.out] == [(1, ["reply"])]


async def test_a_step_for_an_actor_that_nobody_knows_of_runs_again() -> None:
    lone = Lone()
    (step,) = await lone.commit(ONE)
    error = outcome(step)
    assert isinstance(error, Superseded)
    assert error.elsewhere
    assert lone.store.writes == 0


# -- what follows a commit ------------------------------------------------------------------------


async def test_what_begins_a_life_is_known_at_once_and_for_good() -> None:
    lone = Lone()
    await lone.store.__aenter__()
    (step,) = lone.stage(BORN)
    assert lone.cell.known
    assert lone.cell.actor_id == ID
    await settle()
    assert outcome(step) is None
    (step,) = await lone.commit(ONE)
    assert outcome(step) is None
    assert lone.cell.head is not None
    assert (lone.cell.head.version, lone.cell.head.state) == (2, b"1")


async def test_what_needs_no_version_may_land_on_a_head_that_was_read_meanwhile() -> None:
    lone = await met()
    read = lone.faults.inject(Fault.HELD, verb="load")
    loading = asyncio.create_task(lone.cell.load())
    await read.reached.wait()
    sent = lone.faults.inject(Fault.HELD)
    (step,) = lone.stage(Changes("count", counters={"n": 1}))
    await sent.reached.wait()
    await lone.others(OTHER)
    read.release()
    await loading
    sent.release()
    await settle()
    assert outcome(step) is None
    assert lone.cell.known
    assert lone.cell.head is not None
    assert (lone.cell.head.version, lone.cell.head.counters) == (2, {"n": 1})


async def test_after_a_destruction_nothing_is_left() -> None:
    lone = await met()
    tenure = lived_in(lone.cell)
    base = lone.cell.snapshot()
    (step,) = await lone.commit(END)
    assert outcome(step) is None
    assert tenure.stopped == "destroyed"
    assert (lone.cell.head, lone.cell.met, lone.cell.awake) == (None, False, False)
    assert lone.cell.snapshot().state is None
    assert lone.cell.moved(base) is not None


async def test_a_turn_that_runs_on_what_is_durable_waits_for_nobody() -> None:
    lone = await met()
    held = lone.faults.inject(Fault.HELD)
    (step,) = lone.stage(ONE)
    assert lone.cell.snapshot().step is step
    await held.reached.wait()
    (later,) = lone.stage(TWO)
    second = lone.faults.inject(Fault.HELD)
    held.release()
    await second.reached.wait()
    assert lone.cell.snapshot().step is later
    second.release()
    await settle()
    assert lone.cell.snapshot().step is None


async def test_of_what_led_to_the_steps_of_a_commit_the_longest_way_counts() -> None:
    lone = await met()
    near, far = Step(Changes("1", armed_until=9.0), hops=1.0), Step(Changes("2"), hops=3.0)
    for step in near, far, Step(Changes("3"), hops=2.0):
        lone.cell.stage(step)
    await settle()
    ((life, changes, hops, head),) = lone.committed
    assert (life, changes.armed_until, hops) == (ID, 9.0, 3.0)
    assert head is lone.cell.head


async def test_only_of_outboxes_and_wakes_others_are_told() -> None:
    lone = await met()
    await lone.commit(ONE)
    assert lone.committed == []
    await lone.commit(Changes("sent", outbox_add=(Outgoing("x", 1.0, b""),)))
    assert len(lone.committed) == 1


async def test_each_step_lets_out_its_own_effects_in_their_order() -> None:
    lone = await met()
    first, second, third = (
        Step(ONE, effects("a", "b")),
        Step(Changes("mute", state=b"x")),
        Step(TWO, effects("c")),
    )
    for step in first, second, third:
        lone.cell.stage(step)
    await settle()
    told = [(out.version, out.index, out.effects) for out in lone.out]
    assert told == [(2, 0, ["a", "b"]), (2, 2, ["c"])]
    assert [step.done.done() for step in (first, second, third)] == [False, True, False]
    lone.out[1].done.set_result(None)
    await settle()
    assert [step.done.done() for step in (first, second, third)] == [False, True, True]


@pytest.mark.parametrize(
    ("changes", "listened", "heard"),
    [
        (Changes("fenced", state=b""), 0, False),
        (Changes("fenced", state=b""), 1, True),
        (Changes("loose", counters={"n": 1}), 0, True),
    ],
)
async def test_where_nobody_can_have_subscribed_no_subscriptions_are_read(
    changes: Changes, listened: int, heard: bool
) -> None:
    lone = await met()
    if listened:
        await lone.others(Changes("listened", counters={"listened": listened}))
        await lone.cell.load()
    await lone.commit(changes, effects=effects("event"))
    assert [out.heard for out in lone.out] == [heard]


# -- what is refused ------------------------------------------------------------------------------


async def test_who_was_overtaken_goes_back_to_what_was_durable() -> None:
    lone = await met()
    base = lone.cell.snapshot()
    await lone.others(OTHER)
    steps = await lone.commit(ONE, TWO)
    assert [type(outcome(step)) for step in steps] == [Superseded, Superseded]
    assert lone.cell.snapshot().state == b"born"
    assert not lone.cell.known
    assert lone.cell.moved(base) is not None
    assert lone.cell.counter("n") == 0


async def test_a_store_that_is_away_says_why_to_all_that_was_sent() -> None:
    lone = await met()
    held = lone.faults.inject(Fault.HELD)
    lone.faults.inject(Fault.BEFORE)
    lone.stage(ONE)
    await held.reached.wait()
    steps = lone.stage(TWO, OTHER)
    held.release()
    await settle()
    for step in steps:
        error = outcome(step)
        assert error is not None
        assert "injected" in str(error.__cause__)


class Broken(Exception):
    """No error that a store may raise."""


async def test_of_what_a_broken_store_did_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lone = await met()

    async def commit(*_: Any, **__: Any) -> int:
        raise Broken("contract")

    monkeypatch.setattr(lone.store, "commit", commit)
    (step,) = lone.stage(ONE)
    flusher = lone.cell.flusher
    assert flusher is not None
    await settle()
    assert isinstance(flusher.exception(), Broken)
    assert getattr(outcome(step), "name", None) == "actor.outcome_unknown"


async def test_a_commit_that_was_lost_and_overtaken_runs_again() -> None:
    lone = await met()
    lone.faults.inject(Fault.VANISHED)
    await lone.others(OTHER)
    (step,) = await lone.commit(ONE)
    assert isinstance(outcome(step), Superseded)


async def test_what_was_made_by_another_meanwhile_is_refused_alone() -> None:
    lone = await met()
    lone.faults.inject(Fault.VANISHED)
    await lone.others(guarded(b"a", b"other"))
    (step,) = await lone.commit(guarded(b"a"))
    assert isinstance(outcome(step), Duplicate)
    assert lone.cell.known


async def test_of_guarded_steps_that_were_lost_together_each_has_its_own_outcome() -> None:
    lone = await met()
    lone.faults.inject(Fault.VANISHED)
    await lone.others(guarded(b"b", b"other"))
    steps = await lone.commit(guarded(b"a"), guarded(b"b"), guarded(b"c"))
    assert [type(outcome(step)) for step in steps] == [type(None), Duplicate, type(None)]
    keys = [record.key for record in await lone.store.records(ID, Collection.REPLY)]
    assert keys == [b"a", b"b", b"c"]


async def test_what_was_thrown_away_with_a_refused_batch_is_never_made() -> None:
    """It runs again, so it would be there twice."""
    lone = await met()
    await lone.others(guarded(b"a", b"other"))
    held = lone.faults.inject(Fault.HELD, skip=1)
    steps = lone.stage(ONE, guarded(b"a"), Changes("count", counters={"n": 1}))
    await held.reached.wait()
    await lone.others(OTHER)
    held.release()
    await settle()
    assert [type(outcome(step)) for step in steps] == [Superseded] * 3
    head = await lone.cell.load()
    assert head is not None
    assert "n" not in head.counters


@pytest.mark.parametrize(
    ("sent", "behind", "ends"),
    [
        ([True, False], [], True),
        ([False, False], [True, False], True),
        ([True], [True], True),
        ([False], [False], False),
    ],
)
async def test_an_actor_wakes_again_if_what_woke_it_is_lost(
    sent: list[bool], behind: list[bool], ends: bool
) -> None:
    lone = await met()
    tenure = lived_in(lone.cell)
    held = lone.faults.inject(Fault.HELD)
    await lone.others(OTHER)
    for begins in sent:
        lone.stage(ONE, begins_tenure=begins)
    await held.reached.wait()
    steps = [step for begins in behind for step in lone.stage(TWO, begins_tenure=begins)]
    held.release()
    await settle()
    assert lone.cell.awake is not ends
    assert tenure.stopped == ("restarted" if ends else None)
    for step in steps:
        error = outcome(step)
        assert isinstance(error, Superseded)
        assert error.elsewhere
