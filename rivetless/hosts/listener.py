"""The private listener: how other processes reach the sockets of this one.

It speaks API Gateway's management verbs (``POST``, ``GET``, ``DELETE /@connections/{id}``), takes
batches of pushes at ``POST /@connections``, and hints at ``POST /@hints``. It is never on the
public port, and takes signed requests only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from rivetless.errors import incoming_too_long
from rivetless.gateway.asgi import Exchange, Receive, Scope, Send
from rivetless.gateway.table import SocketTable
from rivetless.hosts.envelopes import read_hints, read_pushes, write_gone
from rivetless.hosts.ordering import Sequencer
from rivetless.hosts.passes import BODY_HEADER, Passes, matches
from rivetless.hosts.server import listen, quiet_server
from rivetless.runtime.ports import Hint

__all__ = ["HINTS_PATH", "MAX_BATCH_BYTES", "ConnectionsApp", "Listener"]

MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
"""What one request may bring."""

HINTS_PATH: Final = "/@hints"
"""Where hints are taken."""

_PREFIX: Final = "/@connections"
_log = logging.getLogger("rivetless.hosts")


class ConnectionsApp:
    """The listener's ASGI application.

    Args:
        table: the sockets of this process.
        sequencer: puts pushes in order on their way to it.
        passes: lets requests in.
        hear: takes hints, and the name of the host that gives them.
    """

    def __init__(
        self,
        table: SocketTable,
        sequencer: Sequencer,
        passes: Passes,
        hear: Callable[[str, Sequence[Hint]], None],
    ) -> None:
        self._hear = hear
        self._table = table
        self._sequencer = sequencer
        self._passes = passes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, "")
        try:
            await self._serve(exchange)
        except Exception as error:
            await exchange.fail(error)

    async def _serve(self, exchange: Exchange) -> None:
        method, path = exchange.method, exchange.path
        digest = exchange.header(BODY_HEADER.encode()) or ""
        authorization = exchange.header(b"authorization") or ""
        if not self._passes.admits(authorization, digest, method, path):
            await _say(exchange, 403, "Forbidden")
            return
        body = await exchange.body(MAX_BATCH_BYTES, incoming_too_long)
        if not matches(body, digest):
            await _say(exchange, 403, "Forbidden")
            return
        if path == _PREFIX and method == "POST":
            await self._push(exchange, body)
        elif path == HINTS_PATH and method == "POST":
            self._hear(*read_hints(body))
            await exchange.reply_empty(204)
        elif path.startswith(_PREFIX + "/"):
            await self._connection(exchange, path[len(_PREFIX) + 1 :], body)
        else:
            await _say(exchange, 404, "Not found")

    async def _push(self, exchange: Exchange, body: bytes) -> None:
        content_type = exchange.header(b"content-type") or ""
        gone = await self._sequencer.foreign(read_pushes(content_type, body))
        await exchange.reply(
            200, write_gone(content_type, gone), (b"content-type", content_type.encode())
        )

    async def _connection(self, exchange: Exchange, conn_id: str, body: bytes) -> None:
        live = self._table.get(conn_id)
        if live is None:
            await _say(exchange, 410, "Gone")
        elif exchange.method == "POST":
            text = not (exchange.header(b"content-type") or "").startswith(
                ("application/octet-stream", "application/cbor")
            )
            try:
                live.outbox.put(body.decode() if text else body)
            except UnicodeDecodeError:
                await _say(exchange, 400, "The message is not UTF-8")
                return
            live.outbox.kick()
            await exchange.reply_empty(200)
        elif exchange.method == "GET":
            since = datetime.fromtimestamp(live.since, UTC).isoformat()
            await exchange.reply(200, to_json({"connectedAt": since}))
        elif exchange.method == "DELETE":
            live.outbox.close(1000, "")
            live.outbox.kick()
            await exchange.reply_empty(204)
        else:
            await _say(exchange, 405, "Method not allowed")


async def _say(exchange: Exchange, status: int, message: str) -> None:
    await exchange.reply(status, to_json({"message": message}))


class Listener:
    """Serves an application on a port of its own, in the running event loop.

    Args:
        app: the application.
        host: address to bind; loopback unless other machines have to reach it.
        port: 0 for any that is free.
        advertise: the URL that others reach it under, where that is not what it is bound to.
    """

    def __init__(
        self, app: ConnectionsApp, *, host: str, port: int = 0, advertise: str | None = None
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._advertise = advertise
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Begin to listen and return the URL for others.

        Raises:
            OSError: the port is taken.
            MissingExtraError: uvicorn is not installed.
        """
        sock = listen(self._host, self._port)
        try:
            self._server = quiet_server(self._app, keep_alive=120, grace=2)
        except BaseException:
            sock.close()
            raise
        self._task = asyncio.get_running_loop().create_task(self._server.serve([sock]))
        if self._advertise is not None:
            return self._advertise.rstrip("/")
        host, port = sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is None:
            return
        self._server.should_exit = True
        try:
            await self._task
        except Exception:
            _log.exception("the private listener did not stop well")
        self._task = None
