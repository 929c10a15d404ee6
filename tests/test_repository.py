"""What holds for every file of the repository."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import rivetless

ROOT = Path(__file__).parent.parent

# In pieces, so that this file passes its own test.
REGISTRIES = ("py" + "pi.org", "pythonhosted" + ".org", "npm" + "js.org", "deb.debian" + ".org")
MACHINE_PATHS = ("/" + "root/", "/" + "work/main", "/home" + "/")


def tracked_files() -> list[Path]:
    """Return the text files that are in the repository, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    suffixes = {".ico", ".png", ".gif", ".bin", ".woff2"}
    paths = (ROOT / name for name in listed.splitlines())
    return [path for path in paths if path.is_file() and path.suffix not in suffixes]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    return tracked_files()


@pytest.mark.parametrize("needle", REGISTRIES + MACHINE_PATHS)
def test_no_file_names_a_registry_or_a_machine(needle: str, files: list[Path]) -> None:
    named = [str(path.relative_to(ROOT)) for path in files if needle.encode() in path.read_bytes()]
    assert named == []


def test_declared_pythons_are_those_of_the_matrix() -> None:
    prefix = "Programming Language :: Python :: 3."
    classifiers = project()["project"]["classifiers"]
    declared = [name.rpartition(" ")[2] for name in classifiers if name.startswith(prefix)]
    matrix = (ROOT / "scripts" / "matrix").read_text(encoding="utf-8")
    tested = re.search(r"^for version in (.+); do$", matrix, re.MULTILINE)
    assert tested is not None
    assert tested[1].split() == declared


def test_changelog_has_an_entry_to_come_and_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = headings[1:]
    assert not released or released[0] == rivetless.__version__


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_script_is_executable_posix_shell_with_a_purpose(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[1].startswith("# ")
    assert script.stat().st_mode & 0o111 == 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)
