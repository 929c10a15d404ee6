"""The README shows what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

INCLUDE = re.compile(
    r"<!-- include (?P<path>\S+) -->\n```\w+\n(?P<code>.*?)```\n<!-- end -->", re.DOTALL
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


INCLUDED = list(INCLUDE.finditer(README))


@pytest.mark.parametrize("match", INCLUDED, ids=lambda match: match["path"])
def test_included_code_is_the_file(match: re.Match[str]) -> None:
    assert match["code"] == (ROOT / match["path"]).read_text(encoding="utf-8")


def test_quickstart_is_included() -> None:
    assert "examples/quickstart/app.py" in [match["path"] for match in INCLUDED]


@pytest.mark.parametrize("script", sorted(set(re.findall(r"scripts/[\w-]+", README))))
def test_named_script_exists(script: str) -> None:
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("target", sorted(set(LINK.findall(README))))
def test_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_first_commands_are_dev_and_test() -> None:
    commands = re.findall(r"^scripts/[\w-]+", README, re.MULTILINE)
    assert commands[:2] == ["scripts/dev", "scripts/test"]
