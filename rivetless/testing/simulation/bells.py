"""A queue of rings as SQS has it: late, doubled, out of order, and sometimes lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rivetless.runtime.commands import Sweep, Wake
from rivetless.runtime.ports import Doorbells, Ring, WakeError
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.weather import Fault, menu, one_way

if TYPE_CHECKING:
    from rivetless.testing.simulation.clients import Entrance
    from rivetless.testing.simulation.process import Process
    from rivetless.testing.simulation.world import World

__all__ = ["BellQueue", "SimDoorbells"]

SWEEPS: Final = 60.0
"""Seconds between two sweeps, which a rule of EventBridge has made."""

TRIES: Final = 5
"""How often a queue delivers a message before it gives it up."""

VISIBILITY: Final = 10.0
"""Seconds after which a message comes again that was not worked."""

PORT: Final = Port(
    "ring",
    one_way(Fault.VANISHED),
    lambda: WakeError("injected: nothing was sent"),
    lambda: WakeError("injected: the answer was lost"),
)
RINGS: Final = menu(Fault.BELL_LOST, Fault.BELL_DOUBLED, Fault.BELL_LATE)


class BellQueue:
    """Keeps rings until they are due, and gives each to some process.

    Args:
        world: what the simulation shares.
        entrance: leads to the processes.
    """

    def __init__(self, world: World, entrance: Entrance) -> None:
        self._world = world
        self._entrance = entrance

    def start(self) -> None:
        """Begin the sweeps."""
        self._world.begin(self._sweep())

    def put(self, ring: Ring) -> None:
        """Take a ring."""
        world = self._world
        draw = world.choices.draw("bells")
        fault = world.weather.pick(RINGS, draw)
        if fault is not None:
            world.network.note(fault, draw.id, "bells", f"for {ring.actor_id}")
        if fault is Fault.BELL_LOST:
            return
        pause = 0.001 + 0.02 * draw.first
        if ring.at is not None:
            pause += max(ring.at - world.clock.now(), 0.0)
        if fault is Fault.BELL_LATE:
            pause += 0.1 * 300.0**draw.second
        self._world.begin(self._deliver(ring, pause))
        if fault is Fault.BELL_DOUBLED:
            self._world.begin(self._deliver(ring, pause + 10.0 * draw.second))

    async def _deliver(self, ring: Ring, pause: float) -> None:
        for _ in range(TRIES):
            await asyncio.sleep(pause)
            process = self._entrance.pick("bells route")
            if process is not None:
                try:
                    await process.run(Wake(ring.actor_id, ring.hops))
                    return
                except Exception as error:
                    self._world.trace.add("bells", "a wake failed: %r", error)
            pause = VISIBILITY

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEPS)
            process = self._entrance.pick("sweeps route")
            if process is not None:
                try:
                    await process.run(Sweep())
                except Exception as error:
                    self._world.trace.add("bells", "a sweep failed: %r", error)


class SimDoorbells(Doorbells):
    """How a process rings.

    Args:
        world: what the simulation shares.
        process: whose rings they are.
        queue: takes them.
    """

    def __init__(self, world: World, process: Process, queue: BellQueue) -> None:
        self._world = world
        self._process = process
        self._queue = queue

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Send rings on their way."""

        async def arrive() -> None:
            for ring in rings:
                self._queue.put(ring)

        await self._world.network.carry(self._process.vitality, self._process.name, PORT, arrive)
