"""A small HTTP/1.1 client: connections that are kept, one request at a time on each."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from rivetless.aws.client import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    READ_TIMEOUT,
    AnswerLost,
    NotSent,
)
from rivetless.clock import Clock, Timeout, sleep
from rivetless.frozen import frozen

KEPT_FOR: Final = 20.0
"""Seconds after which an idle connection is not used again: the other side may be closing it."""

_UNSEEN_AFTER: Final = 1.0
_MOST_HEADER_BYTES: Final = 64 * 1024
_reading: Final = threading.Lock()


@frozen
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Connection:
    """A connection that nobody is using, or one request is."""

    __slots__ = ("idle_since", "reader", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether the other side has not closed it, as far as we have heard."""
        return not (self.reader.at_eof() or self.writer.is_closing())


class Pool:
    """Connections to one origin.

    Args:
        url: the origin, ``http`` or ``https``. A path in it is left out.
        clock: for the time-outs.
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds until an answer must be there.
        connections: how many there may be; further requests wait for one.
        ca_bundle: file of the authorities to trust, instead of the system's.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        connections: int = CONNECTIONS,
        ca_bundle: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no endpoint. Write `https://host` or `http://host:port`.")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self.authority: Final = parts.netloc.rpartition("@")[2]
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._ca_bundle = ca_bundle
        self._tls: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []
        self._places = asyncio.Semaphore(connections)

    async def send(self, head: bytes, body: bytes) -> Answer:
        """Send a request, made of its whole head (blank line included) and body.

        Raises:
            NotSent: no connection could be made.
            AnswerLost: it broke, or nothing came in time.
        """
        async with self._places:
            await self._look()
            connection = self._take() or await self._connect()
            answer: Answer | None = None
            try:
                async with Timeout(self._clock, self._read_timeout):
                    # In one piece: two small packets would wait for each other's acknowledgement.
                    connection.writer.write(head + body)
                    await connection.writer.drain()
                    answer = await _read(connection.reader)
                    return answer
            except TimeoutError:
                raise AnswerLost(f"no answer within {self._read_timeout:g} s") from None
            except (OSError, EOFError, LookupError, ValueError, asyncio.LimitOverrunError) as error:
                raise AnswerLost(f"the connection broke: {error}") from error
            finally:
                # Also when the caller was cancelled: the next answer would be this request's.
                if answer is not None and answer.headers.get("connection", "").lower() != "close":
                    connection.idle_since = self._clock.now()
                    self._idle.append(connection)
                else:
                    connection.writer.close()

    async def _look(self) -> None:
        """See what was closed while the process was frozen: the event loop has not looked yet."""
        if self._idle and self._clock.now() - self._idle[-1].idle_since > _UNSEEN_AFTER:
            # One pass finds it, the next handles it.
            for _ in range(2):
                await sleep(self._clock, 0)

    def _take(self) -> _Connection | None:
        now = self._clock.now()
        while self._idle:
            # The one used last is the one least likely to be closed.
            connection = self._idle.pop()
            if connection.usable and 0 <= now - connection.idle_since < KEPT_FOR:
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            if self._secure and self._tls is None:
                # Reads files, so not on the event loop.
                self._tls = await asyncio.to_thread(_trusting, self._ca_bundle)
            async with Timeout(self._clock, self._connect_timeout):
                reader, writer = await asyncio.open_connection(
                    self._host,
                    self._port,
                    ssl=self._tls,
                    limit=_MOST_HEADER_BYTES,
                )
        except TimeoutError:
            raise NotSent(
                f"no connection to {self.authority} within {self._connect_timeout:g} s"
            ) from None
        except OSError as error:
            raise NotSent(f"no connection to {self.authority}: {error}") from error
        return _Connection(reader, writer)

    async def close(self) -> None:
        """Close the connections that are idle."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.writer.close()
        for connection in idle:
            with suppress(OSError):  # it was broken; it is closed now
                await connection.writer.wait_closed()


def _trusting(ca_bundle: str | None) -> ssl.SSLContext:
    """Return what checks certificates; one for all pools, because reading them takes long."""
    with _reading:
        return _read_authorities(ca_bundle)


@lru_cache(maxsize=4)
def _read_authorities(ca_bundle: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)


async def _read(reader: asyncio.StreamReader) -> Answer:
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(status_line.split(" ", 2)[1])
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, await _read_chunks(reader))
    # Without a length it would end with the connection, which says nothing about being whole.
    return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(parts)
