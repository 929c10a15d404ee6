"""The counting of cells itself: a suite that leaves one empty must fail."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.behaviour.cells import CELLS, TALLY, Counting, Tally


def report(cell: object, outcome: Any = "passed", when: Any = "call") -> pytest.TestReport:
    name = f"tests/behaviour/test_state.py::test_it[{cell}]"
    return pytest.TestReport(name, ("", 0, ""), {}, outcome, None, when)


def config(tally: Tally, *arguments: str, keyword: str = "") -> pytest.Config:
    stash = pytest.Stash()
    stash[TALLY] = tally
    option = SimpleNamespace(keyword=keyword, markexpr="", lf=False)
    made = SimpleNamespace(stash=stash, option=option, args=list(arguments))
    return cast("pytest.Config", made)


def finish(tally: Tally, *arguments: str, keyword: str = "") -> int:
    session = cast("pytest.Session", SimpleNamespace(exitstatus=0))
    counting = Counting(config(tally, *arguments, keyword=keyword))
    counting.pytest_sessionfinish(session)
    return int(session.exitstatus)


def test_what_ran_is_counted() -> None:
    tally = Tally()
    tally.note(report(CELLS[0]))
    tally.note(report(CELLS[0], "failed"))
    tally.note(report(CELLS[1], "skipped"))
    tally.note(report(CELLS[2], when="setup"))
    assert tally.ran == {str(CELLS[0]): 2}
    assert tally.empty == [str(cell) for cell in CELLS[1:]]
    assert any(line.split()[:2] == ["state", "2"] for line in tally.table())


def test_an_empty_cell_fails_the_run() -> None:
    tally = Tally()
    for cell in CELLS[:-1]:
        tally.note(report(cell))
    assert finish(tally, "tests") == pytest.ExitCode.TESTS_FAILED
    assert finish(tally) == pytest.ExitCode.TESTS_FAILED


def test_it_does_not_if_nobody_asked_for_the_whole() -> None:
    tally = Tally()
    tally.note(report(CELLS[0]))
    assert finish(tally, "tests/behaviour/test_state.py") == 0
    assert finish(tally, "tests/behaviour/test_state.py::test_it") == 0
    assert finish(tally, "tests", keyword="rig") == 0
    assert finish(Tally(), "tests/unit") == 0


def test_a_full_house_passes() -> None:
    tally = Tally()
    for cell in CELLS:
        tally.note(report(cell))
    assert finish(tally, "tests") == 0
