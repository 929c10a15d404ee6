"""Wakes: what an actor has to do by itself, done when a doorbell or an alarm says so.

A wake is a hint. It reads the head, does what is due by then, and has the actor woken again for
what is due later; one that comes early, late or twice finds nothing to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rivetless.runtime.commands import Sweep, Wake

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

MAX_HOPS: Final = 16
"""Wakes of an actor's own making in a row: what rings itself for ever is left to the sweeper."""


class Waking:
    """Handles the commands that no caller is behind. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def wake(self, command: Wake) -> None:
        """Do what is due for one actor."""
        runtime = self._runtime
        if command.hops > MAX_HOPS:
            runtime.log.warning(
                "actor %s has woken itself %d times in a row; it is left to the sweeper",
                command.actor_id,
                command.hops,
            )
            return
        try:
            head = await runtime.store.load(command.actor_id)
        except ValueError:
            head = None
        if head is None:
            return
        if head.destroyed_at is not None:
            await runtime.lifecycle.drain(command.actor_id)
        elif (keeper := runtime.keepers.get(head.address.namespace)) is not None:
            await keeper.tend(head)

    async def sweep(self, command: Sweep) -> None:
        """Make one pass over what died processes have left."""
        await self._runtime.sweeper.sweep()
