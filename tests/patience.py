"""A fake clock for stores that answer in their own time: from a thread, or over a socket.

``FakeClock`` waits for the event loop only. While such a store is asked, on a machine that is busy,
it would let all the time pass that the actors give themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rivetless.aws.client import Client, ClientWrapper, Payload
from rivetless.store.base import Store
from rivetless.testing.clock import FakeClock
from rivetless.testing.stores import StoreWrapper

T = TypeVar("T")


class PatientClock(FakeClock):
    """Stands still while something is under way that takes real time."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way = 0
        self._ended = asyncio.Event()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have the clock stand still."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._ended.set()

    async def _settle(self) -> None:
        await super()._settle()
        while self._under_way:
            self._ended.clear()
            await self._ended.wait()
            await super()._settle()


class PatientStore(StoreWrapper):
    """Stops a clock while a store is asked that never waits for that clock itself."""

    def __init__(self, store: Store, clock: PatientClock) -> None:
        super().__init__(store)
        self._clock = clock

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        if verb == "due":
            return await call()  # the sweeper's, again and again, which nobody waits for
        with self._clock.stopped():
            return await call()


class PatientClient(ClientWrapper):
    """Stops a clock during requests, but not while a store waits to repeat one."""

    def __init__(self, client: Client, clock: PatientClock) -> None:
        super().__init__(client)
        self._clock = clock

    async def call(self, operation: str, payload: Payload) -> Payload:
        if "IndexName" in payload:
            return await super().call(operation, payload)  # the sweeper's
        with self._clock.stopped():
            return await super().call(operation, payload)
