"""The shape that messages have in JSON and CBOR: maps with the official client's names.

A frame is ``{"body": {"tag": …, "val": {…}}}``; an HTTP body is a map of its fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from rivetless.errors import ActorError, ActorSpecifier, invalid_request
from rivetless.protocol.bare import MAX_UINT
from rivetless.protocol.messages import (
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    Event,
    HttpActionRequest,
    HttpActionResponse,
    HttpBody,
    HttpError,
    HttpQueueSendRequest,
    HttpQueueSendResponse,
    Init,
    QueueStatus,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from rivetless.protocol.values import as_args

__all__ = ["Fields", "read_body", "read_to_client", "read_to_server", "status"]

Fields = dict[str, object]

B = TypeVar("B", bound=HttpBody)


def read_to_server(document: object) -> ToServer:
    """Return the frame that a client sent.

    Args:
        document: a plain value, decoded and untagged.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    name, val = _frame(document)
    if name == "ActionRequest":
        return ActionRequest(_id(val, "id"), _text(val, "name"), as_args(val.get("args")))
    if name == "SubscriptionRequest":
        return SubscriptionRequest(_text(val, "eventName"), _bool(val, "subscribe"))
    raise _unknown_frame(name)


def read_to_client(document: object) -> ToClient:
    """Return the frame that a server sent.

    Args:
        document: a plain value, decoded and untagged.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    name, val = _frame(document)
    if name == "ActionResponse":
        return ActionResponse(_id(val, "id"), val.get("output"))
    if name == "Event":
        return Event(_text(val, "name"), as_args(val.get("args")))
    if name == "Error":
        action_id = None if val.get("actionId") is None else _id(val, "actionId")
        return ErrorFrame(*_error(val), action_id, _actor(val))
    if name == "Init":
        return Init(_text(val, "actorId"), _text(val, "connectionId"))
    raise _unknown_frame(name)


def read_body(kind: type[B], document: object) -> B:
    """Return the HTTP body of a kind.

    Args:
        kind: its class.
        document: a plain value, decoded and untagged.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    return cast("B", _BODIES[kind](_map(document, "The body")))


def status(text: str) -> QueueStatus:
    """Return a queue's answer.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if text == "completed":
        return "completed"
    if text == "timedOut":
        return "timedOut"
    raise invalid_request(f"Unknown queue status {_short(text)}.")


def _queue_request(fields: Fields) -> HttpQueueSendRequest:
    name = None if fields.get("name") is None else _text(fields, "name")
    wait = False if fields.get("wait") is None else _bool(fields, "wait")
    timeout = None if fields.get("timeout") is None else _milliseconds(fields, "timeout")
    return HttpQueueSendRequest(fields.get("body"), name, wait, timeout)


def _queue_response(fields: Fields) -> HttpQueueSendResponse:
    return HttpQueueSendResponse(status(_text(fields, "status")), fields.get("response"))


_BODIES: Final[dict[type[Any], Callable[[Fields], HttpBody]]] = {
    HttpActionRequest: lambda fields: HttpActionRequest(as_args(fields.get("args"))),
    HttpActionResponse: lambda fields: HttpActionResponse(fields.get("output")),
    HttpQueueSendRequest: _queue_request,
    HttpQueueSendResponse: _queue_response,
    HttpError: lambda fields: HttpError(*_error(fields), _actor(fields)),
}


# -- parts ---------------------------------------------------------------------------------------


def _frame(document: object) -> tuple[str, Fields]:
    body = _map(_map(document, "The message").get("body"), "`body`")
    return _text(body, "tag"), _map(body.get("val"), "`body.val`")


def _error(fields: Fields) -> tuple[str, str, str, object]:
    return (
        _text(fields, "group"),
        _text(fields, "code"),
        _text(fields, "message"),
        fields.get("metadata"),
    )


def _actor(fields: Fields) -> ActorSpecifier | None:
    if fields.get("actor") is None:
        return None
    actor = _map(fields["actor"], "`actor`")
    key = None if actor.get("key") is None else _text(actor, "key")
    return ActorSpecifier(_text(actor, "actorId"), _id(actor, "generation"), key)


def _map(value: object, what: str) -> Fields:
    if type(value) is dict:
        return cast("Fields", value)
    raise invalid_request(f"{what} is not a map but {_kind(value)}.")


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if type(value) is str:
        return value
    raise _wrong(fields, name, "text")


def _bool(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    if type(value) is bool:
        return value
    raise _wrong(fields, name, "true or false")


def _id(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_UINT:
        return value
    raise _wrong(fields, name, "an integer from 0 to 2**64 - 1")


def _milliseconds(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if (type(value) is int or type(value) is float) and 0 <= value <= MAX_UINT:
        return int(value)
    raise _wrong(fields, name, "a number from 0 to 2**64 - 1")


def _wrong(fields: Fields, name: str, expected: str) -> ActorError:
    found = _kind(fields[name]) if name in fields else "missing"
    return invalid_request(f"`{name}` is not {expected} but {found}.")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return f"the number {_short(value)}"
    if isinstance(value, str):
        return f"the text {_short(value)}"
    if isinstance(value, (list, set)):
        return "an array"
    return "a map" if isinstance(value, dict) else type(value).__name__


def _unknown_frame(name: str) -> ActorError:
    return invalid_request(f"Unknown kind of frame {_short(name)}.")


def _short(value: object) -> str:
    # Integers of thousands of digits and long texts have no place in a message.
    if isinstance(value, int) and value.bit_length() > 128:
        return "of many digits"
    shown = repr(value)
    return shown if len(shown) <= 48 else shown[:47] + "…"
