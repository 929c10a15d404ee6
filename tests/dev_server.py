"""``rivetless dev`` in a process of its own, started the way people start it."""

import subprocess
import sys
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parents[1]
COMMAND: Final = Path(sys.executable).with_name("rivetless")
STOP_SECONDS: Final = 15.0


class DevServer:
    """One server. After ``stop`` its port refuses connections until ``start``, as in real life.

    Args:
        app: what is served, as the command line takes it.
        store: URL of the store.

    Attributes:
        endpoint: where clients find it.
    """

    endpoint: str

    def __init__(self, app: str, store: str) -> None:
        self._app = app
        self._store = store
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [COMMAND, "dev", self._app, "--port", self._port, "--store", self._store],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            name, _, value = line.strip().partition(" ")
            if name == "clients":
                self.endpoint = value.strip()
                self._port = self.endpoint.rpartition(":")[2]
            elif name == "stop":
                return self
        raise RuntimeError("the server ended by itself:\n" + "".join(said))

    def stop(self) -> None:
        """Stop it politely; without effect when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate(timeout=STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
