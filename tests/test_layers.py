"""The shape of the package. Who may import whom is import-linter's part (see pyproject.toml)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rivetless"
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST = 650
"""Lines. A module that wants more is two modules; raising this must be a visible decision."""


def module_id(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_module_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{module_id(path)} has {lines} lines; split it by noun"


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{module_id(path)} has no docstring"


@pytest.mark.parametrize(
    "package", [path for path in MODULES if path.name == "__init__.py"], ids=module_id
)
def test_package_says_what_it_may_import(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    assert "import" in docstring, "say in two sentences what it is for and what it may import"


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in MODULES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
