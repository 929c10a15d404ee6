"""A proxy that breaks what goes through it, for tests of real clients against a real emulator.

It stands on loopback in front of an HTTP service (a local DynamoDB or SQS) and does to requests
what networks do: it resets connections, is late, loses answers of requests that were heeded. Which
request meets which fault follows from a seed and the request's number.
"""

from __future__ import annotations

import asyncio
import enum
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from rivetless.clock import Clock, SystemClock, sleep
from rivetless.frozen import frozen

_MOST_HEADER_BYTES: Final = 64 * 1024


class Breakage(enum.Enum):
    """What a ``FaultProxy`` can do to a request."""

    RESET = "reset"
    """The connection is reset; the service never gets the request."""

    DELAYED = "delayed"
    """The service gets the request late, and the answer comes back."""

    LATE = "late"
    """The connection is reset at once; the service gets the request a while later."""

    LOST = "lost"
    """The service gets the request, and in place of its answer the connection is reset."""

    CUT = "cut"
    """The service gets the request; the answer breaks off in its middle."""

    THROTTLED = "throttled"
    """The service never gets the request; the answer says that there is no capacity."""

    FAILED = "failed"
    """The service never gets the request; the answer is status 500."""

    FAILED_LATE = "failed late"
    """The service gets the request; the answer is status 500 all the same."""


STORMY: Final[Mapping[Breakage, float]] = {
    Breakage.RESET: 0.02,
    Breakage.DELAYED: 0.05,
    Breakage.LATE: 0.02,
    Breakage.LOST: 0.03,
    Breakage.CUT: 0.02,
    Breakage.THROTTLED: 0.04,
    Breakage.FAILED: 0.01,
    Breakage.FAILED_LATE: 0.01,
}
"""A fifth of all requests meets a fault."""


@frozen
class Passing:
    """A request that goes through the proxy.

    Attributes:
        number: 1 for the first one.
        line: its request line, e.g. ``"POST / HTTP/1.1"``.
        operation: what it asks of an AWS service, e.g. ``"GetItem"``; empty if it does not say.
        body: its body.
    """

    number: int
    line: str
    operation: str
    body: bytes


Decide = Callable[[Passing], Breakage | None]
"""Says what becomes of a request; ``None`` lets it through."""


