"""The simulator: one seed is one schedule of processes, faults, timers and calls.

May import whatever ``rivetless.testing`` may; nothing in the package imports it.
"""

from rivetless.testing.simulation.decorator import simulate
from rivetless.testing.simulation.report import SimulationFailure
from rivetless.testing.simulation.simulation import Simulation

__all__ = ["Simulation", "SimulationFailure", "simulate"]
