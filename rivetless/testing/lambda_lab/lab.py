"""``LambdaLab``: an application as AWS would run it, on this machine."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rivetless.clock import Clock, SystemClock
from rivetless.hosts.aws_lambda.websocket import stage_query
from rivetless.hosts.server import listen
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.front import Front
from rivetless.testing.lambda_lab.function import ACCOUNT, Function
from rivetless.testing.lambda_lab.http_api import HttpApi, HttpKind
from rivetless.testing.lambda_lab.pumps import QueuePump, SweepPump
from rivetless.testing.lambda_lab.queues import Queue
from rivetless.testing.lambda_lab.runtime_api import Outcome
from rivetless.testing.lambda_lab.scheduler import Scheduler
from rivetless.testing.lambda_lab.services import Services
from rivetless.testing.lambda_lab.socket_api import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, SocketApi
from rivetless.testing.lambda_lab.web import WebServer

__all__ = ["APP_VARIABLE", "LambdaLab"]

APP_VARIABLE: Final = "LAMBDA_LAB_APP"
"""Tells the lab's processes what to run."""

_HANDLER: Final = "rivetless.testing.lambda_entry.handler"
_STAGE: Final = "live"
_GROUP: Final = "rivetless"
_SWEEP: Final = {"rivetless": "sweep"}

_log = logging.getLogger("rivetless.testing")


