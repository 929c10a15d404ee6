"""What the gateway needs of the runtime."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, overload

from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    CallAction,
    CloseConnection,
    Command,
    ConnectionAction,
    DestroyActor,
    GetActor,
    ListActors,
    ListLetters,
    OpenConnection,
    PurgeLetters,
    RawMessage,
    RawRequest,
    RawResponse,
    ReplayLetter,
    SendMessage,
    SendResult,
    SleepActor,
    Subscribe,
    Sweep,
    Wake,
)

if TYPE_CHECKING:
    from rivetless.runtime.dead import Letter

__all__ = ["Dispatcher"]


class Dispatcher(Protocol):
    """Runs commands. ``rivetless.runtime.runtime.Runtime`` is one."""

    @overload
    @abstractmethod
    async def dispatch(self, command: GetActor | OpenConnection) -> ActorInfo: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: CallAction | ConnectionAction) -> ActionResult: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: SendMessage) -> SendResult: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: RawRequest) -> RawResponse: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: ListActors) -> list[ActorInfo]: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: ListLetters) -> list[Letter]: ...
    @overload
    @abstractmethod
    async def dispatch(self, command: ReplayLetter | PurgeLetters) -> int: ...
    @overload
    @abstractmethod
    async def dispatch(
        self,
        command: Subscribe
        | RawMessage
        | CloseConnection
        | DestroyActor
        | SleepActor
        | Wake
        | Sweep,
    ) -> None: ...
    @abstractmethod
    async def dispatch(self, command: Command) -> object:
        """Run a command and give the answer that it documents.

        Raises:
            ActorError: the actor refused or failed.
            Exception: whatever a handler raised; neither is masked yet.
        """

    @abstractmethod
    async def find(self, actor_id: str, /) -> ActorInfo | None:
        """Look a life up by id, a destroyed one too."""
