"""The public types, as mypy and pyright see them without plugins.

``reveal_type(x)  # assert-type: int`` must be revealed as that by both. A line with ``# error``
must be refused by both; a line without it by neither. So a mistake that goes unnoticed fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import pytest

CASES: Final = Path(__file__).parent / "cases"
ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted(CASES.glob("*.py"))

ASSERT_TYPE: Final = re.compile(r"# assert-type: (?P<type>.+?)\s*$")
ERROR: Final = re.compile(r"# error\b")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Seen:
    """What a checker said, by file name and line."""

    errors: dict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    revealed: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])


@cache
def mypy() -> Seen:
    command = ["mypy", "--no-error-summary", "--hide-error-context", "--show-absolute-path"]
    seen = Seen()
    pattern = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): (?P<kind>\w+): (?P<text>.*)")
    for line in run([*command, "--no-pretty", *map(str, FILES)]).splitlines():
        match = pattern.match(line)
        if match is None:
            continue
        where = (Path(match["file"]).name, int(match["line"]))
        text = match["text"]
        if match["kind"] == "error":
            seen.errors[where].append(text)
        elif text.startswith("Revealed type is "):
            seen.revealed[where] = text.removeprefix("Revealed type is ").strip('"')
    return seen


@cache
def pyright() -> Seen:
    # The project's configuration leaves the cases out; they have one of their own.
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable]
    report = json.loads(run([*command, "--project", str(CASES)]))
    seen = Seen()
    for item in report["generalDiagnostics"]:
        where = (Path(item["file"]).name, item["range"]["start"]["line"] + 1)
        text: str = item["message"]
        if item["severity"] == "error":
            seen.errors[where].append(text)
        elif match := re.fullmatch(r'Type of ".*" is "(.*)"', text, re.DOTALL):
            seen.revealed[where] = match[1]
    return seen


def run(command: list[str], *, module: bool = True) -> str:
    python = [sys.executable, "-m"] if module else [sys.executable]
    done = subprocess.run(
        [*python, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # A checker that found mistakes ends with 1; so does Python, but with a traceback.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


CHECKERS: Final = {"mypy": mypy, "pyright": pyright}


def simplify(revealed: str) -> str:
    """Leave out what the checkers write differently: modules, the kind of coroutine."""
    return re.sub(r"\b[A-Za-z_][\w]*\.(?=\w)", "", revealed).replace("CoroutineType", "Coroutine")


def lines() -> Iterator[tuple[tuple[str, int], str]]:
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield (path.name, number), line


def shown(found: Mapping[tuple[str, int], object]) -> str:
    return "\n".join(f"{name}:{line}: {text}" for (name, line), text in sorted(found.items()))


@pytest.mark.parametrize("checker", CHECKERS)
def test_types_are_what_they_should_be(checker: str) -> None:
    revealed = CHECKERS[checker]().revealed
    wrong = {
        where: f"expected {match['type']}, got {revealed.get(where)}"
        for where, line in lines()
        if (match := ASSERT_TYPE.search(line))
        and simplify(revealed.get(where, "nothing")) != match["type"]
    }
    assert not wrong, shown(wrong)


@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_are_refused(checker: str) -> None:
    errors = CHECKERS[checker]().errors
    missed = {where: line for where, line in lines() if ERROR.search(line) and not errors[where]}
    assert not missed, shown(missed)


@pytest.mark.parametrize("checker", CHECKERS)
def test_nothing_else_is_refused(checker: str) -> None:
    planted = {where for where, line in lines() if ERROR.search(line)}
    errors = CHECKERS[checker]().errors
    unexpected = {where: texts for where, texts in errors.items() if where not in planted and texts}
    assert not unexpected, shown(unexpected)


def test_what_the_checkers_accept_also_runs() -> None:
    # It prints what `reveal_type` sees; a DefinitionError would end it with a traceback.
    run(["-c", f"import runpy; runpy.run_path({str(CASES / 'actors.py')!r})"], module=False)
