"""The network: httpx and websockets behind two calls, and the one place that knows their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rivetless import __version__
from rivetless.client import failures
from rivetless.client.calls import FetchResponse
from rivetless.client.sockets import Socket, SocketClosed
from rivetless.clock import Clock, within
from rivetless.errors import ActorError, missing_extra

try:
    import httpx
except ImportError:
    missing_extra("client", "httpx")
try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import (
        ConnectionClosed,
        InvalidHandshake,
        InvalidMessage,
        InvalidStatus,
        InvalidURI,
    )
    from websockets.typing import Subprotocol
except ImportError:
    missing_extra("client", "websockets")

__all__ = ["USER_AGENT", "Network"]

USER_AGENT: Final = f"rivetless/{__version__}"

CONNECT_TIMEOUT: Final = 15.0
# Many servers close idle connections after 5 s; a request sent just then would be lost.
KEEP_ALIVE: Final = 4.0
MAX_FRAME_BYTES: Final = 32 * 1024 * 1024

_NOTHING_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_BUSY: Final = frozenset({429, 502, 503, 504})


class Network:
    """Makes HTTP requests and opens WebSockets; every failure is an ``ActorError``.

    Args:
        clock: measures ``timeout``.
        timeout: seconds to wait for an answer; None for ever.
        http: an httpx client to use instead of an own one, which the caller closes.
    """

    def __init__(
        self, clock: Clock, *, timeout: float | None = None, http: httpx.AsyncClient | None = None
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._http = http
        self._is_own = http is None

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        body: bytes,
    ) -> FetchResponse:
        """Make a request; any status is an answer.

        Raises:
            ActorError: ``client.connection_failed`` if nothing was sent, else
                ``client.answer_lost`` or ``client.timed_out``.
        """
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE),
            )
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if not any(name.lower() == "user-agent" for name, _ in fields):
            fields.append(("user-agent", USER_AGENT))
        try:
            response = await within(
                self._clock,
                self._timeout,
                self._http.request(method, url, headers=fields, content=body or None),
            )
        except TimeoutError as error:
            raise failures.timed_out(self._timeout) from error
        except _NOTHING_SENT as error:
            raise failures.connection_failed(_origin(url), error) from error
        except httpx.HTTPError as error:
            raise failures.answer_lost(error) from error
        except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise failures.invalid_request(error) from error
        return FetchResponse(
            response.status_code, _plain_headers(response.headers), response.content
        )

    async def open_socket(self, url: str, subprotocols: Sequence[str]) -> Socket:
        """Open a WebSocket.

        Raises:
            ActorError: ``client.connection_failed`` if the server was not reached or is busy, what
                it answered if it said why, else ``client.connection_open_failed``.
        """
        try:
            connection = await connect(
                url,
                subprotocols=[Subprotocol(token) for token in subprotocols],
                user_agent_header=USER_AGENT,
                compression=None,
                open_timeout=CONNECT_TIMEOUT,
                close_timeout=5.0,
                max_size=MAX_FRAME_BYTES,
            )
        except InvalidStatus as error:
            raise _refusal(url, error) from error
        except InvalidMessage as error:
            # What a server that dies in the middle of its answer leaves behind.
            raise failures.connection_failed(_origin(url), error) from error
        except (InvalidHandshake, InvalidURI) as error:
            raise failures.refused(str(error)) from error
        except (OSError, EOFError, TimeoutError, ConnectionClosed) as error:
            raise failures.connection_failed(_origin(url), error) from error
        return _NetworkSocket(connection)

    async def aclose(self) -> None:
        """Close idle connections."""
        http, self._http = self._http, None
        if http is not None and self._is_own:
            await http.aclose()


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _plain_headers(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    # httpx has undone the content encoding; what it says of the body is no longer true.
    undone = ("content-encoding", "content-length") if "content-encoding" in headers else ()
    return tuple(item for item in headers.multi_items() if item[0] not in undone)


def _refusal(url: str, error: InvalidStatus) -> ActorError:
    response = error.response
    headers = tuple((name.lower(), value) for name, value in response.headers.raw_items())
    answer = FetchResponse(response.status_code, headers, bytes(response.body or b""))
    stated = answer.error()
    if stated is not None:
        return stated
    if response.status_code in _BUSY:
        return failures.connection_failed(_origin(url), error)
    return failures.refused(str(error), {"status": response.status_code})


class _NetworkSocket:
    """A WebSocket of the websockets library."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, data: str | bytes) -> None:
        try:
            await self._connection.send(data)
        except ConnectionClosed as closed:
            raise _closed(closed) from closed

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _closed(closed) from closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)


def _closed(closed: ConnectionClosed) -> SocketClosed:
    frame = closed.rcvd
    return SocketClosed(1006) if frame is None else SocketClosed(frame.code, frame.reason)
