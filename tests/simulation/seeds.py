"""Runs new seeds of all simulated tests, for as long as it is told: ``scripts/seeds [NAME...]``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count

from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.report import commit
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.stores import StoreKind
from tests.simulation.mutants.hunting import workloads

BATCH = 100
"""How many seeds of one test, on one kind of store, are run in a row."""


@dataclass(slots=True)
class Seen:
    """What some seeds have shown.

    Attributes:
        seeds: how many there were.
        calls: how many calls clients made.
        answered: how many of them were answered.
        seconds: CPU time that they took.
        faults: in how many of them each kind of fault happened.
        failed: those that failed, with the reason.
    """

    seeds: int = 0
    calls: int = 0
    answered: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter[str])
    failed: list[str] = field(default_factory=list[str])

    def add(self, other: Seen) -> None:
        """Add what others have shown."""
        self.seeds += other.seeds
        self.calls += other.calls
        self.answered += other.answered
        self.seconds += other.seconds
        self.faults += other.faults
        self.failed += other.failed

    def __str__(self) -> str:
        share = self.answered / max(self.calls, 1)
        cost = 1000 * self.seconds / max(self.seeds, 1)
        return (
            f"{self.seeds:,} seeds, {self.calls:,} calls, {share:.0%} answered, "
            f"{cost:.0f} ms a seed, {len(self.failed)} failed"
        )


def main() -> int:
    """Run seeds until the time is over; the answer says whether one failed."""
    parser = argparse.ArgumentParser(prog="scripts/seeds", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of tests; all by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument(
        "--from", type=int, dest="first", help="the first seed; new ones by default"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    first: int = int(time.time()) * 1000 if options.first is None else options.first
    end = time.monotonic() + options.seconds
    _tell(f"commit {commit()}, seeds from {first}")
    total = Seen()
    batches = _batches(options.names, first)
    with ProcessPoolExecutor(options.jobs) as pool:
        under_way: set[Future[Seen]] = set()
        while under_way or time.monotonic() < end:
            while len(under_way) < 2 * options.jobs and time.monotonic() < end:
                under_way.add(pool.submit(_run, *next(batches)))
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for each in done:
                seen = each.result()
                for line in seen.failed:
                    _tell(line)
                total.add(seen)
    _tell(str(total))
    for kind, number in total.faults.most_common():
        _tell(f"  {kind}: in {number / max(total.seeds, 1):.0%} of the seeds")
    return 1 if total.failed else 0


def _batches(names: list[str], first: int) -> Iterator[tuple[str, StoreKind, int]]:
    """Yield what to run next, without an end."""
    chosen = [
        (name, store)
        for name, workload in workloads().items()
        if not names or any(part in name for part in names)
        for store in workload.simulated.stores
    ]
    if not chosen:
        raise SystemExit("there is no such test")
    for start in count(first, BATCH):
        for name, store in chosen:
            yield name, store, start


def _run(name: str, store: StoreKind, start: int) -> Seen:
    """Run some seeds of one test."""
    workload = workloads()[name]
    seen, began = Seen(), time.process_time()
    for seed in range(start, start + BATCH):
        done = run(workload.scenario, workload.simulated.deployment, Plan(seed=seed), store)
        seen.seeds += 1
        seen.calls += len(done.history.operations)
        seen.answered += sum(one.ok for one in done.history.operations)
        seen.faults.update(kind.value for kind in done.counts)
        if done.failure is not None:
            said = str(done.failure).partition("\n")[0] or repr(done.failure)
            test = name.rpartition(".")[2]
            seen.failed.append(f"pytest -k '{test} and {store}' --rivetless-seed {seed}: {said}")
    seen.seconds = time.process_time() - began
    return seen


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
