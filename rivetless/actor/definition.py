"""The immutable, checked form of an actor class: all that the rest of the program knows of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rivetless.actor.arguments import Parameter, Signature
from rivetless.actor.types import ActorTypes, TypesReader
from rivetless.errors import DefinitionError
from rivetless.serde import ForwardReferenceError, Schema

if TYPE_CHECKING:
    from rivetless.actor.base import Actor
    from rivetless.actor.declare import Event
    from rivetless.actor.options import ActorOptions
    from rivetless.actor.queue import Queue
    from rivetless.actor.turn import Turn


@dataclass(frozen=True, slots=True, eq=False)
class ActionDefinition:
    """One action.

    Attributes:
        name: on the wire, dotted for groups: ``users.addMany``.
        python_name: as written, dotted for groups: ``users.add_many``.
        function: the method.
        path: attribute names of the groups it is in.
        exclusive: takes the lease before the first run.
        timeout: seconds.
        doc: the docstring, or ``""``.
        signature: its parameters and result.
    """

    name: str
    python_name: str
    function: Callable[..., Coroutine[Any, Any, Any]]
    path: tuple[str, ...]
    exclusive: bool
    timeout: float
    doc: str
    signature: Signature = field(repr=False)

    # -- for the runtime ------------------------------------------------------------------------

    def bind(self, args: Sequence[object]) -> tuple[list[Any], dict[str, Any]]:
        """Check plain arguments from the wire.

        Keyword-only parameters travel as one object after the positional ones. None for a
        parameter that does not take it means its default, as JavaScript's ``undefined`` does.

        Returns:
            Positional and keyword arguments for ``call``.

        Raises:
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        return self.signature.bind(args)

    def call(
        self, actor: Actor[Any, Any, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Begin the action on an instance made by ``ActorDefinition.new``."""
        owner: Any = actor
        for name in self.path:
            owner = getattr(owner, name)
        return self.function(owner, *args, **kwargs)

    def plain_result(self, value: Any) -> object:
        """Check what the action returned and make it plain.

        Raises:
            TypeError: it does not fit the annotation (a mistake of the actor, masked for clients).
        """
        return self.signature.encode_result(value)

    # -- for clients ----------------------------------------------------------------------------

    def bind_client(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[object]:
        """Check a Python caller's arguments and make them plain, in the order of the wire.

        Raises:
            TypeError: there are too few, too many, or one has an unknown name.
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        return self.signature.bind_client(args, kwargs)

    def result(self, plain: object) -> Any:
        """Make the Python value of a plain result.

        Raises:
            ActorError: ``actor.validation_error``: the server's idea of the result is another.
        """
        self.signature.resolve()
        return self.signature.result.validate(plain)

    # -- for descriptions -----------------------------------------------------------------------

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The positional parameters."""
        self.signature.resolve()
        return self.signature.positional

    @property
    def keywords(self) -> tuple[Parameter, ...]:
        """The parameters of the trailing object."""
        self.signature.resolve()
        return self.signature.keywords

    @property
    def variadic(self) -> Parameter | None:
        """What ``*args`` takes, if it is there."""
        self.signature.resolve()
        return self.signature.variadic

    def arguments_schema(self, *, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        """Describe the argument list as JSON Schema; models stand under ``$defs``."""
        self.signature.resolve()
        return self.signature.json_schema(ref_template)

    def result_schema(self, *, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
        """Describe the result as JSON Schema; models stand under ``$defs``."""
        self.signature.resolve()
        return self.signature.result.json_schema("serialization", ref_template=ref_template)


@dataclass(frozen=True, slots=True, eq=False)
class ActorDefinition:
    """One actor class.

    Attributes:
        name: on the wire.
        python_name: of the class.
        cls: the class.
        doc: its docstring, or ``""``.
        icon: an emoji or a FontAwesome name, or ``None``.
        display_name: a label for dashboards, or ``None``.
        options: time-outs.
        actions: by wire name.
        events: by wire name.
        queues: by wire name.
        hooks: names of the hooks the class defines; the others need not be called.
        reader: reads the types of state, connection state, parameters and input.
    """

    name: str
    python_name: str
    cls: type[Actor[Any, Any, Any]]
    doc: str
    icon: str | None
    display_name: str | None
    options: ActorOptions
    actions: Mapping[str, ActionDefinition]
    events: Mapping[str, Event[Any]]
    queues: Mapping[str, Queue[Any, Any]]
    hooks: frozenset[str]
    reader: TypesReader = field(repr=False)
    _actions: Mapping[str, ActionDefinition] = field(init=False, repr=False)
    _events: Mapping[str, Event[Any]] = field(init=False, repr=False)
    _queues: Mapping[str, Queue[Any, Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Look-ups take both names; of two meanings of one word the wire's wins.
        actions = {action.python_name: action for action in self.actions.values()}
        events = {event.python_name: event for event in self.events.values()}
        object.__setattr__(self, "_actions", {**actions, **self.actions})
        object.__setattr__(self, "_events", {**events, **self.events})
        queues = {queue.python_name: queue for queue in self.queues.values()}
        object.__setattr__(self, "_queues", {**queues, **self.queues})

    def new(self, turn: Turn) -> Actor[Any, Any, Any]:
        """Make the instance for one turn."""
        return self.cls.__bind__(turn)

    def resolve(self) -> None:
        """Build whatever waited for a forward reference. ``setup`` does it for every actor.

        Raises:
            DefinitionError: a name is still unknown.
        """
        try:
            self.reader.get()
            for action in self.actions.values():
                action.signature.resolve()
            for declared in (*self.events.values(), *self.queues.values()):
                declared.resolve()
        except ForwardReferenceError as error:
            raise DefinitionError(
                f"{error}. Annotations name what their module (or the function "
                "that holds the class) defines; import it at run time, not under TYPE_CHECKING."
            ) from error

    @property
    def sleeps(self) -> bool:
        """Whether it makes a difference when a process's tenure ends."""
        return "on_sleep" in self.hooks or "run" in self.hooks

    def find_action(self, name: str) -> ActionDefinition | None:
        """Find an action by its wire name or its Python name."""
        return self._actions.get(name)

    def find_event(self, name: str) -> Event[Any] | None:
        """Find an event by its wire name or its Python name."""
        return self._events.get(name)

    def find_queue(self, name: str) -> Queue[Any, Any] | None:
        """Find a queue by its wire name or its Python name."""
        return self._queues.get(name)

    # -- types ----------------------------------------------------------------------------------

    @property
    def types(self) -> ActorTypes:
        """All that the actor keeps and receives."""
        return self.reader.get()

    @property
    def state(self) -> Schema[Any] | None:
        """How state is stored; ``None`` for an actor without."""
        return self.reader.get().state

    @property
    def conn_state(self) -> Schema[Any] | None:
        """How connection state is stored; ``None`` if there is none."""
        return self.reader.get().conn_state

    @property
    def params(self) -> Schema[Any] | None:
        """The type of connection parameters; ``None`` takes any."""
        return self.reader.get().params

    @property
    def input(self) -> Schema[Any] | None:
        """The type of the input; ``None`` if no hook takes one."""
        return self.reader.get().input

    def check_input(self, plain: object) -> Any:
        """Validate a plain input; ``None`` if no hook takes one.

        Without an input (``None``) the default of the hook's parameter counts, then a type's own
        defaults (as if the input were ``{}``).

        Raises:
            ActorError: ``actor.validation_error``.
        """
        return self.types.check_input(plain)

    def check_params(self, plain: object) -> Any:
        """Validate plain connection parameters; as they are if the actor declares no type.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        return self.types.check_params(plain)

    # -- hooks that make something ----------------------------------------------------------------

    async def create_state(self, actor: Actor[Any, Any, Any], input: Any) -> Any:
        """Make a new actor's state: by the hook, else by the type. ``None`` without state.

        Args:
            actor: an instance of the creating turn.
            input: what ``check_input`` returned.

        Raises:
            TypeError: the hook returned something else.
        """
        types = self.types
        if "create_state" not in self.hooks:
            return None if types.make_state is None else types.make_state()
        hook: Any = actor
        args = (input,) if "create_state" in self.reader.takes_input else ()
        return types.check_made("create_state", types.state, await hook.create_state(*args))

    async def on_create(self, actor: Actor[Any, Any, Any], input: Any) -> None:
        """Run the ``on_create`` hook, with the input if it takes one; does nothing without it."""
        if "on_create" in self.hooks:
            hook: Any = actor
            args = (input,) if "on_create" in self.reader.takes_input else ()
            await hook.on_create(*args)

    async def create_conn_state(self, actor: Actor[Any, Any, Any], params: Any) -> Any:
        """Make a new connection's state: by the hook, else by the type. ``None`` without.

        Args:
            actor: an instance of the turn that opens the connection.
            params: what ``check_params`` returned.

        Raises:
            TypeError: the hook returned something else.
        """
        types = self.types
        if "create_conn_state" not in self.hooks:
            return None if types.make_conn_state is None else types.make_conn_state()
        made = await actor.create_conn_state(params)
        return types.check_made("create_conn_state", types.conn_state, made)
