"""That mutants are what they say, and are planted where they belong."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from tests.mutation import __main__ as mutation
from tests.mutation.operators import mutants_of
from tests.mutation.trying import ROOT, functions_of, plant


def changes(body: str) -> set[str]:
    """Return what is made of a function with that body."""
    source = "def f(a, b):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return {mutant.name.removeprefix("f: ") for mutant in mutants_of(ast.parse(source))}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if a < b: a()", {"a < b -> a <= b", "a < b -> not (a < b)", "a() -> nothing"}),
        ("if a is b: a()", {"a is b -> a is not b", "a() -> nothing"}),
        ("if not a: a()", {"not a -> a", "a() -> nothing"}),
        ("a = b and 1", {"b and 1 -> b or 1", "1 -> 2"}),
        ("a = b + 0.5", {"b + 0.5 -> b - 0.5", "0.5 -> 1.5"}),
        ("a += b", {"a += b -> nothing", "a += b -> a -= b"}),
        ("a.b = True", {"a.b = True -> nothing", "True -> False"}),
        ("a = [b for b in a if b]", {"b -> not b"}),
        ("return max(a, b)", {"return max(a, b) -> return None", "max(a, b) -> min(a, b)"}),
        ("while a: break", {"a -> not a", "break -> nothing"}),
        ("raise a", {"raise a -> nothing"}),
        ("a = 'code'", {"'code' -> 'code~'"}),
    ],
)
def test_what_is_changed(body: str, expected: set[str]) -> None:
    assert changes(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        '"""Said of the function."""',
        "a = 'text for people'",
        "a = f'{b:>5}: text for people'",
        "a.log.warning('lost', 1 + 1)",
        "a: 'int'",
        "return None",
        "pass",
    ],
)
def test_what_is_left_alone(body: str) -> None:
    assert changes(body) == set()


def test_what_is_run_before_a_function_is_left_alone() -> None:
    tree = ast.parse("class A:\n  b = 1 + 1\n  def f(self, c=1 + 1): ...\nd = 1 + 1")
    assert list(mutants_of(tree)) == []


def test_the_lines_of_a_mutant_are_those_of_its_statement() -> None:
    source = "def f(a):\n  if (a and\n    1):\n    return 2\n  return (\n    3)"
    lines = {m.was: list(m.lines) for m in mutants_of(ast.parse(source))}
    assert (lines["1"], lines["2"], lines["3"]) == ([2, 3], [4], [5, 6])


def test_a_mutant_is_planted_in_one_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        class A:
            @property
            def size(self): return 1

            @staticmethod
            def other(): return [1 for _ in range(1)]
    """
    file = tmp_path / "planted.py"
    file.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    import planted  # type: ignore[import-not-found]

    tree = ast.parse(file.read_text())
    mutant = next(m for m in mutants_of(tree) if m.name == "A.size: 1 -> 2")
    a = planted.A()
    assert (a.size, a.other()) == (1, [1])
    plant(mutant, tree, str(file), functions_of(str(file)))
    assert (a.size, a.other()) == (2, [1])


def test_the_mutants_said_to_change_nothing_are_there() -> None:
    for module, names in mutation.excluded().items():
        tree = ast.parse((ROOT / "rivetless" / module).read_text(encoding="utf-8"))
        assert names.keys() <= {mutant.name for mutant in mutants_of(tree)}, module
        assert all(names.values())


def test_what_is_kept_is_of_modules_that_are_there() -> None:
    every = [module for group in mutation.GROUPS.values() for module in group]
    kept = mutation.results()
    assert [*kept] == [module for module in every if module in kept]
    for module, seen in kept.items():
        assert (ROOT / "rivetless" / module).exists()
        assert seen["mutants"] == seen["killed"] + seen["timed out"] + seen["survived"]
        assert len(seen["survivors"]) == seen["survived"]
