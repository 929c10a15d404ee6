"""One address for what was deployed to a local AWS, as CloudFront gives it to what is on AWS.

Requests go to the function URL. A WebSocket goes to the WebSocket API, by the rule of
``infra/cloudfront``; and since ministack keeps the subprotocol of ``$connect``'s answer to itself,
it is answered here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.hosts.aws_lambda.websocket import stage_query
from rivetless.testing.lambda_lab.socket_api import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES
from rivetless.testing.lambda_lab.web import WebServer, read_body, reply

_PROTOCOL: Final = "rivet"
_BETWEEN: Final = frozenset({b"connection", b"host", b"keep-alive", b"transfer-encoding"})
"""Headers that concern one hop only."""


class Front:
    """An ASGI application.

    Args:
        http: where requests go.
        sockets: URL of the WebSocket API's stage.
    """

    def __init__(self, http: str, sockets: str) -> None:
        self._http = http
        self._sockets = sockets
        self._client = httpx.AsyncClient(timeout=40)

    async def aclose(self) -> None:
        """Close what it holds to the function URL."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "http":
            await self._pass_on(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._join(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._client.request(
            scope["method"],
            self._http + _url(scope),
            headers=[(name, value) for name, value in scope["headers"] if name not in _BETWEEN],
            content=await read_body(receive),
        )
        kept = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower() not in _BETWEEN | {b"content-length", b"content-encoding"}
        ]
        await reply(send, answer.status_code, answer.content, kept)

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered: list[str] = scope["subprotocols"]
        await receive()
        url = f"{self._sockets}?{stage_query(_url(scope))}"
        async with connect(url, subprotocols=[Subprotocol(one) for one in offered]) as upstream:
            answer = _PROTOCOL if _PROTOCOL in offered else None
            await send({"type": "websocket.accept", "subprotocol": answer})
            down = asyncio.create_task(_down(upstream, send))
            try:
                while (message := await receive())["type"] == "websocket.receive":
                    await upstream.send(message["text"])
            except ConnectionClosed:
                pass
            finally:
                down.cancel()
                await asyncio.wait([down])


async def _down(upstream: ClientConnection, send: Send) -> None:
    async for text in upstream:
        await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.close", "code": 1000})


def _url(scope: Scope) -> str:
    path: str = scope["raw_path"].decode("latin-1").partition("?")[0]
    query: str = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


@asynccontextmanager
async def fronted(http: str, sockets: str, port: int) -> AsyncIterator[str]:
    """Serve a front at a port of loopback; give its endpoint."""
    app = Front(http, sockets)
    server = WebServer(app, max_message=MAX_MESSAGE_BYTES, max_frame=MAX_FRAME_BYTES)
    server.start(socket.create_server(("127.0.0.1", port)))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()
        await app.aclose()
