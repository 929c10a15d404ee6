"""An event for a thousand connections of API Gateway: ``python -m benchmarks.pushes``.

The management API is a stand-in that answers each post after 10 ms. What is measured is all that a
function does between an action's broadcast and the last post: reading who listens, writing the
event once, and posting it with as many posts under way as allowed. Target: 1 s.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

from rivetless import Actor, Event, action, setup
from rivetless.clock import SystemClock
from rivetless.hosts.aws_lambda.pushes import AT_ONCE, ApiGatewayPusher, Posts
from rivetless.hosts.aws_lambda.sockets import HOST, Routes
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, OpenConnection, Subscribe
from rivetless.runtime.runtime import Runtime
from rivetless.store.memory import MemoryStore

__all__ = ["CONNECTIONS", "TARGET_SECONDS", "measure"]

CONNECTIONS: Final = 1000
TARGET_SECONDS: Final = 1.0

_ANSWER: Final = 0.01
_ROUNDS: Final = 5


class Hall(Actor):
    """Says things to everybody."""

    said = Event[str]()

    @action
    async def say(self, text: str) -> None:
        self.broadcast(self.said, text)


class StandIn:
    """Answers like API Gateway, after a while."""

    def __init__(self) -> None:
        self.posts = 0

    async def post(self, connection_id: str, data: bytes, *, deadline: float | None = None) -> None:
        await asyncio.sleep(_ANSWER)
        self.posts += 1

    async def get(self, connection_id: str, *, deadline: float | None = None) -> object:
        return None

    async def delete(self, connection_id: str, *, deadline: float | None = None) -> None:
        return None


async def measure(connections: int = CONNECTIONS) -> tuple[float, float]:
    """Return the seconds, and the seconds of CPU, that one broadcast takes; the best of a few."""
    clock, api = SystemClock(), StandIn()
    best: tuple[float, float] = (float("inf"), float("inf"))
    async with MemoryStore(clock=clock) as store:
        posts = Posts(api, Routes(store, clock), clock)
        definitions: Any = setup(use=[Hall]).definitions
        runtime = Runtime(definitions, store, clock=clock, pusher=ApiGatewayPusher(posts))
        target = ByKey(Address("default", "hall", ("a",)), create=True)
        for number in range(connections):
            conn_id = f"Cbm5xfjK{number:07}="
            info = await runtime.dispatch(OpenConnection(target, conn_id, "events", HOST))
            await runtime.dispatch(Subscribe(info.actor_id, conn_id, "said", subscribe=True))
        for _ in range(_ROUNDS):
            api.posts = 0
            began, cpu = time.perf_counter(), time.process_time()
            await runtime.dispatch(CallAction(target, "say", ["hello"]))
            took = time.perf_counter() - began, time.process_time() - cpu
            if api.posts != connections:
                raise RuntimeError(f"{api.posts} posts for {connections} connections")
            best = min(best, took)
        await runtime.aclose()
    return best


def main() -> int:
    """Print what an event for a thousand connections takes; fail beyond the target."""
    seconds, cpu = asyncio.run(measure())
    print(f"an event for {CONNECTIONS} connections, {AT_ONCE} posts of 10 ms at once:")
    print(f"  {seconds * 1000:.0f} ms, {cpu * 1000:.0f} ms of CPU (target: {TARGET_SECONDS:.0f} s)")
    return seconds > TARGET_SECONDS


if __name__ == "__main__":
    sys.exit(main())
