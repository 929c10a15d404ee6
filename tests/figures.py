"""What tests with real faults saw: how many faults, how many commits, how many of them were lost.

A pytest plugin, loaded by ``tests/conftest.py``. Tests tell numbers, which are added up by section
and shown at the end; ``--figures FILE`` keeps them, for ``scripts/soak``. ``--real-faults N`` makes
the tests that ask for ``rounds`` long.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

PROPERTY: Final = "rivetless-figures"


class Figures:
    """Takes down what a test saw.

    Attributes:
        rounds: how many faults were asked for on the command line, if any.
    """

    def __init__(self, node: pytest.Item, rounds: int | None) -> None:
        self._node = node
        self.rounds = rounds

    def at_least(self, few: int) -> int:
        """Return how many faults to make: so few, or as many as were asked for."""
        return few if self.rounds is None else self.rounds

    def tell(self, section: str, **numbers: int) -> None:
        """Add numbers to a section's."""
        self._node.user_properties.append((PROPERTY, json.dumps([section, numbers])))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return what takes down what this test sees."""
    return Figures(request.node, asked_for(request.config))


def asked_for(config: pytest.Config) -> int | None:
    """Return how many faults the command line wants."""
    rounds: int | None = config.getoption("--real-faults")
    return rounds


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("rivetless' own proof")
    group.addoption(
        "--real-faults",
        type=int,
        metavar="N",
        help="how many kills, power cuts, ... a test makes; the default is a few",
    )
    group.addoption("--figures", type=Path, metavar="FILE", help="where to keep what was seen")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to add up, in the process that reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Adding(config), "rivetless-figures")


class Adding:
    """The hooks that add up."""

    def __init__(self, config: pytest.Config) -> None:
        self._file: Path | None = config.getoption("--figures")
        self._seen: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test saw that has passed."""
        if report.when != "call" or not report.passed:
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                section, numbers = json.loads(str(value))
                self._seen.setdefault(section, Counter()).update(numbers)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the sums, and keep them."""
        if not self._seen:
            return
        terminalreporter.section("what tests with real faults saw")
        for section, numbers in sorted(self._seen.items()):
            shown = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in numbers.items())
            terminalreporter.write_line(f"{section}: {shown}")
        if self._file is not None:
            self._file.write_text(json.dumps(self._seen, indent=2) + "\n", encoding="utf-8")
