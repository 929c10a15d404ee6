"""What servers of ours have in common: a socket, and as little of uvicorn as they need."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Generator
from importlib import import_module
from types import ModuleType
from typing import Any

from rivetless.errors import missing_extra

__all__ = ["listen", "load_uvicorn", "quiet_server", "socket_protocol"]

_COMMAND_LINE = "uvicorn.main"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off where the protocol says TCP, as accepted sockets then do
    # too. With it an answer's body waits 40 ms for the head's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def load_uvicorn() -> None:
    """Import uvicorn, to be followed by imports from ``uvicorn.config`` and ``uvicorn.server``.

    The package imports its own command line, and so click and multiprocessing: 3 MiB and a tenth of
    the time that a server of ours takes to start. Here that waits until somebody asks for it.

    Raises:
        MissingExtraError: uvicorn is not installed.
    """
    if "uvicorn" in sys.modules:
        return
    stand_in = _StandIn(_COMMAND_LINE)
    sys.modules[_COMMAND_LINE] = stand_in
    try:
        package = import_module("uvicorn")
    except ModuleNotFoundError as error:
        if error.name != "uvicorn":
            raise
        missing_extra("server", "uvicorn")
    finally:
        del sys.modules[_COMMAND_LINE]
    stand_in.leave(package)


def socket_protocol(**arguments: Any) -> asyncio.Protocol:
    """Return uvicorn's protocol for a WebSocket; its import waits for the first one."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(**arguments)


def quiet_server(app: Any, *, keep_alive: int, grace: int, **options: Any) -> Any:
    """Return a uvicorn server that runs beside others: it takes no signals and says nothing.

    Args:
        app: what it serves.
        keep_alive: seconds that a connection may be idle.
        grace: seconds that requests may take to end when it stops.
        **options: further options of uvicorn's; WebSockets are off without them.

    Raises:
        MissingExtraError: uvicorn is not installed.
    """
    load_uvicorn()
    from uvicorn.config import Config
    from uvicorn.server import Server

    class QuietServer(Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            # Signals are the business of whoever owns the process.
            yield

    config: dict[str, Any] = {
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "log_level": "warning",
        "proxy_headers": False,
        "server_header": False,
        "date_header": False,
        "timeout_keep_alive": keep_alive,
        "timeout_graceful_shutdown": grace,
    }
    return QuietServer(Config(app, **{**config, **options}))


class _StandIn(ModuleType):
    """A module that has every name, and remembers which were asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._asked: list[str] = []

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        self._asked.append(name)

    def leave(self, package: ModuleType) -> None:
        """Have the real module looked up, where a name of it is used after all."""
        names = {name for name in self._asked if vars(package).get(name, self) is None}
        for name in names:
            delattr(package, name)

        def look_up(name: str) -> object:
            if name not in names:
                raise AttributeError(f"module 'uvicorn' has no attribute {name!r}")
            real = import_module(_COMMAND_LINE)
            for other in names:
                setattr(package, other, getattr(real, other))
            return getattr(real, name)

        package.__dict__["__getattr__"] = look_up
