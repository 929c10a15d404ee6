"""``LambdaProcess``: what an execution environment keeps from one invocation to the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from rivetless.clock import Clock, Timeout
from rivetless.errors import ActorError, make
from rivetless.runtime.ports import Doorbells, NoDoorbells, NoSockets, Pusher
from rivetless.runtime.runtime import Runtime
from rivetless.store.urls import open_store

if TYPE_CHECKING:
    from rivetless.gateway.limits import Limits
    from rivetless.hosts.aws_lambda.http import HttpDoor
    from rivetless.hosts.aws_lambda.invocation import Invocation
    from rivetless.hosts.aws_lambda.settings import Settings
    from rivetless.hosts.aws_lambda.socket_door import SocketDoor
    from rivetless.registry import Registry
    from rivetless.store.base import Store

__all__ = ["LambdaProcess"]

_GRACE: Final = 0.25
"""Seconds in which cancelled work has to end; then the environment is left as it is."""

_log = logging.getLogger("rivetless.hosts")


class LambdaProcess:
    """Opens store and runtime with the first event that needs them, and keeps them.

    The environment is frozen after each invocation, and may be thawed much later or never. So
    nothing may be under way when one ends: ``settle`` waits for what a command has left. What does
    not end in time is cancelled and the runtime with it, as if the process had died; the next
    invocation begins with a new one. A timer of an actor that has been frozen fires in a later
    invocation and finds, as any turn does, that its copy of the actor is stale. Connections of
    ``aws.http`` that were idle for long are not used again.

    Args:
        registry: the actors.
        settings: what the environment says.
        clock: all time comes from it.
        store: a store, or its URL; else the one of the settings.
        limits: how much HTTP clients may send, and how often.
        origins: pages that may use the function.
        root_path: what comes before our paths.
        keep_alive: whether idle WebSockets are kept alive.
        pusher: how sockets are reached, instead of by the settings' endpoint.
        doorbells: how actors are woken.

    Attributes:
        registry: as given.
        settings: as given.
        clock: as given.
        limits: as given.
        origins: as given.
        root_path: as given.
        http: the gateway, once there was an HTTP event.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        *,
        clock: Clock,
        store: Store | str | None = None,
        limits: Limits | None = None,
        origins: Iterable[str] | None = None,
        root_path: str = "",
        keep_alive: bool = False,
        pusher: Pusher | None = None,
        doorbells: Doorbells | None = None,
    ) -> None:
        self.registry = registry
        self.settings = settings
        self.clock = clock
        self.limits = limits
        self.origins = origins
        self.root_path = root_path
        self.http: HttpDoor | None = None
        self._store: Store | str | None = store or settings.store
        self._stack = AsyncExitStack()
        self._pusher = pusher
        self._doorbells = doorbells
        self._opened: Store | None = None
        self._runtime: Runtime | None = None
        self._opening = asyncio.Lock()
        self._keep_alive = keep_alive
        self._sockets: SocketDoor | None = None
        self._invocation: Invocation | None = None

    @property
    def sockets(self) -> SocketDoor:
        """The way to the WebSocket API."""
        if self._sockets is None:
            # Loaded by functions that have sockets only.
            from rivetless.hosts.aws_lambda.socket_door import SocketDoor

            self._sockets = SocketDoor(
                self.registry,
                self.settings,
                clock=self.clock,
                stack=self._stack,
                origins=self.origins,
                keep_alive=self._keep_alive,
            )
            if self._invocation is not None:
                self._sockets.begin(self._invocation)
        return self._sockets

    @property
    def store(self) -> Store | None:
        """The store, once it is open."""
        return self._opened

    def counts(self) -> dict[str, float]:
        """Return what was counted since the environment began: conflicts, and the store's units.

        A store counts if it has ``consumed``, as the one over DynamoDB has.
        """
        found: dict[str, float] = {}
        if self._runtime is not None:
            found["Conflicts"] = self._runtime.execution.conflicts
        consumed = getattr(self._opened, "consumed", None)
        if consumed is not None:
            found["StoreRequests"] = sum(consumed.requests.values())
            found["ReadUnits"] = consumed.read_units
            found["WriteUnits"] = consumed.write_units
        return found

    async def open(self) -> Runtime:
        """Return the runtime; open the store first if need be.

        Raises:
            ActorError: ``guard.service_unavailable``: there is no store, or it cannot be opened.
        """
        if self._runtime is not None:
            return self._runtime
        async with self._opening:
            if self._runtime is None:
                try:
                    self._runtime = await self._start()
                except Exception as error:
                    _log.exception("the actors cannot be served")
                    raise make("guard.service_unavailable") from error
            return self._runtime

    async def _start(self) -> Runtime:
        if self._opened is None:
            self._opened = await self._open_store()
        if self._doorbells is None:
            self._doorbells = await self._open_doorbells()
        pusher = self._pusher
        if pusher is None and self.settings.sockets_endpoint is not None:
            pusher = await self.sockets.open(self._opened)
        runtime = Runtime(
            self.registry.definitions,
            self._opened,
            clock=self.clock,
            pusher=pusher or NoSockets(),
            doorbells=self._doorbells,
            resident=False,
            region=self.settings.region,
        )
        if self._sockets is not None:
            self._sockets.serve(runtime)
        return runtime

    async def _open_store(self) -> Store:
        store = self._store
        if store is None:
            raise ValueError("There is no store. Set RIVETLESS_STORE, e.g. to dynamodb:TABLE.")
        if isinstance(store, str):
            store = self._store = open_store(store, clock=self.clock)
        return await self._stack.enter_async_context(store)

    async def _open_doorbells(self) -> Doorbells:
        if self.settings.wake_queue_url is None:
            _log.warning(
                "No RIVETLESS_WAKE_QUEUE_URL: only the sweeper wakes actors, within a minute."
            )
            return NoDoorbells()
        from rivetless.hosts.aws_lambda.doorbells import AwsDoorbells

        doorbells = AwsDoorbells.from_environment(self.settings.environ, clock=self.clock)
        return await self._stack.enter_async_context(doorbells)

    def begin(self, invocation: Invocation) -> None:
        """Begin an invocation."""
        self._invocation = invocation
        if self._sockets is not None:
            self._sockets.begin(invocation)

    async def settle(self, end: float) -> None:
        """Wait until nothing is under way; at ``end`` (Unix seconds) cancel what is."""
        runtime = self._runtime
        if runtime is None or await runtime.settle(end):
            return
        self._runtime = None
        runtime.abandon()
        me = asyncio.current_task()
        left = {task for task in asyncio.all_tasks() if task is not me}
        _log.warning("%d tasks went on at the end of the invocation; they are cancelled", len(left))
        for task in left:
            task.cancel()
        try:
            async with Timeout(self.clock, _GRACE):
                await asyncio.wait(left)
        except TimeoutError:
            _log.error("tasks that were cancelled do not end: %s", ", ".join(map(str, left)))

    async def close(self) -> None:
        """Close everything; for tests. Environments are not told when they end."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.aclose()
        self._opened = None
        await self._stack.aclose()

    def note(self, error: Exception, message: str, *args: object) -> None:
        """Log a failure: an error that was expected in one line, any other with its traceback."""
        if isinstance(error, ActorError):
            _log.warning(f"{message}: %s", *args, error)
        else:
            _log.error(message, *args, exc_info=error)
