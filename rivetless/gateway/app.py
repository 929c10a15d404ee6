"""``Gateway``: the ASGI application that everything else here is reached through."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from rivetless.clock import Clock
from rivetless.errors import ActorError, forbidden, make, public_error
from rivetless.frozen import frozen
from rivetless.gateway.asgi import Exchange, Receive, Scope, Send
from rivetless.gateway.cors import Cors
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.frames import Wire, is_refusal
from rivetless.gateway.http import HttpOptions, HttpService, rate_key
from rivetless.gateway.limits import Limits, RateLimiter
from rivetless.gateway.origins import CallVerifier, actor_url, request_info, target_of
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.socket import ASGISocket, SocketOptions, SocketService
from rivetless.gateway.table import SocketTable
from rivetless.protocol import routes
from rivetless.protocol.codec import EncodingName, codec_for
from rivetless.protocol.headers import (
    SUBPROTOCOL,
    Subprotocols,
    close_code,
    close_reason,
    parse_subprotocols,
)
from rivetless.protocol.targets import parse_gateway, parse_socket_target
from rivetless.runtime.commands import Origin

if TYPE_CHECKING:
    from rivetless.gateway.management import Management
    from rivetless.gateway.metadata import ServerInfo
    from rivetless.registry import Registry

__all__ = ["Gateway", "GatewayOptions", "accept"]

_log = logging.getLogger("rivetless.gateway")

_GATEWAY: Final = "/gateway/"


@frozen(kw_only=True)
class GatewayOptions:
    """What a gateway needs to know.

    Attributes:
        host_id: the id under which the sockets of this process are reachable.
        secure_host: returns that id for one socket, where it can become another.
        limits: how much clients may send.
        origins: pages that may use the server; None lets all.
        admin_token: opens what concerns other people's actors; None opens it to this machine only.
        expose: show internal errors to clients, for development.
        public_endpoint: where clients shall go, if not to this server itself.
        socket_encodings: those that its WebSockets take, if not all of them.
    """

    host_id: str
    secure_host: Callable[[], Awaitable[str]] | None = None
    limits: Limits = field(default_factory=Limits)
    origins: Iterable[str] | None = None
    admin_token: str | None = None
    expose: bool = False
    public_endpoint: str | None = None
    socket_encodings: tuple[EncodingName, ...] | None = None


class Gateway:
    """Serves actors over HTTP and WebSockets, below its base path and at its root alike.

    Args:
        registry: the actors there are.
        dispatcher: runs the commands.
        table: where pushes find the sockets.
        tasks: keeps what outlives a request.
        clock: tells the time.
        options: the rest.
    """

    def __init__(
        self,
        registry: Registry,
        dispatcher: Dispatcher,
        *,
        table: SocketTable,
        tasks: Tasks,
        clock: Clock,
        options: GatewayOptions,
    ) -> None:
        limits, settings = options.limits, registry.options
        self._registry = registry
        self._dispatcher = dispatcher
        self._options = options
        self._base_path = settings.base_path.rstrip("/")
        self._cors = Cors(options.origins)
        self._limiter = RateLimiter(limits, clock)
        self._calls = CallVerifier(clock)
        self._http = HttpService(
            registry,
            dispatcher,
            self._limiter,
            self._calls,
            HttpOptions(
                max_incoming=settings.max_incoming_message_size,
                max_outgoing=settings.max_outgoing_message_size,
                max_body=limits.body,
                expose=options.expose,
            ),
        )
        self.sockets = SocketService(
            dispatcher,
            table,
            tasks,
            clock,
            SocketOptions(
                host_id=options.host_id,
                secure_host=options.secure_host,
                limits=limits,
                max_incoming=settings.max_incoming_message_size,
                max_outgoing=settings.max_outgoing_message_size,
                expose=options.expose,
            ),
        )
        self._server_info: ServerInfo | None = None
        self._management: Management | None = None

    def trust(self, secret: bytes) -> None:
        """Believe calls between actors that are signed with this secret, from now on."""
        self._calls.secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        exchange = Exchange(scope, receive, send, self._base_path)
        if scope["type"] == "http":
            await self._serve_http(exchange)
        elif scope["type"] == "websocket":
            await self._serve_socket(exchange)
        else:
            raise RuntimeError(f"The gateway does not speak {scope['type']!r}.")

    # -- HTTP -------------------------------------------------------------------------------------

    async def _serve_http(self, exchange: Exchange) -> None:
        origin = exchange.headers.get(b"origin")
        if exchange.method == "OPTIONS":
            requested = exchange.headers.get(b"access-control-request-headers")
            exchange.extra = self._cors.preflight(origin, requested)
            await exchange.reply_empty(204)
            return
        exchange.extra = self._cors.headers(origin)
        try:
            if origin is not None and not self._cors.admits(origin, exchange.headers.get(b"host")):
                raise forbidden("Pages of this origin may not use the server.")
            await self._route(exchange)
        except Exception as error:
            await exchange.fail(error, expose=self._options.expose)

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith(_GATEWAY):
            await self._http.serve(exchange)
        elif b"x-rivet-target" in exchange.headers:
            await self._http.serve(exchange, by_header=True)
        elif path.startswith(("/actors", "/datacenters")):
            await self._get_management().serve(exchange)
        elif path in ("/openapi.json", "/asyncapi.json"):
            await self._describe(exchange)
        elif not await self._get_server_info().serve(exchange):
            raise make("api.not_found")

    def _get_management(self) -> Management:
        # Loaded by the first request that needs it: a server that only runs actors never does.
        if self._management is None:
            from rivetless.gateway.access import Access
            from rivetless.gateway.management import Management

            access = Access(self._options.admin_token)
            self._management = Management(self._registry, self._dispatcher, access)
        return self._management

    def _get_server_info(self) -> ServerInfo:
        if self._server_info is None:
            from rivetless.gateway.metadata import ServerInfo

            self._server_info = ServerInfo(
                self._registry,
                public_endpoint=self._options.public_endpoint,
                socket_encodings=self._options.socket_encodings,
            )
        return self._server_info

    async def _describe(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise make(
                "actor.method_not_allowed", {"method": exchange.method, "path": exchange.path}
            )
        if exchange.path == "/openapi.json":
            from rivetless.gateway.openapi import openapi_json

            body = openapi_json(self._registry, _prefix(exchange))
        else:
            from rivetless.gateway.asyncapi import asyncapi_json

            body = asyncapi_json(self._registry)
        await exchange.reply(200, body)

    # -- sockets ----------------------------------------------------------------------------------

    async def _serve_socket(self, exchange: Exchange) -> None:
        """Serve a socket. It is accepted whatever is wrong: clients read close reasons only."""
        offered = await accept(exchange)
        socket = ASGISocket(exchange.receive, exchange.send)
        try:
            await self._serve_accepted(exchange, socket, parse_subprotocols(offered))
        except Exception as failure:
            error = public_error(failure, expose=self._options.expose)
            if not isinstance(failure, ActorError):
                _log.error("socket %s failed", exchange.ray_id, exc_info=failure)
            ray_id = None if is_refusal(error) else exchange.ray_id
            try:
                await socket.close(close_code(error), close_reason(error, ray_id))
            except Exception:
                _log.debug("the client was gone before its socket was closed", exc_info=True)

    async def _serve_accepted(
        self, exchange: Exchange, socket: ASGISocket, offer: Subprotocols
    ) -> None:
        origin = exchange.headers.get(b"origin")
        if origin is not None and not self._cors.admits(origin, exchange.headers.get(b"host")):
            raise forbidden("Pages of this origin may not use the server.")
        path, query = exchange.path, exchange.query
        request = parse_gateway(path, query) or parse_socket_target(offer, path, query)
        if request is None:
            raise make("guard.no_route")
        target = target_of(self._registry, request)
        route = routes.socket_route(request.subpath)
        client = exchange.client
        if client is not None and self._limiter.applies(client):
            self._limiter.count(client, rate_key(target))
        url = actor_url(request.subpath, request.query)
        come_from = Origin(
            request=request_info(exchange, "GET", url),
            params=offer.params,
            ray_id=exchange.ray_id,
        )
        if isinstance(route, routes.Connect):
            wire = Wire(codec_for(offer.encoding))
            await self.sockets.serve_events(socket, target, wire, come_from)
        elif isinstance(route, routes.RawSocket):
            await self.sockets.serve_raw(socket, target, come_from)
        else:
            raise make("inspector.unauthorized")


async def accept(exchange: Exchange) -> list[str]:
    """Accept a socket and return the subprotocols that the client offered."""
    await exchange.receive()
    offered: list[str] = exchange.scope.get("subprotocols") or []
    # A browser fails a connection that answers none of its offers, or one that it did not make.
    chosen = SUBPROTOCOL if SUBPROTOCOL in offered else None
    await exchange.send({"type": "websocket.accept", "subprotocol": chosen})
    return offered


def _prefix(exchange: Exchange) -> str:
    """Return the path that the paths of ours come after, as the client sees them."""
    raw_path: bytes | None = exchange.scope.get("raw_path")
    if raw_path is not None:
        return raw_path.decode("latin-1").removesuffix(exchange.path)
    path: str = exchange.scope["path"]
    root: str = exchange.scope.get("root_path", "")
    if not path.startswith(root):
        path = root + path
    return quote(path).removesuffix(exchange.path)
