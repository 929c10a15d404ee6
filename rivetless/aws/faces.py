"""``Face``: what the typed clients of services have in common."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rivetless.aws.choice import choose_client
from rivetless.aws.client import CONNECTIONS, Client, Payload
from rivetless.aws.retries import PATIENCE, Retries
from rivetless.aws.services import Service
from rivetless.clock import Clock, SystemClock


class Face:
    """Calls one service, with patience. Open it with ``async with``; it may be opened again.

    Args:
        service: whom to call.
        client: sends the requests; default one that suits the environment.
        endpoint: URL of the service, for the default client; where it is not given, where the
            environment says.
        region: for the default client.
        clock: where the time comes from, that of the default client's time-outs included.
        patience: seconds in which a request is sent again that was refused for want of capacity
            or could not be sent.
        connections: how many requests of the default client may be under way at once.
    """

    def __init__(
        self,
        service: Service,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        connections: int = CONNECTIONS,
    ) -> None:
        if client is not None and (endpoint or region):
            raise ValueError("a client knows its endpoint and its region already")
        clock = clock or SystemClock()
        self._client = client or choose_client(
            service, endpoint=endpoint, region=region, clock=clock, connections=connections
        )
        self._retries = Retries(clock, patience)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def _call(
        self,
        operation: str,
        payload: Payload,
        *,
        repeatable: bool,
        deadline: float | None = None,
    ) -> Payload:
        async def send() -> Payload:
            return await self._client.call(operation, payload)

        return await self._retries.run(send, repeatable=repeatable, deadline=deadline)
