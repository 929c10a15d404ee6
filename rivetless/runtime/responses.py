"""Reads what ``on_request`` returned, without knowing Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from rivetless import errors
from rivetless.actor.turn import text_headers
from rivetless.runtime.commands import RawResponse

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn


async def read_response(turn: ActorTurn, response: Any) -> RawResponse:
    """Run a response, which is an ASGI app, and collect what it sends.

    Streams are read to their end: an answer waits for the commit, so it cannot begin before.
    """
    if not callable(response):
        raise errors.internal_error(
            f"on_request must return a Response, not {type(response).__name__}"
        )
    status = 500
    headers: tuple[tuple[str, str], ...] = ()
    body: list[bytes] = []

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = text_headers(message["headers"])
        elif message["type"] == "http.response.body":
            body.append(message.get("body", b""))

    asked = False

    async def receive() -> Any:
        # Nobody leaves before the end: responses listen for that, and would break off.
        nonlocal asked
        if asked:
            await asyncio.get_running_loop().create_future()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "headers": [],
        "extensions": {},
    }
    app = cast("Callable[..., Awaitable[None]]", response)
    await app(scope, receive, send)
    return RawResponse(status, headers, b"".join(body), turn.actor_id, turn.address.key)
