"""``Management``: sends to the WebSocket connections that API Gateway holds, and closes them."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Unpack

from rivetless.aws.client import Payload, ServiceError
from rivetless.aws.faces import CallOptions, Face
from rivetless.aws.services import MANAGEMENT
from rivetless.frozen import frozen

__all__ = ["Connection", "ConnectionGone", "Management"]

CONNECTIONS: Final = 64
"""Posts under way at once: at 10 ms each, a thousand of them take a sixth of a second."""


class ConnectionGone(ServiceError):
    """API Gateway does not hold this connection, or not any more."""


@frozen
class Connection:
    """What API Gateway tells of a connection; ``None`` is what it does not.

    Attributes:
        connected_at: Unix seconds.
        last_active_at: Unix seconds.
        source_ip: where it comes from.
        user_agent: what the client says it is.
    """

    connected_at: float | None = None
    last_active_at: float | None = None
    source_ip: str | None = None
    user_agent: str | None = None


class Management(Face):
    """The connections of one stage of a WebSocket API.

    Args:
        endpoint: of the stage: ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``.
            Default ``AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI``, ``AWS_ENDPOINT_URL``.
        **options: see ``CallOptions``; a request is also sent again because the connection's client
            reads too slowly.

    Raises:
        ValueError: nobody says where the endpoint is.
    """

    def __init__(self, endpoint: str | None = None, **options: Unpack[CallOptions]) -> None:
        super().__init__(MANAGEMENT, endpoint=endpoint, **options)

    async def post(self, connection_id: str, data: bytes, *, deadline: float | None = None) -> None:
        """Send a message to a connection, at most once.

        What may have been sent is not sent again: the client would see it twice.

        Args:
            connection_id: API Gateway's.
            data: at most 128 KB; what the client gets is text.
            deadline: Unix seconds after which there are no further attempts.

        Raises:
            ConnectionGone: there is no such connection.
            ServiceError: it was refused; 413 when it is too large, 429 for want of capacity.
            NotSent: it was not sent.
            AnswerLost: it may have been sent.
        """
        payload: Payload = {"ConnectionId": connection_id, "Data": data}
        await self._on("PostToConnection", payload, repeatable=False, deadline=deadline)

    async def delete(self, connection_id: str, *, deadline: float | None = None) -> None:
        """Close a connection.

        Raises:
            ConnectionGone: there is no such connection.
            CallError: as for ``post``.
        """
        payload: Payload = {"ConnectionId": connection_id}
        await self._on("DeleteConnection", payload, repeatable=True, deadline=deadline)

    async def get(self, connection_id: str, *, deadline: float | None = None) -> Connection:
        """Return what is known of a connection.

        Raises:
            ConnectionGone: there is no such connection.
            CallError: as for ``post``.
        """
        payload: Payload = {"ConnectionId": connection_id}
        answer = await self._on("GetConnection", payload, repeatable=True, deadline=deadline)
        identity = answer.get("Identity", {})
        return Connection(
            _seconds(answer.get("ConnectedAt")),
            _seconds(answer.get("LastActiveAt")),
            identity.get("SourceIp"),
            identity.get("UserAgent"),
        )

    async def _on(
        self, operation: str, payload: Payload, *, repeatable: bool, deadline: float | None
    ) -> Payload:
        try:
            return await self._call(operation, payload, repeatable=repeatable, deadline=deadline)
        except ServiceError as error:
            if error.status != 410:
                raise
            raise ConnectionGone(error.code, error.status, error.message, error.body) from error


def _seconds(instant: datetime | str | None) -> float | None:
    """Return an instant as Unix seconds; boto3 gives it parsed, the wire as ISO 8601."""
    if isinstance(instant, str):
        try:
            instant = datetime.fromisoformat(instant)
        except ValueError:
            return None
    return None if instant is None else instant.timestamp()
