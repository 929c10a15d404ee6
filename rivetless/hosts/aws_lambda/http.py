"""HTTP: function URLs, HTTP APIs, REST APIs and load balancers, through Mangum.

Mangum knows the four shapes of events and of answers; the gateway is the application. Both are
loaded with the first HTTP event. What Mangum cannot take is kept from it: a ``Host`` that is an
IPv6 address, headers that are no UTF-8. And what AWS would refuse is refused here first, in a way
that clients of Rivet understand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import unquote

from rivetless.errors import ActorError, missing_extra, outgoing_too_long, public_error, status_of
from rivetless.hosts.aws_lambda.invocation import InvocationDispatcher
from rivetless.protocol.codec import JSON
from rivetless.protocol.messages import HttpError

if TYPE_CHECKING:
    from mangum import Mangum
    from mangum.protocols import HTTPCycle
    from mangum.types import ASGI, LambdaHandler

    from rivetless.gateway.app import Gateway
    from rivetless.gateway.asgi import Receive, Scope, Send
    from rivetless.gateway.cors import Headers
    from rivetless.hosts.aws_lambda.invocation import Invocation
    from rivetless.hosts.aws_lambda.process import LambdaProcess

__all__ = ["HttpDoor", "HttpEvent"]

MAX_ANSWER: Final = 6 * 1024 * 1024
"""Bytes of the JSON in which a function answers."""

MAX_ANSWER_ALB: Final = 1024 * 1024
"""The same behind a load balancer."""

API_GATEWAY_WAITS: Final = 29.0
"""Seconds after which API Gateway answers by itself, however long the function may take."""

_LONGEST_ESCAPE: Final = 6
"""Bytes that one byte of a body may become in JSON."""

_ASCII_ONLY: Final = sys.version_info < (3, 12)
"""Whether Lambda's runtime escapes what is not ASCII."""

_NO_SOCKETS: Final = (
    "This endpoint takes no WebSockets. Connect to the deployment's public endpoint, "
    "which leads to its WebSocket API."
)


class HttpEvent:
    """A request, in any of the four shapes.

    Args:
        event: as it came.
        context: the part of it that says where it comes from.
    """

    __slots__ = ("_context", "_event")

    def __init__(self, event: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        self._event = event
        self._context = context

    @property
    def kind(self) -> str:
        """For logs and metrics."""
        return "http"

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        """Know it by its method, and where each shape has that."""
        context = event.get("requestContext")
        if not isinstance(context, Mapping) or "connectionId" in context:
            return None
        if "http" in context or "elb" in context or "httpMethod" in event:
            return cls(event, cast("Mapping[str, Any]", context))
        return None

    async def handle(self, invocation: Invocation) -> object:
        """Answer it in the shape in which it came."""
        process = invocation.process
        if ".execute-api." in str(self._context.get("domainName")):
            invocation.limit(API_GATEWAY_WAITS)
        try:
            if process.http is None:
                process.http = HttpDoor(process)
            return await process.http.answer(self._event, self._context, invocation)
        except Exception as error:
            invocation.measures.count("Failures")
            process.note(error, "an HTTP event was not handled")
            return _bare_answer(error, invocation)


class HttpDoor:
    """The gateway, and Mangum in front of it.

    Args:
        process: whose actors are served.
    """

    def __init__(self, process: LambdaProcess) -> None:
        try:
            from mangum import Mangum
        except ModuleNotFoundError:
            missing_extra("aws", "mangum")
        self._process = process
        self._dispatcher = InvocationDispatcher()
        self._gateway: Gateway = _make_gateway(process, self._dispatcher)
        self._mangum: Mangum = Mangum(cast("Any", self._gateway), lifespan="off")

    async def answer(
        self, event: Mapping[str, Any], context: Mapping[str, Any], invocation: Invocation
    ) -> object:
        """Serve a request.

        Raises:
            ActorError: the event is no request.
        """
        from mangum.protocols import HTTPCycle

        self._dispatcher.invocation = invocation
        try:
            rest, host = _without_host(event)
            # Mangum would have a context only to pass it on.
            handler = self._mangum.infer(cast("Any", rest), cast("Any", None))
            scope: Scope = handler.scope
            body = handler.body
            self._complete(scope, event, context, host, invocation)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ActorError(
                "request", "invalid", f"The HTTP event cannot be read: {type(error).__name__}."
            ) from error
        answer, headers = await _run(handler, HTTPCycle(scope, body), self._serve)
        limit = MAX_ANSWER_ALB if "elb" in context else MAX_ANSWER
        size = _size(answer)
        if size > limit:
            # The ray id is among what every answer says by itself.
            kept = tuple(one for one in headers if one[0].startswith((b"access-control-", b"vary")))

            async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
                await _fail(scope, receive, send, outgoing_too_long(size, limit), kept)

            answer, _ = await _run(handler, HTTPCycle(scope, b""), refuse)
        return answer

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if any(
            name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]
        ):
            await _fail(scope, receive, send, ActorError("guard", "no_route", _NO_SOCKETS))
            return
        await self._gateway(scope, receive, send)

    def _complete(
        self,
        scope: Scope,
        event: Mapping[str, Any],
        context: Mapping[str, Any],
        host: str | None,
        invocation: Invocation,
    ) -> None:
        """Put into Mangum's scope what it leaves out or gets wrong."""
        headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        names = {name for name, _ in headers}
        if host is not None:
            headers.append((b"host", host.encode()))
        if b"x-rivet-ray-id" not in names:
            # An answer's ray id finds the invocation's logs.
            headers.append((b"x-rivet-ray-id", invocation.request_id.encode()))
        scope["headers"] = headers
        scope["root_path"] = self._process.root_path or _stage_path(event, context)
        raw_path = event.get("rawPath", event.get("path") if "elb" in context else None)
        if isinstance(raw_path, str) and _is_encoded(raw_path, scope["path"]):
            scope["raw_path"] = raw_path.encode()
        if "elb" in context:
            # What clients may have put in front is theirs; the load balancer has added the last.
            forwarded: str = scope["client"][0] or ""
            scope["client"] = (forwarded.rpartition(",")[2].strip() or None, 0)
        if not isinstance(scope["client"][0], str):
            scope["client"] = None


