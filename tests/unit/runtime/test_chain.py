"""What a process knows of an actor, and what turns have added that is not durable yet."""

from __future__ import annotations

import pytest

from rivetless.runtime.steps import Superseded
from rivetless.store.base import Append, Changes, Collection, Creation, Lease
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.lone_cells import ADDRESS, BORN, BORN_AT, ID, Lone, met, outcome

LEASE, LATER = Lease("turn", 100.0), Lease("turn", 200.0)
KEPT = Changes("kept", alarm=10.0, armed_until=10.0, lease=LEASE)
BEYOND = Changes("beyond", state=b"beyond", alarm=20.0, armed_until=20.0, lease=LATER)


async def test_a_life_is_as_old_as_its_creation_says_before_and_after_it_is_durable() -> None:
    lone = Lone()
    await lone.store.__aenter__()
    with pytest.raises(AssertionError):
        _ = lone.cell.actor_id
    lone.stage(BORN)
    assert (lone.cell.actor_id, lone.cell.created_at) == (ID, BORN_AT)
    await settle()
    assert (lone.cell.actor_id, lone.cell.created_at) == (ID, BORN_AT)
    assert (await met()).cell.created_at == BORN_AT


async def test_a_creation_that_was_refused_leaves_nobody() -> None:
    lone = Lone()
    await lone.store.__aenter__()
    await lone.others(Changes("faster", create=Creation(ADDRESS, 2.0)))
    (step,) = await lone.commit(BORN)
    assert isinstance(outcome(step), Superseded)
    assert not lone.cell.met
    await lone.cell.load()
    assert lone.cell.created_at == 2.0


async def test_a_turn_is_told_whether_its_own_process_was_faster() -> None:
    lone = await met()
    base = lone.cell.snapshot()
    assert lone.cell.moved(base) is None
    lone.stage(Changes("1", state=b"1"))
    here = lone.cell.moved(base)
    assert here is not None
    assert not here.elsewhere
    lone.cell.forget()
    elsewhere = lone.cell.moved(base)
    assert elsewhere is not None
    assert elsewhere.elsewhere


async def test_counters_are_those_of_the_head_and_of_what_is_on_its_way() -> None:
    lone = await met()
    assert lone.cell.counter("n") == 0
    held = lone.faults.inject(Fault.HELD)
    lone.stage(Changes("1", counters={"n": 3}))
    await held.reached.wait()
    lone.stage(Changes("2", counters={"n": 5}), Changes("3", counters={"m": 1}))
    assert (lone.cell.counter("n"), lone.cell.counter("m")) == (8, 1)
    held.release()
    await settle()
    assert (lone.cell.counter("n"), lone.cell.counter("m")) == (8, 1)


async def test_messages_are_numbered_from_one() -> None:
    lone = Lone()
    assert lone.cell.last_message == 0
    lone = await met()
    assert lone.cell.last_message == 0
    await lone.commit(Changes("sent", appends=(Append(Collection.MESSAGE, b""),) * 2))
    assert lone.cell.last_message == 2


async def test_who_knows_no_head_cannot_say_that_nobody_listens() -> None:
    assert Lone().cell.listened
    lone = await met()
    assert not lone.cell.listened
    await lone.commit(Changes("subscribed", counters={"listened": 1}))
    assert lone.cell.listened


async def test_a_lost_lease_is_its_holders() -> None:
    lone = await met()
    assert not Lone().cell.lost_lease_of("turn")
    await lone.commit(Changes("leased", lease=LEASE))
    assert not lone.cell.lost_lease_of("turn")  # nothing was lost yet
    lone.cell.forget()
    assert lone.cell.lost_lease_of("turn")
    assert not lone.cell.lost_lease_of("other")
    lone = await met()
    lone.cell.forget()
    assert not lone.cell.lost_lease_of("turn")


async def test_a_turn_sees_what_the_turns_before_it_have_left_until_that_is_thrown_away() -> None:
    lone = await met()
    await lone.commit(KEPT)
    base = lone.cell.snapshot()
    held = lone.faults.inject(Fault.HELD)
    lone.stage(BEYOND)
    cell = lone.cell
    assert (cell.alarm, cell.armed_until, cell.lease) == (20.0, 20.0, LATER)
    assert cell.snapshot().state == b"beyond"
    await held.reached.wait()
    await lone.others(Changes("other", touch=True))
    held.release()
    await settle()
    assert (cell.alarm, cell.armed_until, cell.lease) == (10.0, 10.0, LEASE)
    assert cell.snapshot().state == b"born"
    moved = cell.moved(base)
    assert moved is not None
    assert moved.elsewhere


async def test_after_a_destruction_no_turn_begins_here() -> None:
    lone = await met()
    lone.stage(Changes("end", destroyed_at=2.0))
    assert not lone.cell.known
