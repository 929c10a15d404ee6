"""Checkers: pure functions that read a history and raise ``Violation`` where a promise was broken.

May import ``rivetless.testing.simulation.history`` and ``rivetless.frozen``.
"""

from rivetless.testing.simulation.checkers.violation import Violation

__all__ = ["Violation"]
