"""Every example is whole, told of, and served by ``scripts/dev``."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from rivetless import Actor
from rivetless.actor.base import MEMBERS
from rivetless.actor.body import HOOKS, LATER

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if (path / "test_example.py").is_file())
APPS = [name for name in FOLDERS if (EXAMPLES / name / "app.py").is_file()]
OWN = [path for path in EXAMPLES.rglob("*") if "node_modules" not in path.parts]
CONCEPTS = "".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "concepts").glob("*.md")
)


def test_there_are_examples() -> None:
    wanted = {"quickstart", "chat", "auth", "raw_http", "raw_websocket", "fastapi"}
    assert wanted <= set(APPS) <= set(FOLDERS)


def test_every_folder_is_an_example() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(FOLDERS)


@pytest.mark.parametrize("name", FOLDERS)
def test_example_is_told_of(name: str) -> None:
    assert (EXAMPLES / name / "README.md").is_file()
    assert f"({name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", APPS)
def test_example_is_served_with_all_others(name: str) -> None:
    served = import_module("examples.all").registry.definitions
    own = import_module(f"examples.{name}.app").registry.definitions
    assert own.keys() <= served.keys()


def test_commands_name_what_exists() -> None:
    for path in OWN:
        if path.name == "README.md":
            for module in re.findall(r"\bexamples(?:\.\w+)+", path.read_text(encoding="utf-8")):
                assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


def test_examples_are_typed() -> None:
    for path in OWN:
        if path.suffix == ".py":
            assert "type: ignore" not in path.read_text(encoding="utf-8"), path


def test_page_pins_its_packages_and_locks_nothing() -> None:
    web = EXAMPLES / "chat" / "web"
    package = json.loads((web / "package.json").read_text(encoding="utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    tests = json.loads((ROOT / "tests" / "clients" / "js" / "package.json").read_text("utf-8"))
    assert versions["rivetkit"] == tests["dependencies"]["rivetkit"]
    assert not (web / "package-lock.json").exists()


def test_page_loads_nothing_from_elsewhere() -> None:
    web = EXAMPLES / "chat" / "web"
    for path in (web / "index.html", *(web / "src").iterdir()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$\{location)", text), path


@pytest.mark.parametrize("member", sorted(MEMBERS - LATER))
def test_member_is_explained(member: str) -> None:
    assert hasattr(Actor, member)
    assert re.search(rf"`(self\.)?{member}\b|`[^`\n]*\b{member}`", CONCEPTS)


@pytest.mark.parametrize("hook", sorted(HOOKS.keys() - LATER))
def test_hook_is_explained(hook: str) -> None:
    assert f"`{hook}" in CONCEPTS
