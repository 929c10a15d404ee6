"""An execution environment: a Python process that handles one invocation at a time."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rivetless.testing.lambda_lab.runtime_api import Invocation, Outcome, RuntimeAPI, failure

__all__ = ["MAX_ANSWER_BYTES", "Environment", "EnvironmentState"]

MAX_ANSWER_BYTES: Final = 6_291_556
"""What a handler may answer: 6 MB and a little."""


class EnvironmentState(enum.Enum):
    """Where an environment is in its life.

    STARTING: the process is importing the application.
    IDLE: it has asked for an invocation; frozen, if the function freezes.
    BUSY: it is handling one.
    ENDED: the process is no more.
    """

    STARTING = enum.auto()
    IDLE = enum.auto()
    BUSY = enum.auto()
    ENDED = enum.auto()


class Environment:
    """One process, driven through the Lambda Runtime API.

    Args:
        number: which one of its function it is.
        command: what is run.
        variables: its environment variables, but for the Runtime API's address.
        folder: where it runs.
        freeze: whether to stop the process between invocations, as AWS does.
        changed: called when it has become idle or has ended.
        say: called with each line that it writes.

    Attributes:
        number: which one of its function it is.
        state: where it is in its life.
        came_up: whether it has ever been idle.
        invocations: how many it was given.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        *,
        freeze: bool,
        changed: Callable[[Environment], None],
        say: Callable[[str], None],
    ) -> None:
        self.number = number
        self.state = EnvironmentState.STARTING
        self.came_up = False
        self.invocations = 0
        self._command = command
        self._variables = variables
        self._folder = folder
        self._freeze = freeze
        self._changed = changed
        self._say = say
        self._api = RuntimeAPI(self)
        self._asked: asyncio.Future[Invocation] | None = None
        self._current: tuple[str, asyncio.Future[Outcome]] | None = None
        self._finished: Outcome | None = None
        self._broken: Outcome | None = None
        self._over = asyncio.Event()
        self._doomed = False
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """The process's id.

        Raises:
            ProcessLookupError: it has none, not yet or not any more.
        """
        if self._pid is None:
            raise ProcessLookupError(f"environment {self.number} has no process")
        return self._pid

    @property
    def breakdown(self) -> Outcome | None:
        """Why the process could not start, if it said so."""
        return self._broken

    async def start(self) -> None:
        """Have the process started; it becomes idle when it has imported the application."""
        address = await self._api.start()
        variables = {**self._variables, "AWS_LAMBDA_RUNTIME_API": address}
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._attend, args=(loop, variables), name=f"lambda-{self.number}", daemon=True
        ).start()

    def give(self, invocation: Invocation) -> asyncio.Future[Outcome]:
        """Have an invocation handled; the environment must be idle.

        The outcome is there when the process has asked for its next invocation, or has ended.
        """
        asked, self._asked = self._asked, None
        if self.state is not EnvironmentState.IDLE or asked is None:
            raise RuntimeError(f"environment {self.number} is not idle")
        self.state = EnvironmentState.BUSY
        self.invocations += 1
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._current = invocation.request_id, outcome
        if self._freeze:
            self.thaw()
        asked.set_result(invocation)
        return outcome

    def freeze(self) -> None:
        """Stop the process where it is, as AWS does between invocations."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as the failure of its machine would."""
        self._doomed = True
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        self.kill()
        await self._over.wait()
        await self._api.stop()

    async def next(self) -> Invocation:
        """Wait for the next invocation: the process has finished the one before."""
        asked: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        self._asked = asked
        self.state = EnvironmentState.IDLE
        self.came_up = True
        # Only now: whoever calls again at once finds this environment warm.
        self._settle(None)
        if self._freeze:
            self.freeze()
        self._changed(self)
        return await asked

    def finish(self, request_id: str, outcome: Outcome) -> int:
        """Take the answer to the current invocation; nobody waits for any other."""
        if self._current is None or self._current[0] != request_id:
            return 400
        if len(outcome.payload) > MAX_ANSWER_BYTES:
            outcome = failure(
                "Function.ResponseSizeTooLarge",
                f"Response payload size exceeded maximum allowed payload size "
                f"({MAX_ANSWER_BYTES} bytes).",
            )
        self._finished = outcome
        return 202

    def break_down(self, outcome: Outcome) -> None:
        """Remember why the process cannot start; it ends by itself."""
        self._broken = outcome

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, number)

    def _attend(self, loop: asyncio.AbstractEventLoop, variables: dict[str, str]) -> None:
        """Be the thread that starts the process, reads what it writes and sees it end."""
        try:
            process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            broken = failure("Runtime.InvalidEntrypoint", str(error))
            loop.call_soon_threadsafe(self.break_down, broken)
            loop.call_soon_threadsafe(self._end, 1)
            return
        loop.call_soon_threadsafe(self._begin, process.pid)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                loop.call_soon_threadsafe(self._say, line.rstrip("\n"))
        loop.call_soon_threadsafe(self._end, process.wait())

    def _begin(self, pid: int) -> None:
        self._pid = pid
        if self._doomed:
            self.kill()

    def _end(self, status: int) -> None:
        self.state = EnvironmentState.ENDED
        how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if self._broken is None:
            self._broken = failure("Runtime.ExitError", f"Runtime exited with error: {how}")
        self._pid = None
        self._settle(self._broken)
        self._over.set()
        self._changed(self)

    def _settle(self, otherwise: Outcome | None) -> None:
        """Tell what came of the current invocation, or else this."""
        current, self._current = self._current, None
        finished, self._finished = self._finished or otherwise, None
        if current is not None and finished is not None and not current[1].done():
            current[1].set_result(finished)
