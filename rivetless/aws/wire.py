"""How calls look over HTTP: AWS's JSON protocol, and its REST one. Pure functions, both ways."""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast
from urllib.parse import quote

from rivetless.aws.client import AnswerLost, NotSent, Payload, ServiceError
from rivetless.aws.http import Answer
from rivetless.frozen import frozen

__all__ = ["JsonWire", "Request", "RestWire", "Route", "Wire", "tagged_bytes"]

_MOST_SHOWN: Final = 200


@frozen
class Request:
    """A request before it is signed.

    Attributes:
        method: in capitals.
        path: escaped, as it is sent.
        headers: those that say what the body is; names in lower case.
        body: whole.
        query: not escaped yet.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] | None = None


class Wire(Protocol):
    """Writes the requests of a service and reads its answers."""

    @abstractmethod
    def encode(self, operation: str, payload: Payload) -> Request:
        """Return the request that makes a call.

        Raises:
            NotSent: there is no such call.
        """

    @abstractmethod
    def decode(self, answer: Answer) -> Payload:
        """Return what an answer says.

        Raises:
            ServiceError: it says no.
            AnswerLost: it cannot be read.
        """


class JsonWire(Wire):
    """AWS JSON 1.0: everything in the body, and the operation in a header.

    Args:
        target: what the service puts before the names of its operations.
        hook: turns an object of an answer into what it stands for.
        headers: what the service wants besides.
    """

    def __init__(
        self,
        target: str,
        *,
        hook: Callable[[dict[str, Any]], Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._target = target
        self._hook = hook
        self._headers = {"content-type": "application/x-amz-json-1.0", **(headers or {})}

    def encode(self, operation: str, payload: Payload) -> Request:
        headers = {**self._headers, "x-amz-target": f"{self._target}.{operation}"}
        return Request("POST", "/", headers, _dump(payload))

    def decode(self, answer: Answer) -> Payload:
        return _read(answer, self._hook)


@frozen
class Route:
    """Where an operation of a REST service is.

    Attributes:
        method: in capitals.
        folder: the path but for its last segment.
        label: the member of the payload that is the last segment.
        query: members that go into the query, and their names there.
        blob: the member that is the whole body; ``None`` makes it JSON of what is left.
    """

    method: str
    folder: str
    label: str
    query: Mapping[str, str] | None = None
    blob: str | None = None


class RestWire(Wire):
    """AWS's REST protocol with JSON.

    Args:
        routes: of the operations, by name.
    """

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes

    def encode(self, operation: str, payload: Payload) -> Request:
        route = self._routes.get(operation)
        if route is None:
            raise NotSent(f"there is no operation {operation!r}")
        left = dict(payload)
        segment = str(left.pop(route.label, ""))
        if segment in ("", ".", ".."):
            # It would be another resource's path.
            raise NotSent(f"{segment!r} is no {route.label}")
        path = f"{route.folder}{quote(segment, safe='')}"
        query = {
            name: str(left.pop(key)) for key, name in (route.query or {}).items() if key in left
        }
        if route.blob is not None:
            headers = {"content-type": "application/octet-stream"}
            return Request(route.method, path, headers, left[route.blob], query)
        if route.method == "POST":
            return Request(
                route.method, path, {"content-type": "application/json"}, _dump(left), query
            )
        return Request(route.method, path, {}, b"", query)

    def decode(self, answer: Answer) -> Payload:
        return cast("Payload", _capitalised(_read(answer, None)))


def tagged_bytes(found: dict[str, Any]) -> dict[str, Any]:
    """Turn ``{"B": base64}`` into ``{"B": bytes}``; an attribute called B has no text there."""
    if len(found) == 1 and isinstance(value := found.get("B"), str):
        found["B"] = b64decode(value)
    return found


def _dump(payload: Payload) -> bytes:
    return json.dumps(payload, separators=(",", ":"), default=_base64).encode()


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} is no part of a request")


def _read(answer: Answer, hook: Callable[[dict[str, Any]], Any] | None) -> Payload:
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(answer.body)):
        raise AnswerLost("the answer was damaged on its way")
    try:
        body: object = json.loads(answer.body, object_hook=hook) if answer.body else {}
        if not isinstance(body, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        if 400 <= answer.status < 500:
            # A refusal by whatever stands before the service; the status says enough.
            shown = answer.body[:_MOST_SHOWN].decode("utf-8", "replace")
            raise ServiceError(str(answer.status), answer.status, shown, {}) from error
        raise AnswerLost(f"the answer (status {answer.status}) cannot be read: {error}") from error
    payload = cast("Payload", body)
    if answer.status < 300:
        return payload
    message = str(payload.get("message") or payload.get("Message") or "")
    raise ServiceError(_code(answer, payload), answer.status, message, payload)


def _code(answer: Answer, payload: Payload) -> str:
    """Return an error's name; each protocol has its own places for it, and SQS its old names."""
    if old := answer.headers.get("x-amzn-query-error"):
        return old.partition(";")[0]
    named = (
        answer.headers.get("x-amzn-errortype")
        or payload.get("__type")
        or payload.get("code")
        or answer.status
    )
    return str(named).partition(":")[0].rpartition("#")[2]


def _capitalised(value: Any) -> Any:
    """Begin names with a capital, as the SDK has them whatever a service sends."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return {name[:1].upper() + name[1:]: _capitalised(one) for name, one in found.items()}
    return value