async def _run(
    handler: LambdaHandler, cycle: HTTPCycle, app: ASGI
) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """Have an application answer; return the answer in Lambda's shape, and its headers."""
    await cycle.run(app)
    # Mangum reads headers as UTF-8; ASGI's are bytes that mean Latin-1.
    headers = [
        (bytes(name), value if value.isascii() else value.decode("latin-1").encode())
        for name, value in cycle.headers
    ]
    pairs = [[name, value] for name, value in headers]
    answer = handler({"status": cycle.status, "headers": pairs, "body": cycle.body})
    return answer, headers


def _size(answer: dict[str, Any]) -> int:
    """Return how many bytes an answer has in JSON, or fewer if it is short anyway."""
    if len(answer["body"]) * _LONGEST_ESCAPE <= MAX_ANSWER_ALB:
        return 0
    return len(json.dumps(answer, ensure_ascii=_ASCII_ONLY).encode())


async def _fail(
    scope: Scope,
    receive: Receive,
    send: Send,
    error: ActorError,
    extra: Headers = (),
) -> None:
    from rivetless.gateway.asgi import Exchange

    exchange = Exchange(scope, receive, send, "")
    exchange.extra = extra
    await exchange.fail(error)


def _make_gateway(process: LambdaProcess, dispatcher: InvocationDispatcher) -> Gateway:
    from rivetless.gateway.app import Gateway, GatewayOptions
    from rivetless.gateway.limits import Limits
    from rivetless.gateway.outbox import Tasks
    from rivetless.gateway.table import SocketTable
    from rivetless.hosts.secrets import find_secret

    settings, clock = process.settings, process.clock
    gateway = Gateway(
        process.registry,
        cast("Any", dispatcher),
        table=SocketTable(clock, max_outgoing=process.registry.options.max_outgoing_message_size),
        tasks=Tasks(),
        clock=clock,
        options=GatewayOptions(
            host_id="lambda",
            limits=process.limits or Limits(body=MAX_ANSWER, requests_per_minute=0, in_flight=0),
            origins=process.origins,
            admin_token=settings.admin_token,
            expose=settings.expose_errors,
            public_endpoint=settings.public_endpoint,
            socket_encodings=("json",),
        ),
    )
    secret = find_secret(settings.secret, None) if settings.secret else None
    if secret is not None:
        gateway.trust(secret)
    return gateway


def _without_host(event: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """Return the event without its ``Host``, and that: Mangum takes every colon for a port's."""
    found: str | None = None
    rest: MutableMapping[str, Any] = dict(event)
    for place in ("headers", "multiValueHeaders"):
        headers = event.get(place)
        if not isinstance(headers, Mapping):
            continue
        kept: dict[str, Any] = {}
        for name, value in cast("Mapping[str, Any]", headers).items():
            if name.lower() != "host":
                kept[name] = value
            elif isinstance(value, list) and value:
                found = str(cast("list[object]", value)[-1])
            elif isinstance(value, str):
                found = value
        rest[place] = kept
    return rest, found


def _stage_path(event: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """Return the stage as the path that comes before ours, where API Gateway's own URL has it."""
    stage, domain = context.get("stage"), context.get("domainName")
    if not isinstance(stage, str) or not isinstance(domain, str) or stage == "$default":
        return ""
    path = context.get("path", event.get("rawPath"))
    if ".execute-api." not in domain or not isinstance(path, str):
        return ""
    root = f"/{stage}"
    return root if path == root or path.startswith(root + "/") else ""


def _is_encoded(raw_path: str, path: str) -> bool:
    """Say whether a path is the encoded form of another, as far as that can be told."""
    return (
        raw_path.isascii()
        and raw_path.isprintable()
        and " " not in raw_path
        and (unquote(raw_path) == path)
    )


def _bare_answer(failure: Exception, invocation: Invocation) -> dict[str, object]:
    """Return an answer that all four shapes of HTTP have in common."""
    error = public_error(failure, expose=invocation.settings.expose_errors)
    return {
        "statusCode": status_of(error),
        "headers": {
            "content-type": JSON.content_type,
            "x-rivet-error": error.name,
            "x-rivet-ray-id": invocation.request_id,
        },
        "body": JSON.encode(HttpError.of(error)).decode(),
        "isBase64Encoded": False,
    }
