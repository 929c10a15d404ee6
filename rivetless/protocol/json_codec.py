"""Messages in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeVar, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from rivetless.errors import ActorSpecifier, invalid_request
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
    FRAME_DEPTH,
    JSON,
    JSON_3,
    MAX_DEPTH,
    Style,
    Tags,
    stand_in,
    tag,
    too_deep,
    untag,
)

__all__ = ["JsonCodec", "json_dumps", "json_loads"]

B = TypeVar("B", bound=HttpBody)


class JsonCodec:
    """JSON; see ``codec.Codec``."""

    name: Literal["json"] = "json"
    content_type: str = "application/json"
    text: bool = True

    def encode(self, message: Message, version: int = CURRENT_VERSION) -> bytes:
        """Return a message as bytes."""
        return _WRITERS[type(message)](message, _style(version))

    def frame(self, message: ToClient | ToServer, version: int = CURRENT_VERSION) -> str:
        """Return a frame as text."""
        return _WRITERS[type(message)](message, _style(version)).decode()

    def decode(self, kind: type[B], data: bytes) -> Decoded[B]:
        """Return the HTTP body of a kind."""
        if not data and kind is HttpActionRequest:
            # Firefox loses the body of every call; those without arguments work all the same.
            return Decoded(cast("B", HttpActionRequest([])), CURRENT_VERSION)
        return Decoded(read_body(kind, json_loads(data, depth=BODY_DEPTH)), CURRENT_VERSION)

    def decode_to_server(self, data: bytes | str) -> Decoded[ToServer]:
        """Return a frame that a client sent."""
        return Decoded(read_to_server(json_loads(data, depth=FRAME_DEPTH)), CURRENT_VERSION)

    def decode_to_client(self, data: bytes | str) -> Decoded[ToClient]:
        """Return a frame that a server sent."""
        return Decoded(read_to_client(json_loads(data, depth=FRAME_DEPTH)), CURRENT_VERSION)


def json_loads(data: bytes | str, tags: Tags = "strict", depth: int = MAX_DEPTH) -> object:
    """Return the plain value in a JSON document.

    Args:
        data: the document.
        tags: what to make of arrays that look like tags; see ``values.untag``.
        depth: how deep the value may nest.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if isinstance(data, str):
        try:
            data = data.encode()
        except UnicodeEncodeError:
            raise invalid_request("The message holds half of a surrogate pair.") from None
    try:
        document: object = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise invalid_request(f"The message is not valid JSON: {error}.") from None
    # A "$" at the beginning of a text, plain or as an escape: without one there are no tags.
    if tags != "off" and (b'"$' in data or b'"\\u0024' in data):
        return untag(document, tags=tags, depth=depth)
    if data.count(b"[") + data.count(b"{") > depth:
        _check_depth(document, depth)
    return document


def json_dumps(value: object, style: Style = JSON) -> bytes:
    """Return a plain value as JSON.

    Args:
        value: the value.
        style: ``values.JSON`` or ``values.JSON_3``.

    Raises:
        TypeError: the value has no form on the wire.
    """
    try:
        return to_json(tag(value, style), inf_nan_mode="null")
    except PydanticSerializationError as error:
        raise TypeError(f"The value cannot be sent: {error}") from error


def _check_depth(value: object, depth: int) -> None:
    items: Iterable[object]
    if type(value) is dict:
        items = cast("dict[str, object]", value).values()
    elif type(value) is list:
        items = cast("list[object]", value)
    else:
        return
    if depth <= 0:
        raise too_deep()
    for item in items:
        _check_depth(item, depth - 1)


# -- writing -------------------------------------------------------------------------------------
# Envelopes are put together as bytes: three times as fast as building maps only to serialise them.


def _style(version: int) -> Style:
    return JSON if version >= TAGS_SINCE else JSON_3


def _action_request(message: ActionRequest, style: Style) -> bytes:
    return b'{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","%d"],"name":%b,"args":%b}}}' % (
        message.id,
        _string(message.name),
        json_dumps(message.args, style),
    )


def _subscription_request(message: SubscriptionRequest, style: Style) -> bytes:
    return b'{"body":{"tag":"SubscriptionRequest","val":{"eventName":%b,"subscribe":%b}}}' % (
        _string(message.event_name),
        b"true" if message.subscribe else b"false",
    )


def _init(message: Init, style: Style) -> bytes:
    return b'{"body":{"tag":"Init","val":{"actorId":%b,"connectionId":%b}}}' % (
        _string(message.actor_id),
        _string(message.connection_id),
    )


def _action_response(message: ActionResponse, style: Style) -> bytes:
    return b'{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","%d"],"output":%b}}}' % (
        message.id,
        json_dumps(message.output, style),
    )


def _event(message: Event, style: Style) -> bytes:
    return b'{"body":{"tag":"Event","val":{"args":%b,"name":%b}}}' % (
        json_dumps(message.args, style),
        _string(message.name),
    )


def _error_frame(message: ErrorFrame, style: Style) -> bytes:
    action_id = b"null" if message.action_id is None else b'["$BigInt","%d"]' % message.action_id
    return b'{"body":{"tag":"Error","val":{"actionId":%b,%b}}}' % (
        action_id,
        _error(message, style),
    )


def _error(error: ErrorFrame | HttpError, style: Style) -> bytes:
    metadata = b"" if error.metadata is None else b',"metadata":' + _metadata(error.metadata, style)
    return b'%b"code":%b,"group":%b,"message":%b%b' % (
        _actor(error.actor),
        _string(error.code),
        _string(error.group),
        _string(error.message),
        metadata,
    )


def _actor(actor: ActorSpecifier | None) -> bytes:
    if actor is None:
        return b""
    key = b"" if actor.key is None else b',"key":' + _string(actor.key)
    return b'"actor":{"actorId":%b,"generation":%d%b},' % (
        _string(actor.actor_id),
        actor.generation,
        key,
    )


def _metadata(metadata: object, style: Style) -> bytes:
    try:
        return json_dumps(metadata, style)
    except TypeError:
        return _string(stand_in(metadata))


def _string(text: str) -> bytes:
    try:
        return to_json(text)
    except PydanticSerializationError:
        # Half a surrogate pair. Names have none; in an error's message it must not hide the error.
        return to_json(text.encode(errors="replace").decode())


def _http_action_request(message: HttpActionRequest, style: Style) -> bytes:
    return b'{"args":%b}' % json_dumps(message.args, style)


def _http_action_response(message: HttpActionResponse, style: Style) -> bytes:
    return b'{"output":%b}' % json_dumps(message.output, style)


def _http_queue_send_request(message: HttpQueueSendRequest, style: Style) -> bytes:
    name = b"" if message.name is None else b',"name":' + _string(message.name)
    timeout = b"" if message.timeout is None else b',"timeout":%d' % message.timeout
    wait = b"true" if message.wait else b"false"
    return b'{"body":%b%b,"wait":%b%b}' % (json_dumps(message.body, style), name, wait, timeout)


def _http_queue_send_response(message: HttpQueueSendResponse, style: Style) -> bytes:
    response = (
        b"" if message.response is None else b',"response":' + json_dumps(message.response, style)
    )
    return b'{"status":%b%b}' % (_string(message.status), response)


def _http_error(message: HttpError, style: Style) -> bytes:
    return b"{%b}" % _error(message, style)


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
