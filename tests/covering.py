"""What the tests cover, branch by branch; ``scripts/coverage`` measures it.

Of the whole suite only those parts run that reach the packages with a floor: without a tracer they
take minutes, with one several times as long. Each part is a run of pytest that leaves its data
behind, so they may be measured one by one. The figures are kept in ``tests/coverage.json``, with
the commit they were measured at, and ``docs/reliability.md`` shows them (``scripts/reference``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests import soak

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "tests" / "coverage.json"
DATA: Final = ROOT / ".coverage.d"

FLOORS: Final[Mapping[str, float]] = {
    "rivetless/actor": 95.0,
    "rivetless/runtime": 95.0,
    "rivetless/store": 95.0,
}
"""Per cent of the branches of a package that tests must take."""

SEEDS: Final = 15
"""Simulated schedules of each workload on each store."""

PARTS: Final[Mapping[str, Sequence[str]]] = {
    "actors": ("tests/unit/actor", "tests/unit/test_keys.py", "tests/unit/test_serde.py"),
    "runtime": ("tests/unit/runtime", "--ignore-glob", "*/test_workflow*"),
    # Without what takes minutes to do the same again and again.
    "workflows": (
        "tests/unit/runtime",
        "-k",
        "test_workflow and not die_at_every_commit and not ten_thousand",
    ),
    "stores": ("tests/unit/store", "tests/contracts", "tests/golden", "-m", "not aws"),
    # The other cells take no branch that these do not.
    "behaviour": ("tests/behaviour", "-k", "rig-simulated"),
    "gateway": ("tests/unit/gateway",),
    "seeds": ("tests/simulation/test_seeds.py", "--rivetless-seeds", str(SEEDS)),
}
"""What pytest is given, by part."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was covered of a package.

    Attributes:
        branches: how many ways there are from its lines to others.
        taken: how many of them were taken.
        lines: how many lines there are.
        run: how many of them were run.
    """

    branches: int
    taken: int
    lines: int
    run: int

    @property
    def percent(self) -> float:
        """Per cent of the branches that were taken, never rounded up."""
        return self.taken * 10_000 // max(self.branches, 1) / 100


def measure(part: str, more: Sequence[str]) -> bool:
    """Run a part; say whether its tests passed."""
    folder = DATA / part
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # In one order, so that the figures of two runs differ by what has changed.
    pytest = ["-m", "pytest", "-q", "-n0", "-p", "no:randomly", "--timeout", "120"]
    command = [sys.executable, "-m", "coverage", "run", *pytest, *PARTS[part], *more]
    environ = {**os.environ, "COVERAGE_FILE": str(folder / ".coverage")}
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode == 0


def combine() -> dict[str, Any]:
    """Put together what all parts have left; write ``htmlcov/``; return what coverage says."""
    coverage = [sys.executable, "-m", "coverage"]
    folders = [str(DATA / part) for part in PARTS if (DATA / part).is_dir()]
    told = DATA / "told.json"
    for command in (
        ["combine", "--keep", "--quiet", *folders],
        ["html", "--quiet"],
        ["json", "--quiet", "-o", str(told)],
    ):
        subprocess.run([*coverage, *command], cwd=ROOT, check=True)
    said: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))["files"]
    return said


def figures_of(package: str, files: Mapping[str, Any]) -> Figures:
    """Add up what is said of a package's modules."""
    found = [file["summary"] for name, file in files.items() if name.startswith(f"{package}/")]
    names = ("num_branches", "covered_branches", "num_statements", "covered_lines")
    return Figures(*(sum(each[name] for each in found) for name in names))


def rows() -> list[Sequence[str]]:
    """Return what the documentation shows."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return [
        (
            f"`{package}`",
            f"{figures.percent:.2f} % of {figures.branches:,}",
            f"{figures.run / figures.lines:.2%} of {figures.lines:,}".replace("%", " %"),
            f"`{kept['commit']}`",
            kept["on"],
        )
        for package, numbers in kept["packages"].items()
        for figures in [Figures(**numbers)]
    ]


def main() -> int:
    """Measure parts, put all together, and say what is below its floor."""
    parser = argparse.ArgumentParser(prog="scripts/coverage", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"one of {', '.join(PARTS)}; default all")
    parser.add_argument("--combine", action="store_true", help="run none; use what is there")
    parser.add_argument("--pytest", default="", help="further options of pytest")
    options = parser.parse_args()
    for name in options.part:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}")
    failed = [
        part
        for part in ([] if options.combine else options.part or PARTS)
        if not measure(part, options.pytest.split())
    ]
    if failed:
        sys.stderr.write(f"scripts/coverage: tests failed in: {', '.join(failed)}\n")
    missing = [part for part in PARTS if not (DATA / part).is_dir()]
    if missing:
        sys.stderr.write(f"scripts/coverage: not measured yet: {', '.join(missing)}\n")
        return bool(failed)
    files = combine()
    packages = {package: figures_of(package, files) for package in FLOORS}
    kept = {
        "commit": soak.commit(),
        "on": datetime.now(UTC).date().isoformat(),
        "packages": {
            package: {name: getattr(found, name) for name in Figures.__slots__}
            for package, found in packages.items()
        },
    }
    if not failed:
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    low = 0
    for package, found in packages.items():
        below = found.percent < FLOORS[package]
        low += below
        sys.stdout.write(
            f"{package}: {found.taken:,} of {found.branches:,} branches, {found.percent:.2f} %"
            + (f", below {FLOORS[package]:.0f} %\n" if below else "\n")
        )
    return bool(failed or low)


if __name__ == "__main__":
    sys.exit(main())
