"""What is not ours: payment providers, mail servers, anything that actors call."""

from __future__ import annotations

from typing import Final, TypeVar

from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.process import CURRENT
from rivetless.testing.simulation.weather import Fault, menu
from rivetless.testing.simulation.world import World

__all__ = ["Outside"]

T = TypeVar("T")


def _refused() -> Exception:
    return ConnectionRefusedError("the other system was not reached")


def _lost() -> Exception:
    return TimeoutError("the other system did not answer")


PORT: Final = Port(
    "outside",
    menu(
        Fault.DELAYED,
        Fault.REFUSED,
        Fault.UNACKNOWLEDGED,
        Fault.VANISHED,
        Fault.LATE,
        Fault.DIED_BEFORE,
        Fault.DIED_AFTER,
        Fault.FROZE_BEFORE,
        Fault.FROZE_AFTER,
    ),
    _refused,
    _lost,
)


class Outside:
    """Systems that actors call, which know a call again by its key.

    Args:
        world: what the simulation shares.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[tuple[str, str], object] = {}

    async def call(self, name: str, key: str, value: T) -> T:
        """Do something outside: once for each key, however often it is asked for.

        Args:
            name: what is to be done.
            key: what the other system knows the call again by.
            value: what to do it with.

        Returns:
            The value of the first call with this key.

        Raises:
            ConnectionRefusedError: nothing was done.
            TimeoutError: nobody knows whether it was done.
        """
        process = CURRENT.get()

        async def arrive() -> T:
            applied = (name, key) not in self._known
            self._known.setdefault((name, key), value)
            who = "" if process is None else process.name
            self._world.history.effect(name, key, value, process=who, applied=applied)
            self._world.trace.add(
                who, "outside: %s(%r, %r)%s", name, key, value, "" if applied else " again"
            )
            return self._known[name, key]  # type: ignore[return-value]

        if process is None:
            return await arrive()
        return await self._world.network.carry(
            process.vitality, process.name, PORT, arrive, what=name
        )
