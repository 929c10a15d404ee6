"""``LeanClient``: signed requests over kept connections, without an SDK. What Lambda runs on."""

from __future__ import annotations

import asyncio
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

from rivetless.aws.client import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    AnswerLost,
    Client,
    Payload,
    ServiceError,
)
from rivetless.aws.credentials import Provider
from rivetless.aws.http import Answer, Pool
from rivetless.aws.signing import authorization, timestamp
from rivetless.clock import Clock

_JSON = "application/x-amz-json-1.0"
# Coding this much takes about a millisecond or two; more is done in a thread.
_LONG = 512 * 1024


class LeanClient(Client):
    """Signs and sends by itself: a fifth of an SDK's time for each call, and of its start.

    Args:
        url: of the service.
        region: that the signature is for.
        provider: where the credentials come from.
        clock: for dates and time-outs.
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds until an answer must be there.
        ca_bundle: file of the authorities to trust, instead of the system's.
    """

    def __init__(
        self,
        url: str,
        region: str,
        provider: Provider,
        *,
        clock: Clock,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        ca_bundle: str | None = None,
    ) -> None:
        self._pool = Pool(
            url,
            clock=clock,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            ca_bundle=ca_bundle,
        )
        self._url = url
        self._region = region
        self._provider = provider
        self._clock = clock

    def __repr__(self) -> str:
        return f"LeanClient({self._url!r}, {self._region!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.close()

    async def call(self, operation: str, payload: Payload) -> Payload:
        body = await self._encode(payload)
        credentials = await self._provider.get()
        headers = {
            "content-type": _JSON,
            "host": self._pool.authority,
            "x-amz-date": timestamp(self._clock.now()),
            "x-amz-target": f"DynamoDB_20120810.{operation}",
        }
        if credentials.token is not None:
            headers["x-amz-security-token"] = credentials.token
        signature = authorization(
            credentials,
            region=self._region,
            service="dynamodb",
            method="POST",
            headers=headers,
            body=body,
        )
        lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"authorization: {signature}", f"content-length: {len(body)}", "", ""]
        return await self._decode(await self._pool.send("\r\n".join(lines).encode(), body))

    async def _encode(self, payload: Payload) -> bytes:
        # Whether it is long is not known before; what is long is state and records.
        if _is_long(payload):
            return await asyncio.to_thread(encode, payload)
        return encode(payload)

    async def _decode(self, answer: Answer) -> Payload:
        if len(answer.body) > _LONG:
            return await asyncio.to_thread(decode, answer)
        return decode(answer)


def encode(payload: Payload) -> bytes:
    """Return a payload as DynamoDB's JSON."""
    return json.dumps(payload, separators=(",", ":"), default=_base64).encode()


def decode(answer: Answer) -> Payload:
    """Return what an answer says.

    Raises:
        ServiceError: it says no.
        AnswerLost: it cannot be read.
        NotSent: a proxy or gateway on the way says no.
    """
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(answer.body)):
        raise AnswerLost("the answer was damaged on its way")
    try:
        body: object = json.loads(answer.body, object_hook=_bytes) if answer.body else {}
        if not isinstance(body, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise AnswerLost(f"the answer (status {answer.status}) cannot be read: {error}") from error
    payload = cast("Payload", body)
    if answer.status < 300:
        return payload
    code = str(payload.get("__type", f"Status{answer.status}")).rpartition("#")[2]
    message = str(payload.get("message") or payload.get("Message") or "")
    raise ServiceError(code, answer.status, message, payload)


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} is no part of a request")


def _bytes(found: dict[str, Any]) -> dict[str, Any]:
    """Turn ``{"B": base64}`` into ``{"B": bytes}``; an attribute called B has no text there."""
    if len(found) == 1 and isinstance(value := found.get("B"), str):
        found["B"] = b64decode(value)
    return found


def _is_long(value: object, left: int = _LONG) -> bool:
    return _measure(value) > left


def _measure(value: object) -> int:
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_measure, cast("Mapping[str, object]", value).values()))
    if isinstance(value, list | tuple):
        return sum(map(_measure, cast("list[object]", value)))
    return 0
