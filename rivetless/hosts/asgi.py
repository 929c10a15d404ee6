"""``ASGIApp``: actors in any ASGI server, at the root or mounted in another application."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from rivetless.clock import Clock, SystemClock
from rivetless.errors import make
from rivetless.gateway.app import GatewayOptions, accept
from rivetless.gateway.asgi import Exchange, Receive, Scope, Send
from rivetless.gateway.limits import Limits
from rivetless.hosts.process import Process, ProcessOptions
from rivetless.hosts.secrets import find_secret
from rivetless.protocol.headers import close_reason
from rivetless.store.urls import Synchronous, open_store, secret_file

if TYPE_CHECKING:
    from types import TracebackType

    from rivetless.client import Client
    from rivetless.registry import Registry
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Store

__all__ = ["ADMIN_TOKEN_VARIABLE", "DEFAULT_STORE", "STORE_VARIABLE", "ASGIApp"]

STORE_VARIABLE: Final = "RIVETLESS_STORE"
ADMIN_TOKEN_VARIABLE: Final = "RIVETLESS_ADMIN_TOKEN"
DEFAULT_STORE: Final = "sqlite:.rivetless/actors.db"

_log = logging.getLogger("rivetless.hosts")


class ASGIApp:
    """Serves the actors of a registry. ``registry.handler()`` makes one.

    It starts with the server's lifespan where there is one, else with the first request, since
    frameworks pass no lifespan on to what is mounted in them; ``lifespan`` is for theirs.

    Args:
        registry: the actors.
        store: a store, or its URL; else ``RIVETLESS_STORE``, else ``sqlite:.rivetless/actors.db``.
            A store that is given is opened and closed here.
        synchronous: of an SQLite store: ``"full"`` or ``"normal"``.
        limits: how much clients may send, and how often.
        origins: pages that may use the server, e.g. ``https://app.example.com``; None lets all.
        admin_token: opens listing and destroying; else ``RIVETLESS_ADMIN_TOKEN``. Without one,
            only programs on this machine may do that.
        secret: shared by the processes of a deployment; else ``RIVETLESS_SECRET``, else made and
            kept beside an SQLite store.
        peer_host: address at which other processes reach the sockets of this one.
        peer_port: its port; 0 for any that is free.
        peer_url: its URL for others, where that is another.
        region: what ``self.region`` says in actors.
        expose_errors: show internal errors to clients; else ``RIVET_EXPOSE_ERRORS=1``.
        clock: all time comes from it.

    Attributes:
        registry: the actors.
        store_name: the store's URL, or what it calls itself.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        store: Store | str | None = None,
        synchronous: Synchronous = "full",
        limits: Limits | None = None,
        origins: Iterable[str] | None = None,
        admin_token: str | None = None,
        secret: str | bytes | None = None,
        peer_host: str = "127.0.0.1",
        peer_port: int = 0,
        peer_url: str | None = None,
        region: str = "local",
        expose_errors: bool | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        if store is None:
            store = os.environ.get(STORE_VARIABLE) or DEFAULT_STORE
        file = None
        self.registry = registry
        self.store_name = store if isinstance(store, str) else repr(store)
        if isinstance(store, str):
            file = secret_file(store)
            store = open_store(store, synchronous=synchronous, clock=self._clock)
        if expose_errors is None:
            expose_errors = os.environ.get("RIVET_EXPOSE_ERRORS") == "1"
        self._options = ProcessOptions(
            registry=registry,
            store=store,
            clock=self._clock,
            region=region,
            gateway=GatewayOptions(
                host_id=uuid.uuid4().hex,
                limits=limits or Limits(),
                origins=origins,
                admin_token=admin_token or os.environ.get(ADMIN_TOKEN_VARIABLE) or None,
                expose=expose_errors,
            ),
            find_secret=lambda: find_secret(secret, file),
            peer_host=peer_host,
            peer_port=peer_port,
            peer_url=peer_url,
        )
        self._process: Process | None = None
        self._starting: asyncio.Lock | None = None
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one socket, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        process = self._process
        if process is None:
            try:
                process = await self.start()
            except Exception:
                _log.exception("the application could not be started")
                await _refuse(scope, receive, send)
                return
        if process.peering is not None:
            await process.wait_for_peers(scope)
        await process.gateway(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:
            _log.exception("the application could not be started")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None, None]:
        """Run with a framework's own lifespan: ``FastAPI(lifespan=actors.lifespan)``."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> Process:
        """Start, unless it has been started already.

        Raises:
            StoreError: the store cannot be opened.
        """
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._closed:
                raise make("guard.service_unavailable")
            if self._process is None:
                process = Process(self._options)
                await process.start()
                self._process = process
            return self._process

    async def stop(self) -> None:
        """Stop: connections end, ``on_sleep`` hooks run, the store is closed."""
        process, self._process = self._process, None
        self._closed = process is not None
        if process is not None:
            await process.stop()
        self._closed = False
        self._starting = None

    def hang_up(self) -> None:
        """Close every socket, so that clients connect to whatever process comes next."""
        if self._process is not None:
            self._process.hang_up()

    @property
    def runtime(self) -> Runtime:
        """The running runtime.

        Raises:
            RuntimeError: the application has not been started.
        """
        if self._process is None:
            raise RuntimeError("The application has not been started; see `ASGIApp.lifespan`.")
        return self._process.runtime

    def client(self, namespace: str = "default") -> Client:
        """Return a client for the application around this one; its calls stay in the process.

        It may be made before anything is started. It opens no connections: those are for clients
        elsewhere, over HTTP.

        Args:
            namespace: whose actors.
        """
        from rivetless.client import Client, LocalTransport
        from rivetless.hosts.inside import InsideDispatcher

        transport = LocalTransport(InsideDispatcher(self, namespace))
        return Client(transport=transport, clock=self._clock)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that nothing can be served now, in a way that clients try again."""
    exchange = Exchange(scope, receive, send, "")
    error = make("guard.service_unavailable")
    if scope["type"] == "http":
        await exchange.fail(error)
        return
    await accept(exchange)
    await send(
        {"type": "websocket.close", "code": 1011, "reason": close_reason(error, exchange.ray_id)}
    )
