"""A Lambda function: environments, started when they are needed, and what they are given."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from rivetless.clock import Clock, SystemClock, Timer
from rivetless.errors import missing_extra
from rivetless.testing.lambda_lab.environment import Environment, EnvironmentState
from rivetless.testing.lambda_lab.runtime_api import Invocation, Outcome, failure

__all__ = ["ACCOUNT", "REGION", "Function"]

ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"

_LOG_LINES: Final = 10_000


class _Pending:
    """An invocation that waits for an environment, or for its answer."""

    def __init__(self, request_id: str, payload: bytes) -> None:
        self.request_id = request_id
        self.payload = payload
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Function:
    """A function of our own Lambda.

    An invocation goes to an idle environment; if there is none, another is started, which costs a
    cold start. When there are as many as there may be, it waits; AWS would throttle.

    Args:
        handler: ``module.function``, as AWS takes it.
        variables: environment variables for its processes, on top of this process's own.
        environments: how many processes there may be.
        timeout: seconds an invocation may take; then its process is killed.
        freeze: whether processes are stopped between invocations (``SIGSTOP``), as on AWS.
        folder: where they run; the working directory if left out.
        clock: measures the time-out. The processes are told deadlines of the machine's clock.
        name: the function's name.

    Attributes:
        variables: environment variables for the processes that are started from now on.
        cold_starts: how many processes were started.
        log: the latest lines that processes wrote.
        on_line: called with each of them.

    Raises:
        MissingExtraError: ``awslambdaric`` is not installed.
    """

    def __init__(
        self,
        handler: str,
        *,
        variables: Mapping[str, str] | None = None,
        environments: int = 4,
        timeout: float = 30.0,
        freeze: bool = True,
        folder: Path | None = None,
        clock: Clock | None = None,
        name: str = "rivetless",
    ) -> None:
        if importlib.util.find_spec("awslambdaric") is None:
            missing_extra("lab", "awslambdaric")
        self.variables = _variables(name, handler) | dict(variables or {})
        self.cold_starts = 0
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self.on_line: Callable[[str], object] | None = None
        self.arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        self._command = [sys.executable, "-m", "awslambdaric", handler]
        self._limit = environments
        self._timeout = timeout
        self._freeze = freeze
        self._folder = folder or Path()
        self._clock = clock or SystemClock()
        self._pool: list[Environment] = []
        self._idle: list[Environment] = []
        self._stale: set[Environment] = set()
        self._queue: deque[_Pending] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def environments(self) -> list[Environment]:
        """The environments there are, oldest first."""
        return list(self._pool)

    async def invoke(self, event: object) -> Outcome:
        """Have an event handled, and return what came of it."""
        pending = _Pending(str(uuid.uuid4()), json.dumps(event, separators=(",", ":")).encode())
        self._queue.append(pending)
        self._assign()
        try:
            return await pending.outcome
        finally:
            with contextlib.suppress(ValueError):
                self._queue.remove(pending)

    def recycle(self) -> None:
        """Let every environment end after what it is doing, as a deployment does."""
        idle, self._idle = self._idle, []
        self._stale.update(set(self._pool).difference(idle))
        for environment in idle:
            environment.kill()

    async def close(self) -> None:
        """End every process; nobody is answered any more."""
        self._limit = 0
        while self._queue:
            self._queue.popleft().outcome.set_result(
                failure("Lab.Closed", "The lab was closed before an environment was free")
            )
        await asyncio.gather(*(environment.close() for environment in self._pool))
        await asyncio.gather(*self._tasks)

    def _assign(self) -> None:
        while self._queue and self._idle:
            # The one that was busy last is the warmest.
            environment = self._idle.pop()
            self._give(environment, self._queue.popleft())
        starting = sum(one.state is EnvironmentState.STARTING for one in self._pool)
        for _ in range(min(len(self._queue) - starting, self._limit - len(self._pool))):
            self._launch()

    def _launch(self) -> None:
        self.cold_starts += 1
        environment = Environment(
            self.cold_starts,
            self._command,
            dict(self.variables),
            self._folder,
            freeze=self._freeze,
            changed=self._changed,
            say=self._say,
        )
        self._pool.append(environment)
        self._spawn(environment.start())

    def _give(self, environment: Environment, pending: _Pending) -> None:
        now = self._clock.now()
        invocation = Invocation(
            request_id=pending.request_id,
            payload=pending.payload,
            deadline=now + self._timeout,
            trace_id=f"Root=1-{int(now):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            function_arn=self.arn,
        )
        answer = environment.give(invocation)
        timer = self._clock.call_later(
            self._timeout, partial(self._time_out, environment, invocation, answer)
        )
        self._spawn(_pass_on(answer, pending, timer))

    def _time_out(
        self, environment: Environment, invocation: Invocation, answer: asyncio.Future[Outcome]
    ) -> None:
        if not answer.done():
            answer.set_result(
                failure(
                    "Sandbox.Timedout",
                    f"RequestId: {invocation.request_id} Error: "
                    f"Task timed out after {self._timeout:.2f} seconds",
                )
            )
            environment.kill()

    def _changed(self, environment: Environment) -> None:
        if environment.state is EnvironmentState.ENDED:
            self._lose(environment)
        elif environment in self._stale:
            environment.kill()
        else:
            self._idle.append(environment)
        self._assign()

    def _lose(self, environment: Environment) -> None:
        """Forget an environment that has ended; one that never came up fails who waited for it."""
        self._pool.remove(environment)
        self._stale.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        elif not environment.came_up and self._queue:
            pending = self._queue.popleft()
            if environment.breakdown is not None and not pending.outcome.done():
                pending.outcome.set_result(environment.breakdown)
        self._spawn(environment.close())

    def _say(self, line: str) -> None:
        self.log.append(line)
        if self.on_line is not None:
            self.on_line(line)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pass_on(answer: asyncio.Future[Outcome], pending: _Pending, timer: Timer) -> None:
    outcome = await answer
    timer.cancel()
    if not pending.outcome.done():
        pending.outcome.set_result(outcome)


def _variables(name: str, handler: str) -> dict[str, str]:
    """Return what a process finds in its environment on AWS, over what there is here."""
    lambdas_own = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python{}.{}".format(*sys.version_info),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "lab",
        "AWS_REGION": REGION,
        "PYTHONUNBUFFERED": "1",
        "_HANDLER": handler,
    }
    # Somebody's own credentials are kept: the store may be a table in their account.
    fallbacks = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
    return fallbacks | dict(os.environ) | lambdas_own
