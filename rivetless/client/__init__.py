"""The Python client: typed handles and connections, over HTTP, in process, or mocked.

May import ``actor``, ``protocol`` and the foundations, never the runtime or the gateway. Nothing is
loaded before it is asked for: servers use parts of the client, and neither they nor actors need
httpx and websockets, which ``HTTPTransport`` brings.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivetless.client.calls import FetchResponse, QueueReply
    from rivetless.client.client import Client
    from rivetless.client.connection import Connection, Status
    from rivetless.client.events import EventStream
    from rivetless.client.handle import Handle
    from rivetless.client.http import HTTPTransport
    from rivetless.client.letters import LetterBox
    from rivetless.client.local import LocalTransport
    from rivetless.client.mock import MockTransport
    from rivetless.client.retry import RetryPolicy
    from rivetless.client.sockets import SocketClosed
    from rivetless.client.transports import Transport
    from rivetless.client.websocket import WebSocket, WebSocketOpening

__all__ = [
    "Client",
    "Connection",
    "EventStream",
    "FetchResponse",
    "HTTPTransport",
    "Handle",
    "LetterBox",
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
    _HOMES = {
        "calls": ("FetchResponse", "QueueReply"),
        "client": ("Client",),
        "connection": ("Connection", "Status"),
        "events": ("EventStream",),
        "handle": ("Handle",),
        "http": ("HTTPTransport",),
        "letters": ("LetterBox",),
        "local": ("LocalTransport",),
        "mock": ("MockTransport",),
        "retry": ("RetryPolicy",),
        "sockets": ("SocketClosed",),
        "transports": ("Transport",),
        "websocket": ("WebSocket", "WebSocketOpening"),
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _HOMES.items():
            if name in names:
                value = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
