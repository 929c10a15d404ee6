"""What the runtime needs of a host: ways to reach sockets, and to have actors woken."""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from rivetless.frozen import frozen
from rivetless.store.base import Head


@frozen
class EventPush:
    """An event for a managed connection; ``args`` are plain values."""

    name: str
    args: Sequence[object]


@frozen
class RawPush:
    """A message for a raw WebSocket."""

    data: str | bytes


@frozen
class ClosePush:
    """Close the socket. ``forget`` says that the runtime has already dropped the connection."""

    code: int
    reason: str
    forget: bool = False


@frozen
class Push:
    """Something for sockets, with its place in the actor's order.

    Attributes:
        actor_id: whose push it is.
        version: the version of the commit that released it.
        index: its number within that commit.
        content: what to send or do.
        conns: the connections it is for, all on one host.
    """

    actor_id: str
    version: int
    index: int
    content: EventPush | RawPush | ClosePush
    conns: tuple[str, ...]


class Pusher(Protocol):
    """Delivers pushes to the sockets of hosts. At most once; never raises for a socket."""

    @abstractmethod
    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver ``pushes`` in order to sockets held by ``host``.

        Returns the ids of connections that the host says it does not hold (they are gone); empty
        when the host could not be reached.
        """


class NoSockets:
    """The pusher of a process without sockets."""

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        """Report every connection as gone: nobody can hold a socket here."""
        return frozenset(conn for push in pushes for conn in push.conns)


@frozen
class Ring:
    """A wish to have an actor woken: ``commands.Wake`` is to be dispatched in some process.

    Attributes:
        actor_id: the life.
        at: Unix seconds before which it need not be; ``None`` for now.
        hops: how many wakes that actors made themselves led to this one.
    """

    actor_id: str
    at: float | None = None
    hops: int = 0


class WakeError(Exception):
    """A ring may not have been sent. The sweeper finds the actor later."""


class Doorbells(Protocol):
    """Has actors woken, now or later. Late, early, doubled and lost rings do no harm."""

    @abstractmethod
    async def ring(self, rings: Sequence[Ring]) -> None:
        """Send rings on their way.

        Raises:
            WakeError: one of them may not have been sent.
        """


class Keeper(Protocol):
    """Looks after heads that are no actors: what a host keeps in a reserved namespace."""

    @abstractmethod
    async def tend(self, head: Head) -> None:
        """Do what is due for a head that is alive; it may be asked early, late or twice."""


class NoDoorbells:
    """The doorbells of a process that wakes nobody: the sweeper alone finds what is due."""

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Do nothing."""


class Topic(enum.StrEnum):
    """What a hint is about.

    ``MESSAGES``: an actor's queue has new ones. ``REPLY``: a message was answered. ``RUNNER``: the
    claim to run an actor's loop is free. ``ALARM``: an actor is to be woken.
    """

    MESSAGES = "queue"
    REPLY = "reply"
    RUNNER = "runner"
    ALARM = "alarm"


@frozen
class Hint:
    """Something that the other processes on a store would find out by looking there again.

    Attributes:
        topic: what it is about.
        actor_id: the life.
        waiter: who waits for the reply.
        at: when the actor is to be woken, in Unix seconds.
    """

    topic: Topic
    actor_id: str
    waiter: str = ""
    at: float | None = None


class Neighbours(Protocol):
    """The other processes on the same store, as far as they can be spoken to."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Under which name the others know this process; empty while they do not."""

    @abstractmethod
    def tell(self, hints: Sequence[Hint]) -> None:
        """Send hints to all of them. At once, without waiting; they may be lost or doubled."""

    @abstractmethod
    async def lives(self, name: str) -> bool:
        """Whether a process may still be there. Only where it is certainly not, the answer is no.

        Never raises.
        """


class NoNeighbours:
    """The neighbours of a process that cannot speak to any."""

    name: str = ""

    def tell(self, hints: Sequence[Hint]) -> None:
        """Do nothing."""

    async def lives(self, name: str) -> bool:
        """Say that nothing is known."""
        return True
