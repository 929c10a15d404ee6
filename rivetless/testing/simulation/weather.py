"""What can go wrong, and how often: the weather of a run."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rivetless.testing.simulation.choices import Choices, Draw

__all__ = ["Fault", "Menu", "Weather", "menu"]


class Fault(enum.Enum):
    """What the simulator can do to a call, a process or a socket."""

    DELAYED = "delayed"
    """The call takes long, so that others overtake it."""

    REFUSED = "refused"
    """The call fails, and certainly was not made."""

    THROTTLED = "throttled"
    """The service says that it has no capacity just now; nothing was done."""

    STALE = "stale"
    """A reader does not see the latest changes, where the service does not promise it."""

    UNACKNOWLEDGED = "unacknowledged"
    """The call is made, and its answer is lost."""

    VANISHED = "vanished"
    """The call is not made, and nobody can know."""

    DUPLICATED = "duplicated"
    """The call arrives twice."""

    LATE = "late"
    """The caller is told that the outcome is not known, and later the call is made."""

    GIVEN_UP = "given up"
    """The caller goes away before the answer, and what it asked for is cancelled."""

    DIED_BEFORE = "died before"
    """The process dies before the call is made."""

    DIED_AFTER = "died after"
    """The process dies when the call was made, before its answer is there."""

    FROZE_BEFORE = "froze before"
    """The process is frozen before the call is made, and thaws later."""

    FROZE_AFTER = "froze after"
    """The process is frozen before it sees the answer, and thaws later."""

    OUTAGE = "outage"
    """The store cannot be reached by anybody for a while."""

    SKEWED = "skewed"
    """The process's clock is wrong."""

    DRIFTED = "drifted"
    """The process's clock goes too fast or too slow, its timers with it."""

    JUMPED = "jumped"
    """The process's clock is put forward or back, as who sets it by others does; no timer is."""

    DEPLOYED = "deployed"
    """A process is replaced by one that may have other code."""

    BELL_LOST = "bell lost"
    """A ring is taken, and never arrives."""

    BELL_DOUBLED = "bell doubled"
    """A ring arrives twice."""

    BELL_LATE = "bell late"
    """A ring arrives late."""

    PUSH_LOST = "push lost"
    """What was sent to a socket does not arrive."""

    SOCKET_CUT = "socket cut"
    """A socket vanishes."""

    ANSWER_DELAYED = "answer delayed"
    """The call is made at once, and its answer takes long. Only where a test asks for it."""


Menu = tuple[Fault, ...]
"""The faults that can happen at one kind of call."""

RATES: Final[Mapping[Fault, float]] = MappingProxyType(
    {
        Fault.DELAYED: 0.06,
        Fault.REFUSED: 0.02,
        Fault.THROTTLED: 0.03,
        Fault.STALE: 0.6,
        Fault.UNACKNOWLEDGED: 0.03,
        Fault.VANISHED: 0.03,
        Fault.DUPLICATED: 0.1,
        Fault.LATE: 0.03,
        Fault.GIVEN_UP: 0.06,
        Fault.DIED_BEFORE: 0.012,
        Fault.DIED_AFTER: 0.012,
        Fault.FROZE_BEFORE: 0.016,
        Fault.FROZE_AFTER: 0.016,
        Fault.OUTAGE: 0.4,
        Fault.SKEWED: 0.5,
        Fault.DRIFTED: 0.4,
        Fault.JUMPED: 0.5,
        Fault.DEPLOYED: 0.4,
        Fault.BELL_LOST: 0.35,
        Fault.BELL_DOUBLED: 0.35,
        Fault.BELL_LATE: 0.3,
        Fault.PUSH_LOST: 0.1,
        Fault.SOCKET_CUT: 0.08,
    }
)
"""How often each fault happens to a call that it can happen to, in a run that has it at all."""

_HAVING: Final = 0.6
"""The part of all seeds that have a given fault at all."""


def menu(*faults: Fault) -> Menu:
    """Return the menu of these faults."""
    return faults


def one_way(gone: Fault) -> Menu:
    """Return what can happen to a call that only sends something; ``gone``: it never arrives."""
    return menu(
        Fault.DELAYED,
        Fault.REFUSED,
        Fault.UNACKNOWLEDGED,
        gone,
        Fault.DIED_BEFORE,
        Fault.DIED_AFTER,
        Fault.FROZE_BEFORE,
        Fault.FROZE_AFTER,
    )


class Weather:
    """How often what goes wrong in one run.

    Each seed has a subset of the faults only, some often and some seldom: a run with everything in
    it is all alike, and hides what only shows when one thing goes wrong again and again.

    Args:
        rates: how often each fault happens; those that are missing do not.
        choices: decides.
    """

    def __init__(self, rates: Mapping[Fault, float], choices: Choices) -> None:
        self.rates: Final = dict(rates)
        self._choices = choices
        self._tables: dict[Menu, tuple[float, tuple[tuple[float, Fault], ...]]] = {}
        self.calm = False

    @classmethod
    def of(cls, choices: Choices, faults: Mapping[Fault, float] = RATES) -> Weather:
        """Return the weather of a seed."""
        rates: dict[Fault, float] = {}
        for fault, rate in faults.items():
            draw = choices.draw(f"weather {fault.value}")
            if draw.whether < _HAVING:
                # From half of it to twice as often.
                rates[fault] = min(rate * 4.0 ** (draw.what - 0.5), 0.9)
        return cls(rates, choices)

    def pick(self, faults: Menu, draw: Draw) -> Fault | None:
        """Return what happens to a call, if anything does."""
        if self.calm:
            return None
        table = self._tables.get(faults)
        if table is None:
            table = self._tables[faults] = self._table(faults)
        most, entries = table
        if draw.whether >= most or not self._choices.allows(draw.id):
            return None
        return next(fault for bound, fault in entries if draw.whether < bound)

    def _table(self, faults: Menu) -> tuple[float, tuple[tuple[float, Fault], ...]]:
        bound = 0.0
        entries: list[tuple[float, Fault]] = []
        for fault in faults:
            if rate := self.rates.get(fault):
                bound += rate
                entries.append((bound, fault))
        return bound, tuple(entries)
