"""What is found out about a commit whose acknowledgement was lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rivetless.keys import Address, actor_id
from rivetless.runtime.reconcile import ATTEMPTS, UNKNOWN, Verdict, reconcile
from rivetless.store.base import (
    RECENT_COMMITS,
    Append,
    Changes,
    Collection,
    Creation,
    OutcomeUnknown,
    Record,
    RecordKey,
)
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.stores import Fault, FaultyStore, Injection

ADDRESS = Address("default", "counter", ("a",))
ID = actor_id(ADDRESS, 1)
BORN = Changes("born", create=Creation(ADDRESS, 1.0), state=b"0")
LOST = Changes("lost", state=b"1")
NAME = RecordKey(Collection.REPLY, b"sent:a")
GUARDED = Changes("sent", puts=(Record(NAME.collection, NAME.key, b"mine"),), absent=(NAME,))


async def begun() -> FaultyStore:
    """Return a store with one life, at version 1."""
    store = FaultyStore(MemoryStore(clock=FakeClock()))
    await store.__aenter__()
    await store.commit(ID, BORN, expected=0)
    return store


async def advance(store: FaultyStore, count: int) -> None:
    """Have others commit."""
    for number in range(count):
        await store.commit(ID, Changes(f"other{number}", touch=True), expected=1 + number)


async def state(store: FaultyStore) -> bytes | None:
    head = await store.load(ID)
    assert head is not None
    return head.state


async def test_what_is_there_was_applied_and_others_may_have_followed() -> None:
    store = await begun()
    await store.commit(ID, LOST, expected=1)
    await store.commit(ID, Changes("other", touch=True), expected=2)
    assert await reconcile(store, ID, LOST, 1) == Verdict(applied=True, version=3)


async def late_commit(store: FaultyStore, changes: Changes) -> Injection:
    """Have a commit arrive late."""
    late = store.inject(Fault.LATE)
    with pytest.raises(OutcomeUnknown):
        await store.commit(ID, changes, expected=1)
    return late


async def commits(store: FaultyStore) -> tuple[str, ...]:
    head = await store.load(ID)
    assert head is not None
    return head.commits


async def test_what_is_not_there_is_made_once() -> None:
    store = await begun()
    late = await late_commit(store, LOST)
    assert await reconcile(store, ID, LOST, 1) == Verdict(applied=True, version=2)
    late.release()
    await late.finished.wait()
    assert await commits(store) == ("born", "lost")


async def test_what_cannot_be_made_will_never_be() -> None:
    store = await begun()
    await store.commit(ID, Changes("full", counters={"n": 1}), expected=None)
    full = replace(LOST, counters={"n": 1}, at_most={"n": 1})
    late = await late_commit(store, full)
    assert await reconcile(store, ID, full, 1) == Verdict(applied=False)
    await store.commit(ID, Changes("empty", counters={"n": -1}), expected=None)
    late.release()
    await late.finished.wait()
    assert await state(store) == b"0"
    assert await commits(store) == ("born", "lost!")


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        (1, Verdict(applied=False)),
        (RECENT_COMMITS, Verdict(applied=False)),
        (RECENT_COMMITS + 1, UNKNOWN),
    ],
)
async def test_nobody_can_tell_once_the_window_has_gone_by(others: int, verdict: Verdict) -> None:
    store = await begun()
    await advance(store, others)
    assert await reconcile(store, ID, LOST, 1) == verdict


async def test_a_life_that_has_ended_tells_nothing() -> None:
    store = await begun()
    assert await reconcile(store, actor_id(ADDRESS, 2), LOST, 1) == UNKNOWN
    await store.commit(ID, Changes("end", destroyed_at=2.0), expected=1)
    note = Changes("note", counters={"n": 1})
    assert await reconcile(store, actor_id(ADDRESS, 2), note, 1) == UNKNOWN


async def test_a_creation_is_sent_again() -> None:
    store = FaultyStore(MemoryStore(clock=FakeClock()))
    await store.__aenter__()
    assert await reconcile(store, ID, BORN, 0) == Verdict(applied=True, version=1)
    assert await state(store) == b"0"


async def test_it_looks_again_while_the_store_is_away_but_not_for_ever() -> None:
    store = await begun()
    for _ in range(ATTEMPTS - 1):
        store.inject(Fault.BEFORE, verb="load")
    assert await reconcile(store, ID, LOST, 1) == Verdict(applied=True, version=2)
    for _ in range(ATTEMPTS):
        store.inject(Fault.BEFORE, verb="load")
    assert await reconcile(store, ID, LOST, 1) == UNKNOWN
    assert store.planned == 0


async def test_what_keeps_itself_from_being_made_twice_is_sent_again() -> None:
    store = await begun()
    assert await reconcile(store, ID, GUARDED, 1) == Verdict(applied=True, version=1)
    assert await reconcile(store, ID, GUARDED, 1) == Verdict(applied=True, version=1)
    (record,) = await store.records(ID, Collection.REPLY)
    assert record.data == b"mine"


async def test_what_another_has_made_was_not_made_here() -> None:
    store = await begun()
    theirs = replace(GUARDED, puts=(replace(GUARDED.puts[0], data=b"theirs"),))
    await store.commit(ID, theirs, expected=None)
    assert await reconcile(store, ID, GUARDED, 1) == Verdict(applied=False)


@pytest.mark.parametrize(
    "changes",
    [
        Changes("message", appends=(Append(Collection.MESSAGE, b""),), counters={"n": 1}),
        Changes("guarded", absent=(NAME,)),
    ],
)
async def test_what_would_be_there_twice_is_not_sent_again(changes: Changes) -> None:
    store = await begun()
    assert await reconcile(store, ID, changes, 1) == UNKNOWN
    head = await store.load(ID)
    assert head is not None
    assert (head.sequences, head.counters) == ({}, {})


async def test_a_note_is_written_again_but_not_counted_again() -> None:
    store = await begun()
    note = Changes("note", armed_until=5.0, counters={"n": 1})
    assert await reconcile(store, ID, note, 1) == Verdict(applied=True, version=1)
    head = await store.load(ID)
    assert head is not None
    assert (head.armed_until, head.counters) == (5.0, {})