class LambdaLab:
    """Actors in real Lambda processes, behind API Gateway, with SQS and Scheduler beside them.

    Processes are started by need and driven by AWS's own runtime client, frozen between
    invocations, and killed when their time is over. Clients use ``endpoint`` for HTTP and sockets:

        async with (
            LambdaLab("app:registry") as lab,
            Client(lab.endpoint, encoding="json") as client,
        ):
            await client.get_or_create(Counter, "k").increment()

    Args:
        app: where the registry is, as ``rivetless dev`` takes it; or where a handler is.
        store: URL of a store that processes can share; an SQLite file that goes with the lab, if
            left out.
        environments: how many processes there may be.
        timeout: seconds that an invocation may take.
        freeze: whether processes are stopped between invocations, as on AWS.
        ordered: whether frames go through a FIFO queue, as with ``OrderedFrames`` in
            ``template.yaml``; else each invokes the function.
        http: which kind of HTTP events the function gets.
        clock: the time of queues, schedules and sockets; a ``FakeClock`` saves waiting.
            The processes' own clock is the machine's.
        idle: seconds after which an idle socket is closed.
        lifetime: seconds after which every socket is closed.
        visibility: seconds after which a message that failed comes again.
        max_receives: how often, before it goes to the dead letters.
        variables: more environment variables for the processes.
        folder: where they run; the working directory if left out.
        listening: a socket for the front; a free port of loopback if left out.

    Attributes:
        endpoint: where clients find the actors.
        services_endpoint: where SQS, Scheduler and ``@connections`` are.
        function: the processes: invoke, kill, freeze, recycle them.
        sockets: the connections.
        scheduler: the schedules.
        wakes: the queue of wakes.
        frames: the FIFO queue of what connections do.
        dead_wakes: dead letters of the first.
        dead_frames: dead letters of the second.

    Raises:
        MissingExtraError: ``awslambdaric`` or uvicorn is not installed.
        ValueError: processes cannot share the store.
    """

    endpoint: str
    services_endpoint: str

    def __init__(
        self,
        app: str,
        *,
        store: str | None = None,
        environments: int = 4,
        timeout: float = 30.0,
        freeze: bool = True,
        ordered: bool = True,
        http: HttpKind = "http_api",
        clock: Clock | None = None,
        idle: float = 600.0,
        lifetime: float = 7200.0,
        visibility: float = 60.0,
        max_receives: int = 5,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        if store is not None and store.startswith("memory:"):
            raise ValueError("The processes of a lab cannot share a store in memory.")
        self._app = app
        self._store = store
        self._ordered = ordered
        self._variables = dict(variables or {})
        self._environments = environments
        self._clock = clock = clock or SystemClock()
        self._listening = listening
        self._scratch: Path | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._servers: list[WebServer] = []
        self.dead_wakes = Queue("dead-wakes", clock)
        self.dead_frames = Queue("dead-frames.fifo", clock)
        comes_again: dict[str, Any] = {"visibility": visibility, "max_receives": max_receives}
        self.wakes = Queue("wakes", clock, dead=self.dead_wakes, **comes_again)
        self.frames = Queue("frames.fifo", clock, dead=self.dead_frames, **comes_again)
        self.scheduler = Scheduler(clock, self._ring, groups=(_GROUP,))
        self.function = Function(
            _HANDLER,
            environments=environments,
            timeout=timeout,
            freeze=freeze,
            folder=folder,
        )
        self.sockets = SocketApi(
            self.function,
            clock,
            stage=_STAGE,
            frames=self.frames if ordered else None,
            idle=idle,
            lifetime=lifetime,
        )
        self._front = Front(HttpApi(self.function, clock, http), self.sockets, stage_query)

    async def __aenter__(self) -> Self:
        front = self._listening or listen("127.0.0.1", 0)
        services = listen("127.0.0.1", 0)
        self.endpoint, self.services_endpoint = _url(front), _url(services)
        if self._store is None:
            self._scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="lambda-lab-"))
        self.function.variables = {
            **self.function.variables,
            **self._settings(),
            **self._variables,
        }
        queues = [self.wakes, self.frames]
        self._servers = [
            WebServer(self._front, max_message=MAX_MESSAGE_BYTES, max_frame=MAX_FRAME_BYTES),
            WebServer(Services(queues, self.scheduler, self.sockets)),
        ]
        for server, listening in zip(self._servers, (front, services), strict=True):
            server.start(listening)
        for queue in queues:
            self._pump(QueuePump(queue, self.function, concurrency=self._environments).run())
        self._pump(SweepPump(self.function, _SWEEP, self._clock).run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self.scheduler.close()
        # Nobody waits for the end of a world: calls that are under way fail, and clients hear it.
        await self.function.close()
        await self.sockets.close()
        await asyncio.gather(*(server.stop() for server in self._servers))
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def invoke(self, event: object) -> Outcome:
        """Invoke the function directly."""
        return await self.function.invoke(event)

    async def sweep(self) -> Outcome:
        """Do what the rule does each minute, now."""
        return await self.invoke(_SWEEP)

    def _pump(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_tell)
        self._pumps.append(task)

    def _settings(self) -> dict[str, str]:
        """Return what ``template.yaml`` sets for the functions."""
        store = self._store or f"sqlite:{self._scratch}/actors.db"
        settings = {
            APP_VARIABLE: self._app,
            "AWS_ENDPOINT_URL_SCHEDULER": self.services_endpoint,
            "AWS_ENDPOINT_URL_SQS": self.services_endpoint,
            "RIVETLESS_PUBLIC_ENDPOINT": self.endpoint,
            "RIVETLESS_SCHEDULE_GROUP": _GROUP,
            "RIVETLESS_SCHEDULE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/schedules",
            "RIVETLESS_SOCKETS_ENDPOINT": f"{self.services_endpoint}/{_STAGE}",
            "RIVETLESS_STORE": store,
            "RIVETLESS_WAKE_QUEUE_ARN": self.wakes.arn,
            "RIVETLESS_WAKE_QUEUE_URL": self._queue_url(self.wakes),
        }
        if self._ordered:
            settings["RIVETLESS_FRAMES_QUEUE_URL"] = self._queue_url(self.frames)
        return settings

    def _queue_url(self, queue: Queue) -> str:
        return f"{self.services_endpoint}/{ACCOUNT}/{queue.name}"

    def _ring(self, target: str, text: str) -> None:
        """Send what a schedule says to the queue that it names."""
        if target != self.wakes.arn:
            raise AWSError(400, "ValidationException", f"There is no queue {target} in the lab")
        self.wakes.send(text)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell(pump: asyncio.Task[None]) -> None:
    if not pump.cancelled() and (error := pump.exception()) is not None:
        _log.error("a pump of the lab has ended", exc_info=error)
