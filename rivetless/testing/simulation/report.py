"""What is said of a seed that failed: enough to see it, and to see it again."""

from __future__ import annotations

import subprocess
import traceback
from pathlib import Path
from typing import Final

from rivetless.testing.simulation.runs import Run

__all__ = ["SimulationFailure", "commit", "describe"]

MOST_LINES: Final = 120
"""How many lines of a trace are shown; its end tells most."""


_WAYWARD: Final = (
    "",
    "It did not fail again: something in it depends on more than the seed. Take ids from",
    "`self.turn_id`, no time but the simulation's, and rely on the order of no set.",
)


class SimulationFailure(AssertionError):
    """A seed has failed; the text shows what happened.

    Attributes:
        seed: which.
        smallest: the smallest run that fails in the same way.
    """

    def __init__(self, text: str, smallest: Run) -> None:
        super().__init__(text)
        self.seed: Final = smallest.plan.seed
        self.smallest: Final = smallest


def describe(failed: Run, smallest: Run, replay: str) -> str:
    """Return the report of a failed seed.

    Args:
        failed: as it failed first.
        smallest: the smallest run found that fails alike.
        replay: the command that shows it again.
    """
    failure = smallest.failure
    said = "".join(traceback.format_exception_only(failure)).strip() if failure else ""
    return "\n".join(
        [
            f"seed {failed.plan.seed} fails on the {failed.store} store, at commit {commit()}",
            "",
            said,
            *(_WAYWARD if smallest is failed else ()),
            "",
            f"{_share(smallest, failed)}:",
            "",
            *_shown(smallest),
            "",
            f"again: {replay}",
        ]
    )


def _share(smallest: Run, failed: Run) -> str:
    calls, all_calls = len(smallest.history.operations), len(failed.history.operations)
    faults, all_faults = len(smallest.faults), len(failed.faults)
    return f"with {calls} of {all_calls} calls and {faults} of {all_faults} faults"


def _shown(run: Run) -> list[str]:
    lines = [str(line) for line in run.trace.lines]
    if len(lines) <= MOST_LINES:
        return lines
    return [f"({len(lines) - MOST_LINES} lines before)", *lines[-MOST_LINES:]]


def commit() -> str:
    """Return the git commit of the working directory, with a plus if files have changed since."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            cwd=Path.cwd(),
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.strip()
