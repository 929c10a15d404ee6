"""The Lambda Runtime API of one environment: what ``awslambdaric`` talks to.

A process asks for its next invocation by a request that is answered when there is one, and posts
what came of it. Each environment has a port of its own, as each has on AWS.
"""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from typing import Final, Protocol

from rivetless.frozen import frozen

__all__ = ["Invocation", "Outcome", "RuntimeAPI", "Supervisor", "failure"]

_PREFIX: Final = "/2018-06-01/runtime/"
_ACCEPTED: Final = b'{"status":"OK"}\n'
_REASONS: Final = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 413: "Too Big"}


@frozen
class Invocation:
    """An event on its way to a process.

    Attributes:
        request_id: names the invocation.
        payload: the event, as JSON.
        deadline: when its time is over, in Unix seconds.
        trace_id: as X-Ray would have it.
        function_arn: whom it is for.
    """

    request_id: str
    payload: bytes
    deadline: float
    trace_id: str
    function_arn: str


@frozen
class Outcome:
    """What came of an invocation.

    Attributes:
        payload: the handler's answer as JSON; of one that failed, AWS's description of why.
        failed: whether AWS would set ``FunctionError``.
    """

    payload: bytes
    failed: bool = False

    @property
    def value(self) -> object:
        """The payload, read."""
        return json.loads(self.payload) if self.payload else None


def failure(kind: str, message: str) -> Outcome:
    """Return the outcome of an invocation that the process itself did not answer."""
    return Outcome(json.dumps({"errorType": kind, "errorMessage": message}).encode(), failed=True)


class Supervisor(Protocol):
    """What the API needs of whoever looks after the process."""

    @abstractmethod
    async def next(self) -> Invocation:
        """Wait for the next invocation."""

    @abstractmethod
    def finish(self, request_id: str, outcome: Outcome) -> int:
        """Take an answer; return the HTTP status to acknowledge it with."""

    @abstractmethod
    def break_down(self, outcome: Outcome) -> None:
        """Learn that the process cannot start."""


class RuntimeAPI:
    """Serves one environment.

    Args:
        supervisor: whoever looks after its process.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Begin to listen; return the value of ``AWS_LAMBDA_RUNTIME_API``."""
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        for task in list(self._conversations):
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        try:
            while (request := await _read(reader)) is not None:
                status, headers, body = await self._answer(*request)
                head = [f"HTTP/1.1 {status} {_REASONS[status]}", "Content-Type: application/json"]
                head += [f"{name}: {value}" for name, value in headers.items()]
                head += [f"Content-Length: {len(body)}", "", ""]
                # In one piece: asyncio sends at once, and a second packet would wait 40 ms for the
                # acknowledgement of the first.
                writer.write("\r\n".join(head).encode("latin-1") + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The process has ended, or is about to be.
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        what = path.removeprefix(_PREFIX)
        if (method, what) == ("GET", "invocation/next"):
            invocation = await self._supervisor.next()
            return 200, _headers(invocation), invocation.payload
        if (method, what) == ("POST", "init/error"):
            self._supervisor.break_down(Outcome(body, failed=True))
            return 202, {}, _ACCEPTED
        kind, _, rest = what.partition("/")
        request_id, _, verb = rest.partition("/")
        if (method, kind) == ("POST", "invocation") and verb in ("response", "error"):
            status = self._supervisor.finish(request_id, Outcome(body, failed=verb == "error"))
            return status, {}, _ACCEPTED if status == 202 else b"{}"
        return 404, {}, b"{}"


def _headers(invocation: Invocation) -> dict[str, str]:
    return {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        # Rounded down, so that no process is told of more time than it has.
        "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
        "Lambda-Runtime-Trace-Id": invocation.trace_id,
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
    }


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Return method, path and body of the next request; None if there is no other."""
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    length = 0
    while (header := await reader.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = header.decode("latin-1").partition(":")
        if name.strip().lower() == "content-length":
            length = int(value)
    return method, path, await reader.readexactly(length)
