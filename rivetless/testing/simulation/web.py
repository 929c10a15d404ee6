"""HTTP of a simulated process: the production gateway in front of its runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from rivetless.actor.turn import text_headers
from rivetless.client import calls
from rivetless.gateway.app import Gateway, GatewayOptions
from rivetless.gateway.outbox import Tasks
from rivetless.protocol import headers, routes, targets
from rivetless.registry import Registry, RegistryOptions
from rivetless.testing.simulation.history import Ok, Outcome, Unknown
from rivetless.testing.simulation.hosting import table_for
from rivetless.testing.simulation.outcomes import outcome_of

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.gateway.dispatcher import Dispatcher
    from rivetless.runtime.runtime import Runtime

__all__ = ["Web", "outcome", "raw_request", "shown"]

_POOL: Final = "default"
_GATEWAY_TIMEOUT: Final = 504


def raw_request(request: calls.FetchRequest, namespace: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the path and the headers with which a request gets to an actor's ``on_request``."""
    target = request.target
    if isinstance(target, calls.ByKey) and target.create and target.pool is None:
        target = replace(target, pool=_POOL)
    path, _, query = request.path.partition("?")
    url = targets.gateway_url(
        targets.GatewayRequest(target, routes.request_path(path), query, namespace, None)
    )
    fields = list(request.headers)
    if request.params is not None:
        fields.append((headers.CONN_PARAMS, headers.conn_params_header(request.params)))
    return url, fields


def outcome(response: calls.FetchResponse) -> Outcome:
    """Return what a caller may conclude from an answer."""
    error = response.error()
    if error is None:
        return Ok(response)
    if response.status == _GATEWAY_TIMEOUT:
        return Unknown(error.name)
    return outcome_of(error)


def shown(outcome: Outcome) -> str:
    """Return an outcome in one line, without an answer's headers."""
    if isinstance(outcome, Ok) and isinstance(outcome.value, calls.FetchResponse):
        return f"{outcome.value.status} {outcome.value.text!r}"
    return str(outcome)


class Web:
    """Answers HTTP requests as a server does.

    Args:
        name: of the process.
        runtime: its own.
        definitions: the actors it serves.
    """

    def __init__(
        self, name: str, runtime: Runtime, definitions: Mapping[str, ActorDefinition]
    ) -> None:
        self._gateway = Gateway(
            Registry(definitions, RegistryOptions()),
            cast("Dispatcher", runtime),
            table=table_for(runtime.clock),
            tasks=Tasks(),
            clock=runtime.clock,
            options=GatewayOptions(host_id=f"web-{name}"),
        )

    async def answer(
        self, method: str, url: str, fields: Iterable[tuple[str, str]], body: bytes
    ) -> calls.FetchResponse:
        """Answer a request, which comes in two pieces."""
        path, _, query = url.partition("?")
        middle = len(body) // 2
        pieces: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": body[:middle], "more_body": True},
            {"type": "http.request", "body": body[middle:]},
        ]
        answers: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return pieces.pop(0) if pieces else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            answers.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields],
            "client": ("127.0.0.1", 40_000),
        }
        await self._gateway(scope, receive, send)
        start, *rest = answers
        head = text_headers(start["headers"])
        content = b"".join(message.get("body", b"") for message in rest)
        return calls.FetchResponse(start["status"], head, content)
