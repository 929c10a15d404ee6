"""The Python client: typed handles and connections, over HTTP, in process, or mocked.

May import ``actor``, ``protocol`` and the foundations, never the runtime or the gateway. httpx and
websockets are loaded by ``HTTPTransport`` alone: actors use the same client inside a server without
them.
"""

from typing import TYPE_CHECKING

from rivetless.client.calls import FetchResponse, QueueReply
from rivetless.client.client import Client
from rivetless.client.connection import Connection, Status
from rivetless.client.events import EventStream
from rivetless.client.handle import Handle
from rivetless.client.local import LocalTransport
from rivetless.client.mock import MockTransport
from rivetless.client.retry import RetryPolicy
from rivetless.client.sockets import SocketClosed
from rivetless.client.transports import Transport
from rivetless.client.websocket import WebSocket, WebSocketOpening

if TYPE_CHECKING:
    from rivetless.client.http import HTTPTransport

__all__ = [
    "Client",
    "Connection",
    "EventStream",
    "FetchResponse",
    "HTTPTransport",
    "Handle",
    "LocalTransport",
    "MockTransport",
    "QueueReply",
    "RetryPolicy",
    "SocketClosed",
    "Status",
    "Transport",
    "WebSocket",
    "WebSocketOpening",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Loads httpx and websockets, which only those need who talk to another process.
        if name == "HTTPTransport":
            from rivetless.client.http import HTTPTransport

            return HTTPTransport
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
