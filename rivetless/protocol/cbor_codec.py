"""Messages in CBOR, as an encoding of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast

from rivetless.errors import ActorSpecifier
from rivetless.protocol.bare import binary
from rivetless.protocol.cbor import dumps, loads, map_head, text, u64
from rivetless.protocol.messages import (
    CURRENT_VERSION,
    TAGS_SINCE,
    ActionRequest,
    ActionResponse,
    Decoded,
    ErrorFrame,
    Event,
    HttpActionRequest,
    HttpActionResponse,
    HttpBody,
    HttpError,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
    Init,
    Message,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from rivetless.protocol.shapes import read_body, read_to_client, read_to_server
from rivetless.protocol.values import (
    BODY_DEPTH,
    CBOR,
    FRAME_DEPTH,
    NATIVE,
    Style,
    Tags,
    stand_in,
)

__all__ = ["CborCodec"]

B = TypeVar("B", bound=HttpBody)


class CborCodec:
    """CBOR; see ``codec.Codec``."""

    name: Literal["cbor"] = "cbor"
    content_type: str = "application/octet-stream"
    text: bool = False

    def encode(self, message: Message, version: int = CURRENT_VERSION) -> bytes:
        """Return a message as bytes."""
        return _WRITERS[type(message)](message, _style(version))

    def frame(self, message: ToClient | ToServer, version: int = CURRENT_VERSION) -> bytes:
        """Return a frame as bytes."""
        return _WRITERS[type(message)](message, _style(version))

    def decode(self, kind: type[B], data: bytes) -> Decoded[B]:
        """Return the HTTP body of a kind."""
        if not data and kind is HttpActionRequest:
            # Firefox loses the body of every call; those without arguments work all the same.
            return Decoded(cast("B", HttpActionRequest([])), CURRENT_VERSION)
        document = loads(data, _TAGS[kind], BODY_DEPTH)
        return Decoded(read_body(kind, document), CURRENT_VERSION)

    def decode_to_server(self, data: bytes | str) -> Decoded[ToServer]:
        """Return a frame that a client sent."""
        document = loads(binary(data), "lenient", FRAME_DEPTH)
        return Decoded(read_to_server(document), CURRENT_VERSION)

    def decode_to_client(self, data: bytes | str) -> Decoded[ToClient]:
        """Return a frame that a server sent."""
        document = loads(binary(data), "strict", FRAME_DEPTH)
        return Decoded(read_to_client(document), CURRENT_VERSION)


# In this mode the official client writes bigints and the like natively and escapes nothing.
_TAGS: Final[dict[type[Any], Tags]] = {
    HttpActionRequest: "lenient",
    HttpActionResponse: "strict",
    HttpError: "strict",
    HttpQueueSendRequest: "lenient",
    HttpQueueSendResponse: "strict",
}


# -- writing -------------------------------------------------------------------------------------
# Envelopes are put together as bytes, since ids must have a form that the library would not choose.


def _envelope(tag: str, count: int) -> bytes:
    body = map_head(2) + text("tag") + text(tag) + text("val") + map_head(count)
    return map_head(1) + text("body") + body


_ACTION_REQUEST: Final = _envelope("ActionRequest", 3) + text("id")
_ACTION_RESPONSE: Final = _envelope("ActionResponse", 2) + text("id")
_EVENT: Final = _envelope("Event", 2) + text("args")
_INIT: Final = _envelope("Init", 2) + text("actorId")
_SUBSCRIPTION_REQUEST: Final = _envelope("SubscriptionRequest", 2) + text("eventName")

_ARGS: Final = text("args")
_CONNECTION_ID: Final = text("connectionId")
_NAME: Final = text("name")
_OUTPUT: Final = text("output")
_SUBSCRIBE: Final = text("subscribe")

_NULL: Final = b"\xf6"
_BOOL: Final = (b"\xf4", b"\xf5")


def _style(version: int) -> Style:
    return CBOR if version >= TAGS_SINCE else NATIVE


def _action_request(message: ActionRequest, style: Style) -> bytes:
    name = _NAME + text(message.name)
    return _ACTION_REQUEST + u64(message.id) + name + _ARGS + dumps(message.args, style)


def _action_response(message: ActionResponse, style: Style) -> bytes:
    return _ACTION_RESPONSE + u64(message.id) + _OUTPUT + dumps(message.output, style)


def _subscription_request(message: SubscriptionRequest, style: Style) -> bytes:
    subscribe = _SUBSCRIBE + _BOOL[message.subscribe]
    return _SUBSCRIPTION_REQUEST + text(message.event_name) + subscribe


def _init(message: Init, style: Style) -> bytes:
    return _INIT + text(message.actor_id) + _CONNECTION_ID + text(message.connection_id)


def _event(message: Event, style: Style) -> bytes:
    return _EVENT + dumps(message.args, style) + _NAME + text(message.name)


def _error_frame(message: ErrorFrame, style: Style) -> bytes:
    action_id = _NULL if message.action_id is None else u64(message.action_id)
    fields = [("actionId", action_id), *_error(message, style)]
    return _envelope("Error", len(fields)) + _join(fields)


def _http_action_request(message: HttpActionRequest, style: Style) -> bytes:
    return map_head(1) + _ARGS + dumps(message.args, style)


def _http_action_response(message: HttpActionResponse, style: Style) -> bytes:
    return map_head(1) + _OUTPUT + dumps(message.output, style)


def _http_queue_send_request(message: HttpQueueSendRequest, style: Style) -> bytes:
    fields = [("body", dumps(message.body, style)), ("wait", _BOOL[message.wait])]
    if message.name is not None:
        fields.append(("name", text(message.name)))
    if message.timeout is not None:
        fields.append(("timeout", dumps(message.timeout, style)))
    return map_head(len(fields)) + _join(fields)


def _http_queue_send_response(message: HttpQueueSendResponse, style: Style) -> bytes:
    fields = [("status", text(message.status))]
    if message.response is not None:
        fields.append(("response", dumps(message.response, style)))
    return map_head(len(fields)) + _join(fields)


def _http_error(message: HttpError, style: Style) -> bytes:
    fields = _error(message, style)
    return map_head(len(fields)) + _join(fields)


def _error(error: ErrorFrame | HttpError, style: Style) -> list[tuple[str, bytes]]:
    fields: list[tuple[str, bytes]] = []
    if error.actor is not None:
        fields.append(("actor", _actor(error.actor)))
    fields.append(("code", text(error.code)))
    fields.append(("group", text(error.group)))
    fields.append(("message", text(error.message)))
    if error.metadata is not None:
        fields.append(("metadata", _metadata(error.metadata, style)))
    return fields


def _actor(actor: ActorSpecifier) -> bytes:
    fields = [("actorId", text(actor.actor_id)), ("generation", u64(actor.generation))]
    if actor.key is not None:
        fields.append(("key", text(actor.key)))
    return map_head(len(fields)) + _join(fields)


def _metadata(metadata: object, style: Style) -> bytes:
    try:
        return dumps(metadata, style)
    except TypeError:
        return text(stand_in(metadata))


def _join(fields: list[tuple[str, bytes]]) -> bytes:
    return b"".join([text(name) + value for name, value in fields])


_WRITERS: Final[dict[type[Any], Callable[[Any, Style], bytes]]] = {
    ActionRequest: _action_request,
    ActionResponse: _action_response,
    ErrorFrame: _error_frame,
    Event: _event,
    HttpActionRequest: _http_action_request,
    HttpActionResponse: _http_action_response,
    HttpError: _http_error,
    HttpQueueSendRequest: _http_queue_send_request,
    HttpQueueSendResponse: _http_queue_send_response,
    Init: _init,
    SubscriptionRequest: _subscription_request,
}
