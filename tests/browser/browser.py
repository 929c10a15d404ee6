"""Headless Chromium, driven through Node.js and playwright-core."""

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

FOLDER: Final = Path(__file__).parent
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


class BrowserError(AssertionError):
    """A page did not do what it should."""


class Browser:
    """A browser of its own, with an empty profile. Use it as a context manager.

    Args:
        profile: where its profile goes.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        executable = next(path for path in map(shutil.which, NAMES) if path is not None)
        self._process = subprocess.Popen(
            ["node", "driver.mjs", executable, str(self._profile)],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("launch")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def open(self, name: str, url: str) -> "Page":
        """Open a page in a tab of its own."""
        self.do("open", page=name, url=url)
        return Page(self, name)

    def told(self) -> list[str]:
        """Return what the pages wrote to their consoles since the last time."""
        told: list[str] = self.do("told")
        return told

    def do(self, command: str, **arguments: object) -> Any:
        """Run one command of the driver."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer(command)

    def _answer(self, command: str) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BrowserError(f"{command}: the browser is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(f"{command}: {answer['error']}")
        return answer.get("result")


class Page:
    """One page."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self._name = name

    def do(self, command: str, **arguments: object) -> Any:
        """Run one command of the driver on this page."""
        return self._browser.do(command, page=self._name, **arguments)

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        self.do("fill", selector=selector, text=text)

    def type(self, selector: str, text: str) -> None:
        """Press one key after the other."""
        self.do("type", selector=selector, text=text)

    def press(self, selector: str, key: str) -> None:
        """Press one key."""
        self.do("press", selector=selector, key=key)

    def click(self, selector: str) -> None:
        """Click something."""
        self.do("click", selector=selector)

    def wait(self, selector: str, state: str = "visible") -> None:
        """Wait until something is there (``visible``) or gone (``hidden``)."""
        self.do("wait", selector=selector, state=state)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of everything that matches."""
        texts: list[str] = self.do("texts", selector=selector)
        return texts

    def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page."""
        return self.do("evaluate", script=script)

    def screenshot(self, path: Path, *, width: int, height: int, scheme: str) -> None:
        """Take a picture in a given size and colour scheme."""
        self.do("size", width=width, height=height)
        self.do("scheme", scheme=scheme)
        self.do("screenshot", path=str(path))

    def close(self) -> None:
        """Close the tab."""
        self.do("close")
