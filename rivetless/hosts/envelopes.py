"""Pushes and hints on their way from one process to another, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from rivetless.errors import ActorError, MissingExtraError, invalid_request
from rivetless.protocol import cbor
from rivetless.protocol.json_codec import json_dumps, json_loads
from rivetless.runtime.ports import ClosePush, EventPush, Hint, Push, RawPush, Topic

__all__ = [
    "CBOR_TYPE",
    "JSON_TYPE",
    "read_gone",
    "read_hints",
    "read_pushes",
    "write_gone",
    "write_hints",
    "write_pushes",
]

CBOR_TYPE: Final = "application/cbor"
JSON_TYPE: Final = "application/json"

_TOPICS: Final = frozenset(Topic)


def write_pushes(pushes: Sequence[Push]) -> tuple[str, bytes]:
    """Return pushes as a content type and a body.

    CBOR keeps dates what they are; without its library they become text, as in JSON everywhere.
    """
    document = [
        [push.actor_id, push.version, push.index, list(push.conns), *_content(push.content)]
        for push in pushes
    ]
    try:
        return CBOR_TYPE, cbor.dumps(document)
    except MissingExtraError:
        return JSON_TYPE, json_dumps(document)


def _content(content: EventPush | RawPush | ClosePush) -> tuple[object, ...]:
    if isinstance(content, EventPush):
        return "event", content.name, list(content.args)
    if isinstance(content, RawPush):
        return "raw", content.data
    return "close", content.code, content.reason, content.forget


def read_pushes(content_type: str, body: bytes) -> list[Push]:
    """Return the pushes in a body.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    document: Any = _load(content_type, body)
    if not isinstance(document, list):
        raise invalid_request("Pushes are a list.")
    try:
        return [_push(item) for item in cast("list[object]", document)]
    except (TypeError, ValueError):
        raise invalid_request("A push is malformed.") from None


def _push(item: Any) -> Push:
    actor_id, version, index, conns, kind, *rest = item
    content: EventPush | RawPush | ClosePush
    if kind == "event":
        name, args = rest
        content = EventPush(_text(name), _list(args))
    elif kind == "raw":
        (data,) = rest
        if not isinstance(data, (str, bytes)):
            raise TypeError
        content = RawPush(data)
    elif kind == "close":
        code, reason, forget = rest
        content = ClosePush(_int(code), _text(reason), forget is True)
    else:
        raise ValueError
    ids = tuple([_text(conn) for conn in _list(conns)])
    return Push(_text(actor_id), _int(version), _int(index), content, ids)


def write_gone(content_type: str, gone: frozenset[str]) -> bytes:
    """Return the answer to pushes: the connections that are not here."""
    return _dump(content_type, sorted(gone))


def read_gone(content_type: str, body: bytes) -> frozenset[str]:
    """Return the connections in an answer.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    document = _load(content_type, body)
    try:
        return frozenset([_text(conn) for conn in _list(document)])
    except TypeError:
        raise invalid_request("The answer is malformed.") from None


def write_hints(sender: str, hints: Sequence[Hint]) -> bytes:
    """Return hints as JSON, with the host that gives them."""
    items = [[hint.topic.value, hint.actor_id, hint.waiter, hint.at] for hint in hints]
    return json_dumps([sender, items])


def read_hints(body: bytes) -> tuple[str, list[Hint]]:
    """Return who gives hints, and those of them that this version knows.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    document: Any = _load(JSON_TYPE, body)
    try:
        sender, items = document
        hints = [_hint(item) for item in _list(items)]
        return _text(sender), [hint for hint in hints if hint is not None]
    except (TypeError, ValueError):
        raise invalid_request("A hint is malformed.") from None


def _hint(item: Any) -> Hint | None:
    topic, actor_id, waiter, at = item
    if at is not None and not isinstance(at, int | float):
        raise TypeError
    if topic not in _TOPICS:
        return None  # a later version's
    return Hint(Topic(topic), _text(actor_id), _text(waiter), at)


def _dump(content_type: str, document: object) -> bytes:
    return cbor.dumps(document) if content_type == CBOR_TYPE else json_dumps(document)


def _load(content_type: str, body: bytes) -> object:
    if content_type == CBOR_TYPE:
        return cbor.loads(body)
    if content_type == JSON_TYPE:
        return json_loads(body)
    raise ActorError("encoding", "invalid", f"Pushes do not come as {content_type[:64]!r}.")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return cast("list[object]", value)
