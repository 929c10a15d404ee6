"""What a class compiles to."""

from __future__ import annotations

import functools
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel

from rivetless import ActionGroup, Actor, ActorError, DefinitionError, Event, action, setup
from rivetless.actor.base import definition_of

from .turns import FakeTurn, connection, instance, run

if TYPE_CHECKING:
    from nowhere import Ghost  # type: ignore[import-not-found]


class State(BaseModel):
    count: int = 0


class Member(BaseModel):
    name: str = "nobody"


class Params(BaseModel):
    token: str


class Input(BaseModel):
    name: str


DEFAULT = Input(name="default")


class Room(Actor[State, Member, Params], name="theRoom", icon="comments", display_name="A room"):
    """A room.

    With a second line.
    """

    new_message = Event[str]()
    renamed = Event[int](name="other")

    async def create_state(self, input: Input) -> State:
        return State(count=len(input.name))

    async def create_conn_state(self, params: Params) -> Member:
        return Member(name=params.token)

    async def on_wake(self) -> None: ...

    @action
    async def send_message(self, text: str) -> None:
        """Say something."""

    @action(name="bye", exclusive=True, timeout=5)
    async def leave(self) -> None: ...


def test_the_definition_of_a_room() -> None:
    room = definition_of(Room)
    assert (room.name, room.python_name, room.cls) == ("theRoom", "Room", Room)
    assert (room.icon, room.display_name) == ("comments", "A room")
    assert room.doc == "A room.\n\nWith a second line."
    assert room.hooks == {"create_state", "create_conn_state", "on_wake"}
    assert set(room.actions) == {"sendMessage", "bye"}
    assert set(room.events) == {"newMessage", "other"}
    for schema, annotation in (
        (room.state, State),
        (room.conn_state, Member),
        (room.params, Params),
        (room.input, Input),
    ):
        assert schema is not None
        assert schema.annotation is annotation


def test_actions_know_their_options() -> None:
    send, leave = definition_of(Room).actions["sendMessage"], definition_of(Room).actions["bye"]
    assert (send.python_name, send.exclusive, send.timeout) == ("send_message", False, 60)
    assert (leave.python_name, leave.exclusive, leave.timeout) == ("leave", True, 5)
    assert send.doc == "Say something."


def test_look_ups_take_both_names() -> None:
    room = definition_of(Room)
    assert room.find_action("send_message") is room.find_action("sendMessage")
    assert room.find_action("leave") is room.find_action("bye")
    assert room.find_action("nothing") is None
    assert room.find_event("new_message") is room.find_event("newMessage")
    assert room.find_event("renamed") is room.find_event("other")
    assert room.find_event("nothing") is None


def test_a_definition_cannot_be_changed() -> None:
    room = definition_of(Room)
    with pytest.raises(AttributeError):
        room.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        room.actions["x"] = room.actions["bye"]  # type: ignore[index]


def test_the_smallest_actor() -> None:
    class Tiny(Actor):
        pass

    tiny = definition_of(Tiny)
    assert (tiny.state, tiny.conn_state, tiny.params, tiny.input) == (None, None, None, None)
    assert (tiny.doc, tiny.icon, tiny.display_name, tiny.hooks) == ("", None, None, frozenset())


def test_what_is_no_actor_class() -> None:
    for wrong in (5, "Room", State, Actor, Actor[State]):
        with pytest.raises(DefinitionError):
            definition_of(wrong)


# -- values made by hooks and types ----------------------------------------------------------------


async def test_state_is_made_by_the_hook() -> None:
    room = definition_of(Room)
    given = room.check_input({"name": "abc"})
    assert given == Input(name="abc")
    assert await room.create_state(instance(Room, FakeTurn(Room)), given) == State(count=3)


@dataclass
class Plain:
    count: int = 4


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (State, State()),
        (Plain, Plain()),
        (int, 0),
        (str, ""),
        (dict[str, int], {}),
        (list[str], []),
        (set[int], set()),
        (int | None, None),
        (Mapping[str, int], {}),
    ],
)
async def test_state_is_made_by_the_type(annotation: Any, value: object) -> None:
    class Made(Actor[annotation, annotation]):
        pass

    made = definition_of(Made)
    actor = instance(Made, FakeTurn(Made))
    first = await made.create_state(actor, None)
    assert first == value
    assert await made.create_conn_state(actor, None) == value
    if isinstance(value, (dict, list, State)):
        assert await made.create_state(actor, None) is not first


