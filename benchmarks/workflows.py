"""What steps of workflows cost in one process: CPU, commits and syncs; and how long a replay takes.

Time on a clock says little where other work shares the machine; CPU and counts say more.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import process_time
from typing import Final

from benchmarks.actors import Plan, Steps
from rivetless.client.client import Client
from rivetless.client.local import LocalTransport
from rivetless.clock import SystemClock, sleep
from rivetless.registry import setup
from rivetless.runtime.local import LocalDispatcher
from rivetless.runtime.runtime import Runtime
from rivetless.store.base import Collection, Head, Record, Store
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.stores import CountingStore
from rivetless.workflow.export import Export, replay
from rivetless.workflow.journal import Journal, read_entry

TARGET: Final = 0.050
"""Seconds of CPU that a replay of a thousand steps may take."""

PAUSE: Final = 0.01


class Cost:
    """What some workflows have cost.

    Attributes:
        cpu: seconds of CPU for each step.
        commits: commits for each step; with ``synchronous="full"`` each syncs the disk.
    """

    def __init__(self, cpu: float, commits: float) -> None:
        self.cpu = cpu
        self.commits = commits

    def __str__(self) -> str:
        return f"{self.cpu * 1000:.3f} ms of CPU and {self.commits:.3f} commits a step"


async def measure(store: Store, workflows: int, steps: int) -> tuple[Cost, Head, list[Record]]:
    """Run workflows at once; return what a step has cost, and one of them with its history."""
    counting, clock = CountingStore(store), SystemClock()
    runtime = Runtime(setup(use=[Steps]).definitions, counting, clock=clock)
    client = Client(transport=LocalTransport(LocalDispatcher(runtime, "default")))
    async with counting:
        began = process_time()
        handles = [
            await client.create(Steps, f"w{number}", input=Plan(steps=steps))
            for number in range(workflows)
        ]
        for handle in handles:
            while (await handle.progress()).done < steps:
                await sleep(clock, PAUSE)
        cpu = process_time() - began
        commits = counting.calls["commit"]
        await client.aclose()
        await runtime.aclose()
        (head, *_) = await store.list("default", "wf", limit=1)
        records = await store.records(head.actor_id, Collection.HISTORY)
    return Cost(cpu / (workflows * steps), commits / (workflows * steps)), head, records


async def replayed(head: Head, records: list[Record]) -> float:
    """Return how many seconds of CPU it takes to read and replay a history: the best of five."""
    times: list[float] = []
    for _ in range(5):
        began = process_time()
        journal = Journal(read_entry(record.key, record.data) for record in records)
        export = Export(head.actor_id, head.address, head.created_at, journal)
        different = await replay(Steps.__definition__, export)
        times.append(process_time() - began)
        if different is not None:
            raise AssertionError(different)
    return min(times)


def main() -> None:
    """Measure and print; fail if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="of all workflows together")
    options = parser.parse_args()
    for workflows in (1, 20):
        for kind in ("memory", "normal", "full"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "actors.db"
                store: Store = MemoryStore()
                if kind != "memory":
                    store = SQLiteStore(path, synchronous="full" if kind == "full" else "normal")
                cost, *_ = asyncio.run(measure(store, workflows, options.steps // workflows))
            print(f"{workflows} at once, {kind}: {cost}")
    missed = False
    for steps in (1000, 10_000):
        _, head, records = asyncio.run(measure(MemoryStore(), 1, steps))
        seconds = asyncio.run(replayed(head, records))
        late = seconds > TARGET * steps / 1000
        missed = missed or late
        verdict = "MISSED" if late else "reached"
        print(
            f"replay of {steps:,} steps: {seconds * 1000:.0f} ms of CPU; "
            f"{verdict}: at most {TARGET * steps:.0f} ms"
        )
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
