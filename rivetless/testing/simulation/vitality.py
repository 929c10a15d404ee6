"""Whether a process runs, is frozen or is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

__all__ = ["Vitality"]


class Vitality:
    """The life of one process.

    A frozen process sees no answer and no timer until it thaws; a dead one never does. Its tasks
    are not told: like those of a machine without power, they just do not go on.

    Attributes:
        awake: whether it runs.
        dead: whether it will never run again.
    """

    __slots__ = ("_held", "_on_death", "awake", "dead")

    def __init__(self) -> None:
        self.awake = True
        self.dead = False
        self._held: list[Callable[[], object]] = []
        self._on_death: list[Callable[[], object]] = []

    def hold(self, callback: Callable[[], object]) -> None:
        """Make a call when the process thaws."""
        self._held.append(callback)

    async def wait(self) -> None:
        """Return when the process runs."""
        while not self.awake:
            thawed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            # What a dead process waits for is kept as well, or its tasks would be collected, which
            # runs the code in their ``finally``.
            self._held.append(partial(_wake, thawed))
            await thawed

    def freeze(self) -> None:
        """Stop."""
        self.awake = False

    def thaw(self) -> None:
        """Go on: what has been held happens now, in its order."""
        if self.dead or self.awake:
            return
        self.awake = True
        held, self._held = self._held, []
        loop = asyncio.get_running_loop()
        for callback in held:
            loop.call_soon(callback)

    def die(self) -> None:
        """Stop for ever."""
        if self.dead:
            return
        self.awake = False
        self.dead = True
        on_death, self._on_death = self._on_death, []
        for callback in on_death:
            callback()

    def at_death(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Make a call when the process dies; return what takes that back."""
        self._on_death.append(callback)

        def forget() -> None:
            if callback in self._on_death:
                self._on_death.remove(callback)

        return forget


def _wake(thawed: asyncio.Future[None]) -> None:
    if not thawed.done():
        thawed.set_result(None)
