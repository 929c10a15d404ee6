"""Handles: objects whose attributes are an actor's actions.

A handle made with a class is typed as that class and checks arguments and results; one made with a
name takes every call as it comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rivetless.actor.base import Actor
from rivetless.actor.definition import ActionDefinition, ActorDefinition
from rivetless.actor.queue import Queue
from rivetless.client.calls import Target, describe
from rivetless.frozen import frozen

if TYPE_CHECKING:
    from rivetless.client.client import Client

__all__ = ["Binding", "Handle", "binding_of", "definition_of", "queue_of"]

Invoke: TypeAlias = Callable[[str, list[object]], Awaitable[object]]
"""Calls an action by its wire name with plain arguments; returns the plain output."""

Params: TypeAlias = object | Callable[[], Awaitable[object]]
"""Connection parameters, or what makes them for each attempt."""


@frozen
class Binding:
    """What a handle knows. It hides behind one attribute, so that no action's name is taken.

    Attributes:
        client: the client it came from.
        target: which actor.
        definition: of the actor's class, where the class is known.
        invoke: how actions are called: alone, or over a connection.
        params: the user's connection parameters.
        idempotency_key: the user's key for the calls of this handle.
    """

    client: Client
    target: Target
    definition: ActorDefinition | None
    invoke: Invoke
    params: Params = None
    idempotency_key: str | None = None


class Handle:
    """An actor somewhere else: ``await handle.increment(5)`` calls its action.

    Dots reach into groups of actions: ``handle.users.add(...)``. Keyword arguments of a handle made
    by name travel as one object after the positional ones.
    """

    __slots__ = ("__binding__",)

    def __init__(self, binding: Binding) -> None:
        self.__binding__ = binding

    def __getattr__(self, name: str) -> Any:
        # Names with an underscore are Python's own (copying, pickling, notebooks), never actions.
        if name.startswith("_"):
            raise AttributeError(f"A handle has no attribute {name!r}.")
        binding = self.__binding__
        if binding.definition is None:
            return _NamedAction(binding.invoke, name)
        return _member(binding.definition, binding.invoke, (name,))

    def __dir__(self) -> list[str]:
        definition = self.__binding__.definition
        names = [] if definition is None else list(_tree(definition))
        return [*super().__dir__(), *names]

    def __repr__(self) -> str:
        return f"<Handle of {describe(self.__binding__.target)}>"


def binding_of(handle: object) -> Binding:
    """Return what a handle knows.

    Raises:
        TypeError: it is no handle.
    """
    if isinstance(handle, Handle):
        return handle.__binding__
    if isinstance(handle, (type, str)):
        raise TypeError(f"{handle!r} is not a handle; get one with client.get_or_create(...).")
    raise TypeError(f"A {type(handle).__name__} is not a handle of an actor.")


def definition_of(actor: type[Any] | str) -> tuple[str, ActorDefinition | None]:
    """Return an actor's name on the wire, and its definition if the class is given.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(actor, str):
        return actor, None
    if not isinstance(actor, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{actor!r} is neither an actor class nor an actor's name.")
    if issubclass(actor, Actor):
        definition: ActorDefinition = actor.__definition__
        return definition.name, definition
    raise TypeError(f"{actor!r} is neither an actor class nor an actor's name.")


def queue_of(
    definition: ActorDefinition | None, queue: Queue[Any, Any] | str
) -> Queue[Any, Any] | None:
    """Return the queue that is meant; ``None`` for a name of which no more is known.

    Raises:
        TypeError: the queue is another actor's.
    """
    if isinstance(queue, str):
        return None if definition is None else definition.find_queue(queue)
    if definition is not None and definition.find_queue(queue.name) is None:
        raise TypeError(f"{definition.python_name} has no queue `{queue.python_name}`.")
    return queue


# -- by name ---------------------------------------------------------------------------------------


@frozen
class _NamedAction:
    """An action of which only the name is known; or a group, which its attributes tell."""

    _invoke: Invoke
    _name: str

    def __getattr__(self, name: str) -> _NamedAction:
        if name.startswith("_"):
            raise AttributeError(f"An action has no attribute {name!r}.")
        return _NamedAction(self._invoke, f"{self._name}.{name}")

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        values: list[object] = [*args, kwargs] if kwargs else list(args)
        return await self._invoke(self._name, values)

    def __repr__(self) -> str:
        return f"<action {self._name}>"


# -- by class --------------------------------------------------------------------------------------

_Tree: TypeAlias = "Mapping[str, ActionDefinition | _Tree]"

_HANDLE_HINT: Final = (
    "A handle reaches an actor's actions, events and queues; the rest lives in the actor."
)


@lru_cache(maxsize=1024)
def _tree(definition: ActorDefinition) -> _Tree:
    """Return the actions by Python name, groups as mappings."""
    root: dict[str, Any] = {}
    for action in definition.actions.values():
        *groups, name = action.python_name.split(".")
        branch = root
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[name] = action
    return root


def _member(definition: ActorDefinition, invoke: Invoke, path: tuple[str, ...]) -> Any:
    found: Any = _tree(definition)
    for name in path:
        found = found.get(name)
        if found is None:
            return _rarely(definition, invoke, path)
    if isinstance(found, ActionDefinition):
        return _bound(found, invoke)
    return _Group(definition, invoke, path)


def _rarely(definition: ActorDefinition, invoke: Invoke, path: tuple[str, ...]) -> Any:
    """Return what is not an action by its Python name: one by its wire name, an event, a queue."""
    name = ".".join(path)
    action = definition.find_action(name)
    if action is not None:
        return _bound(action, invoke)
    if len(path) == 1:
        declared = definition.find_event(name) or definition.find_queue(name)
        if declared is not None:
            return declared
    raise AttributeError(_explain(definition, path))


def _bound(action: ActionDefinition, invoke: Invoke) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        return action.result(await invoke(action.name, action.bind_client(args, kwargs)))

    call.__name__ = action.python_name.rpartition(".")[2]
    call.__qualname__ = action.python_name
    call.__doc__ = action.doc or None
    return call


def _explain(definition: ActorDefinition, path: tuple[str, ...]) -> str:
    branch: Any = _tree(definition)
    for group in path[:-1]:
        branch = branch[group]
    wanted = path[-1]
    owner = ".".join((definition.python_name, *path[:-1]))
    text = f"{owner} has no action `{wanted}`."
    close = get_close_matches(wanted, list(branch), n=1)
    if close:
        return f"{text} Did you mean `{close[0]}`?"
    if hasattr(definition.cls, wanted):
        return f"{text} {_HANDLE_HINT}"
    if branch:
        return f"{text} It has: {', '.join(sorted(branch))}."
    return text


@frozen
class _Group:
    """A group of actions: ``handle.users``."""

    _definition: ActorDefinition
    _invoke: Invoke
    _path: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"A group of actions has no attribute {name!r}.")
        return _member(self._definition, self._invoke, (*self._path, name))

    def __repr__(self) -> str:
        return f"<actions {'.'.join(self._path)} of {self._definition.python_name}>"
