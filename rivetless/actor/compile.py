"""From a class to its ``ActorDefinition``; everything that is wrong is refused here.

Runs once for each class, when it is created. Each refusal says where the mistake is and how to mend
it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from rivetless.actor.annotations import (
    Bindings,
    Scope,
    bindings_of,
    class_scope,
    has_variables,
    module_names,
)
from rivetless.actor.arguments import Signature
from rivetless.actor.body import HOOKS, check_body, check_group_body
from rivetless.actor.declare import ActionGroup, action_options, as_event, as_group
from rivetless.actor.declared import Declared
from rivetless.actor.definition import ActionDefinition, ActorDefinition
from rivetless.actor.names import class_name, member_name, why_not
from rivetless.actor.options import ActorOptions, read_options
from rivetless.actor.queue import as_queue
from rivetless.actor.types import TypesReader
from rivetless.errors import DefinitionError
from rivetless.frozen import frozen
from rivetless.serde import ForwardReferenceError

if TYPE_CHECKING:
    from rivetless.actor.base import Actor

DeclaredT = TypeVar("DeclaredT", bound=Declared)

_PLUMBING: Final = (object, Generic, Protocol)


@frozen
class Keywords:
    """What a class statement was given: ``class ChatRoom(Actor, name="chatRoom"):``.

    Attributes:
        name: explicit name on the wire.
        display_name: a label for dashboards.
        icon: an emoji or a FontAwesome name.
        abstract: a base for actors, not an actor itself.
        options: the others, unchecked.
    """

    name: object = None
    display_name: object = None
    icon: object = None
    abstract: object = False
    options: Mapping[str, object] = field(default_factory=dict[str, object])


@frozen
class Inherited:
    """What a class passes on to those that derive from it.

    Attributes:
        options: its options.
        icon: its icon.
    """

    options: ActorOptions = field(default_factory=ActorOptions)
    icon: str | None = None


def compile_actor(
    cls: type[Actor[Any, Any, Any]],
    root: type[Actor[Any, Any, Any]],
    members: frozenset[str],
    keywords: Keywords,
    scope: Scope,
) -> tuple[ActorDefinition | None, Inherited]:
    """Check a class and make its definition.

    Args:
        cls: the class.
        root: ``Actor``.
        members: what ``Actor`` offers and no class may shadow.
        keywords: of the class statement.
        scope: names its annotations may use besides the module's.

    Returns:
        The definition, or ``None`` for a base class that is not an actor itself (one with
        ``abstract=True`` or with type variables left); and what it passes on.

    Raises:
        DefinitionError: something is wrong with it.
    """
    parents: list[type[Any]] = [base for base in cls.__mro__[1:] if issubclass(base, root)]
    inherited: Inherited = vars(parents[0])["__inherited__"]
    options = read_options(cls.__name__, inherited.options, keywords.options)
    icon = _text(cls, "icon", keywords.icon) or inherited.icon
    for base in _own_classes(cls, root):
        # Other actor classes were checked when they were created; plain mix-ins never were.
        if base is cls or not issubclass(base, root):
            check_body(base, cls, root, members)
    bindings = bindings_of(cls, root)
    parameters: tuple[Any, ...] = getattr(root, "__parameters__", ())
    state, conn_state, params = (bindings[parameter] for parameter in parameters)
    passed_on = Inherited(options, icon)
    if not isinstance(keywords.abstract, bool):
        raise DefinitionError(f"{cls.__name__}: `abstract` is True or False.")
    variables: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    if keywords.abstract or variables or any(map(has_variables, (state, conn_state, params))):
        return None, passed_on
    _refuse_unfinished(cls, root)
    names = class_scope(cls, scope)
    hooks = frozenset(hook for hook in HOOKS if getattr(cls, hook) is not getattr(root, hook))
    definition = ActorDefinition(
        name=_wire_name(cls, keywords.name),
        python_name=cls.__name__,
        cls=cls,
        doc=_doc(cls, root),
        icon=icon,
        display_name=_text(cls, "display_name", keywords.display_name),
        options=options,
        actions=MappingProxyType(_Actions(cls, root, names, bindings, options).collect()),
        events=MappingProxyType(_declared(as_event, "event", cls, root, names, bindings)),
        queues=MappingProxyType(_declared(as_queue, "queue", cls, root, names, bindings)),
        hooks=hooks,
        reader=TypesReader(cls, (state, conn_state, params), hooks, names, bindings),
    )
    _resolve_what_is_known(definition)
    return definition, passed_on


def _own_classes(cls: type[Any], root: type[Any]) -> Iterator[type[Any]]:
    """Yield the classes of ``cls`` that users wrote, nearest first."""
    for base in cls.__mro__:
        if base is not root and base not in _PLUMBING:
            yield base


def _attributes(cls: type[Any], root: type[Any]) -> dict[str, tuple[Any, type[Any]]]:
    """Return what a class and its bases declare, with the class each is from; bases first."""
    found: dict[str, tuple[Any, type[Any]]] = {}
    for base in reversed(list(_own_classes(cls, root))):
        for name, value in vars(base).items():
            if not name.startswith("__"):
                found[name] = (value, base)
    return found


class _Actions:
    """Collects the actions of a class and of its groups."""

    def __init__(
        self,
        cls: type[Any],
        root: type[Any],
        scope: Scope,
        bindings: Bindings,
        options: ActorOptions,
    ) -> None:
        self._cls = cls
        self._root = root
        self._scope = scope
        self._bindings = bindings
        self._options = options
        self._found: dict[str, ActionDefinition] = {}

    def collect(self) -> dict[str, ActionDefinition]:
        self._add_class(self._cls, self._root, (), (), self._scope, self._bindings)
        return self._found

    def _add_class(
        self,
        cls: type[Any],
        root: type[Any],
        path: tuple[str, ...],
        wire_path: tuple[str, ...],
        scope: Scope,
        bindings: Bindings,
    ) -> None:
        for name, (value, _) in _attributes(cls, root).items():
            group = as_group(value)
            if group is not None:
                self._add_group(name, type(group), path, wire_path, scope, bindings)
                continue
            given = action_options(value) if inspect.isfunction(value) else None
            if given is None:
                continue
            wire = given.name or member_name(name)
            python_name = ".".join((*path, name))
            label = f"{self._cls.__name__}.{python_name}"
            self._claim(
                ActionDefinition(
                    name=".".join((*wire_path, wire)),
                    python_name=python_name,
                    function=value,
                    path=path,
                    exclusive=given.exclusive,
                    timeout=given.timeout or self._options.action_timeout,
                    doc=inspect.getdoc(value) or "",
                    signature=Signature(value, label, scope, bindings),
                )
            )

    def _add_group(
        self,
        name: str,
        cls: type[ActionGroup[Any]],
        path: tuple[str, ...],
        wire_path: tuple[str, ...],
        scope: Scope,
        bindings: Bindings,
    ) -> None:
        check_group_body(cls)
        self._add_class(
            cls,
            ActionGroup,
            (*path, name),
            (*wire_path, member_name(name)),
            class_scope(cls, {**scope, **cls.__rivetless_scope__}),
            {**bindings, **bindings_of(cls, ActionGroup)},
        )

    def _claim(self, action: ActionDefinition) -> None:
        other = self._found.get(action.name)
        if other is not None:
            raise DefinitionError(
                f"{self._cls.__name__}: `{other.python_name}` and `{action.python_name}` are both "
                f"`{action.name}` on the wire. Rename one, or give it a name: "
                '`@action(name="...")`.'
            )
        self._found[action.name] = action


def _declared(
    find: Callable[[object], DeclaredT | None],
    what: str,
    cls: type[Any],
    root: type[Any],
    scope: Scope,
    bindings: Bindings,
) -> dict[str, DeclaredT]:
    """Collect a class's declarations of one kind by wire name."""
    found: dict[str, DeclaredT] = {}
    for name, (value, owner) in _attributes(cls, root).items():
        declared = find(value)
        if declared is None:
            continue
        if declared.python_name != name:
            raise DefinitionError(
                f"{cls.__name__}.{name}: this {what} is already called `{declared.python_name}`. "
                "Declare one for each name."
            )
        special = declared.specialise(bindings)
        if special is not declared:
            # A generic base's declaration has other types in each class derived from it.
            setattr(cls, name, special)
        special.names(module_names(owner), scope)
        other = found.get(special.name)
        if other is not None:
            raise DefinitionError(
                f"{cls.__name__}: the {what}s `{other.python_name}` and `{name}` are both "
                f"`{special.name}` on the wire. Rename one, or give it a name: "
                f'`{type(declared).__name__}(name="...")`.'
            )
        found[special.name] = special
    return found


