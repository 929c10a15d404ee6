"""A small HTTP/1.1 client for the private listeners of other hosts.

It keeps one connection a host, sends one request after the other on it, and repeats none: a push
that may have arrived must not arrive twice.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable
from typing import Final, Protocol
from urllib.parse import urlsplit

from rivetless.clock import Clock, Timeout

__all__ = ["HttpLinks", "LinkError", "Links", "RefusedError"]

_TIMEOUT: Final = 5.0
_IDLE: Final = 30.0
_MAX_HEAD: Final = 16_384
_MAX_BODY: Final = 32 * 1024 * 1024
_FAILURES: Final = (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError)


class LinkError(Exception):
    """The other host could not be reached, or made no sense."""


class RefusedError(LinkError):
    """Nobody listens where the other host did."""


class Links(Protocol):
    """Carries requests to other hosts."""

    @abstractmethod
    async def request(
        self, url: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        """Make a request and return status and body of the answer.

        Raises:
            LinkError: there was none.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close what is open."""


class _Line:
    """One open connection."""

    __slots__ = ("lock", "reader", "used", "writer")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.used = 0.0

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class HttpLinks:
    """Carries requests over TCP.

    Args:
        clock: ends what takes too long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    async def request(
        self, url: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        """Make a request."""
        line = self._lines.setdefault(url, _Line())
        async with line.lock:
            try:
                async with Timeout(self._clock, _TIMEOUT):
                    return await self._exchange(line, url, method, path, headers, body)
            except ConnectionRefusedError as error:
                line.close()
                raise RefusedError(f"nobody listens at {url}") from error
            except _FAILURES as error:
                line.close()
                raise LinkError(f"{url} gave no answer: {error!r}") from error
            except BaseException:
                # Cut off in the middle: what comes next would belong to this request.
                line.close()
                raise

    async def _exchange(
        self,
        line: _Line,
        url: str,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> tuple[int, bytes]:
        place = urlsplit(url)
        host, port = place.hostname, place.port
        if place.scheme != "http" or host is None or port is None:
            raise ValueError("it is no http:// URL with a port")
        now = self._clock.now()
        if line.writer is not None and now - line.used > _IDLE:
            # The other side may be about to close it.
            line.close()
        if line.writer is None or line.reader is None:
            line.reader, line.writer = await asyncio.open_connection(host, port, limit=_MAX_HEAD)
        line.used = now
        head = [f"{method} {path} HTTP/1.1", f"host: {place.netloc}"]
        head += [f"{name}: {value}" for name, value in headers]
        head += [f"content-length: {len(body)}", "", ""]
        line.writer.write("\r\n".join(head).encode("ascii") + body)
        await line.writer.drain()
        status, answer, last = await _read_answer(line.reader)
        if last:
            line.close()
        return status, answer

    async def aclose(self) -> None:
        """Close what is open."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            line.close()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Read status, body, and whether the connection ends here."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("it speaks something else")
    status = int(rest[:3])
    length, last = 0, False
    for line in head[1:]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name == "content-length":
            length = int(value)
        elif name == "connection":
            last = value.strip().lower() == "close"
        elif name == "transfer-encoding":
            raise ValueError("it answers in chunks")
    if not 0 <= length <= _MAX_BODY:
        raise ValueError(f"its answer has {length} bytes")
    return status, await reader.readexactly(length), last
