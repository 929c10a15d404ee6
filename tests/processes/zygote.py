"""Forks servers: Python and all imports are there already, so that one starts in milliseconds.

Run as a script it reads one job a line, as JSON: options of ``serve``; ``app``, what is served;
``speed``, how many times faster than the world's the server's clock runs; ``boto``, whether a
DynamoDB store sends through boto3. It answers with the process's id.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from subprocess import PIPE, Popen
from typing import IO, Any, Final, Self

from rivetless.aws.boto import BotoClient
from rivetless.aws.services import DYNAMODB
from rivetless.clock import Timer
from rivetless.registry import Registry
from rivetless.store.dynamodb import DynamoDBStore
from tests.servers import ROOT, ServerProcess

APPS: Final = (
    "tests.behaviour.actors:registry",
    "tests.processes.bank:registry",
    "tests.processes.vault:registry",
)
"""What is loaded before anybody asks for it."""

EPOCH: Final = 1_700_000_000.0


class FastClock:
    """A clock on which waiting is short. Those of all processes agree.

    Args:
        speed: seconds that pass on it in one second of the world's.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def now(self) -> float:
        """Return the instant."""
        return EPOCH + (time.time() - EPOCH) * self._speed

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back."""
        return asyncio.get_running_loop().call_later(seconds / self._speed, callback)


def load(app: str) -> Registry:
    """Return what is served."""
    module, _, name = app.partition(":")
    found: Registry = getattr(importlib.import_module(module), name)
    return found


def through_boto(url: str) -> DynamoDBStore:
    """Open the table of a URL, whatever the default client would be."""
    table, _, endpoint = url.removeprefix("dynamodb:").partition("?endpoint=")
    os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    return DynamoDBStore(table, client=BotoClient(DYNAMODB, endpoint=endpoint, region="us-east-1"))


def run(job: dict[str, Any]) -> None:
    """Be a server until killed."""
    registry = load(job.pop("app"))
    if job.pop("boto", False):
        job["store"] = through_boto(job["store"])
    speed = job.pop("speed", None)
    if speed is not None:
        job["clock"] = FastClock(speed)
    registry.serve(**job)


def main() -> None:
    """Fork a server for each line."""
    for app in APPS:
        load(app)
    # Nobody waits for the children: the system forgets them when they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            os.dup2(2, 1)
            try:
                run(json.loads(line))
            finally:
                os._exit(0)
        print(pid, flush=True)  # noqa: T201


class Zygote:
    """The process that forks."""

    def __enter__(self) -> Self:
        self._process = Popen(
            [sys.executable, "-m", "tests.processes.zygote"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=PIPE,
            stdout=PIPE,
            stderr=None,
            text=True,
            close_fds=False,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._answers.close()

    def fork(self, job: dict[str, object]) -> int:
        """Start a server and return its id."""
        self._orders.write(json.dumps(job) + "\n")
        self._orders.flush()
        return int(self._answers.readline())


class ForkedServer(ServerProcess):
    """A server that a zygote forks. It must be made before the zygote is entered, which inherits
    its port.
    """

    zygote: Zygote

    def launch(self) -> None:
        """Start the process without waiting for it."""
        job = {"app": self.app, "fd": self._listening.fileno(), "store": self.store, "quiet": True}
        self.child: int | None = self.zygote.fork(job | self.options)

    def kill(self) -> None:
        """End it at once."""
        if self.child is not None:
            os.kill(self.child, signal.SIGKILL)
            self.child = None

    def freeze(self) -> None:
        """Stop it where it is, as a hypervisor does."""
        assert self.child is not None
        os.kill(self.child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, as if no time had passed."""
        assert self.child is not None
        os.kill(self.child, signal.SIGCONT)

    def stop(self) -> None:
        """End it at once, too: nothing waits for a polite end here."""
        self.kill()


if __name__ == "__main__":
    main()
