"""The unmodified npm client in headless Chromium, over HTTP/2, from a foreign page too."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.browser.browser import Browser
from tests.servers import ROOT, ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.timeout(120)]

FOLDER: Final = Path(__file__).parent / "js"
BUNDLER: Final = ROOT / "examples" / "chat" / "web" / "node_modules" / ".bin" / "rolldown"
APP: Final = "tests.behaviour.actors:registry"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page's script, with the client in it."""
    bundle = tmp_path_factory.mktemp("bundle") / "page.js"
    options = ["--format", "iife", "--platform", "browser", "--file", str(bundle)]
    command = [str(BUNDLER), "page.mjs", *options]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle.read_text()


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A server with HTTP/2, and one without, for a page of another origin."""
    folder = tmp_path_factory.mktemp("https")
    with (
        ServerProcess(APP, "memory:", folder / "https.txt", https=True) as https,
        ServerProcess(APP, "memory:", folder / "http.txt") as http,
    ):
        yield https, http


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize(
    ("origin", "encoding"),
    [("same", "json"), ("same", "cbor"), ("same", "bare"), ("other", "bare")],
)
def test_a_page(
    browser: Browser,
    script: str,
    servers: tuple[ServerProcess, ServerProcess],
    origin: str,
    encoding: str,
) -> None:
    https, http = servers
    name = f"{origin} {encoding}"
    browser.open(name, (https if origin == "same" else http).endpoint + "/")
    call = f"\nrunPage({https.endpoint!r}, {encoding!r})"
    seen = browser.do("evaluate", page=name, script=script + call)
    browser.do("close", page=name)
    protocols = seen.pop("protocols")
    assert seen == {
        "actions": [5, 6, 6],
        "resolved": 30,
        "byId": 6,
        "created": 0,
        "bytes": [0, 255],
        "error": {
            "group": "user",
            "code": "not_today",
            "message": "Not today.",
            "metadata": {"count": 7},
        },
        "fetched": {"method": "POST", "query": "q=1", "body": "text"},
        "said": [1, 2],
        "me": "Zoë 💙",
        "heard": ["one", "two"],
        "raw": ["hello from /websocket/echo", "back"],
    }
    if origin == "same":
        # A page does not learn how it reached another origin.
        assert protocols == ["h2"]
