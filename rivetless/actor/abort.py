"""A signal that says "stop", which handlers can look at, wait for, or be told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class AbortSignal:
    """Fires at most once and never resets, like JavaScript's ``AbortSignal``."""

    __slots__ = ("_callbacks", "_event", "reason")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._event: asyncio.Event | None = None
        self.reason: str | None = None

    @property
    def aborted(self) -> bool:
        """Whether the signal has fired."""
        return self.reason is not None

    async def wait(self) -> None:
        """Return when the signal has fired."""
        if self.aborted:
            return
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the signal fires; at once if it already has."""
        if self.aborted:
            callback()
        else:
            self._callbacks.append(callback)

    def fire(self, reason: str) -> None:
        """Fire the signal; later calls do nothing. The runtime's to call, not the user's."""
        if self.reason is not None:
            return
        self.reason = reason
        if self._event is not None:
            self._event.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