class FaultProxy:
    """Hands requests on to a service, faults included, while it is entered.

    Args:
        upstream: the service's URL, ``http://host:port``.
        seed: decides which requests meet which fault.
        rates: how likely each fault is for a request.
        decide: says what becomes of each request, in place of ``seed`` and ``rates``.
        delays: seconds between which requests are held that are ``DELAYED`` or ``LATE``.
        clock: where those seconds pass.

    Attributes:
        requests: how many requests came.
        faults: how many of them met which fault.
    """

    def __init__(
        self,
        upstream: str,
        *,
        seed: int = 0,
        rates: Mapping[Breakage, float] = STORMY,
        decide: Decide | None = None,
        delays: tuple[float, float] = (0.0, 0.2),
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{upstream!r} is no `http://host:port` of an emulator")
        if sum(rates.values()) > 1:
            raise ValueError("faults that are likelier than all requests together")
        self._where = (parts.hostname, parts.port or 80)
        self._seed = seed
        self._rates = rates
        self._decide = decide or self._draw
        self._delays = delays
        self._clock = clock or SystemClock()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._calm = False
        self._port = 0
        self.requests = 0
        self.faults: Counter[Breakage] = Counter()

    @property
    def url(self) -> str:
        """The endpoint to give to clients."""
        return f"http://127.0.0.1:{self._port}"

    def calm(self) -> None:
        """Let every further request through."""
        self._calm = True

    async def settle(self) -> None:
        """Wait until everything has arrived that is on its way to the service."""
        while self._late:
            await asyncio.wait(self._late)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=_MOST_HEADER_BYTES
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        ending = self._connections | self._late
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await self._server.wait_closed()

    # -- deciding ---------------------------------------------------------------------------------

    def _draw(self, passing: Passing) -> Breakage | None:
        at = random.Random(f"{self._seed}/{passing.number}").random()
        for fault, rate in self._rates.items():
            at -= rate
            if at < 0:
                return fault
        return None

    def _pause(self, number: int) -> float:
        return random.Random(f"{self._seed}/{number}/pause").uniform(*self._delays)

    # -- serving ----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            while not writer.is_closing():
                head, body = await _read_message(reader)
                await self._pass(head, body, writer)
        except (EOFError, OSError):
            pass  # whoever called has hung up
        except (ValueError, asyncio.LimitOverrunError):
            pass  # whoever called speaks something else
        except asyncio.CancelledError:
            pass  # the proxy ends; asyncio would report a connection's task that was cancelled
        finally:
            writer.close()

    async def _pass(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        line, headers = _parse(head)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        passing = Passing(self.requests, line, operation, body)
        fault = None if self._calm else self._decide(passing)
        if fault is not None:
            self.faults[fault] += 1
        match fault:
            case Breakage.RESET:
                _reset(writer)
            case Breakage.LATE:
                task = asyncio.create_task(self._deliver_late(passing.number, head + body))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                _reset(writer)
            case Breakage.THROTTLED:
                writer.write(_throttle(headers.get("x-amz-target", "")))
            case Breakage.FAILED:
                writer.write(_FAILURE)
            case _:
                if fault is Breakage.DELAYED:
                    await sleep(self._clock, self._pause(passing.number))
                answer = await self._deliver(head + body)
                _answer(writer, answer, fault)
        if not writer.is_closing():
            await writer.drain()

    async def _deliver_late(self, number: int, message: bytes) -> None:
        await sleep(self._clock, self._pause(number))
        await self._deliver(message)

    async def _deliver(self, message: bytes) -> bytes | None:
        """Hand a request to the service; return the whole answer, ``None`` if there is none."""
        try:
            # A connection of its own: one that is kept may be closed by the service just then,
            # and that would be a fault nobody has asked for.
            reader, writer = await asyncio.open_connection(*self._where, limit=_MOST_HEADER_BYTES)
        except OSError:
            return None
        try:
            writer.write(message)
            await writer.drain()
            return b"".join(await _read_message(reader))
        except (EOFError, OSError):
            return None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _answer(writer: asyncio.StreamWriter, answer: bytes | None, fault: Breakage | None) -> None:
    if answer is None or fault is Breakage.LOST:
        _reset(writer)
    elif fault is Breakage.FAILED_LATE:
        writer.write(_FAILURE)
    elif fault is Breakage.CUT:
        writer.write(answer[: len(answer) // 2])
        writer.close()
    else:
        writer.write(answer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection as a machine does that knows nothing of it."""
    connected: socket.socket = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _http(status: str, error: str, message: str) -> bytes:
    body = json.dumps({"__type": error, "message": message}).encode()
    head = (
        f"HTTP/1.1 {status}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_FAILURE: Final = _http("500 Internal Server Error", "InternalServerError", "planted by a test")


def _throttle(target: str) -> bytes:
    name = (
        "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
        if target.startswith("DynamoDB")
        else "com.amazon.coral.availability#ThrottlingException"
    )
    return _http("400 Bad Request", name, "planted by a test")


# -- HTTP ----------------------------------------------------------------------------------------


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    """Return a message's first line, and its headers by their names in lower case."""
    line, *rest = head.decode("latin-1").split("\r\n")
    pairs = (text.partition(":") for text in rest if text)
    return line, {name.lower(): value.strip() for name, _, value in pairs}


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a request or an answer; return its head and its body, as they came."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, headers = _parse(head)
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return head, await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        parts.append(size + await reader.readexactly(length + 2 if length else 0))
        if not length:
            break
    while parts[-1] != b"\r\n":
        parts.append(await reader.readuntil(b"\r\n"))  # trailers, and what ends them
    return head, b"".join(parts)
