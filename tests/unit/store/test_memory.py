"""What the memory store does beyond the contract."""

import pytest

from rivetless.clock import SystemClock
from rivetless.store import memory
from rivetless.store.base import (
    Capabilities,
    Collection,
    NewerFormat,
    Record,
    TooLarge,
    Unavailable,
)
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.base import begin, changes

pytestmark = pytest.mark.anyio


async def test_it_is_the_only_writer() -> None:
    assert MemoryStore().capabilities.single_writer


async def test_it_can_play_a_smaller_store() -> None:
    small = Capabilities(max_state_bytes=10)
    async with MemoryStore(clock=SystemClock(), capabilities=small) as store:
        life = await begin(store)
        with pytest.raises(TooLarge, match="state is 11, over the store's limit of 10"):
            await life.commit(state=bytes(11))


async def test_it_is_open_while_anybody_uses_it() -> None:
    store = MemoryStore()
    async with store:
        async with store:
            life = await begin(store)
        assert await store.current(life.id, 1)
    with pytest.raises(Unavailable, match="not open"):
        await store.load(life.id)


async def test_newer_formats_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with MemoryStore() as store:
        life = await begin(store)
        monkeypatch.setattr(memory, "RECORD_FORMAT", 0)
        with pytest.raises(NewerFormat, match="record format 1"):
            await store.load(life.id)
        with pytest.raises(NewerFormat):
            await store.commit(life.id, changes(touch=True), expected=1)
        assert await life.commit(counters={"n": 1}) == 1


async def test_records_may_outlive_their_actor() -> None:
    clock = FakeClock()
    async with MemoryStore(clock=clock) as store:
        life = await begin(store, puts=(Record(Collection.REPLY, b"k", b"", clock.now() + 5),))
        await life.destroy()
        await store.drain(life.id)
        clock.jump(10)
        await begin(store)
