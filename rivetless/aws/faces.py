"""``Face``: what the typed clients of services have in common."""

from __future__ import annotations

from typing import TypedDict, Unpack

from rivetless.aws.choice import choose_client
from rivetless.aws.client import CONNECTIONS, Client, ClientHolder, Payload
from rivetless.aws.retries import PATIENCE, Retries
from rivetless.aws.services import Service
from rivetless.clock import Clock, SystemClock


class CallOptions(TypedDict, total=False):
    """How a service is called.

    Attributes:
        client: sends the requests; default one that suits the environment.
        region: for the default client; default ``AWS_REGION``, ``AWS_DEFAULT_REGION``.
        clock: where the time comes from, that of the default client's time-outs included.
        patience: seconds in which a request is sent again that was refused for want of capacity
            or could not be sent.
        connections: how many requests of the default client may be under way at once.
    """

    client: Client | None
    region: str | None
    clock: Clock | None
    patience: float
    connections: int


class FaceOptions(CallOptions, total=False):
    """How a service is called, and where.

    Attributes:
        endpoint: URL of the service, for the default client; default what the environment says for
            it (``AWS_ENDPOINT_URL_SQS``), ``AWS_ENDPOINT_URL``, or the region's own.
    """

    endpoint: str | None


class Face(ClientHolder):
    """Calls one service, with patience. Open it with ``async with``; it may be opened again.

    Args:
        service: whom to call.
        **options: see ``FaceOptions``.
    """

    def __init__(self, service: Service, **options: Unpack[FaceOptions]) -> None:
        client = options.get("client")
        endpoint, region = options.get("endpoint"), options.get("region")
        if client is not None and (endpoint or region):
            raise ValueError("a client knows its endpoint and its region already")
        clock = options.get("clock") or SystemClock()
        super().__init__(
            client
            or choose_client(
                service,
                endpoint=endpoint,
                region=region,
                clock=clock,
                connections=options.get("connections", CONNECTIONS),
            )
        )
        self._retries = Retries(clock, options.get("patience", PATIENCE))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

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
