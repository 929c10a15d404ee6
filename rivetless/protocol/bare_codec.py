"""Messages in BARE: a version, then the fields; payloads are CBOR.

Version 2 took the token out of ``Init``, 3 added queues, 4 the actor in errors and tagged payloads.
An answer is written in the version of its request, since a client reads no newer one than its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast

from rivetless.errors import ActorError, ActorSpecifier, invalid_request
from rivetless.protocol import cbor
from rivetless.protocol.bare import Reader, Writer, binary
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
from rivetless.protocol.shapes import status
from rivetless.protocol.values import BINARY, NATIVE, as_args, stand_in

__all__ = ["BareCodec"]

B = TypeVar("B", bound=HttpBody)

_ACTORS_SINCE: Final = 4
_QUEUES_SINCE: Final = 3


class BareCodec:
    """BARE; see ``codec.Codec``."""

    name: Literal["bare"] = "bare"
    content_type: str = "application/octet-stream"
    text: bool = False

    def encode(self, message: Message, version: int = CURRENT_VERSION) -> bytes:
        """Return a message as bytes, in the given version."""
        writer = Writer()
        writer.u16(version)
        _WRITERS[type(message)](writer, message, version)
        return bytes(writer)

    def frame(self, message: ToClient | ToServer, version: int = CURRENT_VERSION) -> bytes:
        """Return a frame as bytes, in the given version."""
        return self.encode(message, version)

    def decode(self, kind: type[B], data: bytes) -> Decoded[B]:
        """Return the HTTP body of a kind."""
        if not data and kind is HttpActionRequest:
            # Firefox loses the body of every call; those without arguments work all the same.
            return Decoded(cast("B", HttpActionRequest([])), CURRENT_VERSION)
        reader = Reader(data)
        version = _version(reader)
        body = _BODIES[kind](reader, version)
        reader.end()
        return Decoded(cast("B", body), version)

    def decode_to_server(self, data: bytes | str) -> Decoded[ToServer]:
        """Return a frame that a client sent."""
        reader = Reader(binary(data))
        version = _version(reader)
        frame = _to_server(reader, version)
        reader.end()
        return Decoded(frame, version)

    def decode_to_client(self, data: bytes | str) -> Decoded[ToClient]:
        """Return a frame that a server sent."""
        reader = Reader(binary(data))
        version = _version(reader)
        frame = _to_client(reader, version)
        reader.end()
        return Decoded(frame, version)


# -- reading -------------------------------------------------------------------------------------


def _version(reader: Reader) -> int:
    version = reader.u16()
    if 1 <= version <= CURRENT_VERSION:
        return version
    raise invalid_request(
        f"Version {version} of the client protocol is not known; 1 to {CURRENT_VERSION} are."
    )


def _value(reader: Reader, version: int) -> object:
    return cbor.loads(reader.data(), "strict" if version >= TAGS_SINCE else "off")


def _optional_value(reader: Reader, version: int) -> object:
    return _value(reader, version) if reader.bool() else None


def _to_server(reader: Reader, version: int) -> ToServer:
    tag = reader.u8()
    if tag == 0:
        return ActionRequest(reader.uint(), reader.text(), as_args(_value(reader, version)))
    if tag == 1:
        return SubscriptionRequest(reader.text(), reader.bool())
    raise _unknown_frame(tag)


def _to_client(reader: Reader, version: int) -> ToClient:
    tag = reader.u8()
    if tag == 0:
        frame = Init(reader.text(), reader.text())
        if version == 1:
            reader.text()  # a token of no use
        return frame
    if tag == 1:
        group, code, message = reader.text(), reader.text(), reader.text()
        metadata = _optional_value(reader, version)
        action_id = reader.optional(reader.uint)
        return ErrorFrame(group, code, message, metadata, action_id, _actor(reader, version))
    if tag == 2:
        return ActionResponse(reader.uint(), _value(reader, version))
    if tag == 3:
        return Event(reader.text(), as_args(_value(reader, version)))
    raise _unknown_frame(tag)


def _unknown_frame(tag: int) -> ActorError:
    return invalid_request(f"Unknown kind of frame {tag}.")


def _actor(reader: Reader, version: int) -> ActorSpecifier | None:
    if version < _ACTORS_SINCE or not reader.bool():
        return None
    return ActorSpecifier(reader.text(), reader.uint(), reader.optional(reader.text))


def _http_error(reader: Reader, version: int) -> HttpError:
    group, code, message = reader.text(), reader.text(), reader.text()
    metadata = _optional_value(reader, version)
    return HttpError(group, code, message, metadata, _actor(reader, version))


def _queue_request(reader: Reader, version: int) -> HttpQueueSendRequest:
    _need_queues(version)
    body = _value(reader, version)
    name = reader.optional(reader.text)
    wait = reader.optional(reader.bool) or False
    return HttpQueueSendRequest(body, name, wait, reader.optional(reader.u64))


def _queue_response(reader: Reader, version: int) -> HttpQueueSendResponse:
    _need_queues(version)
    return HttpQueueSendResponse(status(reader.text()), _optional_value(reader, version))


def _need_queues(version: int) -> None:
    if version < _QUEUES_SINCE:
        raise invalid_request(
            f"Version {version} of the client protocol knows no queues; {_QUEUES_SINCE} does."
        )


_BODIES: Final[dict[type[Any], Callable[[Reader, int], HttpBody]]] = {
    HttpActionRequest: lambda reader, version: HttpActionRequest(as_args(_value(reader, version))),
    HttpActionResponse: lambda reader, version: HttpActionResponse(_value(reader, version)),
    HttpError: _http_error,
    HttpQueueSendRequest: _queue_request,
    HttpQueueSendResponse: _queue_response,
}


# -- writing -------------------------------------------------------------------------------------


def _value_bytes(value: object, version: int) -> bytes:
    return cbor.dumps(value, BINARY if version >= TAGS_SINCE else NATIVE)


def _write_value(writer: Writer, value: object, version: int) -> None:
    writer.data(_value_bytes(value, version))


def _write_action_request(writer: Writer, message: ActionRequest, version: int) -> None:
    writer.u8(0)
    writer.uint(message.id)
    writer.text(message.name)
    _write_value(writer, message.args, version)


def _write_subscription(writer: Writer, message: SubscriptionRequest, version: int) -> None:
    writer.u8(1)
    writer.text(message.event_name)
    writer.bool(message.subscribe)


def _write_init(writer: Writer, message: Init, version: int) -> None:
    writer.u8(0)
    writer.text(message.actor_id)
    writer.text(message.connection_id)
    if version == 1:
        writer.text("")


def _write_error_frame(writer: Writer, message: ErrorFrame, version: int) -> None:
    writer.u8(1)
    _write_error(writer, message, version)
    writer.optional(writer.uint, message.action_id)
    _write_actor(writer, message.actor, version)


def _write_action_response(writer: Writer, message: ActionResponse, version: int) -> None:
    writer.u8(2)
    writer.uint(message.id)
    _write_value(writer, message.output, version)


def _write_event(writer: Writer, message: Event, version: int) -> None:
    writer.u8(3)
    writer.text(message.name)
    _write_value(writer, message.args, version)


def _write_http_action_request(writer: Writer, message: HttpActionRequest, version: int) -> None:
    _write_value(writer, message.args, version)


def _write_http_action_response(writer: Writer, message: HttpActionResponse, version: int) -> None:
    _write_value(writer, message.output, version)


def _write_queue_request(writer: Writer, message: HttpQueueSendRequest, version: int) -> None:
    _write_value(writer, message.body, version)
    writer.optional(writer.text, message.name)
    writer.optional(writer.bool, message.wait)
    writer.optional(writer.u64, message.timeout)


def _write_queue_response(writer: Writer, message: HttpQueueSendResponse, version: int) -> None:
    writer.text(message.status)
    _write_optional_value(writer, message.response, version)


def _write_http_error(writer: Writer, message: HttpError, version: int) -> None:
    _write_error(writer, message, version)
    _write_actor(writer, message.actor, version)


def _write_error(writer: Writer, error: ErrorFrame | HttpError, version: int) -> None:
    writer.text(error.group)
    writer.text(error.code)
    writer.text(error.message)
    try:
        _write_optional_value(writer, error.metadata, version)
    except TypeError:
        _write_optional_value(writer, stand_in(error.metadata), version)


def _write_optional_value(writer: Writer, value: object, version: int) -> None:
    data = None if value is None else _value_bytes(value, version)
    writer.optional(writer.data, data)


def _write_actor(writer: Writer, actor: ActorSpecifier | None, version: int) -> None:
    if version < _ACTORS_SINCE:
        return
    writer.bool(actor is not None)
    if actor is not None:
        writer.text(actor.actor_id)
        writer.uint(actor.generation)
        writer.optional(writer.text, actor.key)


_WRITERS: Final[dict[type[Any], Callable[[Writer, Any, int], None]]] = {
    ActionRequest: _write_action_request,
    ActionResponse: _write_action_response,
    ErrorFrame: _write_error_frame,
    Event: _write_event,
    HttpActionRequest: _write_http_action_request,
    HttpActionResponse: _write_http_action_response,
    HttpError: _write_http_error,
    HttpQueueSendRequest: _write_queue_request,
    HttpQueueSendResponse: _write_queue_response,
    Init: _write_init,
    SubscriptionRequest: _write_subscription,
}
