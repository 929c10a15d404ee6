"""Sockets of processes that stay: the production code for serving them, and for reaching peers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from rivetless.client.sockets import Socket
from rivetless.clock import within
from rivetless.gateway.frames import Wire as Encoding
from rivetless.gateway.limits import Limits
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.socket import SocketOptions, SocketService
from rivetless.gateway.table import SocketTable
from rivetless.hosts.gossip import Gossip
from rivetless.hosts.links import LinkError, RefusedError
from rivetless.hosts.listener import ConnectionsApp
from rivetless.hosts.ordering import Sequencer
from rivetless.hosts.passes import Passes
from rivetless.hosts.peers import Peers
from rivetless.protocol.codec import JSON
from rivetless.runtime.commands import Origin, Target
from rivetless.runtime.ports import Hint
from rivetless.store.base import StoreError
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.weather import Fault, one_way

if TYPE_CHECKING:
    from random import Random

    from rivetless.gateway.dispatcher import Dispatcher
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Store
    from rivetless.testing.simulation.process import Process
    from rivetless.testing.simulation.world import World

__all__ = ["Hosting", "serving"]

PORT: Final = Port(
    "link",
    one_way(Fault.PUSH_LOST),
    lambda: LinkError("injected: nothing was sent"),
    lambda: LinkError("injected: the answer was lost"),
)

_SECRET: Final = b"a secret that all processes of a simulation share"
_SCHEME: Final = "sim://"
_TIMEOUT: Final = 5.0
_MAX_INCOMING: Final = 65_536
_MAX_OUTGOING: Final = 1_048_576


def options_for(host_id: str, rng: Random) -> SocketOptions:
    """Return what holds for the sockets of a host."""
    return SocketOptions(
        host_id=host_id,
        limits=Limits(),
        max_incoming=_MAX_INCOMING,
        max_outgoing=_MAX_OUTGOING,
        fresh_id=lambda: f"{rng.getrandbits(128):032x}",
    )


def table_for(clock: Any) -> SocketTable:
    """Return a table for the sockets of a host."""
    return SocketTable(clock, max_outgoing=_MAX_OUTGOING)


async def serving(
    service: SocketService, socket: Socket, target: Target, origin: Origin, *, raw: bool
) -> None:
    """Serve a socket until it closes."""
    if raw:
        await service.serve_raw(socket, target, origin)
    else:
        await service.serve_events(socket, target, Encoding(JSON), origin)


class Hosting:
    """What ``hosts.process`` wires around a runtime, without a port of its own.

    Args:
        world: what the simulation shares.
        process: whose sockets they are.
        store: its store.
    """

    def __init__(self, world: World, process: Process, store: Store) -> None:
        self._process = process
        self._tasks = Tasks()
        self._url = _SCHEME + process.name
        host_id = f"host-{process.name}"
        self._table = table_for(process.clock)
        sequencer = Sequencer(self._table.deliver, process.clock)
        passes = Passes(_SECRET, host_id, process.clock)
        self.peers: Final = Peers(
            store,
            sequencer,
            host_id=host_id,
            clock=process.clock,
            links=_Links(world, process),
            lapsed=self._hang_up,
        )
        self.peers.trust(passes)
        self.gossip: Final = Gossip(self.peers, process.clock)
        self._app = ConnectionsApp(self._table, sequencer, passes, self._hear)
        rng = world.choices.random(f"{process.name} sockets")
        self._options = replace(options_for(host_id, rng), secure_host=self.peers.own.secure)
        self._joined = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._service: SocketService | None = None

    def begin(self, runtime: Runtime) -> None:
        """Announce the process, and go on doing so."""
        self._service = SocketService(
            cast("Dispatcher", runtime),
            self._table,
            self._tasks,
            self._process.clock,
            self._options,
        )
        self._beating = self._process.spawn(self._beat())

    async def _beat(self) -> None:
        await self.peers.join(self._url)
        self._joined.set()
        greeting = self._process.spawn(self._greet())
        await self.peers.beat()
        await greeting

    async def _greet(self) -> None:
        try:
            await self.gossip.greet()
        except StoreError:
            return  # the next heartbeat reads who is there

    def _hear(self, sender: str, hints: Sequence[Hint]) -> None:
        self.gossip.heard(sender)
        self._process.runtime.hints.hear(hints)

    def _hang_up(self) -> None:
        self._table.close_all(1011, "ws.going_away")

    async def serve(self, socket: Socket, target: Target, origin: Origin, *, raw: bool) -> None:
        """Serve a socket until it closes."""
        if not self._joined.is_set():
            await self._joined.wait()
        assert self._service is not None
        await serving(self._service, socket, target, origin, raw=raw)

    async def answer(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        """Answer a peer's request."""
        answers: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: MutableMapping[str, Any]) -> None:
            answers.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
        await self._app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in answers)
        return answers[0]["status"], content

    async def stop(self) -> None:
        """End as a process does that is asked to."""
        self._hang_up()
        try:
            await within(self._process.clock, 10.0, self._tasks.finish())
        except TimeoutError:
            self._tasks.cancel()
        if self._beating is not None:
            self._beating.cancel()

    async def leave(self) -> None:
        """Tell the others that this process is gone."""
        try:
            await self.peers.own.end()
        except Exception:
            return  # it expires
        await self.peers.aclose()


class _Links:
    """Carries requests to peers."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def request(
        self, url: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        """Make a request."""
        world, process = self._world, self._process
        name = url.removeprefix(_SCHEME)
        peer = next((each for each in world.processes if each.name == name and each.alive), None)
        fields = list(headers)

        async def arrive() -> tuple[int, bytes]:
            if peer is None:
                raise RefusedError("connection refused")
            return await peer.answer(method, path, fields, body)

        carried = world.network.carry(process.vitality, process.name, PORT, arrive, what=name)
        try:
            return await within(process.clock, _TIMEOUT, carried)
        except TimeoutError as error:
            raise LinkError("no answer in time") from error

    async def aclose(self) -> None:
        """Nothing is open."""
