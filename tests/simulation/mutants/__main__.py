"""Looks for all mutants, or some: ``scripts/mutants [NAME...]``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.mutants.catalogue import MUTANTS, find
from tests.simulation.mutants.hunting import (
    FOUND,
    MOST_SEEDS,
    Trail,
    hunt,
    likely,
    read_trails,
    workloads,
    write_trails,
)


def main() -> int:
    """Hunt, and write down what was found."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these mutants; all by default")
    parser.add_argument("--missing", action="store_true", help="those that have no seed yet")
    parser.add_argument("--among", nargs="*", metavar="WORKLOAD", help="look there only")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="the longest search")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    trails = read_trails() if FOUND.exists() else {}
    names = options.names or [each.name for each in MUTANTS]
    if options.missing:
        names = [name for name in names if name not in trails]
    trails = {name: trail for name, trail in trails.items() if name not in names}
    unfound: list[str] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        hunts = {pool.submit(_hunt, name, options.among, options.seeds): name for name in names}
        for done in as_completed(hunts):
            name, (trail, seconds) = hunts[done], done.result()
            if trail is None:
                unfound.append(name)
                _tell(f"{name}: not found in {seconds:.0f} s")
                continue
            trails[name] = trail
            share = f"{trail.hits} of {trail.tries}"
            _tell(f"{name}: {trail.workload} on {trail.store}, {share}: {trail.shows}")
            write_trails({known: trails[known] for known in trails if _exists(known)})
    _tell(f"{len(names) - len(unfound)} of {len(names)} found")
    return 1 if unfound else 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _exists(name: str) -> bool:
    return any(each.name == name for each in MUTANTS)


def _hunt(name: str, among: list[str] | None, seeds: int) -> tuple[Trail | None, float]:
    began = time.perf_counter()
    everything = workloads()
    places = [everything[each] for each in among] if among else likely(find(name))
    trail = hunt(find(name), places, seeds)
    return trail, time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
