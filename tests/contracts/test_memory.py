"""The contract of stores, kept by memory."""

from collections.abc import AsyncIterator

import pytest

from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[MemoryStore]:
        async with MemoryStore(clock=clock) as store:
            yield store
