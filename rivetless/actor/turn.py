"""The seam between an actor object and the turn that runs it.

``Actor``, ``Conn`` and ``RawWebSocket`` are thin faces; each member they offer ends in one call of
this protocol. The runtime implements it (``runtime.turn``); nothing here does I/O.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rivetless.frozen import frozen

if TYPE_CHECKING:
    import logging

    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.cron import CronPort
    from rivetless.actor.dead_letters import DeadLetterPort
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.kv import KVPort
    from rivetless.actor.mailbox import QueuePort
    from rivetless.actor.schedule import SchedulePort
    from rivetless.keys import Address

T = TypeVar("T")


def latin_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return headers that are text as they are on the wire."""
    return tuple(
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in headers
    )


def text_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return headers that are as on the wire as text."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


@frozen
class RequestInfo:
    """The HTTP request or upgrade behind a turn, as plain data (it is stored with connections).

    Attributes:
        method: e.g. ``"GET"``.
        url: what the actor sees, e.g. ``"http://127.0.0.1/foo?x=1"``.
        headers: lower-case names and values, as they came and in order; names may repeat.
        body: the whole body; empty for upgrades and actions.
    """

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


@frozen
class ConnInfo:
    """A connection as the store knows it, without its state.

    Attributes:
        id: a UUID, or a host's own id for the socket.
        kind: ``"events"`` (``connect()``), ``"raw"`` (raw WebSocket) or ``"call"`` (an HTTP call).
        params: what the client sent, as plain values (not yet validated); ``None`` if nothing.
        host: id of the host that holds the socket; ``None`` for ``"call"``.
        request: the upgrade or request.
    """

    id: str
    kind: str
    params: object
    host: str | None
    request: RequestInfo | None


class Turn(Protocol):
    """One handler run, as the actor sees it."""

    @property
    @abstractmethod
    def definition(self) -> ActorDefinition: ...

    @property
    @abstractmethod
    def address(self) -> Address: ...

    @property
    @abstractmethod
    def actor_id(self) -> str: ...

    @property
    @abstractmethod
    def turn_id(self) -> str:
        """The same in every re-run; comes from the turn's durable cause."""

    @property
    @abstractmethod
    def region(self) -> str: ...

    @property
    @abstractmethod
    def log(self) -> logging.LoggerAdapter[logging.Logger]: ...

    @property
    @abstractmethod
    def abort(self) -> AbortSignal: ...

    @property
    @abstractmethod
    def request(self) -> RequestInfo | None: ...

    @property
    @abstractmethod
    def conn(self) -> ConnInfo | None:
        """The connection this turn runs for, if any."""

    @property
    @abstractmethod
    def client(self) -> Any:
        """A client for calls to other actors (``rivetless.client.Client``)."""

    @property
    @abstractmethod
    def queue(self) -> QueuePort:
        """What stands behind ``self.queue``."""

    @abstractmethod
    def get_state(self) -> Any:
        """Return the turn's own copy of the state, decoded at the first access."""

    @abstractmethod
    def set_state(self, value: object) -> None: ...

    @abstractmethod
    def get_vars(self) -> Any: ...

    @abstractmethod
    def set_vars(self, value: object) -> None: ...

    @abstractmethod
    def get_conn_state(self, conn: ConnInfo) -> Any:
        """Return the turn's own copy of a connection's state."""

    @abstractmethod
    def set_conn_state(self, conn: ConnInfo, value: object) -> None: ...

    @abstractmethod
    def conns(self) -> AsyncIterator[ConnInfo]:
        """Read the actor's connections, this turn's own included, in id order.

        Loads each one's state too, so that ``get_conn_state`` needs no await.
        """

    @abstractmethod
    async def find_conn(self, conn_id: str) -> ConnInfo | None: ...

    @property
    @abstractmethod
    def schedules(self) -> SchedulePort: ...

    @property
    @abstractmethod
    def crons(self) -> CronPort: ...

    @property
    @abstractmethod
    def dead_letters(self) -> DeadLetterPort: ...

    @property
    @abstractmethod
    def kv(self) -> KVPort: ...

    @abstractmethod
    def broadcast(self, event: str, args: Sequence[object]) -> None:
        """Send an event to every subscribed connection, after the commit. ``args`` are plain."""

    @abstractmethod
    def send(self, conn: ConnInfo, event: str, args: Sequence[object]) -> None:
        """Send an event to one connection, subscribed or not, after the commit."""

    @abstractmethod
    def send_raw(self, conn: ConnInfo, data: str | bytes) -> None:
        """Send a raw WebSocket message, after the commit."""

    @abstractmethod
    def disconnect(self, conn: ConnInfo, code: int, reason: str) -> None:
        """Close a connection's socket after the commit; ``on_disconnect`` follows by itself."""

    @abstractmethod
    async def refresh(self) -> None:
        """Forget what was read and see the newest committed state.

        Raises:
            ActorError: ``actor.invalid_operation`` when the turn has uncommitted changes.
        """

    @abstractmethod
    async def save_state(self) -> None:
        """Checkpoint: commit what there is now and release its effects."""

    @abstractmethod
    async def once(self, name: str, fn: Callable[[], Awaitable[T]]) -> T:
        """Run ``fn`` under the lease and store its result before going on."""

    @abstractmethod
    def keep_awake(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]: ...

    @abstractmethod
    def wait_until(self, work: Coroutine[Any, Any, object]) -> None: ...

    @abstractmethod
    def sleep(self) -> None: ...

    @abstractmethod
    def destroy(self) -> None: ...
