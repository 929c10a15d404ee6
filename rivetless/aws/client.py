"""The seam to a service: one call, and the three ways it can fail.

Whoever implements ``Client`` sends once and says exactly what happened; whether to send again is
decided above it (``retries``), where it is known what a request does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

Payload = dict[str, Any]
"""A request or an answer as boto3 has it, except that instants of answers may be as they came."""

CONNECT_TIMEOUT: Final = 2.0
"""Seconds until a connection must stand, by default."""

CONNECTIONS: Final = 50
"""How many requests may be under way at once, by default."""

READ_TIMEOUT: Final = 5.0
"""Seconds until an answer must be there, by default. These services answer soon, or not."""


class Client(Protocol):
    """Sends requests to one service. Sends each once; retries are not its business."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Make ready. May be entered again after it was left."""

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close connections."""

    @abstractmethod
    async def call(self, operation: str, payload: Payload) -> Payload:
        """Make one request and return its answer.

        Args:
            operation: as the service calls it, e.g. ``"GetItem"``.
            payload: its members, as the service calls them.

        Raises:
            ServiceError: the service answered that it did not do it.
            NotSent: the service has not got the request.
            AnswerLost: the service may have got it, and the answer did not arrive.
        """


class ClientHolder:
    """Opens and closes a client with itself; made to be subclassed.

    Args:
        client: the client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)


class ClientWrapper(ClientHolder, Client):
    """Hands every request on to another client; made to be subclassed."""

    async def call(self, operation: str, payload: Payload) -> Payload:
        return await self._client.call(operation, payload)


class CallError(Exception):
    """A call that brought no answer that can be used."""


class NotSent(CallError):
    """The request never got to the service: no connection, no credentials."""


class AnswerLost(CallError):
    """The request may have got to the service, and its answer did not come back."""


class ServiceError(CallError):
    """The service refused.

    Attributes:
        code: the error's short name, e.g. ``"ConditionalCheckFailedException"``.
        status: HTTP status.
        message: what the service says of it.
        body: the whole answer; refused conditions bring the item, transactions their reasons.
    """

    def __init__(self, code: str, status: int, message: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code: Final = code
        self.status: Final = status
        self.message: Final = message
        self.body: Final = body
