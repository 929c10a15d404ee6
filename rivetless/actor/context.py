"""What an actor sees of its connections: thin faces over the ``Turn``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, overload
from urllib.parse import urlsplit

from typing_extensions import TypeVar

from rivetless.actor.declare import Event
from rivetless.actor.request import make_request
from rivetless.serde import schema_of

__all__ = ["Conn", "Conns", "RawWebSocket", "encode_event", "make_request"]

if TYPE_CHECKING:
    from starlette.requests import Request

    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.turn import ConnInfo, Turn

ConnStateT = TypeVar("ConnStateT", default=Any)
ParamsT = TypeVar("ParamsT", default=Any)
PayloadT = TypeVar("PayloadT")

_UNREAD: Final = object()
_ANYTHING: Final = schema_of(Any)


def encode_event(
    definition: ActorDefinition, event: Event[Any] | str, args: tuple[Any, ...]
) -> tuple[str, list[object]]:
    """Return an event's wire name and plain arguments.

    An event that is given as text need not be declared; if it is, its payload is checked.
    """
    if isinstance(event, str):
        declared = definition.find_event(event)
        if declared is None:
            return event, [_ANYTHING.encode(arg) for arg in args]
        if declared.spreads:
            args = (args,)
        return declared.name, declared.encode(*args)
    if not event.name:
        raise TypeError("An event is declared in an actor class: `changed = Event[int]()`.")
    return event.name, event.encode(*args)


class _Socket(Generic[ConnStateT, ParamsT]):
    """What managed connections and raw WebSockets have in common."""

    __slots__ = ("_info", "_params", "_request", "_turn")

    def __init__(self, turn: Turn, info: ConnInfo) -> None:
        self._turn = turn
        self._info = info
        self._params: Any = _UNREAD
        self._request: Any = _UNREAD

    @property
    def id(self) -> str:
        """The connection's id."""
        return self._info.id

    @property
    def params(self) -> ParamsT:
        """What the client connected with, checked against the actor's type for it."""
        if self._params is _UNREAD:
            self._params = self._turn.definition.check_params(self._info.params)
        params: ParamsT = self._params
        return params

    @property
    def state(self) -> ConnStateT:
        """The connection's own state, saved with the turn. Change it in place or assign it."""
        state: ConnStateT = self._turn.get_conn_state(self._info)
        return state

    @state.setter
    def state(self, value: ConnStateT) -> None:
        schema = self._turn.definition.conn_state
        if schema is not None:
            schema.require(value, "conn.state")
        self._turn.set_conn_state(self._info, value)

    @property
    def request(self) -> Request | None:
        """The HTTP request or upgrade that opened the connection, where there was one."""
        if self._request is _UNREAD:
            info = self._info.request
            self._request = None if info is None else make_request(info)
        request: Request | None = self._request
        return request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Socket) and self._info.id == other._info.id

    def __hash__(self) -> int:
        return hash(self._info.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._info.id}>"


class Conn(_Socket[ConnStateT, ParamsT]):
    """One client's connection to the actor. Two ``Conn`` are equal when their ids are."""

    __slots__ = ()

    @property
    def is_hibernatable(self) -> Literal[True]:
        """Always true: connections outlive the process that runs the actor."""
        return True

    @overload
    def send(self, event: Event[None], /) -> None: ...
    @overload
    def send(self, event: Event[PayloadT], payload: PayloadT, /) -> None: ...
    @overload
    def send(self, event: str, /, *args: object) -> None: ...
    def send(self, event: Any, /, *args: Any) -> None:
        """Send an event to this client, subscribed or not, when the turn has committed.

        Raises:
            ActorError: ``actor.validation_error``: the payload does not fit the event.
        """
        name, plain = encode_event(self._turn.definition, event, args)
        self._turn.send(self._info, name, plain)

    def disconnect(self, reason: str | None = None) -> None:
        """Close the connection when the turn has committed; ``on_disconnect`` follows by itself."""
        self._turn.disconnect(self._info, 1000, reason or "")


class RawWebSocket(_Socket[ConnStateT, ParamsT]):
    """A WebSocket that speaks the actor's own protocol, opened under ``/websocket``."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """What the client opened, without the gateway's part: path and query are the actor's."""
        info = self._info.request
        return "" if info is None else info.url

    @property
    def path(self) -> str:
        """The path of ``url``."""
        return urlsplit(self.url).path or "/"

    def send(self, data: str | bytes) -> None:
        """Send a message when the turn has committed."""
        self._turn.send_raw(self._info, data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket when the turn has committed; ``on_websocket_close`` follows."""
        self._turn.disconnect(self._info, code, reason)


class Conns(Generic[ConnStateT, ParamsT]):
    """The actor's connections: ``async for conn in self.conns``."""

    __slots__ = ("_turn",)

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    @property
    def current(self) -> Conn[ConnStateT, ParamsT] | None:
        """The connection this turn runs for; ``None`` where ``self.conn`` would raise."""
        info = self._turn.conn
        return None if info is None else Conn(self._turn, info)

    async def __aiter__(self) -> AsyncIterator[Conn[ConnStateT, ParamsT]]:
        async for info in self._turn.conns():
            yield Conn(self._turn, info)

    async def get(self, conn_id: str) -> Conn[ConnStateT, ParamsT] | None:
        """Find a connection by id."""
        info = await self._turn.find_conn(conn_id)
        return None if info is None else Conn(self._turn, info)

    async def count(self) -> int:
        """Count the connections."""
        count = 0
        async for _ in self._turn.conns():
            count += 1
        return count
