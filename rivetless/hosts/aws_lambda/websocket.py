"""What API Gateway says of WebSockets, and how it gets to the worker: pure functions and values.

API Gateway tells of a socket in three events. ``$connect`` may do next to nothing, because nothing
can be posted to a connection before it has returned, and an error there would end the official
client's attempts for good. So each event becomes one of our own messages, in a queue; ``worker``
does the rest. Frames may get into the queue without a function in between.

**The contract with CloudFront.** The URL of a WebSocket API is ``wss://{host}/{stage}`` with a
query and no path of its own, and the event shows the query decoded and taken apart. Therefore
``infra/cloudfront/rewrite.js`` puts the URL that the client opened (path and query, byte for byte)
into one parameter, ``rivetless-url``, percent-encoded as a whole; nothing else is left in the
query. A URL that would get too long for API Gateway is replaced by ``rivetless-refused``, so that
the socket opens and the client can be told. ``stage_query`` writes the same query for those who
open sockets of the API without CloudFront. ``infra/cloudfront/vectors.json`` holds examples that
the JavaScript and the Python are tested with.

A socket without either parameter is one on ``/connect``, routed by its subprotocols.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote_plus

from rivetless.errors import ActorError, invalid_request, make
from rivetless.frozen import frozen
from rivetless.protocol import percent
from rivetless.protocol.headers import SUBPROTOCOL, Subprotocols, parse_subprotocols
from rivetless.protocol.targets import GatewayRequest, parse_gateway, parse_socket_target

__all__ = [
    "MAX_URL",
    "REFUSED_PARAMETER",
    "URL_PARAMETER",
    "Connect",
    "Disconnect",
    "Frame",
    "SocketMessage",
    "accepted",
    "message_of",
    "read_message",
    "stage_query",
    "write_message",
]

URL_PARAMETER: Final = "rivetless-url"
REFUSED_PARAMETER: Final = "rivetless-refused"

MAX_URL: Final = 3900
"""Characters that ``rivetless-url`` may have: API Gateway takes 4,096, with host and stage."""

_MAX_ID: Final = 128
_PROTOCOLS: Final = "sec-websocket-protocol"


@frozen
class Connect:
    """A client opened a socket.

    Attributes:
        conn_id: API Gateway's id of the connection, and ours.
        query: what the socket's URL says, by name, decoded.
        headers: by lower-case name.
        at: Unix seconds.
    """

    conn_id: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    at: float

    def offer(self) -> Subprotocols:
        """Return what the client says in its subprotocols.

        Raises:
            ActorError: as ``parse_subprotocols``.
        """
        return parse_subprotocols(self.headers.get(_PROTOCOLS, ""))

    def request(self, offer: Subprotocols) -> GatewayRequest:
        """Return what the socket is for, as a gateway reads it from the URL the client opened.

        Raises:
            ActorError: as ``parse_gateway`` and ``parse_socket_target``; ``guard.no_route``.
        """
        if REFUSED_PARAMETER in self.query:
            raise ActorError(
                "guard",
                "query_invalid_params",
                "The URL is too long for API Gateway. Create the actor with `create`, which sends "
                "its input in a body, and connect to it then.",
                {"limit": MAX_URL},
            )
        path, query = self._url()
        request = parse_gateway(path, query) or parse_socket_target(offer, path, query)
        if request is None:
            raise make("guard.no_route")
        return request

    def _url(self) -> tuple[str, str]:
        if URL_PARAMETER in self.query:
            path, _, query = self.query[URL_PARAMETER][-1].partition("?")
            return path, query
        pairs = [(name, value) for name, values in self.query.items() for value in values]
        query = "&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs])
        return "/connect", query


@frozen
class Frame:
    """A client sent something.

    Attributes:
        conn_id: the connection.
        frame_id: the request's id; unique, and the same when a queue delivers the frame again.
        data: what was sent.
        at: Unix seconds.
        unordered: nothing says that the connect, or earlier frames, have been worked by now.
        tries: how often the frame was put off because its connection was not there yet.
    """

    conn_id: str
    frame_id: str
    data: bytes
    at: float
    unordered: bool = False
    tries: int = 0

    @property
    def number(self) -> int:
        """A number that no other frame of the connection has."""
        return int.from_bytes(blake2b(self.frame_id.encode(), digest_size=6).digest(), "big")

    @property
    def text(self) -> str:
        """What was sent, as text; API Gateway takes nothing else.

        Raises:
            ActorError: ``message.invalid_utf8``.
        """
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise ActorError("message", "invalid_utf8", "The message is not UTF-8.") from None


@frozen
class Disconnect:
    """A socket is gone. API Gateway tells so at its best effort only.

    Attributes:
        conn_id: the connection.
        code: the close code.
        reason: what was said with it.
    """

    conn_id: str
    code: int
    reason: str


SocketMessage: TypeAlias = Connect | Frame | Disconnect


# -- events of API Gateway ------------------------------------------------------------------------


def message_of(event: Mapping[str, Any]) -> SocketMessage:
    """Return what an event says that is about a socket.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    about: Mapping[str, Any] = event["requestContext"]
    kind = about["eventType"]
    conn_id = _conn_id(about.get("connectionId"))
    at = _seconds(about.get("requestTimeEpoch"))
    if kind == "CONNECT":
        return Connect(conn_id, _query(event), _headers(event), at)
    if kind == "MESSAGE":
        return Frame(conn_id, _text(about, "requestId"), _body(event), at, unordered=True)
    return Disconnect(conn_id, *_close(about, "disconnectStatusCode", "disconnectReason"))


