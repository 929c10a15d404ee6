"""Plants small mistakes in the modules that keep the promises, and counts those that tests find.

Usage: python -m tests.mutation [MODULE...]      (scripts/soak mutation runs all)
What became of the mutants of each module is kept in tests/mutation/results.json, with those that
no test has found.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.mutation.operators import Mutant
from tests.mutation.trying import ROOT, Outcome, try_all

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.json"
EQUIVALENT: Final = HERE / "equivalent.json"

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "the commit": (
        "runtime/execution.py",
        "runtime/checkpoints.py",
        "runtime/transaction.py",
        "runtime/cell.py",
        "runtime/chain.py",
        "runtime/steps.py",
        "runtime/reconcile.py",
        "store/changes.py",
    ),
    "the outbox": ("runtime/outbox.py", "runtime/outgoings.py", "runtime/sending.py"),
    "stored answers": ("runtime/replies.py", "runtime/job.py"),
    "queues": (
        "runtime/queueing.py",
        "runtime/queues.py",
        "runtime/inbox.py",
        "runtime/messages.py",
        "runtime/replying.py",
    ),
}
"""The modules, below ``rivetless``."""

SLOW: Final = ("test_timer_chaos.py", "test_workflow")
TESTS: Final = (
    *sorted(
        str(file.relative_to(ROOT))
        for file in (ROOT / "tests/unit/runtime").glob("test_*.py")
        if not file.name.startswith(SLOW)
    ),
    "tests/unit/store/test_changes.py",
    "tests/behaviour",
)
"""What is to find them: tests of one process that wait for nothing outside of it."""


def uses(test: str) -> bool:
    """Leave out the behaviour suite's other hosts and stores."""
    return not test.startswith("tests/behaviour") or "[rig-memory-json" in test


ENOUGH: Final = 0.85
"""The part of the mutants of each group that has to be found."""


def excluded() -> dict[str, dict[str, str]]:
    """Return the mutants that change nothing, with why, by module."""
    found: dict[str, dict[str, str]] = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return found


def results() -> dict[str, Any]:
    """Return what became of the mutants of each module when they were last tried."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def figures() -> dict[str, dict[str, int]]:
    """Add the results up."""
    kept = results()
    sums: dict[str, dict[str, int]] = {}
    for group, modules in GROUPS.items():
        names = ("mutants", "killed", "timed out", "survived", "excluded")
        each = {n: sum(kept[m][n] for m in modules if m in kept) for n in names}
        found = each["killed"] + each["timed out"]
        each["per cent found"] = 100 * found // max(each["mutants"], 1)
        sums[f"mutants of {group}"] = each
    return sums


def main() -> int:
    """Try the mutants; fail where too few are found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("module", nargs="*", help="below rivetless/; default all of the list")
    parser.add_argument("--again", action="store_true", help="only those no test had found")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of tests for a mutant")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--known", type=Path, help="a file to keep what the tests do")
    parser.add_argument("--figures", type=Path, help="where to tell the sums")
    options = parser.parse_args()
    every = [module for group in GROUPS.values() for module in group]
    equivalent, last = excluded(), results()
    # By their names only: lines move.
    survivors = {m: {s.partition(": ")[2] for s in last[m]["survivors"]} for m in last}

    def wanted(file: str, mutant: Mutant) -> bool:
        module = file.removeprefix("rivetless/")
        if mutant.name in equivalent.get(module, {}):
            return False
        return not options.again or mutant.name in survivors[module]

    def tell(file: str, mutants: list[tuple[Mutant, Outcome]]) -> None:
        module = file.removeprefix("rivetless/")
        counts = Counter(outcome for _, outcome in mutants)
        before = last[module] if options.again else {}
        kept = results()
        kept[module] = {
            "mutants": before.get("killed", 0) + before.get("timed out", 0) + len(mutants),
            "killed": before.get("killed", 0) + counts["killed"],
            "timed out": before.get("timed out", 0) + counts["timed out"],
            "survived": counts["survived"],
            "excluded": len(equivalent.get(module, {})),
            "survivors": [f"{m.line}: {m.name}" for m, seen in mutants if seen == "survived"],
        }
        ordered = {each: kept[each] for each in every if each in kept}
        text = json.dumps(ordered, indent=1, ensure_ascii=False)
        RESULTS.write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"\n{module}: {len(mutants)} mutants, {dict(counts)}\n")
        sys.stdout.flush()

    try_all(
        [f"rivetless/{module}" for module in options.module or every],
        TESTS,
        tell,
        uses=uses,
        wanted=wanted,
        budget=options.budget,
        jobs=options.jobs,
        measured=[f"rivetless/{module}" for module in every],
        together={f"rivetless/{m}": group for group in GROUPS.values() for m in group},
        known=options.known,
    )
    sums = figures()
    if options.figures is not None:
        options.figures.write_text(json.dumps(sums), encoding="utf-8")
    return any(each["per cent found"] < 100 * ENOUGH for each in sums.values())


if __name__ == "__main__":
    sys.exit(main())
