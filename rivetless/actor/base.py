"""``Actor``, the class that users derive from: its members and its hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import Self, TypeVar

from rivetless.actor.abort import AbortSignal
from rivetless.actor.context import Conn, Conns, RawWebSocket
from rivetless.actor.declare import Event
from rivetless.actor.turn import Turn

if TYPE_CHECKING:
    import logging

    from starlette.requests import Request
    from starlette.responses import Response

    from rivetless.actor.definition import ActorDefinition
    from rivetless.client import Client

StateT = TypeVar("StateT", default=None)
ConnStateT = TypeVar("ConnStateT", default=None)
ParamsT = TypeVar("ParamsT", default=Any)
PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")


class Actor(Generic[StateT, ConnStateT, ParamsT]):
    """A stateful object with an address. One instance lives for one turn and is its context."""

    __slots__ = ("__weakref__", "_turn")

    __definition__: ActorDefinition
    _turn: Turn

    @classmethod
    def _bind(cls, turn: Turn) -> Self:
        self = object.__new__(cls)
        object.__setattr__(self, "_turn", turn)
        return self

    def __actor__(self) -> Self:
        return self

    # -- the actor ------------------------------------------------------------------------------

    @property
    def state(self) -> StateT:
        """The actor's state, as of this turn. Change it in place or assign it."""
        state: StateT = self._turn.get_state()
        return state

    @state.setter
    def state(self, value: StateT) -> None:
        self._turn.set_state(value)

    @property
    def vars(self) -> Any:
        """What ``create_vars`` made for this process; never stored, not rolled back."""
        return self._turn.get_vars()

    @vars.setter
    def vars(self, value: Any) -> None:
        self._turn.set_vars(value)

    @property
    def name(self) -> str:
        """The actor's name on the wire."""
        return self._turn.address.name

    @property
    def key(self) -> tuple[str, ...]:
        """The parts of the actor's key."""
        return self._turn.address.key

    @property
    def actor_id(self) -> str:
        """The id of this life of the actor."""
        return self._turn.actor_id

    @property
    def turn_id(self) -> str:
        """The same in every re-run of this turn: an idempotency key for outside systems."""
        return self._turn.turn_id

    @property
    def region(self) -> str:
        """Where the actor runs."""
        return self._turn.region

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows the actor's name, key and id."""
        return self._turn.log

    @property
    def aborted(self) -> bool:
        """Whether the turn should stop."""
        return self._turn.abort.aborted

    @property
    def abort_signal(self) -> AbortSignal:
        """Fires when the turn should stop."""
        return self._turn.abort

    @property
    def client(self) -> Client:
        """A client for calls to other actors."""
        client: Client = self._turn.client
        return client

    @property
    def request(self) -> Request | None:
        """The HTTP request or upgrade behind this turn, where there is one."""
        raise NotImplementedError

    @property
    def conn(self) -> Conn[ConnStateT, ParamsT]:
        """The connection this turn runs for; raises where there is none (``conns.current``)."""
        raise NotImplementedError

    @property
    def conns(self) -> Conns[ConnStateT, ParamsT]:
        """The actor's connections."""
        return Conns(self._turn)

    @overload
    def broadcast(self, event: Event[None], /) -> None: ...
    @overload
    def broadcast(self, event: Event[PayloadT], payload: PayloadT, /) -> None: ...
    @overload
    def broadcast(self, event: str, /, *args: object) -> None: ...
    def broadcast(self, event: Any, /, *args: Any) -> None:
        """Send an event to every subscribed connection when the turn has committed."""
        raise NotImplementedError

    async def refresh(self) -> None:
        """Forget what was read and see the newest committed state."""
        await self._turn.refresh()

    async def save_state(self) -> None:
        """Commit what there is now and release its effects."""
        await self._turn.save_state()

    async def once(
        self,
        name: str,
        fn: Callable[[], Awaitable[ResultT]],
        *,
        returns: type[ResultT] | None = None,
    ) -> ResultT:
        """Run ``fn`` under the lease and store its result; a re-run of the turn gets it from there."""
        raise NotImplementedError

    def keep_awake(self, work: Coroutine[Any, Any, ResultT]) -> Awaitable[ResultT]:
        """Run ``work`` and keep the process from sleeping until it ends."""
        return self._turn.keep_awake(work)

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` after the commit, as a turn of its own; errors are logged."""
        self._turn.wait_until(work)

    def sleep(self) -> None:
        """End this process's tenure of the actor after the turn."""
        self._turn.sleep()

    def destroy(self) -> None:
        """Delete the actor with this turn's commit."""
        self._turn.destroy()

    # -- hooks ----------------------------------------------------------------------------------

    # For checkers these are absent, so that a class may declare its own input or vars.
    if not TYPE_CHECKING:

        async def create_state(self, input: Any) -> Any:
            """Make the first state."""

        async def create_vars(self) -> Any:
            """Make ``self.vars`` for this process."""

        async def on_create(self, input: Any) -> None:
            """Run once in the actor's life, right after ``create_state``."""

    async def create_conn_state(self, params: ParamsT) -> ConnStateT:
        """Make a new connection's state; raise to refuse it."""
        raise NotImplementedError

    async def on_migrate(self, is_new: bool) -> None:
        """Run at every wake, before everything else."""

    async def on_wake(self) -> None:
        """Run once for each process's tenure of the actor."""

    async def on_sleep(self) -> None:
        """Run after ``sleep_timeout`` of idleness; best effort."""

    async def on_destroy(self) -> None:
        """Run when the actor is destroyed."""

    def on_state_change(self, state: StateT) -> None:
        """Run when a turn has changed the state; may not change it."""

    async def on_before_connect(self, params: ParamsT) -> None:
        """Check a connection's parameters; raise to refuse it."""

    async def on_connect(self, conn: Conn[ConnStateT, ParamsT]) -> None:
        """Run for each new connection."""

    async def on_disconnect(self, conn: Conn[ConnStateT, ParamsT]) -> None:
        """Run once for each connection that ends."""

    async def on_request(self, request: Request) -> Response:
        """Answer an HTTP request under ``/request``."""
        raise NotImplementedError

    async def on_websocket(self, ws: RawWebSocket[ConnStateT, ParamsT]) -> None:
        """Run once for each raw WebSocket that opens."""

    async def on_websocket_message(
        self, ws: RawWebSocket[ConnStateT, ParamsT], data: str | bytes
    ) -> None:
        """Run for each message on a raw WebSocket."""

    async def on_websocket_close(self, ws: RawWebSocket[ConnStateT, ParamsT], code: int) -> None:
        """Run once for each raw WebSocket that closes."""

    async def on_before_action_response(self, name: str, args: list[Any], output: Any) -> Any:
        """Change an action's result before it is sent."""
