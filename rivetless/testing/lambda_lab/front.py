"""One address for HTTP and sockets, as CloudFront gives it in ``infra/``.

The path says which of the two APIs a request is for. The WebSocket API knows one path only; so the
URL the client opened travels in the query, by the rule of ``infra/cloudfront``.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.testing.lambda_lab.http_api import HttpApi
from rivetless.testing.lambda_lab.socket_api import SocketApi
from rivetless.testing.lambda_lab.web import reply_json

__all__ = ["BEHAVIOURS", "Front"]

Origin: TypeAlias = Literal["http", "sockets"]

BEHAVIOURS: Final[tuple[tuple[str, Origin], ...]] = (
    ("/gateway/*/action/*", "http"),
    ("/gateway/*/request/*", "http"),
    ("/gateway/*/connect", "sockets"),
    ("/gateway/*/websocket*", "sockets"),
    ("/connect", "sockets"),
    ("/websocket*", "sockets"),
)
"""CloudFront's behaviours in ``template.yaml``; whatever fits none of them is HTTP."""


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
        if scope["type"] not in ("http", "websocket"):
            return
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        query: str = scope["query_string"].decode("latin-1")
        origin = _origin(path)
        if scope["type"] == "http":
            if origin == "http":
                await self._http.serve(scope, receive, send)
            else:
                # What infra/cloudfront/rewrite.js answers.
                await reply_json(send, 404, {"group": "guard", "code": "no_route"})
        elif path == f"/{self._sockets.stage}":
            await self._sockets.serve(scope, receive, send, path, query)
        elif origin == "sockets":
            query = self._stage_query(f"{path}?{query}" if query else path)
            stage = f"/{self._sockets.stage}"
            await self._sockets.serve(scope, receive, send, stage, query)
        else:
            await self._sockets.serve(scope, receive, send, path, query)


def _origin(path: str) -> Origin:
    """Return where CloudFront sends a path: the first pattern that fits counts."""
    for pattern, origin in BEHAVIOURS:
        if fnmatchcase(path, pattern):
            return origin
    return "http"
