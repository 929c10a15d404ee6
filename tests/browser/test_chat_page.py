"""The chat page in a real browser, against real processes."""

import functools
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.browser import Browser, Page
from tests.dev_server import ROOT, DevServer

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.timeout(120)]

WEB = ROOT / "examples" / "chat" / "web"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevServer]:
    with DevServer("examples.chat.app:registry", f"sqlite:{tmp_path / 'actors.db'}") as server:
        yield server


@pytest.fixture
def page_url(server: DevServer, tmp_path: Path) -> Iterator[str]:
    """Build the page for the server and serve it."""
    built = tmp_path / "page"
    subprocess.run(
        ["node", "node_modules/vite/bin/vite.js", "build", "--outDir", str(built), "--emptyOutDir"],
        cwd=WEB,
        env=os.environ | {"VITE_RIVET_ENDPOINT": server.endpoint},
        check=True,
        capture_output=True,
    )
    handler = functools.partial(QuietHandler, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as browser:
        yield browser


def join(browser: Browser, url: str, name: str) -> Page:
    page = browser.open(name, url)
    page.fill("#join input[name=name]", name)
    page.click("#join button")
    page.wait("#status[data-status=connected]")
    return page


def say(page: Page, text: str) -> None:
    page.fill("#composer textarea", text)
    page.press("#composer textarea", "Enter")


def test_page_has_the_right_types() -> None:
    subprocess.run(["node", "node_modules/typescript/bin/tsc", "--noEmit"], cwd=WEB, check=True)


def test_two_people_chat(server: DevServer, page_url: str, browser: Browser) -> None:
    ann = join(browser, page_url, "Ann")
    bob = join(browser, page_url, "Bob")
    for page in (ann, bob):
        page.wait("#members li:has-text('Ann')")
        page.wait("#members li:has-text('Bob')")

    say(ann, "Hello, who is there?")
    bob.wait(".bubble:has-text('Hello, who is there?')")
    ann.wait(".mine .bubble:has-text('Hello, who is there?')")

    bob.type("#composer textarea", "It is")
    ann.wait("#typing:has-text('Bob is typing')")
    bob.press("#composer textarea", "Enter")
    ann.wait(".bubble:has-text('It is')")
    ann.wait("#typing:has-text('typing')", "hidden")

    # Presence follows the tabs.
    bob.close()
    ann.wait("#members li:has-text('Bob')", "hidden")
    assert ann.texts("#members .name") == ["Ann"]
    assert browser.told() == []


def test_messages_outlive_the_server(server: DevServer, page_url: str, browser: Browser) -> None:
    ann = join(browser, page_url, "Ann")
    bob = join(browser, page_url, "Bob")
    say(ann, "before")
    bob.wait(".bubble:has-text('before')")

    server.stop()
    ann.wait("#status[data-status=disconnected], #status[data-status=connecting]")
    assert ann.texts("#status") == ["Reconnecting…"]
    assert ann.evaluate("document.querySelector('#composer button').disabled") is True
    server.start()
    for page in (ann, bob):
        page.wait("#status[data-status=connected]")
        page.wait("#members li:has-text('Ann')")
        page.wait("#members li:has-text('Bob')")

    say(bob, "after")
    ann.wait(".bubble:has-text('after')")
    assert ann.texts(".bubble") == ["before", "after"]


def test_rooms_are_apart_and_listed(server: DevServer, page_url: str, browser: Browser) -> None:
    ann = join(browser, page_url, "Ann")
    bob = join(browser, page_url, "Bob")
    ann.fill("#new-room input", "garden & shed")
    ann.press("#new-room input", "Enter")
    ann.wait("#title:has-text('garden & shed')")
    ann.wait("#status[data-status=connected]")
    bob.wait("#rooms a:has-text('garden & shed')")
    bob.wait("#members li:has-text('Ann')", "hidden")
    say(ann, "nobody hears this")
    ann.wait(".bubble")
    assert bob.texts(".bubble") == []
    bob.click("#rooms a:has-text('garden & shed')")
    bob.wait(".bubble:has-text('nobody hears this')")


def test_errors_are_shown(server: DevServer, page_url: str, browser: Browser) -> None:
    ann = join(browser, page_url, "Ann")
    say(ann, "x" * 1001)
    ann.wait(".toast:has-text('A message has at most 1000 characters.')")
    assert len(ann.evaluate("document.querySelector('#composer textarea').value")) == 1001
    # The page asks for a name; what it lets through, the actor still checks.
    ann.evaluate("sessionStorage.setItem('name', 'n'.repeat(99)); location.reload()")
    ann.wait("#join .problem")
    assert ann.texts("#join .problem") != [""]
