"""What the runtime needs of a host: ways to reach sockets, and to have actors woken."""

from __future__ import annotations

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
