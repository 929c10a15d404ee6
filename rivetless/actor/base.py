"""``Actor``, the class that users derive from: its members and its hooks."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, Self, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from rivetless.actor.annotations import calling_scope, hints_of
from rivetless.actor.body import HOOKS
from rivetless.actor.compile import Inherited, Keywords, compile_actor
from rivetless.actor.context import Conn, Conns, RawWebSocket, encode_event
from rivetless.actor.cron import Cron
from rivetless.actor.dead_letters import DeadLetters
from rivetless.actor.declare import Event
from rivetless.actor.definition import ActorDefinition
from rivetless.actor.kv import KV
from rivetless.actor.mailbox import Mailbox
from rivetless.actor.request import make_request
from rivetless.actor.schedule import Schedule
from rivetless.errors import ActorError, DefinitionError
from rivetless.serde import difference, schema_of

if TYPE_CHECKING:
    import logging
    from datetime import timedelta

    from starlette.requests import Request
    from starlette.responses import Response

    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.turn import Turn
    from rivetless.client import Client

StateT = TypeVar("StateT", default=None)
ConnStateT = TypeVar("ConnStateT", default=None)
ParamsT = TypeVar("ParamsT", default=Any)
PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")


class _Later:
    """Stands where a later version has a member."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type[Any]) -> NoReturn:
        raise AttributeError(f"`self.{self._name}` is not served by this version of rivetless yet.")


class _NoDefinition:
    """Stands where a base class has no definition."""

    def __get__(self, instance: object, owner: type[Any]) -> NoReturn:
        _refuse_abstract(owner)


