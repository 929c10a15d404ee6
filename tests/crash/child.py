"""Processes that commit until they are killed.

Run as a script it reads one job a line, as JSON, and forks a child for each: to start Python anew
for every one of fifty would take a minute.
"""

import asyncio
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Self

from rivetless.store.sqlite import SQLiteStore
from rivetless.store.sqlite.store import Synchronous
from tests.crash.history import Acknowledged, write_own, write_shared

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Job:
    """What a child does.

    Attributes:
        path: the database file.
        pipe: the named pipe into which it writes what was acknowledged.
        name: begins the names of its writers; a new one for every child.
        synchronous: how it syncs.
    """

    path: str
    pipe: str
    name: str
    synchronous: Synchronous


class Child:
    """A process that commits. Entering starts it, leaving kills it.

    Attributes:
        order: what it has told so far.
    """

    def __init__(self, nursery: "Nursery", job: Job) -> None:
        self.order: list[Acknowledged] = []
        self._rest = b""
        os.mkfifo(job.pipe)
        self._pid = nursery.start(job)
        # Waits until the child has opened its end.
        self._pipe = os.open(job.pipe, os.O_RDONLY)

    def read(self) -> bool:
        """Wait for more; say whether it is still alive."""
        data = os.read(self._pipe, 65_536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            kind, name, number = line.decode().split()
            self.order.append((kind, name, int(number)))
        return bool(data)

    def read_until(self, count: int) -> None:
        """Wait until so many commits were acknowledged."""
        while len(self.order) < count and self.read():
            pass

    def read_for(self, seconds: float) -> None:
        """Wait until something was acknowledged, but no longer than this."""
        select.select([self._pipe], [], [], seconds)

    def kill(self) -> None:
        """Kill it, and read what it said before."""
        os.kill(self._pid, signal.SIGKILL)
        while self.read():
            pass
        os.close(self._pipe)


class Nursery:
    """Starts children, by a process that has loaded all they need."""

    def __init__(self, process: "Popen[str]") -> None:
        self._process = process

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Start the process, and stop it in the end."""
        command = [sys.executable, "-m", "tests.crash.child"]
        with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def start(self, job: Job) -> int:
        """Start a child; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


async def commit_for_ever(job: Job) -> None:
    """Commit, and write down what was acknowledged."""
    pipe = os.open(job.pipe, os.O_WRONLY)

    def tell(kind: str, name: str, number: int) -> None:
        os.write(pipe, f"{kind} {name} {number}\n".encode())

    async with SQLiteStore(job.path, synchronous=job.synchronous) as store:
        await asyncio.gather(
            *(write_own(store, f"{job.name}-{number}", tell) for number in range(6)),
            *(write_shared(store, f"{job.name}-s{number}", tell) for number in range(2)),
        )


def main() -> None:
    """Fork a child for every job."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job = Job(**json.loads(line))
        pid = os.fork()
        if not pid:
            asyncio.run(commit_for_ever(job))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
