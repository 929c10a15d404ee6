"""The counting and the faulty store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rivetless.store.base import Collection, Conflict, Host, OutcomeUnknown, Unavailable
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.contracts import StoreContract
from rivetless.testing.contracts.base import begin, changes
from rivetless.testing.stores import CountingStore, Fault, FaultyStore

pytestmark = pytest.mark.anyio


class TestCountingStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[CountingStore]:
        async with CountingStore(MemoryStore(clock=clock)) as store:
            yield store


class TestFaultyStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[FaultyStore]:
        async with FaultyStore(MemoryStore(clock=clock)) as store:
            yield store


@pytest.fixture
async def store() -> AsyncIterator[FaultyStore]:
    async with FaultyStore(MemoryStore()) as store:
        yield store


async def test_verbs_are_counted() -> None:
    async with CountingStore(MemoryStore()) as store:
        life = await begin(store)
        await store.load(life.id)
        await store.current(life.id, 1)
        await store.current(life.id, 1)
        await store.records(life.id, Collection.CONNECTION)
        await store.list("default", "counter", limit=1)
        await store.due(0.0, limit=1)
        await store.drain(life.id)
        await store.announce(Host("h", "", 0.0))
        await store.hosts()
        await store.hosted("h")
        assert store.calls["current"] == 2
        assert (store.reads, store.writes) == (8, 3)
        store.reset()
        assert (store.reads, store.writes) == (0, 0)


async def test_calls_are_counted_that_fail() -> None:
    async with CountingStore(MemoryStore()) as store:
        life = await begin(store)
        with pytest.raises(Conflict):
            await store.commit(life.id, changes(touch=True), expected=9)
        assert store.calls["commit"] == 2


@pytest.mark.parametrize(
    ("fault", "error", "version"),
    [
        (Fault.BEFORE, Unavailable, 1),
        (Fault.VANISHED, OutcomeUnknown, 1),
        (Fault.UNACKNOWLEDGED, OutcomeUnknown, 2),
        (Fault.CONFLICT, Conflict, 1),
    ],
)
async def test_faults(
    store: FaultyStore, fault: Fault, error: type[Exception], version: int
) -> None:
    life = await begin(store)
    injection = store.inject(fault)
    assert store.planned == 1
    with pytest.raises(error):
        await store.commit(life.id, changes(touch=True), expected=1)
    assert injection.reached.is_set()
    assert injection.finished.is_set()
    assert await store.current(life.id, version)
    assert store.planned == 0
    await store.commit(life.id, changes(touch=True), expected=version)


async def test_faults_meet_calls_in_order(store: FaultyStore) -> None:
    life = await begin(store)
    store.inject(Fault.BEFORE, skip=1)
    store.inject(Fault.CONFLICT)
    store.inject(Fault.BEFORE, verb="load")
    assert await life.commit(touch=True) == 2
    with pytest.raises(Unavailable):
        await life.commit(touch=True)
    with pytest.raises(Conflict):
        await life.commit(touch=True)
    assert await life.commit(touch=True) == 3
    with pytest.raises(Unavailable):
        await life.head()
    await life.head()


@pytest.mark.parametrize(
    ("fault", "meanwhile"), [(Fault.HELD, 1), (Fault.HELD_AFTER, 2), (Fault.HELD_LOST, 2)]
)
async def test_calls_are_held(store: FaultyStore, fault: Fault, meanwhile: int) -> None:
    life = await begin(store)
    injection = store.inject(fault)
    commit = asyncio.ensure_future(store.commit(life.id, changes(touch=True), expected=1))
    await injection.reached.wait()
    await settle()
    assert not commit.done()
    assert await store.current(life.id, meanwhile)
    injection.release()
    await injection.finished.wait()
    await settle()
    assert await store.current(life.id, 2)
    if fault is Fault.HELD_LOST:
        assert isinstance(commit.exception(), OutcomeUnknown)
    else:
        assert commit.result() == 2


async def test_late_calls_are_made_after_all(store: FaultyStore) -> None:
    life = await begin(store)
    injection = store.inject(Fault.LATE)
    with pytest.raises(OutcomeUnknown):
        await store.commit(life.id, changes(touch=True), expected=1)
    await settle()
    assert await store.current(life.id, 1)
    injection.release()
    await injection.finished.wait()
    assert await store.current(life.id, 2)


async def test_late_calls_may_be_too_late(store: FaultyStore) -> None:
    life = await begin(store)
    injection = store.inject(Fault.LATE)
    with pytest.raises(OutcomeUnknown):
        await store.commit(life.id, changes(state=b"late"), expected=1)
    await store.commit(life.id, changes(state=b"fence"), expected=1)
    injection.release()
    await injection.finished.wait()
    assert (await life.head()).state == b"fence"


async def test_unknown_verbs_and_impossible_faults_are_refused(store: FaultyStore) -> None:
    with pytest.raises(ValueError, match="no verb"):
        store.inject(Fault.BEFORE, verb="save")
    store.inject(Fault.CONFLICT, verb="load")
    with pytest.raises(ValueError, match="knows no conflicts"):
        await store.load("x")
