"""``Process``: everything that runs in a process that stays, between its start and its stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.clock import Clock, Timeout
from rivetless.frozen import frozen
from rivetless.gateway.app import Gateway, GatewayOptions
from rivetless.gateway.asgi import Scope
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.table import SocketTable
from rivetless.hosts.gossip import Gossip
from rivetless.hosts.links import HttpLinks
from rivetless.hosts.ordering import Sequencer
from rivetless.hosts.peers import Peers
from rivetless.hosts.places import find_place
from rivetless.runtime.alarms import LocalDoorbells
from rivetless.runtime.runtime import Runtime

if TYPE_CHECKING:
    from rivetless.hosts.listener import Listener
    from rivetless.registry import Registry
    from rivetless.runtime.ports import Hint
    from rivetless.store.base import Store

__all__ = ["Process", "ProcessOptions"]

_FAREWELL: Final = 10.0
_SIGNATURE: Final = b"x-rivetless-signature"

_log = logging.getLogger("rivetless.hosts")


@frozen(kw_only=True)
class ProcessOptions:
    """What a process needs to know.

    Attributes:
        registry: the actors.
        store: where they last; opened and closed by the process.
        clock: all time comes from it.
        region: what actors see as their region.
        gateway: for the gateway.
        find_secret: returns the deployment's secret; may read a file.
        peer_host: address of the private listener.
        peer_port: its port; 0 for any that is free.
        peer_url: its URL for others, where that is another.
    """

    registry: Registry
    store: Store
    clock: Clock
    region: str
    gateway: GatewayOptions
    find_secret: Callable[[], bytes | None]
    peer_host: str
    peer_port: int
    peer_url: str | None


class Process:
    """Wires store, runtime, gateway and peers together.

    Args:
        options: what it needs to know.

    Attributes:
        runtime: runs the actors.
        gateway: the ASGI application.
        peering: becoming reachable for other processes, while that is under way.
    """

    def __init__(self, options: ProcessOptions) -> None:
        registry, clock = options.registry, options.clock
        self._options = options
        self._stack = AsyncExitStack()
        self._tasks = Tasks()
        self._table = SocketTable(clock, max_outgoing=registry.options.max_outgoing_message_size)
        self._sequencer = Sequencer(self._table.deliver, clock)
        self._peers = Peers(
            options.store,
            self._sequencer,
            host_id=options.gateway.host_id,
            clock=clock,
            links=HttpLinks(clock),
            lapsed=self._lapsed,
        )
        self._gossip = Gossip(self._peers, clock)
        self._listener: Listener | None = None
        self._beating: asyncio.Task[None] | None = None
        self.runtime = Runtime(
            registry.definitions,
            options.store,
            clock=clock,
            pusher=self._peers,
            neighbours=self._gossip,
            doorbells=LocalDoorbells(clock),
            region=options.region,
        )
        self.gateway = Gateway(
            registry,
            self.runtime,
            table=self._table,
            tasks=self._tasks,
            clock=clock,
            options=replace(options.gateway, secure_host=self._peers.own.secure),
        )
        self.peering: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store and begin.

        Raises:
            StoreError: the store cannot be opened.
        """
        await self._stack.enter_async_context(self._options.store)
        self.runtime.sweeper.start()
        if not self._options.store.capabilities.single_writer:
            # Beside the first requests, most of which need none of it.
            self.peering = asyncio.get_running_loop().create_task(self._join())

    async def wait_for_peers(self, scope: Scope) -> None:
        """Wait until other processes can reach this one, if that matters for what is asked."""
        if self.peering is None:
            return
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        if scope["type"] == "websocket" or any(name == _SIGNATURE for name, _ in headers):
            await asyncio.shield(self.peering)

    async def _join(self) -> None:
        try:
            url = await self._listen()
            # Without a listener too: it is found then when it is dead.
            await self._peers.join(url)
            self._beating = asyncio.get_running_loop().create_task(self._peers.beat())
            if url:
                await self._gossip.greet()
        except Exception:
            _log.warning("the other processes do not know of this one yet", exc_info=True)
        finally:
            self.peering = None

    async def _listen(self) -> str:
        """Begin to listen for others, and return where; empty if that is not possible."""
        try:
            self._peers.place = await asyncio.to_thread(find_place)
            secret = await asyncio.to_thread(self._options.find_secret)
            if secret is None:
                _log.warning(
                    "No secret: other processes cannot reach the sockets of this one. "
                    "Give all of them the same RIVETLESS_SECRET."
                )
                return ""
            return await self._listen_with(secret)
        except Exception:
            _log.exception("other processes cannot reach the sockets of this one")
            return ""

    async def _listen_with(self, secret: bytes) -> str:
        from rivetless.hosts.listener import ConnectionsApp, Listener
        from rivetless.hosts.passes import Passes

        options = self._options
        self.gateway.trust(secret)
        passes = Passes(secret, options.gateway.host_id, options.clock)
        self._peers.trust(passes)
        listener = Listener(
            ConnectionsApp(self._table, self._sequencer, passes, self._hear),
            host=options.peer_host,
            port=options.peer_port,
            advertise=options.peer_url,
        )
        url = await listener.start()
        self._listener = listener
        return url

    def _hear(self, sender: str, hints: Sequence[Hint]) -> None:
        self._gossip.heard(sender)
        self.runtime.hints.hear(hints)

    def _lapsed(self) -> None:
        """Let clients connect anew: their connections may have been closed in the meantime."""
        if len(self._table):
            _log.warning("heartbeats came too late; closing %d sockets", len(self._table))
            self.hang_up()

    def hang_up(self) -> None:
        """Close every socket with a reason that lets clients connect anew."""
        self._table.close_all(1011, "ws.going_away")

    async def stop(self) -> None:
        """End connections and tenures, tell the others, close the store."""
        try:
            if self.peering is not None:
                await self.peering
            self.hang_up()
            try:
                async with Timeout(self._options.clock, _FAREWELL):
                    await self._tasks.finish()
            except TimeoutError:
                _log.warning("%d calls were cut off by the process's end", len(self._tasks))
                self._tasks.cancel()
                await self._tasks.finish()
            if self._beating is not None:
                self._beating.cancel()
                with suppress(asyncio.CancelledError):
                    await self._beating
            await self.runtime.aclose()
            try:
                await self._peers.own.end()
            except Exception:
                _log.warning("this host's end was not written down; it will expire", exc_info=True)
            await self._peers.aclose()
            if self._listener is not None:
                await self._listener.stop()
        finally:
            await self._stack.aclose()
