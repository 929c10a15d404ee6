"""What the body of an actor class declares: actions, groups of actions, events."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Self, cast, get_origin, overload

from pydantic import ValidationError
from typing_extensions import TypeVar

from rivetless.actor.annotations import Scope, calling_scope
from rivetless.actor.declared import Declared, refuse
from rivetless.actor.names import why_not
from rivetless.actor.options import seconds
from rivetless.errors import DefinitionError
from rivetless.frozen import frozen
from rivetless.serde import Schema, type_name

if TYPE_CHECKING:
    from rivetless.actor.base import Actor

PayloadT = TypeVar("PayloadT", default=Any)
ActionT = TypeVar("ActionT", bound=Callable[..., Coroutine[Any, Any, Any]])
OwnerT = TypeVar("OwnerT", bound="Actor[Any, Any, Any]", default=Any)

ACTION_MARK: Final = "__rivetless_action__"
"""The attribute of a function that ``@action`` leaves behind."""


@frozen
class ActionOptions:
    """What ``@action`` was given.

    Attributes:
        name: explicit wire name.
        exclusive: take the lease before the first run.
        timeout: seconds.
    """

    name: str | None = None
    exclusive: bool = False
    timeout: float | None = None


@overload
def action(function: ActionT, /) -> ActionT: ...
@overload
def action(
    *, name: str | None = None, exclusive: bool = False, timeout: float | timedelta | None = None
) -> Callable[[ActionT], ActionT]: ...
def action(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    exclusive: bool = False,
    timeout: float | timedelta | None = None,
) -> Any:
    """Make a method callable by clients and other actors.

    The method itself is returned, unchanged: ``self.increment(1)`` inside the actor is a plain call
    in the same turn.

    Args:
        function: the ``async def`` method, where the decorator is used bare.
        name: its name on the wire; camelCase of the method's name by default.
        exclusive: take the actor's lease before the first run, for handlers whose effects outside
            of the actor must not be repeated by a re-run.
        timeout: seconds or a ``timedelta``; the actor's ``action_timeout`` by default.

    Raises:
        DefinitionError: what is decorated is no ``async def`` method, or an option is wrong.
    """
    if function is None:
        options = _read_action_options(name, exclusive, timeout)

        def mark(method: Any) -> Any:
            return _mark(method, options)

        return mark
    return _mark(function, ActionOptions())


def _read_action_options(name: object, exclusive: object, timeout: object) -> ActionOptions:
    if name is not None and (wrong := why_not(name)):
        raise DefinitionError(f"@action: {wrong}.")
    if not isinstance(exclusive, bool):
        raise DefinitionError(f"@action: `exclusive` is True or False, not {exclusive!r}.")
    try:
        limit = None if timeout is None else seconds(timeout)
    except ValueError as error:
        raise DefinitionError(f"@action: `timeout` {error}.") from None
    return ActionOptions(cast("str | None", name), exclusive, limit)


def _mark(function: Any, options: ActionOptions) -> Any:
    label = getattr(function, "__qualname__", repr(function)).rpartition("<locals>.")[2]
    kind = type(function).__name__
    if kind in ("staticmethod", "classmethod"):
        raise DefinitionError(f"{label}: an action is a method of the actor, not a {kind}.")
    if not inspect.isfunction(function):
        raise DefinitionError(
            f"{label}: @action decorates an `async def` method. With options, call it: "
            "`@action(timeout=5)`."
        )
    check_async(function, label, "an action")
    setattr(function, ACTION_MARK, options)
    return function


def check_async(function: Any, label: str, what: str) -> None:
    """Refuse a function that is not ``async def``.

    Raises:
        DefinitionError: it is sync or a generator.
    """
    inner = inspect.unwrap(function)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise DefinitionError(
            f"{label}: {what} gives one result, it cannot `yield`. Return a list, or send events "
            "as you go."
        )
    # A decorator's wrapper may be a plain function that returns the coroutine of what it wraps.
    if not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(inner):
        raise DefinitionError(f"{label}: {what} is async. Write `async def {inner.__name__}`.")


def action_options(function: object) -> ActionOptions | None:
    """Return what ``@action`` was given, or ``None`` for what is no action."""
    options: ActionOptions | None = getattr(function, ACTION_MARK, None)
    return options


class Event(Declared, Generic[PayloadT]):
    """An event that connections subscribe to: ``new_message = Event[Message]()``.

    A tuple travels as several arguments (JavaScript's callback gets them one by one), ``None`` as
    none, any other payload as one.

    Args:
        name: its name on the wire; camelCase of the attribute's name by default.
        can_subscribe: an async function that gets the actor and says whether ``actor.conn`` may
            listen. Without it everybody may.

    Attributes:
        name: on the wire.
        python_name: the attribute's name.
        can_subscribe: as given.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        can_subscribe: Callable[[Any], Awaitable[bool]] | None = None,
    ) -> None:
        super().__init__(name)
        if inspect.isroutine(can_subscribe):
            check_async(can_subscribe, can_subscribe.__name__, "`can_subscribe`")
        self.can_subscribe = can_subscribe

    def __repr__(self) -> str:
        return f"Event[{type_name(self.payload_type)}]({self.name!r})"

    @property
    def payload_type(self) -> Any:
        """The type of the payload, as it was written."""
        return self.types[0]

    @property
    def schema(self) -> Schema[Any]:
        """The schema of the payload."""
        return (self._schemas or self.resolve())[0]

    def _again(self) -> Self:
        return type(self)(name=self.name or None, can_subscribe=self.can_subscribe)

    @property
    def spreads(self) -> bool:
        """Whether the payload is a tuple, which travels as several arguments."""
        return get_origin(self.payload_type) is tuple

    def encode(self, *payload: PayloadT) -> list[object]:
        """Check a payload and make the plain arguments of the wire.

        Args:
            *payload: one payload; none for ``Event[None]``.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        schema = (self._schemas or self.resolve())[0]
        if len(payload) != 1:
            if payload or schema.annotation is not type(None):
                raise TypeError(
                    f"The event `{self.python_name}` has one payload, not {len(payload)}."
                )
            return []
        try:
            plain = schema.encode(payload[0])
        except (ValidationError, TypeError) as error:
            refuse(f"The payload of the event `{self.python_name}`", error)
        if plain is None and schema.annotation is type(None):
            return []
        return list(cast("tuple[object, ...]", plain)) if self.spreads else [plain]

    def decode(self, args: Sequence[object]) -> PayloadT:
        """Make the payload of plain arguments; the reverse of ``encode``.

        Raises:
            ActorError: ``actor.validation_error``.
        """
        plain: object
        if self.spreads:
            plain = tuple(args)
        elif len(args) <= 1:
            plain = args[0] if args else None
        else:
            plain = list(args)
        payload: PayloadT = self.schema.validate(plain)
        return payload

    async def allows(self, actor: Actor[Any, Any, Any]) -> bool:
        """Ask ``can_subscribe`` whether ``actor.conn`` may listen.

        Raises:
            TypeError: the answer is no bool (a mistake of the actor, masked for clients).
        """
        return await allowed(
            self.can_subscribe, actor, f"`can_subscribe` of the event `{self.python_name}`"
        )


async def allowed(
    ask: Callable[[Any], Awaitable[object]] | None, actor: object, label: str
) -> bool:
    """Ask an actor's own function whether something may be done; without one it may.

    Raises:
        TypeError: the answer is no bool (a mistake of the actor, masked for clients).
    """
    if ask is None:
        return True
    answer = await ask(actor)
    if answer is not True and answer is not False:
        raise TypeError(f"{label} answers True or False, not {answer!r}.")
    return answer


def as_event(value: object) -> Event[Any] | None:
    """Return ``value`` if it is an event."""
    return value if isinstance(value, Event) else None  # pyright: ignore[reportUnknownVariableType]


class ActionGroup(Generic[OwnerT]):
    """A group of actions with a name of its own.

    ::

        class Users(ActionGroup["Org"]):
            @action
            async def add(self, name: str) -> int:
                self.actor.state.users.append(name)
                ...

        class Org(Actor[OrgState]):
            users = Users()                  # on the wire: users.add

    Attributes:
        actor: the actor of this turn.
    """

    actor: OwnerT
    __rivetless_scope__: Scope

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__rivetless_scope__ = calling_scope()

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self:
        if instance is None:
            return self
        # In a group of groups the instance is itself a group, bound to the actor.
        actor: object = getattr(instance, "actor", instance)
        bound = object.__new__(type(self))
        object.__setattr__(bound, "actor", actor)
        return bound

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(
                f"`self.{name}` cannot be set: a group lives for one turn. What must last belongs "
                "in `self.actor.state`."
            )

        def __getattr__(self, name: str) -> Any:
            if name == "actor":
                raise AttributeError("`actor` is there during a turn only.")
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


def as_group(value: object) -> ActionGroup[Any] | None:
    """Return ``value`` if it is a group."""
    return value if isinstance(value, ActionGroup) else None  # pyright: ignore[reportUnknownVariableType]
