"""How many actions a second one actor takes over a store that is slow.

Callers in one process call one actor through the whole ASGI application. Those that are ready
together share a commit, so the store's latency bounds the commits and not the actions.
"""

from __future__ import annotations

import argparse
import asyncio
from time import perf_counter
from typing import Final

from benchmarks.actors import registry
from benchmarks.overhead import action_request, call_app
from rivetless.clock import SystemClock
from rivetless.hosts.asgi import ASGIApp
from rivetless.store.memory import MemoryStore
from rivetless.testing.stores import CountingStore, SlowStore

TARGET: Final = 1_000
"""Actions a second."""


async def measure(callers: int, calls: int, seconds: float) -> tuple[float, float]:
    """Return actions a second, and actions in each commit."""
    store = CountingStore(SlowStore(MemoryStore(), clock=SystemClock(), seconds=seconds))
    app = ASGIApp(registry, store=store, secret=b"of the benchmarks")
    request = action_request()
    async with app:
        await call_app(app, request)
        store.reset()

        async def caller() -> None:
            for _ in range(calls):
                await call_app(app, request)

        start = perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took = perf_counter() - start
    return callers * calls / took, callers * calls / store.calls["commit"]


def main() -> None:
    """Measure and print; fail if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--calls", type=int, default=200, help="of each caller")
    parser.add_argument("--commit", type=float, default=0.005, help="seconds that one takes")
    options = parser.parse_args()
    rate, size = asyncio.run(measure(options.callers, options.calls, options.commit))
    verdict = "reached" if rate >= TARGET else "MISSED"
    print(
        f"{options.callers} callers of one actor, commits of {options.commit * 1000:g} ms: "
        f"{rate:,.0f} actions/s, {size:.1f} in each commit; {verdict}: at least {TARGET:,}"
    )
    raise SystemExit(rate < TARGET)


if __name__ == "__main__":
    main()
