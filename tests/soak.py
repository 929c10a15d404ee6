"""The long forms of the tests that prove the promises; ``scripts/soak`` runs them.

Each section is a run of pytest whose tests tell figures (``tests.figures``), or of a module that
tells them by itself. What the last run of each saw is kept in ``tests/soak.json``, with the commit
it was measured at, and ``docs/reliability.md`` shows it (``scripts/reference``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "tests" / "soak.json"


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a soak.

    Attributes:
        says: what it does.
        tests: files or folders that pytest runs.
        options: further ones of pytest's; ``{rounds}`` and ``{seeds}`` are filled in.
        program: the module that runs, and what it is always given.
    """

    says: str
    tests: tuple[str, ...]
    options: tuple[str, ...] = ("--real-faults", "{rounds}")
    program: tuple[str, ...] = ("pytest", "-q")


SECTIONS: Final[Mapping[str, Section]] = {
    "kills": Section("`kill -9` of processes that commit", ("tests/crash/test_kill_sqlite.py",)),
    "servers": Section("`kill -9` of servers under load", ("tests/processes/test_kill.py",)),
    "timers": Section("`kill -9` of a server with timers", ("tests/processes/test_timers.py",)),
    "power": Section("power cuts that discard unsynced writes", ("tests/crash/test_power_cut.py",)),
    "network": Section(
        "a proxy that breaks a fifth of all requests to DynamoDB",
        ("tests/processes/test_fault_proxy.py",),
    ),
    "freezes": Section(
        "processes that are stopped and wake too late", ("tests/processes/test_frozen.py",)
    ),
    "seeds": Section(
        "simulated schedules", ("tests/simulation",), ("--rivetless-seeds", "{seeds}")
    ),
    "mutation": Section(
        "small mistakes planted in the commit, the outbox, stored answers and queues",
        (),
        (),
        ("tests.mutation",),
    ),
}


def run(name: str, rounds: int, seeds: int, more: Sequence[str]) -> dict[str, Any] | None:
    """Run a section; return what is kept of it, or ``None`` where it has no tests yet."""
    section = SECTIONS[name]
    filled = [option.format(rounds=rounds, seeds=seeds) for option in section.options]
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "figures.json"
        command = [
            "-m",
            *section.program,
            *section.tests,
            *filled,
            "--figures",
            str(figures),
            *more,
        ]
        began = time.monotonic()
        ended = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
        seconds = round(time.monotonic() - began)
        seen = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    if ended.returncode == 5:  # pytest's way to say that there is nothing to run
        return None
    return {
        "commit": commit(),
        "on": datetime.now(UTC).date().isoformat(),
        "command": " ".join([section.program[0], *section.tests, *filled]),
        "seconds": seconds,
        "passed": ended.returncode == 0,
        "figures": seen,
    }


def commit() -> str:
    """Name the commit that is measured, with a ``+`` if there are changes besides."""
    return _git("rev-parse", "--short=12", "HEAD") + ("+" if _git("diff", "HEAD") else "")


def _git(*args: str) -> str:
    said = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True)
    return said.stdout.strip()


def results() -> dict[str, Any]:
    """Return what the last run of each section saw."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def rows() -> list[Sequence[str]]:
    """Return what the documentation shows of them."""
    kept = results()
    return [
        (
            f"`{name}`{'' if kept[name]['passed'] else ' **failed**'}",
            "<br>".join(
                f"{what}: " + ", ".join(f"{n.replace('_', ' ')} {c:,}" for n, c in seen.items())
                for what, seen in kept[name]["figures"].items()
            ),
            f"`{kept[name]['commit']}`",
            kept[name]["on"],
            f"{kept[name]['seconds']:,} s",
        )
        for name in SECTIONS
        if name in kept
    ]


def main() -> int:
    """Run sections, and keep what they saw."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("section", nargs="*", help=f"one of {', '.join(SECTIONS)}; default all")
    parser.add_argument("--rounds", type=int, default=200, help="real faults of each kind")
    parser.add_argument("--seeds", type=int, default=100_000, help="simulated schedules a test")
    parser.add_argument("--pytest", default="", help="further options of pytest, e.g. '-n 2'")
    options = parser.parse_args()
    for name in options.section:
        if name not in SECTIONS:
            parser.error(f"there is no section {name!r}")
    failed: list[str] = []
    for name in options.section or SECTIONS:
        result = run(name, options.rounds, options.seeds, options.pytest.split())
        if result is None:
            continue
        kept = results() if RESULTS.exists() else {}
        kept[name] = result
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        if not result["passed"]:
            failed.append(name)
    if failed:
        sys.stderr.write(f"scripts/soak: failed: {', '.join(failed)}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
