"""What the framework costs over its store alone, in one process and one task.

Calls go through the whole ASGI application; every call that reaches the store is recorded and made
again, straight on a second store of the same kind. The difference is what routing, codecs and
turns cost.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal, TypeVar

from benchmarks.actors import registry
from rivetless.gateway.asgi import Message, Scope
from rivetless.hosts.asgi import ASGIApp
from rivetless.store.base import Changes, Store
from rivetless.store.urls import open_store
from rivetless.testing.stores import StoreWrapper

__all__ = ["action_request", "call_app", "overhead"]

T = TypeVar("T")

_WARM_UP: Final = 200


class _Recording(StoreWrapper):
    """Remembers what was committed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.commits: list[tuple[str, Changes, int | None]] = []

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        self.commits.append((actor_id, changes, expected))
        return await self.inner.commit(actor_id, changes, expected=expected)


def overhead(calls: int, synchronous: Literal["full", "normal"]) -> dict[str, float]:
    """Measure sequential actions of one actor; return p50s in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), calls, synchronous))


async def _measure(
    folder: Path, calls: int, synchronous: Literal["full", "normal"]
) -> dict[str, float]:
    def store(name: str) -> Store:
        return open_store(f"sqlite:{folder / name}", synchronous=synchronous)

    recording = _Recording(store("framework.db"))
    app = ASGIApp(registry, store=recording, secret=b"of the benchmarks")
    async with app:
        request = action_request()
        whole = await _sequential(_WARM_UP + calls, lambda _: call_app(app, request))
    commits = recording.commits
    if len(commits) != _WARM_UP + calls:
        raise RuntimeError(f"{_WARM_UP + calls} actions made {len(commits)} commits")
    async with store("alone.db") as alone:

        async def commit(index: int) -> None:
            actor_id, changes, expected = commits[index]
            await alone.commit(actor_id, changes, expected=expected)

        bare = await _sequential(len(commits), commit)
    total, single = statistics.median(whole), statistics.median(bare)
    return {"whole_ms": total, "store_ms": single, "p50_ms": total - single}


async def _sequential(times: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    samples: list[float] = []
    for index in range(times):
        start = perf_counter()
        await call(index)
        samples.append((perf_counter() - start) * 1000)
    return samples[_WARM_UP:]


def action_request() -> dict[str, Any]:
    """Return a request that increments a counter."""
    query = b"rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=overhead"
    body = b'{"args":[1]}'
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/gateway/counter/action/increment",
        "raw_path": b"/gateway/counter/action/increment",
        "query_string": query,
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-rivet-encoding", b"json"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        "body": body,
    }


async def call_app(app: ASGIApp, request: dict[str, Any]) -> None:
    """Make a request of an application, straight."""
    scope: Scope = dict(request)
    body: bytes = scope.pop("body")
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"the action was answered with {status}")
