"""Tries mutants: each is planted in a fork of a process that has all tests at hand.

A pytest plugin, which runs in place of pytest's own loop. First it runs every test once, and notes
which lines each runs. A mutant's tests are those that run its function: first those that have found
its neighbours, then those that are about its module, and those that run its statement, until one
fails or they have taken as much time as a mutant gets. So a mutant costs a fork and, mostly, one
test of a few milliseconds.
"""

from __future__ import annotations

import ast
import gc
import json
import mmap
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final, Literal

import coverage
import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.operators import Mutant, mutants_of

ROOT: Final = Path(__file__).parent.parent.parent

LONGEST: Final = 1.5
"""Seconds a test may take; those that take longer are left out."""

HANGS: Final = (4.0, 20.0)
"""A test hangs that takes so many seconds more than, and so many times as long as without."""

NOT_PLANTED: Final = 3
"""What a child ends with in which the mutant could not be made."""

Functions = dict[tuple[str, int], list[FunctionType]]
"""Functions of a module by their qualified names and first lines."""

Outcome = Literal["killed", "timed out", "survived"]


Tell = Callable[[str, list[tuple[Mutant, Outcome]]], None]


@dataclass
class Seen:
    """What the tests do where nothing is planted.

    Attributes:
        seconds: how much time of the processor each test takes.
        left_out: those that are not used.
        lines: the tests that run each line, by file.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Seen:
        """Read what a process before this one has seen."""
        data = json.loads(file.read_text(encoding="utf-8"))
        lines = {
            name: {int(line): tests for line, tests in each.items()}
            for name, each in data["lines"].items()
        }
        return cls(data["seconds"], data["left_out"], lines)

    def write(self, file: Path) -> None:
        """Keep it for processes after this one."""
        file.write_text(json.dumps(vars(self)), encoding="utf-8")

    def rarity(self, file: str, lines: Iterable[int]) -> dict[str, float]:
        """Return how much of some lines each test runs; what few tests run counts for more."""
        found: dict[str, float] = defaultdict(float)
        for line in lines:
            tests = self.lines[file].get(line, ())
            for test in tests:
                if test in self.seconds:
                    found[test] += 1 / len(tests)
        return found

    def tests_of(self, file: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run some of the lines."""
        known = self.lines.get(file, {})
        return {test for line in lines for test in known.get(line, ()) if test in self.seconds}


