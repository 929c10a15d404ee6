"""ASGI as the gateway uses it: one exchange, its request side read, its answer written."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from itertools import count
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

from rivetless.errors import ActorError, public_error, status_of
from rivetless.gateway.cors import Headers
from rivetless.gateway.limits import RateLimited
from rivetless.keys import Key, serialise
from rivetless.protocol.codec import JSON, Codec
from rivetless.protocol.messages import CURRENT_VERSION, HttpError

__all__ = [
    "ClientGone",
    "Exchange",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "actor_headers",
    "local_path",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("rivetless.gateway")

_RAY_PREFIX: Final = os.urandom(8).hex()
_RAYS = count(1)
_MAX_RAY: Final = 64

_JSON: Final = (b"content-type", b"application/json")
_BODILESS: Final = frozenset({204, 304})
_GENERATION: Final = (b"x-rivet-actor-generation", b"1")


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Exchange:
    """One HTTP request, or one request for a socket, and the way back.

    Attributes:
        scope: as the server gave it.
        receive: as the server gave it.
        send: as the server gave it.
        path: percent-encoded, without the prefix the application is mounted under.
        query: percent-encoded.
        headers: by lower-case name, as bytes; of repeated ones the last.
        client: the client's address, if it is known.
        ray_id: names the exchange in logs, headers and close reasons.
        extra: headers that every answer gets.
    """

    __slots__ = (
        "client",
        "extra",
        "headers",
        "path",
        "query",
        "ray_id",
        "receive",
        "scope",
        "send",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, base_path: str) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        path = local_path(scope)
        if base_path and path.startswith(base_path):
            below = path[len(base_path) :]
            if not below or below[0] == "/":
                path = below or "/"
        self.path = path
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        client: tuple[str, int] | None = scope.get("client")
        self.client = client[0] if client else None
        self.ray_id = _ray_id(self.headers.get(b"x-rivet-ray-id"))
        self.extra: Headers = ()

    @property
    def method(self) -> str:
        """The HTTP method; empty for sockets."""
        method: str = self.scope.get("method", "")
        return method

    def header(self, name: bytes) -> str | None:
        """Return a header as text in which each byte is one character."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int, too_long: Callable[[int, int], ActorError]) -> bytes:
        """Read the request's body.

        Args:
            limit: bytes it may have. Nothing beyond them is kept, whatever the client announced.
            too_long: makes the error, of the size and the limit.

        Raises:
            ActorError: it is longer.
            ClientGone: the client hung up.
        """
        announced = self.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise too_long(int(announced), limit)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise too_long(len(body), limit)
            return body
        chunks, size = [body], len(body)
        while message.get("more_body", False):
            if size > limit:
                raise too_long(size, limit)
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            size += len(body)
            chunks.append(body)
        if size > limit:
            raise too_long(size, limit)
        return b"".join(chunks)

    async def reply(
        self,
        status: int,
        body: bytes,
        content_type: tuple[bytes, bytes] = _JSON,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """Answer."""
        head = [
            content_type,
            (b"content-length", b"%d" % len(body)),
            (b"x-rivet-ray-id", self.ray_id.encode()),
            *self.extra,
            *headers,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        if self.scope["method"] == "HEAD":
            body = b""
        await self.send({"type": "http.response.body", "body": body})

    async def reply_empty(self, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Answer without a body, and, where that says it better, without its length."""
        head = [(b"x-rivet-ray-id", self.ray_id.encode()), *self.extra, *headers]
        if status not in _BODILESS:
            head.append((b"content-length", b"0"))
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        await self.send({"type": "http.response.body", "body": b""})

    async def fail(
        self,
        failure: BaseException,
        codec: Codec = JSON,
        version: int = CURRENT_VERSION,
        *,
        expose: bool = False,
    ) -> None:
        """Answer with an error, masked where it must be.

        Args:
            failure: whatever was raised; anything but an ``ActorError`` is logged.
            codec: how the client wants it. It reads JSON, too, whatever it asked for.
            version: of the client protocol.
            expose: show internal errors, for development.
        """
        if isinstance(failure, ClientGone):
            return
        if not isinstance(failure, ActorError):
            _log.error("request %s failed", self.ray_id, exc_info=failure)
        error = public_error(failure, expose=expose)
        headers: list[tuple[bytes, bytes]] = [
            (b"x-rivet-error", error.name.encode(errors="replace"))
        ]
        if error.actor is not None:
            headers += actor_headers(error.actor.actor_id, error.actor.key)
        if isinstance(error, RateLimited):
            headers.append((b"retry-after", b"%d" % error.retry_after))
        body = codec.encode(HttpError.of(error), version)
        content_type = (b"content-type", codec.content_type.encode())
        await self.reply(status_of(error), body, content_type, headers)


def actor_headers(actor_id: str, key: Key | str | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that say which actor answered."""
    headers = [(b"x-rivet-actor", actor_id.encode()), _GENERATION]
    if key is not None:
        text = key if isinstance(key, str) else serialise(key)
        if not text.isascii() or not text.isprintable():
            # A key may hold anything, line ends included; a header may not.
            text = quote(text)
        headers.append((b"x-rivet-actor-key", text.encode()))
    return headers


def local_path(scope: Scope) -> str:
    """Return a request's path below the place where the application is mounted, still encoded.

    Frameworks differ in what they take off which of ``path``, ``raw_path`` and ``root_path`` when
    they mount an application, so the encoded path is matched to the decoded one from its end.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(path, safe="/~!$&'()*+,;=:@-._") or "/"
    encoded = raw.decode("latin-1")
    return encoded if encoded == path else _tail(encoded, path) or "/"


def _tail(encoded: str, decoded: str) -> str:
    """Return the end of an encoded path that decodes to ``decoded``.

    Litestar ends every path with a slash, so slashes at the end count in the encoded one only.
    """
    wanted = decoded.rstrip("/")
    start = 0
    while start >= 0:
        tail = encoded[start:]
        if unquote(tail).rstrip("/") == wanted:
            return tail
        start = encoded.find("/", start + 1)
    return quote(decoded)


def _ray_id(given: bytes | None) -> str:
    if given is not None and len(given) <= _MAX_RAY:
        text = given.decode("latin-1")
        # What a client chose comes back in headers, logs and close reasons.
        if text.isascii() and text.replace("-", "").isalnum():
            return text
    return f"{_RAY_PREFIX}{next(_RAYS):x}"
