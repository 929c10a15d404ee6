"""One application of actors, mounted in the frameworks people have, behind a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request  # noqa: TC002 -- read when the class is made
from starlette.responses import PlainTextResponse, Response

from rivetless import Actor, Client, Event, action, setup
from rivetless.hosts.server import listen

ended: list[str] = []


class Counter(Actor[int]):
    """Counts."""

    changed = Event[int]()

    async def create_state(self) -> int:
        return 0

    @action
    async def increment(self, amount: int = 1) -> int:
        self.state += amount
        self.broadcast(self.changed, self.state)
        return self.state

    async def on_request(self, request: Request) -> Response:
        body = await request.body()
        return PlainTextResponse(
            f"{request.method} {request.url.path}?{request.url.query} {body!r}"
        )

    async def on_sleep(self) -> None:
        ended.append(self.key[0])


registry = setup(use=[Counter])


class Server(uvicorn.Server):
    """A server in the test's own event loop."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve until the block ends; gives the URL."""
        with listen("127.0.0.1", 0) as sock:
            port = sock.getsockname()[1]
            serving = asyncio.ensure_future(self._serve([sock]))
            while not self.started and not serving.done():  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.001)
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                self.should_exit = True
                await serving


@asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve an application and give its URL."""
    config = uvicorn.Config(
        app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=5, **options
    )
    async with Server(config).running() as url:
        yield url


async def check(url: str, prefix: str, server: str | None = None) -> None:
    """See that everything works below the place where the actors are mounted.

    Args:
        url: of the server.
        prefix: where the actors are.
        server: where the OpenAPI document says they are, if that is somewhere else.
    """
    base = url + prefix
    async with httpx.AsyncClient() as http:
        own = await http.get(f"{url}/own")
        assert (own.status_code, own.text) == (200, "own")
        for path in ("/metadata", "/api/rivet/metadata"):
            metadata = await http.get(base + path)
            assert metadata.json()["runtime"] == "rivetkit", path
        document = await http.get(f"{base}/openapi.json")
        assert document.json()["servers"] == [{"url": server or prefix or "/"}]
        preflight = await http.options(
            f"{base}/actors",
            headers={"origin": "https://x.example", "access-control-request-method": "PUT"},
        )
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://x.example"
        missing = await http.get(f"{base}/nope")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")

    async with Client(base) as client:
        # Characters that a framework might decode, normalise or split at.
        handle = client.get_or_create(Counter, ["a/b c", "é%2F", "k"])
        assert await handle.increment(2) == 2
        actor_id = await client.resolve(handle)
        response = await client.fetch(handle, "/x%2Fy/z%20?q=1&q=%26", method="PUT", body=b"\x00")
        assert response.text == "PUT /x%2Fy/z%20?q=1&q=%26 b'\\x00'"
        seen: list[int] = []
        async with client.connect(client.get_for_id(Counter, actor_id)) as conn:
            conn.on(Counter.changed, seen.append)
            assert await conn.actor.increment() == 3
        assert seen == [3]
