"""The simulator: one seed is one schedule of processes, faults, timers and calls.

May import whatever ``rivetless.testing`` may; nothing in the package imports it.
"""

from rivetless.testing.simulation.decorator import check_seed, simulate
from rivetless.testing.simulation.history import Ok, Refused, Unknown
from rivetless.testing.simulation.report import SimulationFailure
from rivetless.testing.simulation.simulation import Deployment, Simulation
from rivetless.testing.simulation.weather import Fault

__all__ = [
    "Deployment",
    "Fault",
    "Ok",
    "Refused",
    "Simulation",
    "SimulationFailure",
    "Unknown",
    "check_seed",
    "simulate",
]
