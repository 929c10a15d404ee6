"""What a service of the lab refuses, and how unreliable a queue can be made."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

__all__ = ["AWSError", "Unreliable"]


class AWSError(Exception):
    """A refusal, as AWS would answer it.

    Attributes:
        status: the HTTP status.
        code: AWS's name of the error.
        message: a sentence for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status: Final = status
        self.code: Final = code
        self.message: Final = message


class Unreliable:
    """A fate for messages: some are lost, some doubled, some late enough to be overtaken.

    Args:
        seed: the same seed, the same fate.
        lost: how many of all messages are lost, from 0 to 1.
        doubled: how many are delivered twice.
        late: how many copies are late.
        seconds: how late they are at most.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        lost: float = 0.0,
        doubled: float = 0.0,
        late: float = 0.0,
        seconds: float = 1.0,
    ) -> None:
        self._random = random.Random(seed)
        self._lost = lost
        self._doubled = doubled
        self._late = late
        self._seconds = seconds

    def __call__(self, body: str) -> Iterable[float]:
        """Return how late each copy of a message is."""
        chance = self._random.random
        if chance() < self._lost:
            return ()
        copies = 2 if chance() < self._doubled else 1
        return tuple(
            chance() * self._seconds if chance() < self._late else 0.0 for _ in range(copies)
        )
