"""Suites that a port's implementations must pass, for pytest; write a store and prove it.

```python
class TestRedisStore(StoreContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[Store]:
        async with RedisStore(URL, clock=clock) as store:
            yield store
```

``contracts.model`` holds the state machine that compares a store with ``MemoryStore``; it needs
hypothesis. May import what ``testing`` may, and pytest.
"""

from rivetless.testing.contracts.store import StoreContract

__all__ = ["StoreContract"]
