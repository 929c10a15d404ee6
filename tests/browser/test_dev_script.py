"""The README's first command: actors and the chat page, from one script."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.dev_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.timeout(120)]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@pytest.fixture
def dev(port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["scripts/dev", "--port", str(port), "--store", "memory:"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_serves_actors_and_page(dev: subprocess.Popen[str], port: int, tmp_path: Path) -> None:
    assert dev.stdout is not None
    page_url = actors_url = ""
    said: list[str] = []
    while not (page_url and actors_url):
        line = COLOUR.sub("", dev.stdout.readline())
        assert line, f"it ended: {''.join(said)}"
        said.append(line)
        if line.strip().startswith("chat page "):
            page_url = line.split()[-1]
        if line.strip().startswith("clients "):
            actors_url = line.split()[-1]
    assert actors_url == f"http://127.0.0.1:{port}"

    with Browser(tmp_path / "profile") as browser:
        page = browser.open("Ann", page_url)
        page.fill("#join input[name=name]", "Ann")
        page.click("#join button")
        page.wait("#status[data-status=connected]")
        page.fill("#composer textarea", "hello")
        page.press("#composer textarea", "Enter")
        page.wait(".bubble:has-text('hello')")

    # Ctrl+C goes to everything the terminal runs, and nothing may stay behind.
    os.killpg(dev.pid, signal.SIGINT)
    assert dev.wait(15) == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(dev.pid, 0)