async def test_no_state_is_none() -> None:
    class Tiny(Actor):
        async def create_conn_state(self, params: Any) -> None:
            assert params == {"a": 1}

    tiny = definition_of(Tiny)
    actor = instance(Tiny, FakeTurn(Tiny))
    assert await tiny.create_state(actor, None) is None
    assert await tiny.create_conn_state(actor, tiny.check_params({"a": 1})) is None


async def test_hooks_that_return_something_else() -> None:
    class Wrong(Actor[State]):
        async def create_state(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return 5

        async def create_conn_state(self, params):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return 5

    wrong = definition_of(Wrong)
    actor = instance(Wrong, FakeTurn(Wrong))
    with pytest.raises(TypeError, match=r"Wrong\.create_state returned int, which is no State"):
        await wrong.create_state(actor, None)
    with pytest.raises(TypeError, match=r"returned 5, but there is nowhere to keep it"):
        await wrong.create_conn_state(actor, None)


async def test_input_goes_to_whoever_takes_it() -> None:
    seen: list[object] = []

    class Both(Actor[State]):
        async def create_state(self, input: Input | None) -> State:
            seen.append(input)
            return State()

        async def on_create(self) -> None:
            seen.append("created")

    class Late(Actor[State]):
        async def on_create(self, input: Input) -> None:
            seen.append(input)

    for cls, plain in ((Both, None), (Both, {"name": "x"}), (Late, {"name": "y"})):
        definition = definition_of(cls)
        actor = instance(cls, FakeTurn(cls))
        given = definition.check_input(plain)
        await definition.create_state(actor, given)
        await definition.on_create(actor, given)
    assert seen == [None, "created", Input(name="x"), "created", Input(name="y")]


def test_an_absent_input() -> None:
    class Defaulted(Actor[State]):
        async def create_state(self, input: Input = DEFAULT) -> State:
            return State()

    class Lenient(Actor[State]):
        async def create_state(self, input: Member) -> State:
            return State()

    class Number(Actor[State]):
        async def create_state(self, input: int) -> State:
            return State()

    assert definition_of(Defaulted).check_input(None) == Input(name="default")
    assert definition_of(Lenient).check_input(None) == Member()
    with pytest.raises(ActorError, match=r"The input for Room does not fit: name: Field required"):
        definition_of(Room).check_input(None)
    with pytest.raises(ActorError, match="valid integer"):
        definition_of(Number).check_input(None)


def test_an_actor_without_input_ignores_it() -> None:
    class Tiny(Actor[State]):
        async def create_state(self) -> State:
            return State()

    assert definition_of(Tiny).check_input({"any": "thing"}) is None


def test_an_input_without_annotation_is_anything() -> None:
    class Loose(Actor[State]):
        async def create_state(self, input):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return State()

        async def on_create(self, input: Any) -> None: ...

    assert definition_of(Loose).check_input({"any": "thing"}) == {"any": "thing"}


def test_a_hook_may_return_less_than_the_state_allows() -> None:
    class Special(State):
        pass

    class Maybe(Actor[State | None]):
        async def create_state(self) -> State:
            return State()

    class Derived(Actor[State]):
        async def create_state(self) -> Special:
            return Special()

    assert definition_of(Maybe).hooks == definition_of(Derived).hooks == {"create_state"}


def test_parameters() -> None:
    room = definition_of(Room)
    assert room.check_params({"token": "t"}) == Params(token="t")
    with pytest.raises(ActorError) as caught:
        room.check_params({"token": 5})
    assert caught.value.message == (
        "The parameters for Room do not fit: token: Input should be a valid string."
    )
    with pytest.raises(ActorError, match="token: Field required"):
        room.check_params(None)

    class Open(Actor):
        pass

    assert definition_of(Open).check_params({"any": 1}) == {"any": 1}


def test_parameters_may_be_declared_by_a_hook_alone() -> None:
    class Guarded(Actor[State]):
        async def on_before_connect(self, params: Params) -> None: ...

    guarded = definition_of(Guarded)
    assert guarded.params is not None
    assert guarded.check_params({"token": "t"}) == Params(token="t")


# -- annotations ----------------------------------------------------------------------------------


async def test_names_of_the_enclosing_function_are_found() -> None:
    class Local(BaseModel):
        n: int = 0

    class Group(ActionGroup["Holder"]):
        @action
        async def double(self, value: Local) -> Local:
            return Local(n=value.n * 2)

    class Holder(Actor[Local]):
        class Inner(BaseModel):
            n: int = 0

        changed = Event["Local"]()
        group = Group()

        @action
        async def get(self, value: Inner) -> Holder.Inner:
            return value

    assert definition_of(Holder).state is not None
    assert await run(Holder, "get", {"n": 2}) == {"n": 2}
    assert await run(Holder, "group.double", {"n": 2}) == {"n": 4}
    assert Holder.changed.encode(Local(n=1)) == [{"n": 1}]


class Early(Actor["LateState"]):
    changed = Event["list[LateState]"]()

    async def create_state(self, input: LateInput) -> LateState:
        return LateState()

    @action
    async def get(self, value: LateState) -> LateState:
        return value


class LateState(BaseModel):
    n: int = 0


class LateInput(BaseModel):
    n: int = 0


async def test_names_that_come_later_are_found_at_the_first_use() -> None:
    early = definition_of(Early)
    assert await run(Early, "get", {"n": 2}) == {"n": 2}
    assert Early.changed.encode([LateState()]) == [[{"n": 0}]]
    assert early.check_input({"n": 1}) == LateInput(n=1)
    assert early.state is not None
    early.resolve()


def test_names_that_never_come_are_refused_by_setup() -> None:
    class Haunted(Actor):
        @action
        async def boo(self, ghost: Ghost) -> None: ...

    with pytest.raises(
        DefinitionError, match=r"Haunted\.boo: `Ghost` is not defined\. .*import it"
    ):
        setup(use=[Haunted])
    with pytest.raises(TypeError, match="Ghost"):
        definition_of(Haunted).actions["boo"].bind([1])

    class Haunted2(Actor["Ghost"]):
        pass

    with pytest.raises(DefinitionError, match=r"Haunted2: `Ghost` is not defined"):
        setup(use=[Haunted2])


def test_members_called_like_builtins_do_not_disturb_annotations() -> None:
    class Tricky(Actor):
        @action
        async def list(self, value: list[int]) -> list[int]:
            return value

        @action
        async def after(self, value: list[int]) -> list[int]:  # type: ignore[valid-type]
            return value

    parameter = definition_of(Tricky).actions["after"].parameters[0]
    assert parameter.schema.annotation == list[int]


# -- inheritance ----------------------------------------------------------------------------------


class Audited:
    """A mix-in that is no actor."""

    @action
    async def audit(self) -> str:
        return "audited"

    async def on_wake(self) -> None: ...


class Base(Actor[State], abstract=True):
    """A base."""

    changed = Event[int]()

    @action
    async def who(self) -> str:
        return "base"

    @action
    async def add(self, amount: int) -> int:
        return amount


class Child(Audited, Base):
    @action
    async def who(self) -> str:
        return "child of " + await super().who()


async def test_inheritance() -> None:
    child = definition_of(Child)
    assert set(child.actions) == {"who", "add", "audit"}
    assert child.hooks == {"on_wake"}
    assert set(child.events) == {"changed"}
    assert child.state is not None
    assert child.doc == "A base."
    assert await run(Child, "who") == "child of base"
    with pytest.raises(DefinitionError, match="Base is abstract"):
        definition_of(Base)


def test_abstract_methods_have_to_be_written() -> None:
    class Shape(Actor, ABC, abstract=True):
        @action
        @abstractmethod
        async def area(self) -> float: ...

    class Square(Shape):
        @action
        async def area(self) -> float:
            return 1.0

    assert set(definition_of(Square).actions) == {"area"}
    with pytest.raises(DefinitionError, match=r"Blob: `Shape\.area` is abstract\. Write it"):

        class Blob(Shape):
            pass

    with pytest.raises(DefinitionError, match="Shape is abstract"):
        _ = Shape.__definition__


def test_an_abstract_child_of_an_actor_is_abstract() -> None:
    class Sketch(Room, abstract=True):
        pass

    with pytest.raises(DefinitionError, match="Sketch is abstract"):
        definition_of(Sketch)
    assert definition_of(Room).cls is Room


ItemT = TypeVar("ItemT")
NoteT = TypeVar("NoteT")


class Shelf(Actor[list[ItemT]], Generic[ItemT, NoteT]):
    added = Event[ItemT]()
    noted = Event[tuple[NoteT, int]]()

    async def create_state(self) -> list[ItemT]:
        return []

    @action
    async def put(self, item: ItemT, *notes: NoteT) -> dict[str, ItemT]:
        return {"item": item}


class Numbers(Shelf[int, str]):
    pass


class Half(Shelf[Member, NoteT]):
    pass


class Members(Half[bool]):
    pass


async def test_generic_bases() -> None:
    for generic in (Shelf, Half):
        with pytest.raises(DefinitionError, match="is abstract"):
            definition_of(generic)
    assert await run(Numbers, "put", "5", "note") == {"item": 5}
    assert await run(Members, "put", {"name": "x"}, True) == {"item": {"name": "x"}}
    with pytest.raises(ActorError):
        await run(Members, "put", 5)
    state = definition_of(Members).state
    assert state is not None
    assert state.annotation == list[Member]
    for cls, name, payload, args in (
        (Numbers, "added", 5, [5]),
        (Numbers, "noted", ("x", 1), ["x", 1]),
        (Members, "added", Member(), [{"name": "nobody"}]),
    ):
        event = definition_of(cls).find_event(name)
        assert event is getattr(cls, name)
        assert event is not None
        assert event.encode(payload) == args
    wrong = definition_of(Members).events["added"]
    with pytest.raises(ActorError):
        wrong.encode(5)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
async def test_generic_bases_in_new_syntax(future: str) -> None:
    code = f"""{future}
from rivetless import Actor, Event, action
from rivetless.actor.base import definition_of

def make():
    class Local: ...
    Local = int

    class Shelf[T](Actor[list[T]]):
        added = Event[T]()

        async def create_state(self) -> list[T]:
            return []

        @action
        async def put(self, item: T, *, count: Local = 1) -> list[T]:
            return [item] * count

    class Numbers(Shelf[int]):
        pass

    return Shelf, Numbers
"""
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    shelf, numbers = names["make"]()
    with pytest.raises(DefinitionError, match="is abstract"):
        definition_of(shelf)
    assert await run(numbers, "put", "5", {"count": "2"}) == [5, 5]
    assert definition_of(numbers).events["added"].encode("3") == [3]


# -- decorators and groups ------------------------------------------------------------------------


async def test_actions_may_be_wrapped() -> None:
    def twice(function: Callable[..., Awaitable[int]]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> int:
            return 2 * await function(*args, **kwargs)

        return wrapper

    def forwarded(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Wrapped(Actor):
        @action
        @twice
        async def double(self, n: int) -> int:
            return n

        @action
        @forwarded
        async def same(self, n: int) -> int:
            return n

    assert await run(Wrapped, "double", "4") == 8
    assert await run(Wrapped, "same", "4") == 4


async def test_groups_reach_the_actor() -> None:
    class Deep(ActionGroup["Org"]):
        @action
        async def where(self) -> str:
            return f"{self.actor.actor_id} {self.actor.state.count}"

    class Users(ActionGroup["Org"]):
        deep = Deep()

        @action(name="plus")
        async def add_many(self, n: int) -> int:
            self.actor.state.count += n
            return await self._count()

        async def _count(self) -> int:
            return self.actor.state.count

    class Org(Actor[State]):
        user_list = Users()

        @action
        async def own(self) -> int:
            return await self.user_list.add_many(1)

    org = definition_of(Org)
    assert set(org.actions) == {"userList.plus", "userList.deep.where", "own"}
    add = org.find_action("user_list.add_many")
    assert add is org.find_action("userList.plus")
    assert add is not None
    assert add.path == ("user_list",)
    turn = FakeTurn(Org, State(count=1))
    actor = instance(Org, turn)
    args, kwargs = add.bind(["2"])
    assert await add.call(actor, args, kwargs) == 3
    assert await actor.own() == 4
    deep = org.find_action("user_list.deep.where")
    assert deep is not None
    assert await deep.call(actor, [], {}) == "actor-1 4"
    assert isinstance(Org.user_list, Users)
    with pytest.raises(
        AttributeError, match=r"`self\.x` cannot be set: a group lives for one turn"
    ):
        actor.user_list.x = 5  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="during a turn only"):
        _ = Org.user_list.actor
    with pytest.raises(AttributeError, match="'Users' has no attribute 'y'"):
        _ = actor.user_list.y  # type: ignore[attr-defined]


def test_connections_are_not_part_of_it() -> None:
    """A definition has no state: two turns share nothing but the class."""
    first, second = (FakeTurn(Room, State(), conns=[connection()]) for _ in range(2))
    assert instance(Room, first) is not instance(Room, second)
    assert instance(Room, first).conn == instance(Room, second).conn
