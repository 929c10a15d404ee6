"""The Starlette request an actor sees, made of plain data when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rivetless.errors import missing_extra

if TYPE_CHECKING:
    from starlette.requests import Request

    from rivetless.actor.turn import RequestInfo


def make_request(info: RequestInfo) -> Request:
    """Make a request whose body is there already.

    Raises:
        MissingExtraError: Starlette is not installed.
    """
    url = urlsplit(info.url)
    port = url.port or (443 if url.scheme in ("https", "wss") else 80)
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": info.method,
        "scheme": url.scheme,
        "server": (url.hostname or "", port),
        "client": None,
        "root_path": "",
        "path": unquote(url.path) or "/",
        "raw_path": (url.path or "/").encode("ascii", "ignore"),
        "query_string": url.query.encode("ascii", "ignore"),
        "headers": list(info.headers),
    }
    return _request_class()(scope, info)


@lru_cache(maxsize=1)
def _request_class() -> Callable[[dict[str, Any], RequestInfo], Request]:
    try:
        from starlette.datastructures import URL
        from starlette.requests import Request
    except ImportError:
        missing_extra("server", "starlette")

    class ActorRequest(Request):
        """A request that is complete, at the URL the gateway gave it."""

        def __init__(self, scope: dict[str, Any], info: RequestInfo) -> None:
            super().__init__(scope, self._receive_all)
            self._info = info
            self._received = False

        async def _receive_all(self) -> dict[str, Any]:
            if self._received:
                return {"type": "http.disconnect"}
            self._received = True
            return {"type": "http.request", "body": self._info.body, "more_body": False}

        @property
        def url(self) -> URL:
            # Starlette would believe the Host header, which names the server and not the actor.
            return URL(self._info.url)

    return ActorRequest
