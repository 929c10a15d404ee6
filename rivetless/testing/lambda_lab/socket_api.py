"""API Gateway's WebSocket API: connections, their events, and ``@connections``.

As strict as AWS where that shows: text only, frames of 32 KB, messages of 128 KB, one path, ten
minutes of idleness, two hours of life, and no post before ``$connect`` has been answered.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from rivetless.clock import Clock, Timer, within
from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.function import REGION, Function
from rivetless.testing.lambda_lab.queues import Queue
from rivetless.testing.lambda_lab.runtime_api import Outcome
from rivetless.testing.lambda_lab.web import request_id

__all__ = ["MAX_FRAME_BYTES", "MAX_MESSAGE_BYTES", "Connection", "SocketApi"]

MAX_FRAME_BYTES: Final = 32 * 1024
MAX_MESSAGE_BYTES: Final = 128 * 1024

_INTEGRATION: Final = 29.0
_GOING_AWAY: Final = 1001
_TEXT_ONLY: Final = 1003


class Connection:
    """A client's socket.

    Attributes:
        id: how API Gateway calls it.
        connected_at: since when it is there, in Unix seconds.
        active_at: when something was sent or received the last time.
        throttled: how many of the next posts are answered with 429, as if the client read slowly.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, now: float) -> None:
        self.id = base64.urlsafe_b64encode(os.urandom(11)).decode()
        self.connected_at = now
        self.active_at = now
        self.throttled = 0
        self._scope = scope
        self._receive = receive
        self._send = send

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the client's handshake said."""
        return [
            (_title(name.decode("latin-1")), value.decode("latin-1"))
            for name, value in self._scope["headers"]
        ]

    @property
    def address(self) -> str:
        """Where the client is."""
        client: tuple[str, int] = self._scope.get("client") or ("127.0.0.1", 0)
        return client[0]

    async def receive(self) -> dict[str, Any]:
        """Wait for what the client does next."""
        return cast("dict[str, Any]", await self._receive())

    async def accept(self, subprotocol: str | None) -> None:
        """Answer the handshake."""
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def refuse(self, status: int) -> None:
        """Answer the handshake with an error."""
        head = [(b"content-type", b"application/json")]
        await self._send(
            {"type": "websocket.http.response.start", "status": status, "headers": head}
        )
        body = json.dumps({"message": "Forbidden" if status == 403 else "Error"}).encode()
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str = "") -> None:
        """Begin to close the socket."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


class SocketApi:
    """Turns what sockets do into invocations, or into messages of a queue.

    Args:
        function: what ``$connect``, ``$default`` and ``$disconnect`` invoke.
        clock: measures idleness and life.
        stage: the only path there is.
        frames: the FIFO queue that ``$default`` sends to; without one it invokes the function.
        idle: seconds after which an idle connection is closed.
        lifetime: seconds after which every connection is closed.

    Attributes:
        connections: those that are open, by id.
        loses_disconnects: play the world in which ``$disconnect`` is never delivered; AWS promises
            its best efforts only.
    """

    def __init__(
        self,
        function: Function,
        clock: Clock,
        *,
        stage: str = "live",
        frames: Queue | None = None,
        idle: float = 600.0,
        lifetime: float = 7200.0,
    ) -> None:
        self.connections: dict[str, Connection] = {}
        self.loses_disconnects = False
        self.stage = stage
        self._function = function
        self._clock = clock
        self._frames = frames
        self._idle = idle
        self._lifetime = lifetime
        self._work: set[asyncio.Task[None]] = set()

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, path: str, query: str
    ) -> None:
        """Serve one socket, from its handshake to its end."""
        connection = Connection(scope, receive, send, self._clock.now())
        await connection.receive()
        if path != f"/{self.stage}":
            await connection.refuse(403)
            return
        status, subprotocol = await self._ask(self._connect_event(connection, query))
        if not 200 <= status < 300:
            await connection.refuse(status)
            return
        await connection.accept(subprotocol)
        self.connections[connection.id] = connection
        timer = self._watch(connection)
        try:
            code, reason = await self.listen(connection)
        finally:
            timer[0].cancel()
            del self.connections[connection.id]
        if not self.loses_disconnects:
            event = self._event(connection, "DISCONNECT")
            event["headers"] = {"Host": self._domain, "x-api-key": "", "x-restapi": ""}
            event["requestContext"] |= {
                "disconnectStatusCode": code,
                "disconnectReason": reason,
            }
            await self._function.invoke(event)

    async def post(self, connection_id: str, data: bytes) -> None:
        """Answer ``POST /@connections/{id}``.

        Raises:
            AWSError: API Gateway would refuse.
        """
        connection = self._find(connection_id)
        if len(data) > MAX_MESSAGE_BYTES:
            raise AWSError(413, "PayloadTooLargeException", "Message too long")
        if connection.throttled:
            connection.throttled -= 1
            raise AWSError(429, "LimitExceededException", "Too many messages")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise AWSError(400, "BadRequestException", "The message is not text") from None
        connection.active_at = self._clock.now()
        await connection.send(text)

    def describe(self, connection_id: str) -> dict[str, object]:
        """Answer ``GET /@connections/{id}``.

        Raises:
            AWSError: there is no such connection.
        """
        connection = self._find(connection_id)
        return {
            "connectedAt": _iso(connection.connected_at),
            "identity": {"sourceIp": connection.address, "userAgent": _agent(connection)},
            "lastActiveAt": _iso(connection.active_at),
        }

    async def delete(self, connection_id: str) -> None:
        """Answer ``DELETE /@connections/{id}``: AWS takes neither a code nor a reason.

        Raises:
            AWSError: there is no such connection.
        """
        await self._find(connection_id).close(1000)

    async def close(self) -> None:
        """Close every socket, and finish what that begins."""
        for connection in list(self.connections.values()):
            await connection.close(_GOING_AWAY)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _ask(self, event: object) -> tuple[int, str | None]:
        """Return the status that the function wants for a handshake, and its subprotocol."""
        try:
            outcome = await within(self._clock, _INTEGRATION, self._function.invoke(event))
        except TimeoutError:
            return 504, None
        return _admission(outcome)

    async def listen(self, connection: Connection) -> tuple[int, str]:
        """Pass messages on until the socket ends; return how it did."""
        while True:
            message = await connection.receive()
            if message["type"] == "websocket.disconnect":
                return message.get("code", 1005), message.get("reason") or ""
            connection.active_at = self._clock.now()
            text = message.get("text")
            if text is None:
                await connection.close(_TEXT_ONLY, "Binary is not supported")
            elif self._frames is not None:
                self._enqueue(self._frames, connection, text)
            else:
                self._spawn(self._deliver(connection, text))

    def _enqueue(self, frames: Queue, connection: Connection, text: str) -> None:
        """Do what the service integration of ``template.yaml`` does with a message."""
        name = request_id()
        message = {
            "rivetless": "frame",
            "connection": connection.id,
            "request": name,
            "at": round(self._clock.now() * 1000),
            "data": base64.b64encode(text.encode()).decode(),
        }
        frames.send(json.dumps(message), group=connection.id, deduplication=name)

    async def _deliver(self, connection: Connection, text: str) -> None:
        event = self._event(connection, "MESSAGE")
        event["body"] = text
        event["requestContext"]["messageId"] = request_id()
        outcome = await self._function.invoke(event)
        if outcome.failed and connection.id in self.connections:
            trouble = {
                "message": "Internal server error",
                "connectionId": connection.id,
                "requestId": event["requestContext"]["requestId"],
            }
            await connection.send(json.dumps(trouble))

    def _watch(self, connection: Connection) -> list[Timer]:
        """Have a connection closed when it is idle or old; return the timer, which changes."""
        timer: list[Timer] = []

        def look() -> None:
            now = self._clock.now()
            left = min(connection.connected_at + self._lifetime, connection.active_at + self._idle)
            if left <= now:
                self._spawn(connection.close(_GOING_AWAY, "Going away"))
            else:
                timer[:] = [self._clock.call_later(left - now, look)]

        look()
        return timer

    def _find(self, connection_id: str) -> Connection:
        connection = self.connections.get(connection_id)
        if connection is None:
            raise AWSError(410, "GoneException", "The connection is gone")
        return connection

    @property
    def _domain(self) -> str:
        return f"labws.execute-api.{REGION}.amazonaws.com"

    def _connect_event(self, connection: Connection, query: str) -> dict[str, Any]:
        event = self._event(connection, "CONNECT")
        many: dict[str, list[str]] = {}
        for name, value in connection.headers:
            many.setdefault(name, []).append(value)
        event["headers"] = {name: values[-1] for name, values in many.items()}
        event["multiValueHeaders"] = many
        if query:
            asked: dict[str, list[str]] = {}
            for name, value in parse_qsl(query, keep_blank_values=True):
                asked.setdefault(name, []).append(value)
            event["queryStringParameters"] = {name: values[-1] for name, values in asked.items()}
            event["multiValueQueryStringParameters"] = asked
        return event

    def _event(self, connection: Connection, kind: str) -> dict[str, Any]:
        now = self._clock.now()
        route = {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}[kind]
        context: dict[str, Any] = {
            "routeKey": route,
            "eventType": kind,
            "extendedRequestId": request_id(),
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "messageDirection": "IN",
            "stage": self.stage,
            "connectedAt": round(connection.connected_at * 1000),
            "requestTimeEpoch": round(now * 1000),
            "identity": {"sourceIp": connection.address, "userAgent": _agent(connection)},
            "requestId": request_id(),
            "domainName": self._domain,
            "connectionId": connection.id,
            "apiId": "labws",
        }
        return {"requestContext": context, "isBase64Encoded": False}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


def _admission(outcome: Outcome) -> tuple[int, str | None]:
    """Return the status of a ``$connect``, and the subprotocol it chose."""
    answer = outcome.value
    if outcome.failed or not isinstance(answer, dict):
        return 502, None
    found = cast("dict[str, Any]", answer)
    given: dict[str, str] = found.get("headers") or {}
    headers = {name.lower(): value for name, value in given.items()}
    status = found.get("statusCode", 502)
    return (status if isinstance(status, int) else 502), headers.get("sec-websocket-protocol")


def _title(name: str) -> str:
    """Return a header's name as it looks in events."""
    words = (word.capitalize() for word in name.split("-"))
    return "-".join(words).replace("Websocket", "WebSocket")


def _agent(connection: Connection) -> str:
    return dict(connection.headers).get("User-Agent", "")


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")
