"""What may stand in the body of an actor class or of a group, and what may not."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn, get_origin

from rivetless.actor.declare import ActionGroup, Event, action_options, check_async
from rivetless.actor.names import did_you_mean
from rivetless.actor.queue import Queue
from rivetless.errors import DefinitionError

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
        "run": frozenset({0}),
    }
)
"""Every hook, and how many arguments it may take besides ``self``."""

SYNC_HOOKS: Final = frozenset({"on_state_change"})

LATER: Final = frozenset({"db"})
"""Members and hooks of RivetKit that this version does not serve yet; their names are kept free."""

_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "state": "Give its type, `Actor[State]`, and its first value in `create_state`",
        "vars": "Make them in `create_vars`; `vars: MyVars` without a value gives the type",
        "name": 'Give the name on the wire to the class: `class Room(Actor, name="room")`',
        "destroy": 'Call the method `delete`, or so on the wire: `@action(name="destroy")`',
    }
)

_VERBS: Final = ("is ", "overrides ", "runs ", "takes ")
"""Sentences that begin with one of them have the place of the mistake as their subject."""


def check_body(body: type[Any], cls: type[Any], root: type[Any], members: frozenset[str]) -> None:
    """Check one class of an actor's method resolution order.

    Args:
        body: the class whose attributes are looked at.
        cls: the actor class.
        root: ``Actor``.
        members: what ``Actor`` offers and no class may shadow.

    Raises:
        DefinitionError: something cannot stay as it is.
    """
    for name, value in vars(body).items():
        where = f"{body.__name__}.{name}"
        if name in ("__init__", "__new__"):
            _refuse(
                where,
                "an instance lives for one turn and is made by the runtime. First values of the "
                "state come from `create_state`, those of a process from `create_vars`",
            )
        if name.startswith("__") and name.endswith("__"):
            continue
        if name in LATER:
            _refuse(where, f"`{name}` is not served by this version of rivetless yet")
        if name in members:
            instead = _INSTEAD.get(name, "Choose another name")
            _refuse(where, f"`{name}` is a member of every actor. {instead}")
        if name in HOOKS:
            _check_hook(name, value, where)
        elif _is_action(value):
            _check_action(name, where)
        else:
            _check_other(name, value, where)
            if _is_action(_inherited(body, cls, name)):
                _refuse(where, "overrides an action, so decorate it with @action too")
    _check_groups(body)
    _check_order(body, cls, root)


def check_group_body(group: type[Any]) -> None:
    """Check the class of a group of actions.

    Raises:
        DefinitionError: something cannot stay as it is.
    """
    for base in group.__mro__:
        if base is ActionGroup:
            break
        for name, value in vars(base).items():
            where = f"{base.__name__}.{name}"
            if name in ("__init__", "__new__"):
                _refuse(where, "a group is made anew in each turn and takes nothing")
            if name.startswith("__") and name.endswith("__"):
                continue
            if name == "actor":
                _refuse(where, "`actor` is the actor of this turn. Choose another name")
            if name in HOOKS and inspect.isfunction(value):
                _refuse(where, "is a hook, and hooks belong to the actor itself")
            if isinstance(value, Event):
                _refuse(where, "events belong to the actor itself")
            if isinstance(value, Queue):
                _refuse(where, "queues belong to the actor itself")
            if _is_action(value):
                _check_action(name, where)
            else:
                _check_wrapped_action(value, where)
        _check_groups(base)


def _check_hook(name: str, value: Any, where: str) -> None:
    if _is_action(value):
        _refuse(where, "is a hook and cannot be an action. Choose another name for the action")
    if not inspect.isfunction(value):
        _refuse(where, f"the hook `{name}` is a method, not {type(value).__name__}")
    if name in SYNC_HOOKS:
        if inspect.iscoroutinefunction(inspect.unwrap(value)):
            _refuse(
                where,
                f"runs between the change and its commit, so it is not async. Write `def {name}`",
            )
    else:
        check_async(value, where, "this hook")
    counts = HOOKS[name]
    if not any(_takes(value, count) for count in counts):
        wanted = " or ".join(str(count) for count in sorted(counts))
        plural = "" if wanted == "1" else "s"
        _refuse(where, f"takes `self` and {wanted} argument{plural}")


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * (count + 1))
    except TypeError:
        return False
    return True


def _check_action(name: str, where: str) -> None:
    if name.startswith("_"):
        _refuse(where, "an action is public, so its name does not begin with an underscore")


def _check_other(name: str, value: Any, where: str) -> None:
    _check_wrapped_action(value, where)
    for kind, what in ((Event, "an event"), (Queue, "a queue")):
        if value is kind or get_origin(value) is kind:
            written = f"{kind.__name__}[...]" if value is kind else str(value).rpartition(".")[2]
            _refuse(where, f"is the type of {what}. Make one: `{name} = {written}()`")
    if not inspect.isfunction(value) or name.startswith("_"):
        return
    folded = name.replace("_", "").lower()
    hook = next((known for known in HOOKS if known.replace("_", "") == folded), None)
    if hook is not None:
        _refuse(where, f"is no hook. Did you mean `{hook}`?")
    if name.startswith(("on_", "create_")):
        hint = did_you_mean(name, HOOKS)
        _refuse(
            where,
            f"is no hook.{hint} A method of your own begins with an underscore, or with @action",
        )


def _check_wrapped_action(value: Any, where: str) -> None:
    kind = type(value).__name__
    if kind in ("staticmethod", "classmethod") and _is_action(value.__func__):
        _refuse(where, f"an action is a method, not a {kind}")


def _check_groups(body: type[Any]) -> None:
    made: set[object] = {type(value) for value in vars(body).values()}
    for name, value in vars(body).items():
        if isinstance(value, type) and issubclass(value, ActionGroup) and value not in made:
            _refuse(
                f"{body.__name__}.{name}",
                f"is a group that is not used. Make one: `{name.lower()} = {name}()`",
            )


def _check_order(body: type[Any], cls: type[Any], root: type[Any]) -> None:
    """Refuse a mix-in whose hooks are hidden by ``Actor``'s own."""
    order = cls.__mro__
    if order.index(body) < order.index(root):
        return
    hidden = sorted(name for name in vars(body) if name in HOOKS)
    if hidden:
        raise DefinitionError(
            f"{cls.__name__}: `{body.__name__}.{hidden[0]}` would never be called, since Actor "
            f"comes first. Write `class {cls.__name__}({body.__name__}, Actor[...])`."
        )


def _inherited(body: type[Any], cls: type[Any], name: str) -> Any:
    """Return what ``name`` would be without ``body``."""
    order = cls.__mro__
    for base in order[order.index(body) + 1 :]:
        if name in vars(base):
            return vars(base)[name]
    return None


def _is_action(value: object) -> bool:
    return inspect.isfunction(value) and action_options(value) is not None


def _refuse(where: str, sentence: str) -> NoReturn:
    joint = " " if sentence.startswith(_VERBS) else ": "
    end = "" if sentence.endswith((".", "?")) else "."
    raise DefinitionError(f"{where}{joint}{sentence}{end}")
