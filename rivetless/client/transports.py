"""The seam between the client and whatever carries its calls.

``HTTPTransport`` talks to a server, ``LocalTransport`` to a runtime in this process,
``MockTransport`` to a test's own function. Every failure that crosses the seam is an
``ActorError``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, runtime_checkable

from rivetless.actor.dead_letters import DeadLetter
from rivetless.client.calls import (
    ActionCall,
    FetchRequest,
    FetchResponse,
    LetterQuery,
    LetterReplay,
    LettersPurge,
    Location,
    QueueReply,
    QueueSend,
    SocketRequest,
)
from rivetless.client.retry import RetryPolicy
from rivetless.client.sockets import Socket
from rivetless.protocol.codec import EncodingName

__all__ = ["Dispatcher", "Transport"]


class Dispatcher(Protocol):
    """What can be asked of actors; a runtime that serves ``LocalTransport`` has this much."""

    @abstractmethod
    async def call(self, call: ActionCall, /) -> object:
        """Run an action and return its plain output."""

    @abstractmethod
    async def enqueue(self, send: QueueSend, /) -> QueueReply:
        """Send a message to a queue."""

    @abstractmethod
    async def fetch(self, request: FetchRequest, /) -> FetchResponse:
        """Make an HTTP request to ``on_request``; any status is an answer."""

    @abstractmethod
    async def locate(self, location: Location, /) -> str:
        """Return an actor's id; creates it where the target says so."""

    @abstractmethod
    async def letters(self, query: LetterQuery, /) -> list[DeadLetter]:
        """List dead letters; the actor is not created."""

    @abstractmethod
    async def replay_letter(self, replay: LetterReplay, /) -> bool:
        """Put a dead letter back; say whether there was one."""

    @abstractmethod
    async def purge_letters(self, purge: LettersPurge, /) -> int:
        """Throw dead letters away; return how many are gone."""

    @abstractmethod
    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Open a socket. A refusal by the actor comes as the reason of its close.

        Raises:
            ActorError: ``client.connection_failed`` when nobody was reached.
        """


@runtime_checkable
class Transport(Dispatcher, Protocol):
    """Carries a client's calls."""

    @property
    @abstractmethod
    def encoding(self) -> EncodingName:
        """How the frames of its sockets are written."""

    @property
    @abstractmethod
    def retries(self) -> RetryPolicy:
        """How often its calls are tried."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what it holds; without effect when repeated."""
