"""The rig: actors in memory, with a clock that tests move and processes that tests restart."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from rivetless.actor.base import Actor
from rivetless.actor.turn import RequestInfo
from rivetless.client.calls import SocketRequest
from rivetless.client.client import Client
from rivetless.client.handle import Handle
from rivetless.client.local import LocalTransport
from rivetless.client.sockets import Socket, memory_sockets
from rivetless.gateway.frames import Wire
from rivetless.gateway.limits import Limits
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.socket import SocketOptions, SocketService
from rivetless.gateway.table import SocketTable
from rivetless.protocol.codec import JSON
from rivetless.runtime.alarms import LocalDoorbells
from rivetless.runtime.commands import ActorInfo, Origin
from rivetless.runtime.local import LocalDispatcher
from rivetless.runtime.ports import Push
from rivetless.runtime.runtime import CLOSING, Runtime
from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivetless.actor.definition import ActorDefinition
    from rivetless.gateway.dispatcher import Dispatcher
    from rivetless.registry import Registry

MAX_INCOMING: Final = 65_536
MAX_OUTGOING: Final = 1_048_576

PATIENCE: Final = 10.0
"""Real seconds that the rig waits at its end for threads and sockets, whatever the clock says."""

PATIENCE_AFTER_ERROR: Final = 1.0
"""The same when a test has failed, which may have left for ever what the store waits for."""

PAUSE: Final = 0.05
"""Real seconds of such a wait, after which the clock is moved again."""


class _Sockets:
    """The pusher of the rig: all sockets are in this process, whatever process runs the actor."""

    def __init__(self, table: SocketTable) -> None:
        self._table = table

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        return self._table.deliver(pushes)


class _Classes(Mapping[str, "ActorDefinition"]):
    """The actor classes a test uses: those it has named to the client, and any other by name."""

    def __init__(self, registry: Registry | None) -> None:
        self._known: dict[str, ActorDefinition] = {}
        self._open = registry is None
        if registry is not None:
            self._known.update(registry.definitions)

    def add(self, definition: ActorDefinition) -> None:
        """Serve a class from now on."""
        if self._open:
            self._known[definition.name] = definition

    def __getitem__(self, name: str) -> ActorDefinition:
        if name not in self._known and self._open:
            # An actor that only other actors call: the class defined last has the name.
            for cls in _subclasses(Actor):
                definition: ActorDefinition | None = cls.__dict__.get("__definition__")
                if definition is not None and definition.name == name:
                    self._known[name] = definition
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


class _Door:
    """Leads to the rig's present process, so that handles and sockets outlive a restart."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def dispatch(self, command: Any, /) -> Any:
        dispatch = cast("Callable[[Any], Awaitable[Any]]", self._rig.runtime.dispatch)
        return await dispatch(command)

    async def find(self, actor_id: str, /) -> ActorInfo | None:
        return await self._rig.runtime.find(actor_id)


class _Dispatcher(LocalDispatcher):
    """Gives calls to the rig's present process, and opens sockets in memory."""

    def __init__(self, rig: Rig, namespace: str) -> None:
        super().__init__(_Door(rig), namespace)
        self._rig = rig

    async def open_socket(self, request: SocketRequest, /) -> Socket:
        """Open a socket whose other end is served here."""
        return self._rig.open_socket(request, self)


class Rig:
    """One process of actors on one store, in memory by default. Use it as ``async with``.

    Actor classes need no registration: whatever the test calls is there.

    Args:
        registry: serve just its actors.
        store: where they last; a ``MemoryStore`` by default. The rig opens and closes it.
        namespace: the namespace of ``client``.

    Attributes:
        clock: stands still until ``advance``.
        store: as given.
        client: calls the actors.
        runtime: the present process.
    """

    client: Client
    runtime: Runtime

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        store: Store | None = None,
        clock: FakeClock | None = None,
        namespace: str = "default",
    ) -> None:
        self.clock = clock or FakeClock()
        self.store = store or MemoryStore(clock=self.clock)
        self._classes = _Classes(registry)
        self._namespace = namespace
        self._tasks = Tasks()
        self._table = SocketTable(self.clock, max_outgoing=MAX_OUTGOING)
        self._stack = AsyncExitStack()
        self._service = SocketService(
            cast("Dispatcher", _Door(self)),
            self._table,
            self._tasks,
            self.clock,
            SocketOptions(
                host_id=f"rig-{uuid.uuid4()}",
                limits=Limits(),
                max_incoming=MAX_INCOMING,
                max_outgoing=MAX_OUTGOING,
            ),
        )

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.store)
        self._start()
        self.client = self.new_client()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.aclose()
        await settle()
        self._tasks.cancel()
        await self._tasks.finish()
        patience = PATIENCE if error is None else PATIENCE_AFTER_ERROR
        for close in (self.runtime.aclose, self._stack.aclose):
            ending = asyncio.create_task(close())
            give_up_at = time.monotonic() + patience
            while not ending.done() and time.monotonic() < give_up_at:
                # What waits for the clock is given the time it would have; then it is cancelled.
                # The store, too, may be about to try something again.
                await self.clock.advance(CLOSING)
                # And what waits for a thread or a socket is given time that is real.
                await asyncio.wait([ending], timeout=PAUSE)
            if ending.done():
                await ending
                continue
            ending.cancel()
            await asyncio.wait([ending])
            if error is None:
                raise RuntimeError("the rig cannot end: something, a commit say, waits for ever")

    def _start(self) -> None:
        self.runtime = Runtime(
            self._classes,
            self.store,
            clock=self.clock,
            pusher=_Sockets(self._table),
            doorbells=LocalDoorbells(self.clock),
        )
        self.runtime.sweeper.start()

    def new_client(self, namespace: str | None = None) -> Client:
        """Return another client, of another namespace if one is named."""
        dispatcher = _Dispatcher(self, namespace or self._namespace)
        return _RigClient(self._classes, LocalTransport(dispatcher), self.clock)

    async def advance(self, seconds: float | timedelta) -> None:
        """Let time pass: timers, time-outs and sleeps that become due happen on the way."""
        await self.clock.advance(seconds)

    async def settle(self) -> None:
        """Let everything happen that can happen without time passing, and be committed."""
        await settle()
        if self.runtime.flush():
            await settle()

    def restart(self) -> None:
        """Start a new process in place of the present one: everything it cached is forgotten.

        Handles stay good, and sockets stay open, as they do behind an API gateway.
        """
        self.runtime.abandon()
        self._start()

    def open_socket(self, request: SocketRequest, dispatcher: LocalDispatcher) -> Socket:
        """Serve a socket in memory and return the client's end."""
        client, server = memory_sockets()
        target = dispatcher.target(request.target)
        seen = RequestInfo("GET", f"http://127.0.0.1{request.path}")
        origin = Origin(request=seen, params=request.params)
        if request.path.partition("?")[0] == "/connect":
            serving = self._service.serve_events(server, target, Wire(JSON), origin)
        else:
            serving = self._service.serve_raw(server, target, origin)
        self._tasks.spawn(serving)
        return client


class _RigClient(Client):
    """A client that makes the classes it is given known to the rig."""

    def __init__(self, classes: _Classes, transport: LocalTransport, clock: FakeClock) -> None:
        super().__init__(transport=transport, clock=clock)
        self._classes = classes

    def _handle(
        self, target: Any, definition: Any, params: Any = None, idempotency_key: Any = None
    ) -> Handle:
        if definition is not None:
            self._classes.add(definition)
        return super()._handle(target, definition, params, idempotency_key)
