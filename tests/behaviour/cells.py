"""Where the behaviour suite runs: hosts, stores, encodings; and how many tests ran in each.

A pytest plugin, loaded by ``tests/conftest.py``: under xdist the process that counts collects
nothing, and so never meets the suite's own ``conftest.py``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

SUITE: Final = "tests/behaviour/"


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to run actors and to talk to them.

    Attributes:
        host: ``rig``: in this process, with a clock of its own; ``server``: a real server;
            ``lambda``: Lambda processes in the lab, behind its front.
        store: where actors last; ``simulated``: the store of DynamoDB over a simulated one.
        encoding: how the client writes.
    """

    host: str
    store: str
    encoding: str

    def __str__(self) -> str:
        return f"{self.host}-{self.store}-{self.encoding}"


STORES: Final = ("memory", "sqlite", "dynamodb")
ENCODINGS: Final = ("json", "cbor", "bare")
RIGS: Final = tuple(Cell("rig", store, "json") for store in (*STORES, "simulated"))
SERVERS: Final = tuple(Cell("server", store, enc) for store in STORES for enc in ENCODINGS)
LAMBDAS: Final = (Cell("lambda", "sqlite", "json"),)
CELLS: Final = (*RIGS, *SERVERS, *LAMBDAS)

# Why a test is left out of the cells on Lambda.
IN_MEMORY: Final = pytest.mark.not_on_lambda("it counts on the memory of one process")
RESIDENT: Final = pytest.mark.not_on_lambda("nothing runs while nobody calls")
UNEXPLAINED_CLOSE: Final = pytest.mark.not_on_lambda("API Gateway closes with no code of ours")
SORTED: Final = pytest.mark.not_on_lambda("API Gateway sorts nothing that two processes send")
WITHIN_128_KB: Final = pytest.mark.not_on_lambda("API Gateway takes text, 32 KB in, 128 KB out")
WITHIN_6_MB: Final = pytest.mark.not_on_lambda("Lambda takes and returns 6 MB")


def parameters(cells: Sequence[Cell]) -> list[pytest.ParameterSet]:
    """Return cells as a fixture's parameters, marked with what they need."""
    return [
        pytest.param(
            cell, id=str(cell), marks=[pytest.mark.aws] if cell.store == "dynamodb" else []
        )
        for cell in cells
    ]


class Tally:
    """Counts the tests that ran in each cell.

    Attributes:
        ran: by cell.
        features: the same, by test file and cell.
    """

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.features: dict[str, Counter[str]] = {}

    def note(self, report: pytest.TestReport) -> None:
        """Count a test that was really run."""
        if report.when != "call" or report.skipped or not report.nodeid.startswith(SUITE):
            return
        file, _, rest = report.nodeid.removeprefix(SUITE).partition("::")
        parameters = rest.partition("[")[2].removesuffix("]")
        for cell in map(str, CELLS):
            if cell in parameters:
                self.ran[cell] += 1
                feature = Path(file).stem.removeprefix("test_")
                self.features.setdefault(feature, Counter())[cell] += 1

    @property
    def empty(self) -> list[str]:
        """The cells in which nothing ran."""
        return [str(cell) for cell in CELLS if not self.ran[str(cell)]]

    def table(self) -> list[str]:
        """Return what is shown: a line for each feature, a column for each cell."""
        names = [str(cell) for cell in CELLS]
        width = max(map(len, (*self.features, "tests in all")))
        lines = ["".ljust(width) + "  " + "  ".join(names)]
        for feature, counts in (*sorted(self.features.items()), ("tests in all", self.ran)):
            cells = [
                (str(counts[name]) if counts[name] else "-").rjust(len(name)) for name in names
            ]
            lines.append(feature.ljust(width) + "  " + "  ".join(cells))
        return lines


TALLY: Final = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count, in the process that reports."""
    if not hasattr(config, "workerinput"):
        config.stash[TALLY] = Tally()
        config.pluginmanager.register(Counting(config), "rivetless-cells")


class Counting:
    """The hooks that count."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tally = config.stash[TALLY]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        self._tally.note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run of the whole suite that left a cell empty."""
        if self._tally.ran and self._tally.empty and self._is_whole():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table."""
        if not self._tally.ran:
            return
        terminalreporter.section("behaviour: tests run in each cell (host-store-encoding)")
        for line in self._tally.table():
            terminalreporter.write_line(line)
        if self._tally.empty:
            text = f"no test ran in: {', '.join(self._tally.empty)}"
            colour = {"red": True} if self._is_whole() else {"yellow": True}
            terminalreporter.write_line(text, **colour)

    def _is_whole(self) -> bool:
        """Tell whether nobody asked for a part of the suite only."""
        option = self._config.option
        narrowed = option.keyword or option.markexpr or getattr(option, "lf", False)
        return not narrowed and not any(
            "::" in argument or argument.endswith(".py") for argument in self._config.args
        )
