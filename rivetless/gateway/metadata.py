"""What a server says of itself: greeting, health, metadata, and why there is no ``/start``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from rivetless.errors import ActorError, incoming_too_long, make
from rivetless.gateway.asgi import Exchange

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.protocol.codec import EncodingName
    from rivetless.registry import Registry

__all__ = ["ServerInfo", "appearance"]

VERSION: Final = "2.3.19"
"""The version of RivetKit whose protocol is spoken."""

_ENVOY_PROTOCOL: Final = 8
_MAX_START: Final = 16 * 1024 * 1024
_GREETING: Final = b"This is a RivetKit server.\n\nLearn more at https://rivet.dev"
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


def appearance(definition: ActorDefinition) -> dict[str, str]:
    """Return what dashboards show of an actor class."""
    shown: dict[str, str] = {}
    if definition.icon is not None:
        shown["icon"] = definition.icon
    if definition.display_name is not None:
        shown["name"] = definition.display_name
    return shown


class ServerInfo:
    """Answers the routes that concern no actor in particular.

    Args:
        registry: the actors there are.
        public_endpoint: where clients shall go, if not to this server itself.
        socket_encodings: those that its WebSockets take, if not all of them.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        public_endpoint: str | None = None,
        socket_encodings: Sequence[EncodingName] | None = None,
    ) -> None:
        self._registry = registry
        self._public_endpoint = public_endpoint
        self._socket_encodings = socket_encodings
        self._metadata: bytes | None = None

    async def serve(self, exchange: Exchange) -> bool:
        """Answer a request, or return that there is no such route."""
        path, method = exchange.path, exchange.method
        if path == "/start":
            if method not in ("GET", "POST"):
                raise _wrong_method(exchange)
            await self._start(exchange)
            return True
        if path not in ("/", "/health", "/metadata"):
            return False
        if method not in ("GET", "HEAD"):
            raise _wrong_method(exchange)
        if path == "/":
            await exchange.reply(200, _GREETING, _TEXT)
        elif path == "/health":
            body = {"runtime": "rivetkit", "status": "ok", "version": VERSION}
            await exchange.reply(200, to_json(body))
        else:
            await exchange.reply(200, self.metadata())
        return True

    def metadata(self) -> bytes:
        """Return the body of ``/metadata``.

        It names another endpoint for clients only where the deployment has one: this server is
        the gateway.
        """
        if self._metadata is None:
            names: Mapping[str, Any] = {
                name: {"metadata": appearance(definition)}
                for name, definition in sorted(self._registry.definitions.items())
            }
            told: dict[str, Any] = {
                "actorNames": names,
                "envoy": {"kind": {"serverless": {}}, "version": 1},
                "envoyProtocolVersion": _ENVOY_PROTOCOL,
                "runtime": "rivetkit",
                "version": VERSION,
            }
            if self._public_endpoint is not None:
                told["clientEndpoint"] = self._public_endpoint
            if self._socket_encodings is not None:
                # Of ours, for those who wonder why a socket is closed; clients do not read it.
                told["webSocketEncodings"] = list(self._socket_encodings)
            self._metadata = to_json(told)
        return self._metadata

    async def _start(self, exchange: Exchange) -> None:
        """Refuse to be an engine's envoy, after the checks that its caller could have failed."""
        for name, older in (
            (b"x-rivet-endpoint", None),
            (b"x-rivet-pool-name", b"x-rivet-runner-name"),
            (b"x-rivet-namespace-name", None),
        ):
            if not exchange.headers.get(name) and not (older and exchange.headers.get(older)):
                reason = f"{name.decode()} header is required"
                raise ActorError(
                    "request", "invalid", f"Invalid request: {reason}", {"reason": reason}
                )
        await exchange.body(_MAX_START, incoming_too_long)
        raise make("engine.not_served")


def _wrong_method(exchange: Exchange) -> ActorError:
    return make("actor.method_not_allowed", {"method": exchange.method, "path": exchange.path})
