"""Replies to queue messages, on their way to whoever waits for them.

Where the sender waits in the process that completes the message, the reply is handed over in
memory once it is durable. Other senders look for its record: when they are told of it, and with
growing pauses in case nobody does.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from rivetless import errors
from rivetless.clock import Clock, within
from rivetless.runtime.dead import Failure
from rivetless.runtime.messages import read_reply, reply_key
from rivetless.runtime.records import find_record
from rivetless.store.base import Collection, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

PAUSES: Final = (0.05, 2.0)
"""Bounds, in seconds, of the pauses between two looks for a reply."""

_LOOK: Final = object()
"""What a waiter is told that has to look by itself."""

KEYED: Final = "k"
"""Begins the names of waiters whose send may be repeated, in another process too."""


class Replies:
    """Who waits for replies in this process. One for each runtime."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[str, asyncio.Future[object]] = {}

    def expect(self, waiter: str) -> None:
        """Get ready to be told of a reply; before the message is sent."""
        if waiter not in self._waiting:
            self._waiting[waiter] = asyncio.get_running_loop().create_future()

    def forget(self, waiter: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(waiter, None)

    def abort(self, waiter: str) -> None:
        """The one who waits does not want to any more."""
        future = self._waiting.get(waiter)
        if future is not None and not future.done():
            future.set_exception(errors.make("actor.aborted"))

    def wanted_here(self, waiter: str) -> bool:
        """Whether the one who waits is in this process, and nobody else may ask again."""
        return waiter in self._waiting and not waiter.startswith(KEYED)

    def tell(self, replies: Mapping[str, object]) -> list[str]:
        """Hand over replies that are durable; return those who do not wait here."""
        for waiter, reply in replies.items():
            self._set(waiter, reply)
        return [waiter for waiter in replies if waiter not in self._waiting]

    def look(self, waiter: str) -> None:
        """There may be a record of a reply: have the one who waits look for it."""
        self._set(waiter, _LOOK)

    def _set(self, waiter: str, result: object) -> None:
        future = self._waiting.get(waiter)
        if future is not None and not future.done():
            future.set_result(result)

    async def is_there(self, actor_id: str, waiter: str) -> bool:
        """Tell whether the reply to a message that was sent with a key is there already."""
        key = reply_key(waiter)
        return await find_record(self._store, actor_id, Collection.REPLY, key) is not None

    async def wait(self, actor_id: str, waiter: str, seconds: float | None) -> Any:
        """Wait for a reply that is ``expect``ed.

        Raises:
            TimeoutError: it did not come within ``seconds``.
            ActorError: the message was given up; this is what its last attempt failed with.
        """
        reply = await self._wait(actor_id, waiter, seconds)
        if isinstance(reply, Failure):
            raise errors.ActorError(reply.group, reply.code, reply.message)
        return reply

    async def _wait(self, actor_id: str, waiter: str, seconds: float | None) -> Any:
        end = None if seconds is None else self._clock.now() + seconds
        alone = self._store.capabilities.single_writer and not waiter.startswith(KEYED)
        pause = PAUSES[0]
        while True:
            left = None if end is None else end - self._clock.now()
            if left is not None and left <= 0:
                raise TimeoutError
            self.expect(waiter)  # another who waits for the same reply may have given up
            future = self._waiting[waiter]
            if alone:
                return await within(self._clock, left, asyncio.shield(future))
            with suppress(TimeoutError):
                look = pause if left is None else min(pause, left)
                reply = await within(self._clock, look, asyncio.shield(future))
                if reply is not _LOOK:
                    return reply
                if self._waiting.get(waiter) is future:
                    del self._waiting[waiter]
            pause = min(2 * pause, PAUSES[1])
            record = None
            # The message is there: that the store is away is no reason to say that it is not.
            with suppress(StoreError):
                record = await find_record(
                    self._store, actor_id, Collection.REPLY, reply_key(waiter)
                )
            if record is not None:
                return read_reply(record)
