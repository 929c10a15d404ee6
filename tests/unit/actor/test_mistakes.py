"""Mistakes in a class are refused when it is created, with a sentence that says how to mend it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from rivetless import ActionGroup, Actor, DefinitionError, Event, Queue, action


class State(BaseModel):
    count: int = 0


class Required(BaseModel):
    count: int


def refuses(*words: str) -> Any:
    return pytest.raises(DefinitionError, match=".*".join(map(re.escape, words)))


# Checkers see most of these too: that is what tests/typing is for.
# mypy: disable-error-code="override, misc, assignment, type-var, no-untyped-def, call-arg"
# mypy: disable-error-code="type-arg, arg-type, no-redef, empty-body, valid-type, return-value"
# mypy: disable-error-code="call-overload"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_conect", "on_connect"),
        ("onConnect", "on_connect"),
        ("on_statechange", "on_state_change"),
        ("create_conn_stat", "create_conn_state"),
        ("createVars", "create_vars"),
        ("onconnect", "on_connect"),
    ],
)
def test_unknown_hooks(name: str, meant: str) -> None:
    async def hook(self: Any) -> None: ...

    with refuses(f"Room.{name} is no hook. Did you mean `{meant}`?"):
        type("Room", (Actor,), {name: hook})


@pytest.mark.parametrize("name", ["on_fire", "create_invoice"])
def test_methods_that_look_like_hooks(name: str) -> None:
    async def method(self: Any) -> None: ...

    with refuses(f"Room.{name} is no hook.", "begins with an underscore, or with @action"):
        type("Room", (Actor,), {name: method})
    type("Room", (Actor,), {f"_{name}": method})
    type("Room", (Actor,), {name: action(method)})


def test_sync_action() -> None:
    with refuses("Room.add: an action is async. Write `async def add`"):

        class Room(Actor):
            @action
            def add(self) -> int:
                return 1


def test_generator_action() -> None:
    with refuses("Room.add: an action gives one result, it cannot `yield`"):

        class Room(Actor):
            @action
            async def add(self) -> AsyncIterator[int]:
                yield 1

    with refuses("cannot `yield`"):

        class Room2(Actor):
            @action
            def add(self) -> Iterator[int]:
                yield 1


def test_static_and_class_methods() -> None:
    with refuses("Room.add: an action is a method of the actor, not a staticmethod"):

        class Room(Actor):
            @action
            @staticmethod
            async def add() -> int:
                return 1

    with refuses("Room2.add: an action is a method, not a classmethod"):

        class Room2(Actor):
            @classmethod
            @action
            async def add(cls) -> int:
                return 1


def test_action_of_something_else() -> None:
    with refuses("@action decorates an `async def` method"):
        action(5)
    with refuses("`exclusive` is True or False, not 1"):
        action(exclusive=1)
    with refuses("`timeout` takes a time above zero"):
        action(timeout=0)
    with refuses("@action: a name has"):
        action(name="a b")


def test_private_action() -> None:
    with refuses("Room._add: an action is public"):

        class Room(Actor):
            @action
            async def _add(self) -> None: ...


@pytest.mark.parametrize(
    "member",
    [
        *("turn_id", "once", "refresh", "state", "vars", "conns", "conn", "client", "key", "name"),
        *("actor_id", "region", "log", "request", "aborted", "abort_signal", "broadcast"),
        *("save_state", "keep_awake", "wait_until", "sleep", "destroy"),
        *("schedule", "cron", "dead_letters"),
    ],
)
def test_shadowed_members(member: str) -> None:
    async def method(self: Any) -> None: ...

    with refuses(f"Room.{member}: `{member}` is a member of every actor."):
        type("Room", (Actor,), {member: action(method)})
    with refuses(f"Room.{member}: `{member}` is a member of every actor."):
        type("Room", (Actor,), {member: 5})


@pytest.mark.parametrize("name", ["db"])
def test_features_of_later_versions(name: str) -> None:
    async def method(self: Any) -> None: ...

    with refuses(f"Room.{name}: `{name}` is not served by this version of rivetless yet."):
        type("Room", (Actor,), {name: method})


@pytest.mark.parametrize("name", ["__init__", "__new__"])
def test_constructors(name: str) -> None:
    with refuses(f"Room.{name}: an instance lives for one turn", "`create_state`"):
        type("Room", (Actor,), {name: lambda self: None})


def test_sync_hook() -> None:
    with refuses("Room.on_wake: this hook is async. Write `async def on_wake`"):

        class Room(Actor):
            def on_wake(self) -> None: ...


def test_async_on_state_change() -> None:
    with refuses("Room.on_state_change runs between", "Write `def on_state_change`"):

        class Room(Actor[State]):
            async def on_state_change(self, state: State) -> None: ...


@pytest.mark.parametrize(
    ("hook", "count", "wanted"),
    [
        ("on_connect", 0, "1 argument."),
        ("on_connect", 2, "1 argument."),
        ("on_wake", 1, "0 arguments."),
        ("create_state", 2, "0 or 1 arguments."),
        ("on_websocket_message", 1, "2 arguments."),
        ("on_before_action_response", 2, "3 arguments."),
    ],
)
def test_hooks_with_other_arguments(hook: str, count: int, wanted: str) -> None:
    namespace: dict[str, Any] = {}
    arguments = ", ".join(["self", *(f"a{i}" for i in range(count))])
    exec(f"async def {hook}({arguments}): ...", namespace)
    with refuses(f"Room.{hook} takes `self` and {wanted}"):
        type("Room", (Actor,), {hook: namespace[hook]})


def test_hook_that_is_no_method() -> None:
    with refuses("Room.on_wake: the hook `on_wake` is a method, not int"):

        class Room(Actor):
            on_wake = 5


def test_hook_that_is_an_action() -> None:
    with refuses("Room.on_wake is a hook and cannot be an action"):

        class Room(Actor):
            @action
            async def on_wake(self) -> None: ...


def test_two_actions_of_one_wire_name() -> None:
    with refuses("Room: `send_message` and `sendMessage` are both `sendMessage` on the wire"):

        class Room(Actor):
            @action
            async def send_message(self) -> None: ...

            @action
            async def sendMessage(self) -> None: ...

    with refuses("`add` and `append` are both `add` on the wire"):

        class Room2(Actor):
            @action
            async def add(self) -> None: ...

            @action(name="add")
            async def append(self) -> None: ...


def test_two_events_of_one_wire_name() -> None:
    with refuses("Room: the events `a_b` and `aB` are both `aB` on the wire"):

        class Room(Actor):
            a_b = Event[int]()
            aB = Event[int]()


def test_one_event_of_two_names() -> None:
    with refuses("Room.y: this event is already called `x`"):

        class Room(Actor):
            x = y = Event[int]()


def test_event_that_is_not_made() -> None:
    with refuses("Room.changed is the type of an event. Make one: `changed = Event[int]()`"):

        class Room(Actor):
            changed = Event[int]

    with refuses("Room2.changed is the type of an event"):

        class Room2(Actor):
            changed = Event


def test_bad_events() -> None:
    with refuses("Event: a name has"):
        Event(name="a b")
    with refuses("nobody: `can_subscribe` is async. Write `async def nobody`"):

        def nobody(actor: Any) -> bool:
            return False

        Event(can_subscribe=nobody)
    with refuses("Room.changed: the payload's type cannot travel"):

        class Room(Actor):
            changed = Event[asyncio.Event]()


def test_types_that_cannot_travel() -> None:
    with refuses("Room.add: the parameter `x` has the type `Event`, which cannot travel"):

        class Room(Actor):
            @action
            async def add(self, x: asyncio.Event) -> None: ...

    with refuses("Room2.add: the result has the type `Event`"):

        class Room2(Actor):
            @action
            async def add(self) -> asyncio.Event: ...

    with refuses("Room3: its state, `Event`, cannot be stored"):

        class Room3(Actor[asyncio.Event]): ...


def test_annotations_that_are_no_types() -> None:
    with refuses("add: an annotation cannot be evaluated"):

        class Room(Actor):
            @action
            async def add(self, x: int | "str") -> None: ...  # noqa: UP037


def test_parameters_without_a_place_on_the_wire() -> None:
    with refuses("Room.add: `**options` has no place on the wire", "`options: dict[str, ...]`"):

        class Room(Actor):
            @action
            async def add(self, **options: int) -> None: ...

    with refuses("Room2.add: with `*xs`, nobody can tell on the wire where `limit` begins"):

        class Room2(Actor):
            @action
            async def add(self, *xs: int, limit: int = 1) -> None: ...

    with refuses("Room3.add: an action is a method; its first parameter is `self`"):

        class Room3(Actor):
            @action
            async def add() -> None: ...


def test_state_that_nobody_makes() -> None:
    with refuses(
        "Room: `Required` cannot be made without arguments (count: Field required)",
        "`async def create_state(self) -> Required`",
    ):

        class Room(Actor[Required]): ...

    with refuses("`async def create_conn_state(self, params) -> Required`"):

        class Room2(Actor[State, Required]): ...

    with refuses("Room4: `Literal['a']` cannot be made without arguments (it is no class)"):

        class Room4(Actor[Literal["a"]]): ...

    class Fragile(BaseModel):
        total: Decimal = Decimal("NaN")

    with refuses("Room5: `Fragile` cannot be made without arguments", "cannot be stored"):

        class Room5(Actor[Fragile]): ...

    class Picky:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler(int)

        def __init__(self) -> None:
            raise RuntimeError("not today")

    with refuses("RuntimeError: not today"):

        class Room3(Actor[Picky]): ...


def test_state_that_is_not_declared() -> None:
    with refuses("Room.create_state makes a state, but the class declares none", "Actor[State]"):

        class Room(Actor):
            async def create_state(self) -> State:
                return State()

    with refuses("Room2.create_conn_state makes a connection state", "`Actor[..., State]`"):

        class Room2(Actor[State]):
            async def create_conn_state(self, params: Any) -> State:
                return State()


def test_hooks_that_disagree_with_the_class() -> None:
    with refuses("Room.create_state returns `Required`, but the state is `State`"):

        class Room(Actor[State]):
            async def create_state(self) -> Required: ...

    with refuses("Room2.on_before_connect takes `State`, but the connection's parameters are"):

        class Room2(Actor[State, None, Required]):
            async def on_before_connect(self, params: State) -> None: ...

    with refuses("Room3.on_create takes `State`, but `create_state` takes `Required`"):

        class Room3(Actor[State]):
            async def create_state(self, input: Required) -> State: ...

            async def on_create(self, input: State) -> None: ...


def test_names_of_classes() -> None:
    with refuses("Room: a name has at most 64 characters", 'name="..."'):

        class Room(Actor, name="x" * 65): ...

    with refuses("a name has at most 64"):
        type("R" * 65, (Actor,), {})
    with refuses("Room2: a name has letters"):

        class Room2(Actor, name="a/b"): ...

    with refuses("Room3: `icon` is text, not 5"):

        class Room3(Actor, icon=5): ...

    with refuses("Room4: `display_name` is text, not ''"):

        class Room4(Actor, display_name=""): ...

    with refuses("Room5: `abstract` is True or False"):

        class Room5(Actor, abstract="yes"): ...


def test_overriding_an_action_without_saying_so() -> None:
    class Room(Actor):
        @action
        async def add(self) -> int:
            return 1

    with refuses("Special.add overrides an action, so decorate it with @action too"):

        class Special(Room):
            async def add(self) -> int:
                return 2

    with refuses("Special2.add overrides an action"):

        class Special2(Room):
            add = None


def test_mixin_behind_actor() -> None:
    class Mixin:
        async def on_wake(self) -> None: ...

    with refuses("Room: `Mixin.on_wake` would never be called", "`class Room(Mixin, Actor[...])`"):

        class Room(Actor, Mixin): ...


def test_mixins_are_checked_too() -> None:
    class Mixin:
        async def on_conect(self, conn: Any) -> None: ...

    with refuses("Mixin.on_conect is no hook. Did you mean `on_connect`?"):

        class Room(Mixin, Actor): ...


def test_groups() -> None:
    with refuses("Room.Users is a group that is not used. Make one: `users = Users()`"):

        class Room(Actor):
            class Users(ActionGroup[Any]):
                @action
                async def add(self) -> None: ...

    class Hooked(ActionGroup[Any]):
        async def on_connect(self, conn: Any) -> None: ...

    with refuses("Hooked.on_connect is a hook, and hooks belong to the actor itself"):

        class Room2(Actor):
            hooked = Hooked()

    class Shadow(ActionGroup[Any]):
        actor = 5

    with refuses("Shadow.actor: `actor` is the actor of this turn"):

        class Room3(Actor):
            shadow = Shadow()

    class Loud(ActionGroup[Any]):
        changed = Event[int]()

    with refuses("Loud.changed: events belong to the actor itself"):

        class Room4(Actor):
            loud = Loud()

    class Built(ActionGroup[Any]):
        def __init__(self) -> None: ...

    with refuses("Built.__init__: a group is made anew in each turn"):

        class Room5(Actor):
            built = Built()

    class Secret(ActionGroup[Any]):
        @action
        async def _add(self) -> None: ...

    with refuses("Secret._add: an action is public"):

        class Room6(Actor):
            secret = Secret()


def test_wrapped_by_something_that_is_not_async() -> None:
    def spoil(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*args)

    with refuses("an action is async"):

        class Room(Actor):
            @action
            @spoil
            async def add(self) -> None: ...


def test_a_queue_in_a_group() -> None:
    with refuses("Loud.notes: queues belong to the actor itself"):

        class Loud(ActionGroup[Any]):
            notes = Queue[str]()

        class Room(Actor):
            loud = Loud()


@pytest.mark.parametrize("count", [0, True])
def test_a_queue_that_delivers_nothing(count: int) -> None:
    with refuses("`max_deliveries` is a number above zero"):
        Queue[str](max_deliveries=count)
