"""What the engine needs from whatever runs it: turns, messages, time. The runtime has them.

Tests and the check of replays have their own.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from rivetless.actor.abort import AbortSignal
from rivetless.actor.queue import Delivery, Queue
from rivetless.frozen import frozen
from rivetless.workflow.journal import Journal, Writing


@frozen
class Outcome:
    """How an attempt at a step has ended.

    Attributes:
        value: the plain result.
        error: what it raised.
        timed_out: whether its time was over.
        limit: the seconds it had, where they were the host's rather than its own.
    """

    value: object = None
    error: Exception | None = None
    timed_out: bool = False
    limit: float | None = None


Work = Callable[[Any], Awaitable[object]]
"""Runs a step on the actor of a turn and returns its plain result."""

Finish = Callable[[Outcome], Writing]
"""Says what is written together with an outcome; may be asked several times."""


class Port(Protocol):
    """Runs the turns of one workflow."""

    @property
    @abstractmethod
    def actor_id(self) -> str: ...

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def key(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def log(self) -> logging.LoggerAdapter[logging.Logger]: ...

    @property
    @abstractmethod
    def created_at(self) -> float:
        """When the actor's life began, in Unix seconds."""

    @property
    @abstractmethod
    def abort(self) -> AbortSignal:
        """Fires when the workflow is to stop: the actor sleeps, or the host's time is over."""

    @property
    @abstractmethod
    def journal(self) -> Journal: ...

    @property
    @abstractmethod
    def longest(self) -> float | None:
        """Seconds that a step may take here at most, if there is such a limit."""

    @abstractmethod
    def now(self) -> float: ...

    @abstractmethod
    def jitter(self) -> float:
        """Return a random number from 0 to 1."""

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Wait in memory."""

    @abstractmethod
    async def turn(
        self, label: str, location: str, work: Work | None, finish: Finish, timeout: float | None
    ) -> Outcome:
        """Run ``work`` as a turn; commit what ``finish`` says together with what it did.

        What a failed attempt has changed is undone, and the failure committed alone. When it
        returns, the commit is on its way and the journal knows of it.

        Raises:
            HistoryMoved: somebody else has written history.
        """

    @abstractmethod
    async def receive(
        self,
        location: str,
        names: Collection[str],
        count: int,
        completable: bool | None,
        finish: Callable[[Sequence[Delivery]], Writing],
    ) -> list[Delivery]:
        """Take messages that are there, and commit their removal with what ``finish`` says."""

    @abstractmethod
    async def durable(self) -> None:
        """Wait until everything so far is durable.

        Raises:
            HistoryMoved: it never will be.
        """

    @abstractmethod
    def find_queue(self, name: str) -> Queue[Any, Any] | None:
        """Return a declared queue by its name on the wire."""

    @abstractmethod
    async def report(self, event: object) -> None:
        """Tell the actor's ``on_error``; whatever goes wrong there is logged."""
