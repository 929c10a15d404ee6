"""The front of processes that do not stay: it holds their sockets, as an API gateway does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from rivetless.client.sockets import Socket
from rivetless.gateway.outbox import Tasks
from rivetless.gateway.socket import SocketService
from rivetless.runtime.commands import Origin, Target
from rivetless.runtime.ports import Push
from rivetless.testing.simulation.hosting import options_for, serving, table_for
from rivetless.testing.simulation.network import Port
from rivetless.testing.simulation.weather import Fault, menu

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.gateway.dispatcher import Dispatcher
    from rivetless.runtime.ports import Pusher
    from rivetless.runtime.runtime import Runtime
    from rivetless.store.base import Store
    from rivetless.testing.simulation.clients import Entrance
    from rivetless.testing.simulation.process import Process
    from rivetless.testing.simulation.world import World

__all__ = ["Front", "FrontPusher", "Holder"]

HOST: Final = "front"


class _PushLost(Exception):
    """A push did not get to the front, or its answer did not come back."""


PORT: Final = Port(
    "push",
    menu(
        Fault.DELAYED,
        Fault.PUSH_LOST,
        Fault.UNACKNOWLEDGED,
        Fault.DIED_BEFORE,
        Fault.DIED_AFTER,
        Fault.FROZE_BEFORE,
        Fault.FROZE_AFTER,
    ),
    _PushLost,
    _PushLost,
)


class Holder(Protocol):
    """Holds the sockets of processes that do not stay."""

    @abstractmethod
    async def serve(self, socket: Socket, target: Target, origin: Origin, *, raw: bool) -> None:
        """Hold a socket until it closes."""

    @abstractmethod
    def join(self, process: Process, store: Store) -> Pusher:
        """Have a process begin; return how it reaches sockets."""

    @abstractmethod
    def begin(
        self, process: Process, runtime: Runtime, definitions: Mapping[str, ActorDefinition]
    ) -> None:
        """Have a process be ready for what comes from sockets."""


class Front(Holder):
    """Holds sockets, and has their frames worked on by whatever process comes.

    Args:
        world: what the simulation shares.
        entrance: leads to the processes.
    """

    def __init__(self, world: World, entrance: Entrance) -> None:
        self._world = world
        self.table: Final = table_for(world.clock)
        self._service = SocketService(
            cast("Dispatcher", _Door(entrance)),
            self.table,
            Tasks(),
            world.clock,
            options_for(HOST, world.choices.random("front sockets")),
        )

    async def serve(self, socket: Socket, target: Target, origin: Origin, *, raw: bool) -> None:
        """Serve a socket until it closes."""
        await serving(self._service, socket, target, origin, raw=raw)

    def join(self, process: Process, store: Store) -> Pusher:
        """Return how a process reaches sockets."""
        return FrontPusher(self._world, process, self)

    def begin(
        self, process: Process, runtime: Runtime, definitions: Mapping[str, ActorDefinition]
    ) -> None:
        """There is nothing to do: what comes from sockets comes as commands."""


class _Door:
    """Leads from the front to a process."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance

    async def dispatch(self, command: Any, /) -> Any:
        """Have a command run."""
        return await self._entrance.dispatch(command, "front")


class FrontPusher:
    """How a process that does not stay reaches sockets. Implements ``runtime.ports.Pusher``.

    Args:
        world: what the simulation shares.
        process: whose pushes they are.
        front: where they go.
    """

    def __init__(self, world: World, process: Process, front: Front) -> None:
        self._world = world
        self._process = process
        self._front = front

    async def push(self, host: str, pushes: Sequence[Push]) -> frozenset[str]:
        """Deliver pushes."""

        async def arrive() -> frozenset[str]:
            return self._front.table.deliver(pushes)

        process = self._process
        try:
            return await self._world.network.carry(process.vitality, process.name, PORT, arrive)
        except _PushLost:
            return frozenset()
