"""What the parts of one simulation share."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivetless.gateway.outbox import Tasks
    from rivetless.testing.simulation.choices import Choices
    from rivetless.testing.simulation.clock import SimClock
    from rivetless.testing.simulation.history import History
    from rivetless.testing.simulation.loop import SimLoop
    from rivetless.testing.simulation.network import Network
    from rivetless.testing.simulation.process import Process
    from rivetless.testing.simulation.stores import Backend
    from rivetless.testing.simulation.trace import Trace
    from rivetless.testing.simulation.weather import Weather

__all__ = ["World"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One run's time, chance, faults and records.

    Attributes:
        loop: its event loop.
        clock: the right time.
        choices: chance.
        weather: what goes wrong.
        trace: what people read.
        history: what checkers read.
        network: carries calls.
        backend: what lasts.
        processes: those there are, dead ones included.
        tasks: what goes on beside the processes.
    """

    loop: SimLoop
    clock: SimClock
    choices: Choices
    weather: Weather
    trace: Trace
    history: History
    network: Network
    backend: Backend
    processes: list[Process]
    tasks: Tasks

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin what belongs to no process."""
        self.tasks.spawn(work)
