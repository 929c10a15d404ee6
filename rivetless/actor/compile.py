"""From a class to its ``ActorDefinition``; everything that is wrong is refused here.

Runs once for each class, when it is created. Each refusal says where the mistake is and how to mend it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, get_origin

from rivetless.actor.annotations import bindings_of, class_scope, has_variables
from rivetless.actor.arguments import Signature
from rivetless.actor.declare import ActionGroup, Event, action_options, check_async
from rivetless.actor.definition import ActionDefinition, ActorDefinition
from rivetless.actor.names import class_name, did_you_mean, member_name, why_not
from rivetless.actor.options import ActorOptions, read_options
from rivetless.actor.types import ActorTypes
from rivetless.errors import DefinitionError
from rivetless.serde import ForwardReferenceError

if TYPE_CHECKING:
    from rivetless.actor.base import Actor

HOOKS: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "create_state": frozenset({0, 1}),
        "create_vars": frozenset({0}),
        "create_conn_state": frozenset({1}),
        "on_migrate": frozenset({1}),
        "on_create": frozenset({0, 1}),
        "on_wake": frozenset({0}),
        "on_sleep": frozenset({0}),
        "on_destroy": frozenset({0}),
        "on_state_change": frozenset({1}),
        "on_before_connect": frozenset({1}),
        "on_connect": frozenset({1}),
        "on_disconnect": frozenset({1}),
        "on_request": frozenset({1}),
        "on_websocket": frozenset({1}),
        "on_websocket_message": frozenset({2}),
        "on_websocket_close": frozenset({2}),
        "on_before_action_response": frozenset({3}),
    }
)
"""Every hook, with how many arguments it may take besides ``self``."""

SYNC_HOOKS: Final = frozenset({"on_state_change"})

LATER_HOOKS: Final = frozenset({"run"})
"""Hooks of RivetKit that a later version serves."""

LATER_MEMBERS: Final = frozenset({"cron", "db", "kv", "queue", "schedule"})
"""Members of RivetKit's context that a later version serves."""

_CONSTRUCTORS: Final = frozenset({"__init__", "__new__"})


@dataclass(frozen=True, slots=True)
class Keywords:
    """What a class statement was given: ``class ChatRoom(Actor, name="chatRoom"):``."""

    name: object = None
    display_name: object = None
    icon: object = None
    abstract: object = False
    options: Mapping[str, object] = MappingProxyType({})


def compile_actor(
    cls: type[Actor[Any, Any, Any]],
    root: type[Actor[Any, Any, Any]],
    members: frozenset[str],
    keywords: Keywords,
    scope: Mapping[str, object],
) -> ActorDefinition | None:
    """Check a class and make its definition.

    Args:
        cls: the class.
        root: ``Actor``.
        members: what ``Actor`` offers and no class may shadow.
        keywords: of the class statement.
        scope: names its annotations may use besides the module's.

    Returns:
        The definition, or ``None`` for a base class that is not an actor itself: one with
        ``abstract=True`` or with type variables left.

    Raises:
        DefinitionError: something is wrong with it.
    """
    parent = next((base for base in cls.__mro__[1:] if issubclass(base, root)), root)
    options = read_options(cls.__name__, _parent_options(parent), keywords.options)
    bindings = bindings_of(cls, root)
    arguments: Any = tuple(bindings[parameter] for parameter in root.__parameters__)  # type: ignore[attr-defined]
    for base in _user_classes(cls, root):
        _Body(base, cls, root, members).check()
    names = class_scope(cls, scope)
    hooks = frozenset(hook for hook in HOOKS if _is_overridden(cls, root, hook))
    generic = any(has_variables(argument) for argument in arguments)
    if not isinstance(keywords.abstract, bool):
        raise DefinitionError(f"{cls.__name__}: `abstract` is True or False.")
    if keywords.abstract or generic:
        cls.__options__ = options
        return None
    definition = ActorDefinition(
        name=_wire_name(cls, keywords.name),
        python_name=cls.__name__,
        cls=cls,
        doc=_doc(cls, root),
        icon=_text(cls, "icon", keywords.icon) or _inherited(parent, "icon"),
        display_name=_text(cls, "display_name", keywords.display_name),
        options=options,
        actions=_Actions(cls, root, names, bindings, options).collect(),
        events=_events(cls, root, names, bindings),
        hooks=hooks,
        types=ActorTypes(cls, arguments, hooks, names, bindings),
    )
    _resolve_what_is_known(definition)
    cls.__options__ = options
    return definition
