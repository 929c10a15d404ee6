"""What the lab's own servers have in common: a port, bodies that end, answers in JSON."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.hosts.server import quiet_server, socket_protocol

__all__ = ["WebServer", "header", "read_body", "reply", "reply_json", "request_id"]

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")


class WebServer:
    """Serves an ASGI application in the running loop.

    Args:
        app: the application.
        max_message: bytes of a WebSocket message.
        max_frame: bytes of one of its frames; larger ones are closed with 1009.
    """

    def __init__(
        self, app: Any, *, max_message: int | None = None, max_frame: int | None = None
    ) -> None:
        options: dict[str, Any] = {}
        if max_message is not None:
            # uvicorn hands the size to `websockets`, which takes one for messages and one for
            # frames, too.
            options = {"ws": socket_protocol, "ws_max_size": (max_message, max_frame)}
            options["ws_per_message_deflate"] = False
        self._server = quiet_server(app, keep_alive=120, grace=1, **options)
        self._task: asyncio.Task[None] | None = None

    def start(self, listening: socket.socket) -> None:
        """Begin to serve on a socket, which may have been listening for a while."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve([listening]))

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


def header(scope: Scope, name: bytes) -> str:
    """Return a header; empty if the request has none of that name."""
    found: bytes = dict(scope["headers"]).get(name, b"")
    return found.decode("latin-1")


def request_id() -> str:
    """Return an id as API Gateway makes them."""
    return os.urandom(8).hex() + "="


async def read_body(receive: Receive) -> bytes:
    """Return all of a request's body."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


async def reply(send: Send, status: int, body: bytes = b"", headers: Headers = ()) -> None:
    """Answer a request."""
    length = (b"content-length", b"%d" % len(body))
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    head = kept if status in (204, 304) else [*kept, length]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, status: int, answer: object, headers: Headers = ()) -> None:
    """Answer a request with JSON."""
    await reply(send, status, json.dumps(answer).encode(), [_JSON, *headers])
