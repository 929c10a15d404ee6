"""Real servers in processes of their own, for tests of real sockets, real kills, real restarts."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parent.parent
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A registry served by a process of its own.

    Args:
        app: what is served, ``module:registry``.
        store: where actors last, as ``serve`` takes it.
        log: where the server's output goes.
        port: where it listens; a free one by default. It stays the same over restarts.
        options: further options of ``serve``.
    """

    def __init__(
        self, app: str, store: str, log: Path, *, port: int | None = None, **options: object
    ) -> None:
        self.app = app
        self.store = store
        self.log = log
        self.port = port or free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http{'s' if self.options.get('https') else ''}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for it."""
        module, _, name = self.app.partition(":")
        options = {"port": self.port, "store": self.store, **self.options}
        code = f"from {module} import {name} as registry; registry.serve(**{options!r})"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended by itself:\n{self.output()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"the server did not come up:\n{self.output()}")

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait()
        return self

    def kill(self) -> None:
        """End it as the machine's failure would: at once, without a word."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it politely; by force if it does not go."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the server did not stop:\n{self.output()}") from None
        self._process = None

    def restart(self) -> Self:
        """Stop it politely and start it again."""
        self.stop()
        return self.start()

    def output(self) -> str:
        """Return what the server wrote."""
        return self.log.read_text(errors="replace")[-10_000:]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
