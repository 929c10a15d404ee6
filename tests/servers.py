"""Real servers in processes of their own, for tests of real sockets, real kills, real restarts."""

import http.client
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).parent.parent
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.1
SHORT_SECONDS: Final = 0.002
RECYCLED: Final = "every process starts cold again"


class ServerProcess:
    """A registry served by a process of its own.

    The port is this process's and stays open while the server is down: who connects meanwhile
    waits, as behind a socket of systemd's, instead of being refused.

    Args:
        app: what is served, ``module:registry``.
        store: where actors last, as ``serve`` takes it.
        log: where the server's output goes.
        options: further options of ``serve``.

    Attributes:
        variables: environment variables of its own.
    """

    def __init__(self, app: str, store: str, log: Path, **options: object) -> None:
        self.app = app
        self.store = store
        self.log = log
        self.options = options
        self.variables: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listening.set_inheritable(True)
        self.port: int = self._listening.getsockname()[1]

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http{'s' if self.options.get('https') else ''}://127.0.0.1:{self.port}"

    def command(self, descriptor: int) -> list[str]:
        """Return the arguments of Python that serve on a descriptor."""
        module, _, name = self.app.partition(":")
        options = {"fd": descriptor, "store": self.store, **self.options}
        code = f"from {module} import {name} as registry; registry.serve(**{options!r})"
        return ["-c", code]

    def launch(self) -> None:
        """Start the process without waiting for it."""
        descriptor = self._listening.fileno()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.command(descriptor)],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | self.variables,
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        if self.options.get("https"):
            context = ssl._create_unverified_context()
            conn: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=START_SECONDS, context=context
            )
        else:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            conn.request("GET", "/health")
            for _ in range(round(START_SECONDS / POLL_SECONDS)):
                if select.select([conn.sock], [], [], POLL_SECONDS)[0]:
                    break
                if self._process is not None and self._process.poll() is not None:
                    raise RuntimeError(f"the server ended by itself:\n{self.output()}")
            conn.getresponse().read()
        except OSError as error:
            raise RuntimeError(f"the server did not come up:\n{self.output()}") from error
        finally:
            conn.close()

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

    def close(self) -> None:
        """Stop it and give the port back."""
        try:
            self.stop()
        finally:
            self._listening.close()

    def output(self, last: int | None = 10_000) -> str:
        """Return what the server wrote, or the last part of it."""
        text = self.log.read_text(errors="replace")
        return text if last is None else text[-last:]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class LabProcess(ServerProcess):
    """``rivetless dev --aws``: the same actors in Lambda processes, behind API Gateway."""

    def command(self, descriptor: int) -> list[str]:
        """Return the arguments of Python that serve on a descriptor."""
        store = ["--store", self.store, "--fd", str(descriptor)]
        return ["-m", "rivetless.cli", "dev", self.app, "--aws", *store]

    def recycle(self) -> None:
        """Let every Lambda process end after what it is doing, as a deployment does."""
        if self._process is None:
            return
        done = self.output(None).count(RECYCLED)
        self._process.send_signal(signal.SIGHUP)
        for _ in range(round(START_SECONDS / SHORT_SECONDS)):
            if self.output(None).count(RECYCLED) > done:
                return
            time.sleep(SHORT_SECONDS)
        raise RuntimeError(f"the lab did not recycle:\n{self.output()}")