def accepted(connect: Connect) -> dict[str, object]:
    """Return the answer that opens the socket, with the one subprotocol we speak, if offered."""
    offered = connect.headers.get(_PROTOCOLS, "").split(",")
    # A browser fails a connection that answers none of its offers, or one that it did not make.
    if SUBPROTOCOL in [token.strip() for token in offered]:
        return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": SUBPROTOCOL}}
    return {"statusCode": 200}


def stage_query(url: str) -> str:
    """Return the query that opens what is at ``url`` on a stage of the WebSocket API.

    Args:
        url: path and query, as a gateway has them (``protocol.targets.gateway_url``).
    """
    value = percent.encode_component(url)
    if len(value) > MAX_URL:
        return f"{REFUSED_PARAMETER}=url_too_long"
    return f"{URL_PARAMETER}={value}"


# -- our own messages -----------------------------------------------------------------------------


def write_message(message: SocketMessage) -> dict[str, object]:
    """Return a message as a JSON object; the reverse of ``read_message``."""
    if isinstance(message, Connect):
        return {
            "rivetless": "connect",
            "connection": message.conn_id,
            "query": {name: list(values) for name, values in message.query.items()},
            "headers": dict(message.headers),
            "at": round(message.at * 1000),
        }
    if isinstance(message, Frame):
        document: dict[str, object] = {
            "rivetless": "frame",
            "connection": message.conn_id,
            "request": message.frame_id,
            "at": round(message.at * 1000),
            "data": b64encode(message.data).decode("ascii"),
        }
        if message.unordered:
            document |= {"unordered": True, "tries": message.tries}
        return document
    return {
        "rivetless": "disconnect",
        "connection": message.conn_id,
        "code": message.code,
        "reason": message.reason,
    }


def read_message(document: Mapping[str, Any]) -> SocketMessage:
    """Return what one of our messages says.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    kind = document.get("rivetless")
    conn_id = _conn_id(document.get("connection"))
    if kind == "connect":
        headers = _mapping(document, "headers")
        return Connect(
            conn_id,
            {name: _values(values) for name, values in _mapping(document, "query").items()},
            {name.lower(): _string(value) for name, value in headers.items()},
            _seconds(document.get("at")),
        )
    if kind == "frame":
        tries = document.get("tries", 0)
        if not isinstance(tries, int):
            raise invalid_request("`tries` of a frame is a number.")
        return Frame(
            conn_id,
            _text(document, "request"),
            _base64(document.get("data")),
            _seconds(document.get("at")),
            unordered=document.get("unordered") is True,
            tries=tries,
        )
    if kind == "disconnect":
        return Disconnect(conn_id, *_close(document, "code", "reason"))
    raise invalid_request(f"There is no message {kind!r} about sockets.")


# -- pieces ---------------------------------------------------------------------------------------


def _conn_id(value: object) -> str:
    # It becomes a part of keys, of which none holds more, and a NUL would end it there.
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID:
        raise invalid_request("The message names no connection.")
    if not value.isascii() or not value.isprintable():
        raise invalid_request("The id of the connection holds what no id does.")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise invalid_request("The message does not say since when.")
    return value / 1000


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise invalid_request(f"`{name}` of the message is missing.")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise invalid_request("The message holds something else where text belongs.")
    return value


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid_request(f"`{name}` of the message is no object.")
    return cast("Mapping[str, Any]", value)


def _values(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple([_string(item) for item in cast("list[object]", value)])
    return (_string(value),)


def _query(event: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    several = _mapping(event, "multiValueQueryStringParameters")
    single = _mapping(event, "queryStringParameters")
    return {name: _values(values) for name, values in (several or single).items()}


def _headers(event: Mapping[str, Any]) -> dict[str, str]:
    several = _mapping(event, "multiValueHeaders")
    single = _mapping(event, "headers")
    return {name.lower(): ", ".join(_values(value)) for name, value in (several or single).items()}


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    if event.get("isBase64Encoded") is True:
        return _base64(body)
    # Half of a surrogate pair has no UTF-8; what it becomes is refused as such later.
    return _string(body).encode(errors="surrogatepass")


def _base64(value: object) -> bytes:
    try:
        return b64decode(_string(value), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_request("The frame's data is not base64.") from None


def _close(found: Mapping[str, Any], code_name: str, reason_name: str) -> tuple[int, str]:
    code, reason = found.get(code_name), found.get(reason_name)
    if code is None or code == "":
        code = 1005
    if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code < 5000:
        raise invalid_request("The close code is none.")
    return code, "" if reason is None else _string(reason)
