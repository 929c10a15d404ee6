"""``Announcement``: how a process is written down among the hosts, and the id it has meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from rivetless.clock import Clock, Timeout, until
from rivetless.errors import make
from rivetless.store.base import OVER, Host, Store, StoreError

__all__ = ["HEARTBEAT", "LIFETIME", "MARGIN", "Announcement"]

HEARTBEAT: Final = 10.0
"""Seconds between two heartbeats of a host, and for which one is waited."""

LIFETIME: Final = 30.0
"""Seconds after which a host that gave none counts as dead."""

MARGIN: Final = 5.0
"""Seconds before that at which it counts itself as dead: others' clocks may be ahead."""


class Announcement:
    """A process's own entry among the hosts.

    Connections are written down under an id that is announced, so that they are found when the
    process is dead. A process whose announcement has run out counts as dead for good: others have
    closed its connections, or read that they may, and are about to. So it has another id from then
    on, and closes its sockets.

    Args:
        store: where hosts are written down.
        name: the first id.
        clock: all time comes from it.
        lapsed: told when the id is another; to close all sockets.

    Attributes:
        id: the present one.
    """

    def __init__(
        self, store: Store, name: str, clock: Clock, lapsed: Callable[[], None] | None = None
    ) -> None:
        self.id = name
        self._store = store
        self._name = name
        self._clock = clock
        self._lapsed = lapsed
        self._url: str | None = None
        self._until: float | None = None
        self._announced = False
        self._former: set[str] = set()
        self._to_end: list[str] = []
        self._renewing: asyncio.Task[None] | None = None

    @property
    def holds(self) -> bool:
        """Whether the process is announced, and nobody can have taken it for dead."""
        return self._announced and not self._may_be_over

    @property
    def _may_be_over(self) -> bool:
        """Whether an entry under the present id may have run out for somebody."""
        return self._until is not None and self._clock.now() >= self._until - MARGIN

    @property
    def reachable(self) -> bool:
        """Whether the others know where the process is."""
        return bool(self._url) and self._announced

    def owns(self, host_id: str) -> bool:
        """Whether an id is, or was, this process's."""
        return host_id == self.id or host_id in self._former

    async def secure(self) -> str:
        """Return the id under which a socket may be written down that is taken in right now.

        Raises:
            ActorError: ``guard.service_unavailable``: none is announced.
        """
        if self._store.capabilities.single_writer:
            return self.id  # what is written down ends with the process
        if not self.holds:
            try:
                await self.renew()
            except (StoreError, TimeoutError) as error:
                raise make("guard.service_unavailable") from error
            if not self.holds:
                raise make("guard.service_unavailable")
        return self.id

    async def begin(self, url: str) -> None:
        """Announce the process for the first time, or that it is elsewhere.

        Args:
            url: of its private listener; empty if it has none.

        Raises:
            StoreError: the store does not take it.
            TimeoutError: the store does not answer.
        """
        self._url = url
        await self.renew()

    async def renew(self) -> None:
        """Give a heartbeat. If the last one is too old by now, take another id.

        Raises:
            StoreError: the store does not take it.
            TimeoutError: the store does not answer.
        """
        if self._renewing is None:
            with until(None):  # others wait for it than who happens to be the first
                self._renewing = asyncio.get_running_loop().create_task(self._renew())
            self._renewing.add_done_callback(self._renewed)
        await asyncio.shield(self._renewing)

    def _renewed(self, done: asyncio.Task[None]) -> None:
        self._renewing = None
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    async def _renew(self) -> None:
        if self._may_be_over:
            self._lapse()
        while self._url is not None:
            while self._to_end:
                # What it has sent under an old id may arrive after that was forgotten.
                await self._write(self._to_end[0], OVER)
                del self._to_end[0]
            expires_at = self._clock.now() + LIFETIME
            if self._until is None:
                self._until = expires_at  # it may be there, whatever becomes of its answer
            await self._write(self.id, self._url)
            # It holds only if the one before still did when this one was there.
            if not self._may_be_over:
                self._until, self._announced = expires_at, True
                return
            self._lapse()

    async def _write(self, host_id: str, url: str) -> None:
        expires_at = self._clock.now() + LIFETIME
        async with Timeout(self._clock, HEARTBEAT):
            await self._store.announce(Host(host_id, url, expires_at))

    def _lapse(self) -> None:
        self._former.add(self.id)
        self._to_end.append(self.id)
        self.id = f"{self._name}~{len(self._former)}"
        self._until, self._announced = None, False
        if self._lapsed is not None:
            self._lapsed()

    async def end(self) -> None:
        """Say that the process is gone; its sockets must be closed already.

        It stays written down as one that is over: connections whose ends did not get to the store,
        or whose beginnings get there late, are found by it.

        Raises:
            StoreError: the store does not take it; it will expire.
            TimeoutError: the store does not answer.
        """
        if self._url is None:
            return
        self._url = None
        if self._renewing is not None:
            await asyncio.wait([self._renewing])
        for host_id in (*self._to_end, self.id):
            await self._write(host_id, OVER)
