"""``LeanClient``: signed requests over kept connections, without an SDK. What Lambda runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from rivetless.aws.client import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    READ_TIMEOUT,
    Client,
    Payload,
)
from rivetless.aws.credentials import Provider
from rivetless.aws.http import Answer, Pool
from rivetless.aws.services import Service
from rivetless.aws.signing import authorization, canonical_query, timestamp
from rivetless.aws.wire import Request
from rivetless.clock import Clock

# Coding this much takes about a millisecond or two; more is done in a thread.
_LONG = 512 * 1024


class LeanClient(Client):
    """Signs and sends by itself: a fifth of an SDK's time for each call, and of its start.

    Args:
        service: whom to call.
        url: where it is; a path in it comes before those of the requests.
        region: that the signature is for.
        provider: where the credentials come from.
        clock: for dates and time-outs.
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds until an answer must be there.
        connections: how many requests may be under way at once.
        ca_bundle: file of the authorities to trust, instead of the system's.
    """

    def __init__(
        self,
        service: Service,
        url: str,
        region: str,
        provider: Provider,
        *,
        clock: Clock,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        connections: int = CONNECTIONS,
        ca_bundle: str | None = None,
    ) -> None:
        self._pool = Pool(
            url,
            clock=clock,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            connections=connections,
            ca_bundle=ca_bundle,
        )
        self._service = service
        self._url = url
        self._prefix = urlsplit(url).path.rstrip("/")
        self._region = region
        self._provider = provider
        self._clock = clock

    def __repr__(self) -> str:
        return f"LeanClient({self._service.name!r}, {self._url!r}, {self._region!r})"

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
        request = await self._encode(operation, payload)
        path = self._prefix + request.path
        credentials = await self._provider.get()
        headers = {
            **request.headers,
            "host": self._pool.authority,
            "x-amz-date": timestamp(self._clock.now()),
        }
        if credentials.token is not None:
            headers["x-amz-security-token"] = credentials.token
        signature = authorization(
            credentials,
            region=self._region,
            service=self._service.host,
            method=request.method,
            path=path,
            query=request.query,
            headers=headers,
            body=request.body,
        )
        target = f"{path}?{canonical_query(request.query)}" if request.query else path
        lines = [
            f"{request.method} {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"authorization: {signature}",
            f"content-length: {len(request.body)}",
            *("", ""),
        ]
        return await self._decode(await self._pool.send("\r\n".join(lines).encode(), request.body))

    async def _encode(self, operation: str, payload: Payload) -> Request:
        # Whether it is long is not known before; what is long is state and records.
        if _is_long(payload):
            return await asyncio.to_thread(self._service.wire.encode, operation, payload)
        return self._service.wire.encode(operation, payload)

    async def _decode(self, answer: Answer) -> Payload:
        if len(answer.body) > _LONG:
            return await asyncio.to_thread(self._service.wire.decode, answer)
        return self._service.wire.decode(answer)


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
