"""Routes: what of an actor a request is for.

Paths are what remains behind the gateway's part, still percent-encoded, as text in which each byte
is one character (Latin-1).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from rivetless.errors import invalid_request, method_not_allowed, route_not_found
from rivetless.frozen import frozen
from rivetless.protocol import percent

__all__ = [
    "CONNECT",
    "HEALTH",
    "METADATA",
    "METRICS",
    "ROOT",
    "Action",
    "ActorRoute",
    "Connect",
    "Health",
    "Inspector",
    "InspectorSocket",
    "Metadata",
    "Metrics",
    "QueueSend",
    "RawRequest",
    "RawSocket",
    "Root",
    "SocketRoute",
    "action_path",
    "actor_route",
    "queue_path",
    "request_path",
    "socket_route",
    "websocket_path",
]


@frozen
class Action:
    """``POST /action/{name}``.

    Attributes:
        name: of the action.
    """

    name: str


@frozen
class QueueSend:
    """``POST /queue/{name}``.

    Attributes:
        name: of the queue.
    """

    name: str


@frozen
class RawRequest:
    """Any method on ``/request…``, for the actor's ``on_request``.

    Attributes:
        path: what follows ``/request``; begins with ``/``, still percent-encoded.
    """

    path: str


@frozen
class Inspector:
    """``/inspector/…``.

    Attributes:
        path: what follows ``/inspector``; begins with ``/``, still percent-encoded.
    """

    path: str


@frozen
class Root:
    """``GET /``."""


@frozen
class Health:
    """``GET /health``."""


@frozen
class Metadata:
    """``GET /metadata``."""


@frozen
class Metrics:
    """``GET /metrics``."""


@frozen
class Connect:
    """A socket on ``/connect``: a connection with frames."""


@frozen
class RawSocket:
    """A socket on ``/websocket…``, for the actor's ``on_websocket``.

    Attributes:
        path: with ``/websocket``, as the actor sees it; still percent-encoded.
    """

    path: str


@frozen
class InspectorSocket:
    """A socket on ``/inspector/connect``."""


ROOT: Final = Root()
HEALTH: Final = Health()
METADATA: Final = Metadata()
METRICS: Final = Metrics()
CONNECT: Final = Connect()

ActorRoute: TypeAlias = (
    Action | QueueSend | RawRequest | Inspector | Root | Health | Metadata | Metrics
)
SocketRoute: TypeAlias = Connect | RawSocket | InspectorSocket

_REQUEST: Final = "/request"
_WEBSOCKET: Final = "/websocket"
_INSPECTOR: Final = "/inspector"
_FIXED: Final[dict[str, ActorRoute]] = {
    "": ROOT,
    "/": ROOT,
    "/health": HEALTH,
    "/metadata": METADATA,
    "/metrics": METRICS,
}


def actor_route(subpath: str, method: str) -> ActorRoute:
    """Return what of an actor an HTTP request is for.

    Args:
        subpath: of the ``GatewayRequest``.
        method: in capitals.

    Raises:
        ActorError: ``actor.not_found``, ``actor.method_not_allowed``, or ``actor.invalid_request``
            for a name that cannot be decoded.
    """
    if subpath.startswith("/action/"):
        return Action(_posted_name(subpath, method))
    if _under(subpath, _REQUEST):
        return RawRequest(subpath[len(_REQUEST) :] or "/")
    if subpath.startswith("/queue/"):
        return QueueSend(_posted_name(subpath, method))
    fixed = _FIXED.get(subpath)
    if fixed is not None:
        if method not in ("GET", "HEAD"):
            raise method_not_allowed(method, subpath or "/")
        return fixed
    if subpath.startswith(_INSPECTOR + "/"):
        return Inspector(subpath[len(_INSPECTOR) :])
    raise route_not_found(subpath)


def socket_route(subpath: str) -> SocketRoute:
    """Return what of an actor a WebSocket is for.

    Args:
        subpath: of the ``GatewayRequest``.

    Raises:
        ActorError: ``actor.not_found``.
    """
    if subpath == "/connect":
        return CONNECT
    if _under(subpath, _WEBSOCKET):
        return RawSocket(subpath)
    if subpath == _INSPECTOR + "/connect":
        return InspectorSocket()
    raise route_not_found(subpath)


def action_path(name: str) -> str:
    """Return the subpath of an action."""
    return "/action/" + percent.encode_component(name)


def queue_path(name: str) -> str:
    """Return the subpath of a queue."""
    return "/queue/" + percent.encode_component(name)


def request_path(path: str) -> str:
    """Return the subpath of a raw request; the path is percent-encoded already."""
    return f"{_REQUEST}/{path.removeprefix('/')}"


def websocket_path(path: str = "") -> str:
    """Return the subpath of a raw WebSocket; the path is percent-encoded already."""
    return f"{_WEBSOCKET}/{path.removeprefix('/')}"


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _posted_name(subpath: str, method: str) -> str:
    segment = subpath[subpath.index("/", 1) + 1 :]
    if not segment or "/" in segment:
        raise route_not_found(subpath)
    if method != "POST":
        raise method_not_allowed(method, subpath)
    try:
        return percent.decode_text(segment)
    except ValueError as error:
        raise invalid_request(f"The path cannot be decoded. {error}") from None