class Actor(Generic[StateT, ConnStateT, ParamsT]):
    """A stateful object with an address; derive from it to write one.

    ::

        class Counter(Actor[CounterState]):
            @action
            async def increment(self, amount: int = 1) -> int:
                self.state.count += amount
                return self.state.count

    ``self`` is the context: one instance lives for one turn. The type arguments are the types of
    the state, of a connection's state, and of the parameters that clients connect with; all may be
    left out.

    The class statement takes options: ``class ChatRoom(Actor[RoomState], name="chatRoom",
    icon="comments", action_timeout=10):``.

    * ``name``: the name on the wire; camelCase of the class's name by default.
    * ``display_name`` and ``icon`` (an emoji or a FontAwesome name): for dashboards.
    * ``abstract=True``: a base for other actors.
    * the time-outs of ``ActorOptions``; they and ``icon`` are inherited.
    """

    __slots__ = ("__weakref__", "_conn", "_request", "_turn")

    __definition__: ClassVar[ActorDefinition]
    __inherited__: ClassVar[Inherited] = Inherited()
    _turn: Turn
    _conn: Conn[ConnStateT, ParamsT]
    _request: Request | None

    # -- classes and instances --------------------------------------------------------------------

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            name: str | None = None,
            display_name: str | None = None,
            icon: str | None = None,
            abstract: bool = False,
            action_timeout: float | timedelta | None = None,
            create_state_timeout: float | timedelta | None = None,
            create_vars_timeout: float | timedelta | None = None,
            create_conn_state_timeout: float | timedelta | None = None,
            on_create_timeout: float | timedelta | None = None,
            on_migrate_timeout: float | timedelta | None = None,
            on_wake_timeout: float | timedelta | None = None,
            on_before_connect_timeout: float | timedelta | None = None,
            on_connect_timeout: float | timedelta | None = None,
            max_queue_size: int | None = None,
            max_queue_message_size: int | None = None,
            max_schedules: int | None = None,
            sleep_timeout: float | timedelta | None = None,
            sleep_grace_period: float | timedelta | None = None,
        ) -> None: ...

        # Not a property, so that a class may narrow it: ``vars: RoomVars``.
        vars: Any
        """What ``create_vars`` made in this process. Never stored, not rolled back."""

        def __actor__(self) -> Self: ...

    else:

        def __init_subclass__(
            cls,
            *,
            name: object = None,
            display_name: object = None,
            icon: object = None,
            abstract: object = False,
            **options: object,
        ) -> None:
            super().__init_subclass__()
            keywords = Keywords(name, display_name, icon, abstract, options)
            definition, passed_on = compile_actor(cls, Actor, MEMBERS, keywords, calling_scope())
            cls.__inherited__ = passed_on
            if definition is not None:
                cls.__definition__ = definition

        def __new__(cls, *args: object, **kwargs: object) -> Self:
            raise TypeError(
                f"{cls.__name__} is not made by hand: the runtime makes an instance for each turn. "
                f"To call one, use a client: `client.get_or_create({cls.__name__}, key)`."
            )

        def __setattr__(self, name: str, value: object) -> None:
            if name == "state":
                schema = self._turn.definition.state
                if schema is not None:
                    schema.require(value, "self.state")
                self._turn.set_state(value)
            elif name == "vars":
                self._turn.set_vars(value)
            else:
                _set_own(self, name, value)

        @property
        def vars(self) -> Any:
            return self._turn.get_vars()

        __definition__ = _NoDefinition()
        db = _Later("db")

    @classmethod
    def __bind__(cls, turn: Turn) -> Self:
        """Make the instance for one turn. The runtime's to call."""
        self = object.__new__(cls)
        _set_turn(self, turn)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'/'.join(self.key) or self.actor_id}>"

    # -- the actor --------------------------------------------------------------------------------

    @property
    def state(self) -> StateT:
        """The actor's state, as of this turn. Change it in place or assign it.

        It is committed when the turn ends well, and only then; an exception undoes all changes.
        """
        state: StateT = self._turn.get_state()
        return state

    @state.setter
    def state(self, value: StateT) -> None: ...  # ``__setattr__`` does it

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
        """The same in every re-run of this turn; an idempotency key for outside systems."""
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
        """Whether the turn should stop: its time is over, or its caller is gone."""
        return self._turn.abort.aborted

    @property
    def abort_signal(self) -> AbortSignal:
        """Fires when the turn should stop."""
        return self._turn.abort

    @property
    def client(self) -> Client:
        """A client for calls to other actors. A call that was made stays made if the turn fails."""
        client: Client = self._turn.client
        return client

    @property
    def kv(self) -> KV:
        """Pairs of keys and values beside the state; see ``rivetless.actor.kv.KV``."""
        return KV(self._turn.kv)

    # -- connections ------------------------------------------------------------------------------

    @property
    def conn(self) -> Conn[ConnStateT, ParamsT]:
        """The connection this turn runs for; an HTTP call has one of its own.

        Raises:
            ActorError: ``actor.invalid_operation``: the turn runs for no connection (a lifecycle
                hook, a scheduled action). ``self.conns.current`` is ``None`` there.
        """
        try:
            return self._conn
        except AttributeError:
            conn = self.conns.current
        if conn is None:
            raise ActorError(
                "actor",
                "invalid_operation",
                "This turn runs for no connection. Ask `self.conns.current`, which is None then.",
            )
        object.__setattr__(self, "_conn", conn)
        return conn

    @property
    def conns(self) -> Conns[ConnStateT, ParamsT]:
        """The actor's connections: ``async for conn in self.conns``."""
        return Conns(self._turn)

    @property
    def request(self) -> Request | None:
        """The HTTP request or upgrade behind this turn, where there is one."""
        try:
            return self._request
        except AttributeError:
            info = self._turn.request
        request = None if info is None else make_request(info)
        object.__setattr__(self, "_request", request)
        return request

    @overload
    def broadcast(self, event: Event[None], /) -> None: ...
    @overload
    def broadcast(self, event: Event[PayloadT], payload: PayloadT, /) -> None: ...
    @overload
    def broadcast(self, event: str, /, *args: object) -> None: ...
    def broadcast(self, event: Any, /, *args: Any) -> None:
        """Send an event to every subscribed connection when the turn has committed.

        Raises:
            ActorError: ``actor.validation_error``: the payload does not fit the event.
        """
        name, plain = encode_event(self._turn.definition, event, args)
        self._turn.broadcast(name, plain)

    # -- later ------------------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule:
        """Runs the actor's own actions later, once; see ``rivetless.actor.schedule.Schedule``."""
        return Schedule(self._turn.schedules)

    @property
    def cron(self) -> Cron:
        """Runs the actor's own actions again and again; see ``rivetless.actor.cron.Cron``."""
        return Cron(self._turn.crons)

    @property
    def dead_letters(self) -> DeadLetters:
        """What the actor was to do and could not; see ``rivetless.actor.dead_letters``."""
        return DeadLetters(self._turn.dead_letters)

    @property
    def queue(self) -> Mailbox:
        """The actor's queues: ``self.queue.send(self.jobs, job)``, ``self.queue.iter()``."""
        return Mailbox(self._turn.queue)

    # -- the turn ---------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Forget what was read and see the newest committed state.

        Raises:
            ActorError: ``actor.invalid_operation``: the turn has uncommitted changes.
        """
        await self._turn.refresh()

    async def save_state(self) -> None:
        """Commit what there is now and release its effects.

        What follows runs at most once: if the turn is interrupted later it is not run again.
        """
        await self._turn.save_state()

    async def once(
        self,
        name: str,
        fn: Callable[[], Awaitable[ResultT]],
        *,
        returns: type[ResultT] | None = None,
    ) -> ResultT:
        """Run ``fn`` and store its result before going on; a re-run of the turn gets it from there.

        Only a process that dies inside ``fn`` repeats it.

        Args:
            name: tells the steps of one turn apart.
            fn: what to do, e.g. a method of the actor without arguments.
            returns: the type of its result, where ``fn`` has no annotation (a lambda).
        """
        schema = schema_of(_result_type(fn) if returns is None else returns)

        async def run() -> object:
            value = await fn()
            try:
                plain = schema.encode(value)
            except (TypeError, ValidationError) as error:
                raise TypeError(f"once({name!r}): the result does not fit. {error}") from error
            if schema.annotation is Any and difference(value, plain) is not None:
                # A re-run would get something else than this first run does.
                raise TypeError(
                    f"once({name!r}): say what the result is, with an annotation of the function "
                    f"or `returns={type(value).__name__}`."
                )
            return plain

        plain = await self._turn.once(name, run)
        result: ResultT = schema.check(plain)
        return result

    def keep_awake(self, work: Coroutine[Any, Any, ResultT]) -> Awaitable[ResultT]:
        """Run ``work`` and hold off the actor's sleep until it ends."""
        return self._turn.keep_awake(work)

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` after the commit, as a turn of its own; its errors are logged."""
        self._turn.wait_until(work)

    def sleep(self) -> None:
        """End this process's tenure of the actor after the turn: ``on_sleep``, vars are dropped."""
        self._turn.sleep()

    def destroy(self) -> None:
        """Delete the actor with this turn's commit. The turn goes on and its reply is delivered."""
        self._turn.destroy()

    # -- hooks ------------------------------------------------------------------------------------

    # Checkers do not see these: each class chooses its own input.
    if not TYPE_CHECKING:

        async def create_state(self, input: Any) -> Any:
            """Make the first state of a new actor. The input may be left out."""

        async def on_create(self, input: Any) -> None:
            """Run once in the actor's life, after ``create_state``. The input may be left out."""

    async def create_vars(self) -> Any:
        """Make ``self.vars``, once for each process's tenure of the actor."""

    async def create_conn_state(self, params: ParamsT) -> ConnStateT:
        """Make a new connection's state; raise ``UserError`` to refuse the connection."""
        raise NotImplementedError

    async def on_migrate(self, is_new: bool) -> None:
        """Run first at every wake, before the state is loaded."""

    async def on_wake(self) -> None:
        """Run once for each process's tenure of the actor, after ``create_vars``."""

    async def on_sleep(self) -> None:
        """Run after ``sleep_timeout`` of idleness; best effort."""

    async def on_destroy(self) -> None:
        """Run when the actor is destroyed."""

    def on_state_change(self, state: StateT) -> None:
        """Run before the commit of a turn that changed the state. It may not change it again."""

    async def on_before_connect(self, params: ParamsT) -> None:
        """Check a new connection; raise ``UserError`` to refuse it."""

    async def on_connect(self, conn: Conn[ConnStateT, ParamsT]) -> None:
        """Run for each new connection, when it is among ``self.conns``."""

    async def on_disconnect(self, conn: Conn[ConnStateT, ParamsT]) -> None:
        """Run once for each connection that ended, when it is no more among ``self.conns``."""

    async def on_request(self, request: Request) -> Response:
        """Answer an HTTP request under ``/request``."""
        raise NotImplementedError

    async def on_websocket(self, ws: RawWebSocket[ConnStateT, ParamsT]) -> None:
        """Run once for each raw WebSocket, when it has opened."""

    async def on_websocket_message(
        self, ws: RawWebSocket[ConnStateT, ParamsT], data: str | bytes
    ) -> None:
        """Run for each message of a raw WebSocket."""

    async def on_websocket_close(self, ws: RawWebSocket[ConnStateT, ParamsT], code: int) -> None:
        """Run once for each raw WebSocket, when it has closed."""

    async def on_before_action_response(self, name: str, args: list[Any], output: Any) -> Any:
        """Change what an action returned before it is sent.

        Args:
            name: the action's name on the wire.
            args: its arguments.
            output: what it returned.
        """
        return output

    # No coroutine function, so that a decorator may replace it.
    def run(self) -> Awaitable[None]:
        """Run beside the actor's calls, from its creation on and from the top after each wake.

        What happens between two waits on the queue is one transaction.
        """
        raise NotImplementedError


MEMBERS: Final = frozenset(
    name
    for name in dict.fromkeys([*Actor.__dict__, "vars"])
    if not name.startswith("_") and name not in HOOKS
)
"""What ``Actor`` offers and no class may shadow."""

# A slot's own setter: ``Actor.__setattr__`` refuses, and ``object.__setattr__`` looks the slot up.
_set_turn: Final[Callable[[object, object], None]] = Actor.__dict__["_turn"].__set__


def definition_of(cls: object) -> ActorDefinition:
    """Return the definition of an actor class.

    Raises:
        DefinitionError: it is no actor class, or only a base for some.
    """
    if not isinstance(cls, type) or Actor not in cls.__mro__:
        raise DefinitionError(
            f"{cls!r} is no actor class. Derive one: `class Counter(Actor[CounterState])`."
        )
    return _own_definition(cls)


def _own_definition(cls: type[Any]) -> ActorDefinition:
    # An abstract class may inherit the definition of one that is not.
    definition = vars(cls).get("__definition__")
    if not isinstance(definition, ActorDefinition):
        _refuse_abstract(cls)
    return definition


def _refuse_abstract(cls: type[Any]) -> NoReturn:
    raise DefinitionError(
        f"{cls.__name__} is abstract, a base for actors. Derive a class and use that."
    )


def _set_own(actor: Actor[Any, Any, Any], name: str, value: object) -> None:
    """Set what a class defines a property for; refuse everything else."""
    descriptor: object = inspect.getattr_static(type(actor), name, None)
    if name in MEMBERS:
        raise AttributeError(f"`self.{name}` cannot be set.")
    if hasattr(descriptor, "__set__") and not hasattr(Actor, name):
        object.__setattr__(actor, name, value)
        return
    raise AttributeError(
        f"`self.{name}` cannot be set: an instance lives for one turn, so the value would be lost. "
        "What must last belongs in `self.state`, what a process may keep in `self.vars`."
    )


def _result_type(fn: Callable[..., Any]) -> Any:
    try:
        return hints_of(fn, {}).get("return", Any)
    except (TypeError, AttributeError):
        return Any
