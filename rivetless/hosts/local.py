"""``serve``: actors in a server of their own, on this machine or any other that stays.

uvicorn for HTTP/1.1; hypercorn, under a certificate made on the spot, for the HTTP/2 that Chromium
needs to call actions through the official client.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from rivetless.errors import missing_extra
from rivetless.hosts.asgi import ASGIApp
from rivetless.hosts.server import listen, load_uvicorn, socket_protocol

if TYPE_CHECKING:
    import uvicorn.server

    from rivetless.hosts.options import HandlerOptions
    from rivetless.registry import Registry

__all__ = ["DEFAULT_PORT", "serve"]

DEFAULT_PORT: Final = 6420
"""Where the official client looks when it is told nothing."""

_MAX_FRAME: Final = 32 * 1024 * 1024
_KEEP_ALIVE: Final = 75
_GRACE: Final = 10
_HTTPS_GRACE: Final = 3
_SETTLED: Final = 2.0


def serve(
    registry: Registry,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    https: bool = False,
    fd: int | None = None,
    quiet: bool = False,
    **options: Unpack[HandlerOptions],
) -> None:
    """Serve actors until the process is interrupted.

    Args:
        registry: the actors.
        host: address to bind; loopback unless others are meant to come in.
        port: port to bind; 0 for any that is free.
        https: HTTP/2 under a certificate of our own.
        fd: a socket that listens already, in place of host and port.
        quiet: say nothing at the start.
        **options: as ``rivetless.hosts.asgi.ASGIApp`` takes them.

    Raises:
        OSError: the port cannot be had.
        MissingExtraError: the server's packages are not installed.
    """
    # What was imported stays; the collector need not look at it again and again.
    gc.freeze()
    _show_logs()
    app = ASGIApp(registry, **options)
    listening = listen(host, port) if fd is None else socket.socket(fileno=fd)

    def started() -> None:
        asyncio.get_running_loop().call_later(_SETTLED, _settle)
        if not quiet:
            sys.stdout.write(_greeting(app, listening, https=https))
            sys.stdout.flush()

    if https:
        _serve_https(app, listening, started)
    else:
        _serve_http(app, listening, started)


def _serve_http(app: ASGIApp, listening: socket.socket, started: Callable[[], None]) -> None:
    async def run() -> None:
        # The store is opened in a thread, and meanwhile the server is imported. Should that fail,
        # the server's lifespan fails in the same way, and says so.
        opening = asyncio.create_task(app.start())
        await asyncio.sleep(0)
        server = _uvicorn(app, started)
        await asyncio.gather(opening, return_exceptions=True)
        await server.serve([listening])

    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _uvicorn(app: ASGIApp, started: Callable[[], None]) -> uvicorn.server.Server:
    load_uvicorn()
    from uvicorn.config import Config
    from uvicorn.server import Server

    class LocalServer(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    config = Config(
        _asgi(app),
        http="auto",
        # uvicorn calls it as it would a class.
        ws=cast("type[asyncio.Protocol]", socket_protocol),
        ws_max_size=_MAX_FRAME,
        # Frames are small, and compressing them costs more than sending them.
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        # Whom to believe about clients' addresses is for the proxy's operator to say.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    return LocalServer(config)


def _serve_https(app: ASGIApp, listening: socket.socket, started: Callable[[], None]) -> None:
    try:
        from hypercorn.config import Config

        hypercorn: Any = import_module("hypercorn.asyncio")
    except ModuleNotFoundError:
        missing_extra("https", "hypercorn")
    from rivetless.hosts.certificates import local_certificate

    certificate = local_certificate(Path.cwd() / ".rivetless")
    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.certfile = str(certificate.certificate)
    config.keyfile = str(certificate.key)
    config.alpn_protocols = ["h2", "http/1.1"]
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.include_date_header = False
    config.keep_alive_timeout = _KEEP_ALIVE
    config.graceful_timeout = _HTTPS_GRACE
    config.websocket_max_message_size = _MAX_FRAME

    async def run() -> None:
        stop = _stop_signal()

        async def stopping() -> None:
            await stop.wait()
            # hypercorn waits for sockets to be closed by themselves.
            app.hang_up()

        started()
        await hypercorn.serve(app, config, shutdown_trigger=stopping)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _settle() -> None:
    """Spare the collector all that the start has brought, but for the garbage."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _asgi(app: ASGIApp) -> Any:
    """Hide our ASGI types from servers' own, which differ among them in name only."""
    return app


def _stop_signal() -> asyncio.Event:
    import signal

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows

            def handle(signum: int, frame: object) -> None:
                loop.call_soon_threadsafe(stop.set)

            signal.signal(number, handle)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _show_logs() -> None:
    """Show warnings of ours, unless the application has its own mind about logs."""
    if not logging.getLogger().handlers:
        logging.basicConfig(
            level=logging.INFO, format="%(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
        )


def _greeting(app: ASGIApp, listening: socket.socket, *, https: bool) -> str:
    import rivetless

    host, port = listening.getsockname()[:2]
    shown = "localhost" if https and host in ("127.0.0.1", "::1") else host
    shown = f"[{shown}]" if ":" in shown else shown
    url = f"http{'s' if https else ''}://{shown}:{port}"
    names = ", ".join(sorted(app.registry.definitions)) or "none"
    lines = [
        f"rivetless {rivetless.__version__}",
        f"  actors    {names}",
        f"  store     {app.store_name}",
        f"  clients   {url}",
        f"  OpenAPI   {url}/openapi.json",
        f"  AsyncAPI  {url}/asyncapi.json",
        "  stop with Ctrl+C",
    ]
    if host not in ("127.0.0.1", "::1"):
        lines.append("  note: everybody who reaches this address can call these actors")
    return "\n".join(lines) + "\n"