def _resolve_what_is_known(definition: ActorDefinition) -> None:
    """Report now what can be seen now; forward references wait for ``setup`` or the first use."""
    resolvers: list[Callable[[], object]] = [definition.reader.get]
    resolvers += [action.signature.resolve for action in definition.actions.values()]
    for resolve in resolvers:
        try:
            resolve()
        except ForwardReferenceError:
            continue
    for declared in (*definition.events.values(), *definition.queues.values()):
        try:
            declared.resolve()
        except ForwardReferenceError:
            continue
        except TypeError as error:
            what = "payload's type" if declared.name in definition.events else "message's type"
            raise DefinitionError(
                f"{definition.python_name}.{declared.python_name}: the {what} cannot travel. "
                f"({error})"
            ) from error


def _wire_name(cls: type[Any], given: object) -> str:
    name = class_name(cls.__name__) if given is None else given
    wrong = why_not(name)
    if wrong is not None:
        raise DefinitionError(
            f"{cls.__name__}: {wrong}. Give the actor a name on the wire: "
            f'`class {cls.__name__}(Actor, name="...")`.'
        )
    return str(name)


def _text(cls: type[Any], keyword: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise DefinitionError(f"{cls.__name__}: `{keyword}` is text, not {value!r}.")


def _doc(cls: type[Any], root: type[Any]) -> str:
    for base in _own_classes(cls, root):
        doc: str | None = vars(base).get("__doc__")
        # A mix-in's docstring speaks of the mix-in.
        if doc and issubclass(base, root):
            return inspect.cleandoc(doc)
    return ""


def _refuse_unfinished(cls: type[Any], root: type[Any]) -> None:
    """Refuse a class that leaves an abstract method of a base unwritten."""
    for name, (value, owner) in _attributes(cls, root).items():
        if getattr(value, "__isabstractmethod__", False):
            raise DefinitionError(
                f"{cls.__name__}: `{owner.__name__}.{name}` is abstract. Write it, or make the "
                f"class a base too: `class {cls.__name__}({owner.__name__}, abstract=True)`."
            )
