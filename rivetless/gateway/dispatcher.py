"""What the gateway needs of the runtime: one method."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from rivetless.runtime.commands import (
    ActorInfo,
    CallAction,
    CloseConnection,
    ConnectionAction,
    DestroyActor,
    GetActor,
    ListActors,
    OpenConnection,
    RawMessage,
    RawRequest,
    SleepActor,
    Subscribe,
)

__all__ = ["Command", "Dispatcher"]

Command = (
    GetActor
    | CallAction
    | OpenConnection
    | ConnectionAction
    | Subscribe
    | RawMessage
    | CloseConnection
    | RawRequest
    | DestroyActor
    | SleepActor
    | ListActors
)


class Dispatcher(Protocol):
    """Runs commands. ``rivetless.runtime.Runtime`` is one."""

    @abstractmethod
    async def dispatch(self, command: Command, /) -> Any:
        """Run a command and give the answer that it documents.

        Raises:
            ActorError: the actor refused or failed.
            Exception: whatever a handler raised; neither is masked yet.
        """

    @abstractmethod
    async def find(self, actor_id: str, /) -> ActorInfo | None:
        """Look a life up by id, a destroyed one too."""
