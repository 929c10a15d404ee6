"""The documentation is complete and current: every name, hook, option and code has its entry."""

import re
import shlex
from pathlib import Path

import pytest

import rivetless
import rivetless.client
from rivetless.actor.body import HOOKS, LATER
from rivetless.actor.options import OPTION_NAMES
from rivetless.cli.main import make_parser
from rivetless.errors import CODES, GROUPS
from tests.docs import reference

ROOT = reference.ROOT
PAGES = reference.pages()
SNIPPET = re.compile(r'--8<-- "(?P<path>[^":]+)(?::(?P<section>[\w-]+))?"')
CODE = re.compile(r"^ *```(?P<language>\w+).*?\n(?P<code>.*?)^ *```", re.DOTALL | re.MULTILINE)


def text(name: str) -> str:
    return (reference.DOCS / name).read_text(encoding="utf-8")


def cells(page: str) -> set[str]:
    """Return what stands in code in the first cells of a page's tables."""
    rows = re.findall(r"^\| (?P<cell>.*?) \|", page, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def name_of(path: Path) -> str:
    return path.relative_to(reference.DOCS).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_tables_are_current(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == reference.filled(page), "run scripts/reference"


def test_every_table_is_shown_somewhere() -> None:
    shown = {
        name
        for path in PAGES
        for name in re.findall(r"<!-- made from the code: ([\w-]+) -->", path.read_text("utf-8"))
    }
    assert shown == set(reference.TABLES)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_hold_no_code_of_their_own(path: Path) -> None:
    for block in CODE.finditer(path.read_text(encoding="utf-8")):
        if block["language"] not in ("sh", "text"):
            lines = [line for line in block["code"].splitlines() if line.strip()]
            assert all(SNIPPET.search(line) for line in lines), block[0]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_that_are_shown_work(path: Path) -> None:
    for block in CODE.finditer(path.read_text(encoding="utf-8")):
        if block["language"] != "sh":
            continue
        for line in block["code"].splitlines():
            words = shlex.split(line, comments=True)
            if ">" in words:
                words = words[: words.index(">")]  # the rest is for the shell
            if words[:1] == ["rivetless"]:
                make_parser().parse_args(words[1:])
            elif words and words[0].startswith("scripts/"):
                assert (ROOT / words[0]).is_file()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_snippets_exist(path: Path) -> None:
    for match in SNIPPET.finditer(path.read_text(encoding="utf-8")):
        source = (ROOT / match["path"]).read_text(encoding="utf-8")
        if match["section"] is not None:
            for end in ("start", "end"):
                assert re.search(rf"--8<-- \[{end}:{match['section']}\]", source), match[0]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_page_is_in_the_navigation(path: Path) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert re.search(rf"(^|\s){re.escape(name_of(path))}$", navigation, re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|link|iframe)|!\[[^\]]*\]\(https?:", page)


@pytest.mark.parametrize("name", rivetless.__all__)
def test_public_name_has_an_entry(name: str) -> None:
    page = text("reference/api.md")
    assert re.search(rf"^        - {name}$|`rivetless\.{name}`", page, re.MULTILINE)


@pytest.mark.parametrize("name", rivetless.client.__all__)
def test_public_name_of_the_client_has_an_entry(name: str) -> None:
    page = text("reference/api.md")
    assert re.search(
        rf"^::: rivetless\.client\.\w+\.{name}$|`rivetless\.client\.{name}`", page, re.M
    )


@pytest.mark.parametrize("hook", sorted(HOOKS.keys() - LATER))
def test_hook_has_an_entry(hook: str) -> None:
    assert any(cell.partition("(")[0] == hook for cell in cells(text("reference/options.md")))


@pytest.mark.parametrize("option", [*OPTION_NAMES, "name", "display_name", "icon", "abstract"])
def test_class_option_has_an_entry(option: str) -> None:
    assert option in cells(text("reference/options.md"))


@pytest.mark.parametrize("name", sorted(LATER))
def test_missing_member_is_told_of(name: str) -> None:
    assert re.search(rf"`(self\.)?{name}`", text("not-there-yet.md"))


@pytest.mark.parametrize("name", sorted(CODES.keys() | reference.raised()))
def test_error_code_has_one_entry(name: str) -> None:
    assert text("reference/errors.md").count(f'<a id="{name}"></a>') == 1


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_error_group_has_an_entry(group: str) -> None:
    assert group in cells(text("reference/errors.md"))


@pytest.mark.parametrize("name", sorted(reference.client_codes()))
def test_client_code_has_an_entry(name: str) -> None:
    assert name in cells(text("reference/errors.md"))
    assert name in cells(text("clients/python.md"))


def test_codes_that_are_raised_are_found() -> None:
    # Made in three ways: by name, by a helper of `errors`, by hand.
    assert {"actor.conflict", "actor.not_found", "feature.unsupported"} <= reference.raised()
    assert "queue.completion_waiter_conflict" not in reference.raised()


@pytest.mark.parametrize("command", reference.commands())
def test_command_line_has_an_entry(command: str) -> None:
    page = text("aws/deploy.md" if command == "deploy" else "hosts/dev-server.md")
    assert f"rivetless {command}" in page
    told = {cell.partition(" ")[0] for cell in cells(page)}
    for action in reference.arguments_of(command):
        assert set(action.option_strings) <= told


def test_serve_is_dev_without_reload_and_aws() -> None:
    assert reference.cli_for("dev").count("\n") == reference.cli_for("serve").count("\n") + 2


def variables() -> set[str]:
    """Return the environment variables that the package names."""
    names: set[str] = set()
    for path in reference.PACKAGE.rglob("*.py"):
        if "dynamodb" not in path.parts:
            names |= set(re.findall(r'"(RIVET(?:LESS)?_[A-Z_]+)"', path.read_text("utf-8")))
    return names


@pytest.mark.parametrize("variable", sorted(variables()))
def test_environment_variable_has_an_entry(variable: str) -> None:
    assert variable in cells(text("reference/environment.md"))


def test_script_makes_the_tables() -> None:
    script = (ROOT / "scripts" / "reference").read_text(encoding="utf-8")
    assert f"-m {reference.__name__} " in script
    assert reference.main(["--check"]) == 0