class Trying:
    """The plugin.

    Args:
        files: the modules, from the repository's root.
        measured: the same, or more: those of which the tests' lines are noted.
        together: for each the modules that belong together: their tests come first.
        tell: is told what became of the mutants of each file.
        uses: says whether a test is used, by its id.
        wanted: says whether a mutant of a file is to be tried.
        budget: seconds of tests for a mutant that none of them finds.
        jobs: how many forks at a time.
        seen: what is known already of the tests.
    """

    def __init__(
        self,
        files: Sequence[str],
        measured: Sequence[str],
        together: Mapping[str, Sequence[str]],
        tell: Tell,
        uses: Callable[[str], bool],
        wanted: Callable[[str, Mutant], bool],
        budget: float,
        jobs: int,
        seen: Seen,
    ) -> None:
        self.files = files
        self.seen = seen
        self._tell = tell
        self._uses = uses
        self._measured = measured
        self._together = together
        self._wanted = wanted
        self._budget = budget
        self._jobs = jobs
        self._items: dict[str, pytest.Item] = {}

    def pytest_collection(self) -> None:
        """Have properties fail at once, the same way each time, rather than look for the least."""
        # Not before: pytest says at its start how hypothesis is to be loaded.
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile(
            "mutation", phases=phases, derandomize=True, deadline=None, max_examples=50
        )
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all, instead of running the tests."""
        self._items = {item.nodeid: item for item in session.items if self._uses(item.nodeid)}
        trees = {file: ast.parse((ROOT / file).read_text("utf-8")) for file in self.files}
        new = self._look()
        # What is frozen is not found any more.
        functions = {file: functions_of(str(ROOT / file)) for file in self.files}
        gc.collect()
        gc.freeze()
        self._check([name for name in new if name in self.seen.seconds])
        for file in self.files:
            self._tell(file, self._try_file(file, trees[file], functions[file]))
        return True

    # -- without a mutant -------------------------------------------------------------------------

    def _look(self) -> list[str]:
        """Run each test that is not known, and note what it runs; return their names.

        One that fails here with no mutant, or takes too long, is left out.
        """
        unknown = self._items.keys() - self.seen.seconds.keys() - set(self.seen.left_out)
        if not unknown:
            return []
        measuring = coverage.Coverage(
            data_file=None, include=[str(ROOT / file) for file in self._measured], config_file=False
        )
        measuring.start()
        for name in sorted(unknown):
            measuring.switch_context(name)
            began = time.process_time()
            passed = _passes(self._items[name])
            seconds = time.process_time() - began
            measuring.switch_context("")
            if passed and seconds <= LONGEST:
                self.seen.seconds[name] = seconds
            else:
                self.seen.left_out.append(name)
        measuring.stop()
        data = measuring.get_data()
        for file in self._measured:
            known = self.seen.lines.setdefault(file, {})
            for line, names in data.contexts_by_lineno(str(ROOT / file)).items():
                known[line] = sorted({*known.get(line, ()), *filter(None, names)})
        return sorted(unknown)

    def _check(self, tests: list[str]) -> None:
        """Leave out the tests that fail in a child in which nothing is planted."""
        while tests:
            number = Number()
            _, status = os.waitpid(self._fork(tests, number, lambda: None), 0)
            if not status:
                return
            failed = tests[number.get()]
            del self.seen.seconds[failed]
            self.seen.left_out.append(failed)
            tests = tests[number.get() + 1 :]

    # -- with one ---------------------------------------------------------------------------------

    def _try_file(
        self, file: str, tree: ast.Module, functions: Functions
    ) -> list[tuple[Mutant, Outcome]]:
        path, seen = ROOT / file, self.seen
        found = [m for m in mutants_of(tree) if self._wanted(file, m)]
        everywhere = seen.rarity(file, range(1, len(path.read_text("utf-8").splitlines()) + 1))
        own = tuple(f"/test_{Path(other).stem}.py::" for other in self._together[file])
        nearby: dict[str, dict[str, float]] = {}
        finders: dict[str, Counter[str]] = {"": Counter()}
        outcomes: dict[int, Outcome] = {}
        under_way: dict[int, tuple[int, list[str], Number]] = {}

        def reap() -> None:
            pid, status = os.waitpid(-1, 0)
            index, tests, number = under_way.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if code == 0:
                outcomes[index] = "survived"
                return
            if code == NOT_PLANTED:
                raise RuntimeError(f"{file}: {found[index].name} cannot be planted")
            outcomes[index] = "timed out" if code == -signal.SIGALRM else "killed"
            for name in ("", found[index].function):
                finders.setdefault(name, Counter())[tests[number.get()]] += 1

        for index, mutant in enumerate(found):
            near = finders.get(mutant.function, Counter())
            if mutant.function not in nearby:
                function = range(mutant.starts, mutant.ends + 1)
                nearby[mutant.function] = seen.rarity(file, function)
            rare = nearby[mutant.function]
            # Python 3.11 traces nothing in a coroutine into which something was thrown.
            there = seen.tests_of(file, mutant.lines)
            tests = sorted(
                (test for test in rare if test in self._items),
                key=lambda test: (
                    -near[test],
                    not any(name in test for name in own),
                    test not in there,
                    -finders[""][test],
                    -rare[test],
                    -everywhere[test],
                    test,
                ),
            )
            tests = _first(tests, seen.seconds, self._budget)
            if not tests:
                outcomes[index] = "survived"
                continue
            while len(under_way) >= self._jobs:
                reap()
            number, planting = Number(), partial(plant, mutant, tree, str(path), functions)
            under_way[self._fork(tests, number, planting)] = index, tests, number
        while under_way:
            reap()
        return [(mutant, outcomes[index]) for index, mutant in enumerate(found)]

    def _fork(self, tests: list[str], number: Number, planting: Callable[[], None]) -> int:
        """Run tests in a child until one fails; return its process id.

        Args:
            tests: their names.
            number: takes down which was the last.
            planting: plants a mutant there.
        """
        pid = os.fork()
        if pid:
            return pid
        code = NOT_PLANTED
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            planting()
            gc.disable()  # it would copy what the parent has
            code = 1
            for place, test in enumerate(tests):
                number.set(place)
                seconds = self.seen.seconds[test]
                signal.setitimer(signal.ITIMER_REAL, max(seconds + HANGS[0], seconds * HANGS[1]))
                if not _passes(self._items[test]):
                    break
            else:
                code = 0
        finally:
            os._exit(code)


class Number:
    """A number that a child tells its parent."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 4)

    def set(self, value: int) -> None:
        """Tell it."""
        self._shared[:4] = value.to_bytes(4, "little")

    def get(self) -> int:
        """Return what was told last, or 0."""
        return int.from_bytes(self._shared[:4], "little")


def _passes(item: pytest.Item) -> bool:
    reports = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def _first(tests: list[str], seconds: dict[str, float], budget: float) -> list[str]:
    """Return as many as fit into the budget, and one at least."""
    taken = 0.0
    for count, test in enumerate(tests):
        taken += seconds[test]
        if taken > budget and count:
            return tests[:count]
    return tests


def functions_of(path: str) -> Functions:
    """Find the functions of a loaded module by their qualified names and first lines."""
    found: Functions = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == path:
            code = one.__code__
            found.setdefault((code.co_qualname, code.co_firstlineno), []).append(one)
    return found


def plant(
    mutant: Mutant,
    tree: ast.Module,
    path: str,
    functions: Functions,
) -> None:
    """Give a function the code that it has with the mutant; for good."""
    mutant.make()
    whole = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    name = mutant.function, mutant.starts
    (code,) = [c for c in _codes(whole) if (c.co_qualname, c.co_firstlineno) == name]
    for function in functions[name]:
        function.__code__ = code


def _codes(code: CodeType) -> Iterable[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def try_all(
    files: Sequence[str],
    tests: Sequence[str],
    tell: Tell,
    *,
    uses: Callable[[str], bool],
    wanted: Callable[[str, Mutant], bool],
    budget: float,
    jobs: int,
    measured: Sequence[str],
    together: Mapping[str, Sequence[str]],
    known: Path | None = None,
) -> None:
    """Try mutants of some files with some tests.

    Args:
        files: the modules, from the repository's root.
        tests: what pytest collects.
        tell: is told what became of the mutants of each file.
        uses: says whether a test is used, by its id.
        wanted: says whether a mutant of a file is to be tried.
        budget: seconds of tests for a mutant that none of them finds.
        jobs: how many at a time.
        measured: the files of which the tests' lines are noted.
        together: for each the modules that belong together: their tests come first.
        known: keeps what the tests do, for further calls.
    """
    seen = Seen.read(known) if known is not None and known.exists() else Seen()
    trying = Trying(files, measured, together, tell, uses, wanted, budget, jobs, seen)
    options = ["-q", "-n0", "--timeout=0", "-p", "no:randomly", "-p", "no:cacheprovider"]
    code = pytest.main([*options, *tests], plugins=[trying])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"the tests do not run: {code}")
    if known is not None:
        seen.write(known)
