"""``Inbox``: what one process knows of an actor's messages, and who waits for some.

Messages are read from the store in pages and kept until they are removed, so that a loop does not
read for each of them. Nothing here decides who gets a message for good: that does the version, in
the commit that removes it. Two turns of one process are kept apart in memory, so that they do not
conflict for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from rivetless.clock import within
from rivetless.runtime.messages import Stored, read_message
from rivetless.store.base import Append
from rivetless.store.base import Collection as Records

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.runtime.cell import Cell
    from rivetless.store.base import Store

PAGE: Final = 128
"""How many messages are read together."""

POLLS: Final = (0.05, 2.0)
"""Bounds, in seconds, of the pauses between two looks where other processes may send."""


class Inbox:
    """One actor's messages in this process.

    Args:
        cell: the actor.
        store: where the messages are.
        clock: ends waits.

    Attributes:
        pokes: how often it was said that there may be something new.
    """

    __slots__ = (
        "_cell",
        "_claimed",
        "_clock",
        "_complete",
        "_epoch",
        "_highest",
        "_last",
        "_messages",
        "_round",
        "_seen",
        "_store",
        "_waiting",
        "pokes",
    )

    def __init__(self, cell: Cell, store: Store, clock: Clock) -> None:
        self._cell = cell
        self._store = store
        self._clock = clock
        self._epoch = cell.snapshot().epoch
        self._messages: dict[int, Stored] = {}
        self._last = 0
        self._highest = 0
        self._round = 0
        self._complete = False
        # The number of pokes when a read found less than a page, until that was made use of.
        self._seen = -1
        self.pokes = 0
        self._claimed: set[int] = set()
        # In the order in which they came, which a set does not keep.
        self._waiting: dict[asyncio.Future[None], None] = {}

    # -- taking -----------------------------------------------------------------------------------

    async def take(self, names: Collection[str], count: int) -> list[Stored]:
        """Claim the oldest messages that nobody in this process has, at most ``count``.

        Args:
            names: of the queues; none for all.
            count: how many.
        """
        while True:
            self._catch_up()
            found = self._pick(names, count)
            # Once after each read that has found everything there was; then others may have sent.
            seen, self._seen = self._seen, -1
            if len(found) == count or seen == self.pokes or not await self._read_more():
                if found:
                    self._seen = seen
                self._claimed.update(message.number for message in found)
                if not self._claimed and len(self._messages) < PAGE:
                    self._begin_at_the_front()
                return found

    def _begin_at_the_front(self) -> None:
        """Have the next look read everything once more: nobody is about to remove any of it.

        Of two who send at once the one with the lower number may come to light later.
        """
        if self._complete:
            return
        self._messages.clear()
        self._last = 0
        self._round += 1

    def _catch_up(self) -> None:
        """Forget what was read before the cell's chain was thrown away: it may be gone."""
        epoch = self._cell.snapshot().epoch
        if epoch != self._epoch:
            self._epoch = epoch
            self._messages.clear()
            self._last = self._highest = 0
            self._complete = False
            self._seen = -1

    def _pick(self, names: Collection[str], count: int) -> list[Stored]:
        found: list[Stored] = []
        for message in self._messages.values():
            if message.number in self._claimed or (names and message.queue not in names):
                continue
            found.append(message)
            if len(found) == count:
                break
        return found

    async def _read_more(self) -> bool:
        """Read the messages behind those that are known; say whether there were any."""
        if self._complete or not self._cell.known:
            return False
        place, pokes = (self._epoch, self._round, self._last), self.pokes
        records = await self._store.records(
            self._cell.actor_id, Records.MESSAGE, start=Append.key(self._last + 1), limit=PAGE
        )
        self._catch_up()
        if place != (self._epoch, self._round, self._last):
            return True  # somebody else has read meanwhile
        for record in records:
            message = read_message(record)
            self._messages[message.number] = message
            self._last = message.number
        self._highest = max(self._highest, self._last)
        alone = self._store.capabilities.single_writer
        news = pokes != self.pokes  # somebody has sent meanwhile, perhaps too late for the read
        if 0 < len(records) < PAGE:
            self._seen = pokes
        self._complete = alone and len(records) < PAGE and not news
        return bool(records) or news

    def release(self, numbers: Iterable[int]) -> None:
        """Give messages back: what was to remove them did not happen."""
        back = self._claimed.intersection(numbers)
        if back:
            self._claimed -= back
            self._wake()

    def removed(self, numbers: Iterable[int]) -> None:
        """Forget messages: their removal is durable."""
        for number in numbers:
            self._messages.pop(number, None)
            self._claimed.discard(number)

    @property
    def last(self) -> int:
        """The highest number that was read since the chain began."""
        self._catch_up()
        return self._highest

    # -- waiting ----------------------------------------------------------------------------------

    def poke(self) -> None:
        """Let those who wait look again: something may have been sent, or the time is over."""
        self._complete = False
        self._wake()

    def _wake(self) -> None:
        self.pokes += 1
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, pokes: int, seconds: float | None, tries: int) -> None:
        """Wait until there may be something new, for ``seconds`` at most.

        Args:
            pokes: as it was before the caller looked.
            seconds: the longest wait; ``None`` for no end.
            tries: how often the caller has waited in vain.
        """
        if not self._store.capabilities.single_writer:
            pause = min(POLLS[0] * 2.0**tries, POLLS[1])
            seconds = pause if seconds is None else min(seconds, pause)
        if pokes != self.pokes:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            await within(self._clock, seconds, future)
        except TimeoutError:
            return
        finally:
            self._waiting.pop(future, None)
