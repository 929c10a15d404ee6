"""HTTP requests for actors: actions, queues, raw requests, and what all actors answer alike."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeVar

from rivetless.errors import (
    ActorError,
    incoming_too_long,
    internal_error,
    make,
    outgoing_too_long,
    route_not_found,
)
from rivetless.frozen import frozen
from rivetless.gateway.asgi import Exchange, actor_headers
from rivetless.gateway.dispatcher import Dispatcher
from rivetless.gateway.limits import RateLimiter
from rivetless.gateway.origins import (
    CallVerifier,
    actor_url,
    http_origin,
    original_url,
    request_info,
    target_of,
)
from rivetless.protocol import routes
from rivetless.protocol.codec import BARE, CBOR, JSON, Codec
from rivetless.protocol.messages import (
    CURRENT_VERSION,
    HttpActionRequest,
    HttpActionResponse,
    HttpBody,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
)
from rivetless.protocol.targets import GatewayRequest, parse_gateway, parse_header_target
from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    ById,
    CallAction,
    GetActor,
    Origin,
    RawRequest,
    RawResponse,
    SendMessage,
    SendResult,
    Target,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from rivetless.registry import Registry

__all__ = ["ACTOR_VERSION", "HttpOptions", "HttpService", "rate_key"]

B = TypeVar("B", bound=HttpBody)

ACTOR_VERSION: Final = "2.3.3"
"""What actors tell dashboards; a newer one would promise inspector features that are not there."""

_CODECS: Final[dict[bytes, Codec]] = {b"json": JSON, b"cbor": CBOR, b"bare": BARE}
_CONTENT_TYPES: Final = {
    codec.name: (b"content-type", codec.content_type.encode()) for codec in _CODECS.values()
}
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_GREETING: Final = b"This is an RivetKit actor.\n\nLearn more at https://rivetkit.org"

# Of one hop only, or ours to say.
_NOT_PASSED: Final = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-rivet-ray-id",
    }
)
_FORBIDDEN: Final = str.maketrans("", "", "\r\n\0")


@frozen(kw_only=True)
class HttpOptions:
    """What holds for all requests.

    Attributes:
        max_incoming: bytes the body of an action may have.
        max_outgoing: bytes an action's answer may have.
        max_body: bytes a raw request's body, or its answer's, may have.
        expose: show internal errors to clients, for development.
    """

    max_incoming: int
    max_outgoing: int
    max_body: int
    expose: bool = False


class HttpService:
    """Answers requests for actors.

    Args:
        registry: the actors there are.
        dispatcher: runs the commands.
        limiter: counts requests.
        calls: believes calls between actors.
        options: what holds for all requests.
    """

    def __init__(
        self,
        registry: Registry,
        dispatcher: Dispatcher,
        limiter: RateLimiter,
        calls: CallVerifier,
        options: HttpOptions,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._limiter = limiter
        self._calls = calls
        self._options = options

    async def serve(self, exchange: Exchange, *, by_header: bool = False) -> None:
        """Answer a request for an actor."""
        if by_header:
            request = parse_header_target(_as_text(exchange), exchange.path, exchange.query)
        else:
            request = parse_gateway(exchange.path, exchange.query)
        if request is None:
            raise make("guard.no_route")
        target = target_of(self._registry, request)
        route = routes.actor_route(request.subpath, exchange.method)
        client = exchange.client
        if client is None or not self._limiter.applies(client):
            await self._answer(exchange, target, request, route)
            return
        actor = rate_key(target)
        self._limiter.enter(client, actor)
        try:
            await self._answer(exchange, target, request, route)
        finally:
            self._limiter.leave(client, actor)

    async def _answer(
        self,
        exchange: Exchange,
        target: Target,
        request: GatewayRequest,
        route: routes.ActorRoute,
    ) -> None:
        if isinstance(route, routes.Action):
            await self._action(exchange, target, request, route.name)
        elif isinstance(route, routes.RawRequest):
            await self._raw(exchange, target, request, route.path)
        elif isinstance(route, routes.QueueSend):
            await self._queue(exchange, target, request, route.name)
        else:
            await self._own(exchange, target, request, route)

    async def _action(
        self, exchange: Exchange, target: Target, request: GatewayRequest, name: str
    ) -> None:
        async def call(
            message: HttpActionRequest, origin: Origin
        ) -> tuple[ActionResult, HttpActionResponse]:
            command = CallAction(target, name, message.args, origin)
            result = await self._dispatcher.dispatch(command)
            return result, HttpActionResponse(result.output)

        await self._call(exchange, request, HttpActionRequest, call)

    async def _queue(
        self, exchange: Exchange, target: Target, request: GatewayRequest, name: str
    ) -> None:
        async def send(
            message: HttpQueueSendRequest, origin: Origin
        ) -> tuple[SendResult, HttpQueueSendResponse]:
            timeout = None if message.timeout is None else message.timeout / 1000
            command = SendMessage(target, name, message.body, message.wait, timeout, origin)
            result = await self._dispatcher.dispatch(command)
            return result, HttpQueueSendResponse(result.status, result.response)

        await self._call(exchange, request, HttpQueueSendRequest, send)

    async def _call(
        self,
        exchange: Exchange,
        request: GatewayRequest,
        kind: type[B],
        call: Callable[[B, Origin], Awaitable[tuple[ActionResult | SendResult, HttpBody]]],
    ) -> None:
        """Answer a call whose body is of a kind of the protocol, as its answer's is."""
        codec = _codec(exchange)
        version = CURRENT_VERSION
        try:
            body = await exchange.body(self._options.max_incoming, incoming_too_long)
            message, version = codec.decode(kind, body)
            url = actor_url(request.subpath, request.query)
            origin = http_origin(exchange, request_info(exchange, "POST", url), self._calls)
            result, answer = await call(message, origin)
            data = codec.encode(answer, version)
            if len(data) > self._options.max_outgoing:
                raise outgoing_too_long(len(data), self._options.max_outgoing)
        except Exception as error:
            await exchange.fail(error, codec, version, expose=self._options.expose)
            return
        headers = actor_headers(result.actor_id, result.key)
        await exchange.reply(200, data, _CONTENT_TYPES[codec.name], headers)

    async def _raw(
        self, exchange: Exchange, target: Target, request: GatewayRequest, path: str
    ) -> None:
        codec = _codec(exchange)
        try:
            body = await exchange.body(self._options.max_body, _body_too_long)
            url = original_url(exchange) or actor_url(path, request.query)
            info = request_info(exchange, exchange.method, url, body)
            origin = http_origin(exchange, info, self._calls)
            response: RawResponse = await self._dispatcher.dispatch(RawRequest(target, origin))
            head = self._passed_on(response)
        except Exception as error:
            await exchange.fail(error, codec, expose=self._options.expose)
            return
        names = {name for name, _ in head}
        if b"access-control-allow-origin" in names:
            # The handler has its own mind about who may read its answers.
            exchange.extra = ()
        head += [
            *exchange.extra,
            (b"x-rivet-ray-id", exchange.ray_id.encode()),
            *actor_headers(response.actor_id, response.key),
        ]
        if response.status >= 200 and response.status not in (204, 304):
            head.append((b"content-length", b"%d" % len(response.body)))
        send = exchange.send
        await send({"type": "http.response.start", "status": response.status, "headers": head})
        shown = b"" if exchange.method == "HEAD" else response.body
        await send({"type": "http.response.body", "body": shown})

    def _passed_on(self, response: RawResponse) -> list[tuple[bytes, bytes]]:
        """Return the headers of a handler's answer that are passed on.

        Raises:
            ActorError: the answer cannot be sent.
        """
        if len(response.body) > self._options.max_body:
            raise make(
                "guard.invalid_response_body",
                {"limit": self._options.max_body, "size": len(response.body)},
            )
        if not 200 <= response.status <= 599:
            raise internal_error(f"on_request answered with the status {response.status}.")
        head: list[tuple[bytes, bytes]] = []
        for name, value in response.headers:
            lower = name.lower()
            if lower in _NOT_PASSED:
                continue
            if (name + value).translate(_FORBIDDEN) != name + value:
                raise internal_error(f"on_request answered with a line end in a header: {name!r}.")
            head.append((lower.encode("latin-1"), value.encode("latin-1", errors="replace")))
        return head

    async def _own(
        self,
        exchange: Exchange,
        target: Target,
        request: GatewayRequest,
        route: routes.ActorRoute,
    ) -> None:
        """Answer what every actor answers by itself; the actor exists afterwards."""
        if isinstance(route, routes.Inspector):
            raise ActorError(
                "actor",
                "not_found",
                "Inspector route was not found",
                {"id": f"/inspector{route.path}", "resource": "route"},
            )
        if isinstance(route, routes.Metrics):
            raise route_not_found(request.subpath)
        info: ActorInfo = await self._dispatcher.dispatch(GetActor(target))
        headers = actor_headers(info.actor_id, info.address.key)
        if isinstance(route, routes.Metadata):
            kind = b"deployed" if os.environ.get("RIVETLESS_ENV") == "production" else b"local"
            body = b'{"runtime":"rivetkit","type":"%b","version":"%b"}' % (
                kind,
                ACTOR_VERSION.encode(),
            )
            headers.append((b"referrer-policy", b"no-referrer"))
            await exchange.reply(200, body, headers=headers)
        elif isinstance(route, routes.Health):
            await exchange.reply(200, b"ok", _TEXT, headers)
        else:
            await exchange.reply(200, _GREETING, _TEXT, headers)


def rate_key(target: Target) -> Hashable:
    """Return what stands for an actor where requests to it are counted."""
    return target.actor_id if isinstance(target, ById) else target.address


def _as_text(exchange: Exchange) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.items()
    }


def _codec(exchange: Exchange) -> Codec:
    return _CODECS.get(exchange.headers.get(b"x-rivet-encoding", b"json"), JSON)


def _body_too_long(size: int, limit: int) -> ActorError:
    return ActorError(
        "guard",
        "invalid_request_body",
        f"The request's body is too long ({size} bytes). Limit is {limit} bytes.",
        {"limit": limit, "size": size},
    )
