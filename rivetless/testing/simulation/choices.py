"""Chance that can be repeated: every decision is a hash of the seed, its place and its number."""

from __future__ import annotations

import random
import struct
from hashlib import blake2b
from typing import Final, NamedTuple

from rivetless.frozen import frozen

__all__ = ["Choices", "Draw", "FaultId", "Plan"]

_PARTS: Final = struct.Struct("<4I")
_SCALE: Final = 1.0 / 4_294_967_296.0


class FaultId(NamedTuple):
    """Names one fault of a seed: the same in every run in which it happens.

    Attributes:
        site: where.
        number: the how manieth decision of that site it was.
    """

    site: str
    number: int

    def __str__(self) -> str:
        return f"{self.site}#{self.number}"


class Draw(NamedTuple):
    """One decision: four numbers from 0 to below 1 that have nothing to do with each other.

    Attributes:
        id: which decision.
        whether: decides whether something happens.
        what: decides what.
        first: decides something about it.
        second: decides something else about it.
    """

    id: FaultId
    whether: float
    what: float
    first: float
    second: float


@frozen(kw_only=True)
class Plan:
    """Which of a seed's decisions are taken; how a failing run is made smaller.

    Attributes:
        seed: whose decisions.
        faults: the faults that may happen; None for all.
        skipped: operations that are not made; whoever makes them is refused.
        steady: everything takes the same time, unless a fault delays it.
    """

    seed: int
    faults: frozenset[FaultId] | None = None
    skipped: frozenset[str] = frozenset()
    steady: bool = False


class Choices:
    """Decides everything that chance decides in a run.

    Decisions at one place do not move those at another: a fault that is left out, or a call that is
    not made, changes as little as possible of what happens elsewhere.

    Args:
        plan: the seed, and which of its decisions are taken.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan: Final = plan
        self._key = str(plan.seed).encode()
        self._numbers: dict[str, int] = {}

    def next(self, site: str) -> int:
        """Count what happens at a place, from 0."""
        number = self._numbers.get(site, 0)
        self._numbers[site] = number + 1
        return number

    def draw(self, site: str) -> Draw:
        """Take the next decision of a place."""
        number = self.next(site)
        digest = blake2b(f"{site}#{number}".encode(), digest_size=16, key=self._key).digest()
        one, two, three, four = _PARTS.unpack(digest)
        return Draw(
            FaultId(site, number), one * _SCALE, two * _SCALE, three * _SCALE, four * _SCALE
        )

    def allows(self, fault: FaultId) -> bool:
        """Whether a fault that chance has chosen may happen in this run."""
        return self.plan.faults is None or fault in self.plan.faults

    def random(self, site: str) -> random.Random:
        """Return a generator for whoever needs many numbers."""
        digest = blake2b(site.encode(), digest_size=16, key=self._key).digest()
        return random.Random(int.from_bytes(digest, "big"))
