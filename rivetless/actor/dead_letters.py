"""``self.dead_letters``: what the actor was to do and could not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from rivetless.actor.schedule import instant
from rivetless.frozen import frozen

MOST_LISTED: Final = 1000


class LetterInfo(Protocol):
    """What ``DeadLetters`` needs of a letter as the runtime keeps it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def attempts(self) -> int: ...
    @property
    def failure(self) -> FailureInfo: ...
    @property
    def body(self) -> object: ...


class FailureInfo(Protocol):
    """Why something failed, as the runtime keeps it."""

    @property
    def group(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...


@frozen
class DeadLetter:
    """Something that has failed for good.

    Attributes:
        id: names the letter.
        kind: ``"schedule"``, ``"message"``, or a kind of effect on other actors, like ``"send"``.
        source: the id it had: the schedule's, the message's.
        died_at: when it was given up.
        attempts: how often it was tried.
        error: group and code of the last failure, with a dot.
        message: what it said.
        body: what was to be done, as a plain value.
    """

    id: str
    kind: str
    source: str
    died_at: datetime
    attempts: int
    error: str
    message: str
    body: object


class DeadLetterPort(Protocol):
    """What stands behind ``DeadLetters``."""

    @abstractmethod
    async def list(self, limit: int, kind: str | None = None) -> Sequence[LetterInfo]: ...

    @abstractmethod
    async def find(self, letter_id: str) -> LetterInfo | None: ...

    @abstractmethod
    async def replay(self, letter_id: str) -> bool: ...

    @abstractmethod
    async def purge(self, letter_id: str | None) -> int: ...


class DeadLetters:
    """Scheduled actions, queue messages and sends that have failed for good, newest first."""

    __slots__ = ("_port",)

    def __init__(self, port: DeadLetterPort) -> None:
        self._port = port

    async def list(self, *, limit: int = 100, kind: str | None = None) -> list[DeadLetter]:
        """Return letters, newest first."""
        if not 1 <= limit <= MOST_LISTED:
            raise ValueError(f"`limit` is {limit}; it is from 1 to {MOST_LISTED}.")
        return [shown(letter) for letter in await self._port.list(limit, kind)]

    async def get(self, letter_id: str) -> DeadLetter | None:
        """Return one letter."""
        letter = await self._port.find(letter_id)
        return None if letter is None else shown(letter)

    async def replay(self, letter_id: str) -> bool:
        """Put a letter back to be tried anew; say whether there was one. Joins the commit."""
        return await self._port.replay(letter_id)

    async def purge(self, letter_id: str | None = None) -> int:
        """Throw a letter away, or all; joins the commit.

        Returns:
            How many are gone. What is more than one commit can remove stays: purge until it is 0.
        """
        return await self._port.purge(letter_id)


def shown(letter: LetterInfo) -> DeadLetter:
    """Return what users see of a letter."""
    failure = letter.failure
    return DeadLetter(
        id=letter.id,
        kind=letter.kind,
        source=letter.source,
        died_at=instant(letter.at),
        attempts=letter.attempts,
        error=f"{failure.group}.{failure.code}",
        message=failure.message,
        body=letter.body,
    )
