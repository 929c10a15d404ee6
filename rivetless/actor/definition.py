"""The immutable, checked form of an actor class: all that the runtime, gateway and clients know of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivetless.serde import Schema

if TYPE_CHECKING:
    from rivetless.actor.base import Actor
    from rivetless.actor.declare import Event
    from rivetless.actor.options import ActorOptions
    from rivetless.actor.turn import Turn


@dataclass(frozen=True, slots=True, eq=False)
class ActionDefinition:
    """One action.

    Attributes:
        name: on the wire, dotted for groups: ``users.add``.
        python_name: as written, dotted for groups: ``users.add_many``.
        function: the undecorated method.
        path: attribute names of the groups it is in.
        exclusive: takes the lease before the first run.
        timeout: seconds; ``None`` for the actor's ``action_timeout``.
        doc: the docstring, or ``""``.
    """

    name: str
    python_name: str
    function: Callable[..., Coroutine[Any, Any, Any]]
    path: tuple[str, ...]
    exclusive: bool
    timeout: float | None
    doc: str

    def bind(self, args: Sequence[object]) -> tuple[list[Any], dict[str, Any]]:
        """Check plain arguments from the wire.

        Keyword-only parameters travel as one object after the positional ones.

        Returns:
            Positional and keyword arguments for ``call``.

        Raises:
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        raise NotImplementedError

    def call(
        self, actor: Actor[Any, Any, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Begin the action on an instance made by ``ActorDefinition.new``."""
        raise NotImplementedError

    def plain_result(self, value: Any) -> object:
        """Check what the action returned and make it plain.

        Raises:
            TypeError: it does not fit the annotation (a mistake of the actor, masked for clients).
        """
        raise NotImplementedError

    def bind_client(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[object]:
        """Check a Python caller's arguments and make them plain, in the order of the wire.

        Raises:
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        raise NotImplementedError

    def result(self, plain: object) -> Any:
        """Make the Python value of a plain result, for a Python caller."""
        raise NotImplementedError

    def arguments_schema(self) -> dict[str, Any]:
        """Describe the argument list as JSON Schema, for OpenAPI."""
        raise NotImplementedError

    def result_schema(self) -> dict[str, Any]:
        """Describe the result as JSON Schema, for OpenAPI."""
        raise NotImplementedError


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
        options: time-outs and limits.
        state: how state is stored; ``None`` for an actor without.
        conn_state: how connection state is stored; ``None`` if there is none.
        params: the type of connection parameters; ``None`` takes any.
        input: the type of the input; ``None`` if no hook takes one.
        actions: by wire name.
        events: by wire name.
        hooks: names of the hooks the class defines; the others need not be called.
    """

    name: str
    python_name: str
    cls: type[Actor[Any, Any, Any]]
    doc: str
    icon: str | None
    display_name: str | None
    options: ActorOptions
    state: Schema[Any] | None
    conn_state: Schema[Any] | None
    params: Schema[Any] | None
    input: Schema[Any] | None
    actions: Mapping[str, ActionDefinition]
    events: Mapping[str, Event[Any]]
    hooks: frozenset[str]

    def new(self, turn: Turn) -> Actor[Any, Any, Any]:
        """Make the instance for one turn."""
        raise NotImplementedError

    def find_action(self, name: str) -> ActionDefinition | None:
        """Find an action by its wire name or its Python name."""
        raise NotImplementedError

    def find_event(self, name: str) -> Event[Any] | None:
        """Find an event by its wire name or its Python name."""
        raise NotImplementedError

    def check_input(self, plain: object) -> Any:
        """Validate a plain input; ``None`` stays ``None`` where the hooks allow it.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        raise NotImplementedError

    def check_params(self, plain: object) -> Any:
        """Validate plain connection parameters.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        raise NotImplementedError

    async def create_state(self, actor: Actor[Any, Any, Any], input: Any) -> Any:
        """Make a new actor's state: by the hook, else the type's default. ``None`` without state.

        Args:
            actor: an instance of the creating turn.
            input: what ``check_input`` returned.
        """
        raise NotImplementedError

    async def on_create(self, actor: Actor[Any, Any, Any], input: Any) -> None:
        """Run the ``on_create`` hook, with the input if it takes one; does nothing without it."""
        raise NotImplementedError

    async def create_conn_state(self, actor: Actor[Any, Any, Any], params: Any) -> Any:
        """Make a new connection's state: by the hook, else the type's default. ``None`` without."""
        raise NotImplementedError

    def resolve(self) -> None:
        """Build whatever waited for a forward reference.

        Raises:
            DefinitionError: a name is still unknown.
        """
        raise NotImplementedError
