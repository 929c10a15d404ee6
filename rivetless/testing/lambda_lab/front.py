"""One address for HTTP and sockets, as CloudFront gives it in ``infra/``.

Requests go to the HTTP API. A WebSocket handshake goes to the WebSocket API, which knows one path
only; so the URL the client opened travels in the query, by the rule of ``infra/cloudfront``.
"""

from __future__ import annotations

from collections.abc import Callable

from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.testing.lambda_lab.http_api import HttpApi
from rivetless.testing.lambda_lab.socket_api import SocketApi

__all__ = ["Front"]


class Front:
    """An ASGI application in front of the two APIs.

    Args:
        http: the HTTP API.
        sockets: the WebSocket API. Its own URL, ``/{stage}``, can be opened here, too.
        stage_query: returns the query of the stage's URL that stands for a client's URL.
    """

    def __init__(
        self, http: HttpApi, sockets: SocketApi, stage_query: Callable[[str], str]
    ) -> None:
        self._http = http
        self._sockets = sockets
        self._stage_query = stage_query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "http":
            await self._http.serve(scope, receive, send)
        elif scope["type"] == "websocket":
            path = scope["raw_path"].decode("latin-1").partition("?")[0]
            query: str = scope["query_string"].decode("latin-1")
            stage = f"/{self._sockets.stage}"
            if path != stage:
                query = self._stage_query(f"{path}?{query}" if query else path)
            await self._sockets.serve(scope, receive, send, stage, query)
