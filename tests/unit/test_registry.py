"""``setup`` and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from rivetless import Actor, DefinitionError, setup
from rivetless.actor.base import definition_of
from rivetless.registry import RegistryOptions


class Counter(Actor[int]):
    pass


class ChatRoom(Actor):
    pass


def test_classes_go_by_their_names() -> None:
    registry = setup(use=[Counter, ChatRoom])
    assert list(registry.definitions) == ["counter", "chatRoom"]
    assert registry.definitions["counter"] is definition_of(Counter)
    assert registry.options == RegistryOptions()
    assert repr(registry) == "<Registry of counter, chatRoom>"
    assert repr(setup(use=[])) == "<Registry of no actors>"


def test_a_mapping_renames() -> None:
    registry = setup(use={"one": Counter, "other-one": Counter})
    assert [d.name for d in registry.definitions.values()] == ["one", "other-one"]
    assert registry.definitions["one"].cls is Counter
    assert definition_of(Counter).name == "counter"


@pytest.mark.parametrize("name", ["chatRoom", "chat_room", "ChatRoom"])
def test_find_takes_every_spelling(name: str) -> None:
    registry = setup(use=[ChatRoom])
    assert registry.find(name) is registry.definitions["chatRoom"]
    assert registry.find("nothing") is None


def test_options() -> None:
    registry = setup(
        use=[], base_path="/x", max_incoming_message_size=5, max_outgoing_message_size=6
    )
    assert registry.options == RegistryOptions(
        base_path="/x", max_incoming_message_size=5, max_outgoing_message_size=6
    )


@pytest.mark.parametrize(
    ("use", "options", "message"),
    [
        (5, {}, "`use` is a list of actor classes"),
        (Counter, {}, "`use` is a list of actor classes"),
        ("Counter", {}, "`use` is a list of actor classes"),
        ([5], {}, "5 is no actor class"),
        ([Actor], {}, "Actor is abstract"),
        ([Counter, Counter], {}, "Counter is in `use` twice"),
        ({"a/b": Counter}, {}, "a name has letters"),
        ([], {"base_path": "x"}, "`base_path` is a path"),
        ([], {"base_path": 5}, "`base_path` is a path"),
        ([], {"max_incoming_message_size": 0}, "`max_incoming_message_size` is a number"),
        ([], {"max_outgoing_message_size": 2**26}, "from 1 to 33554432"),
        ([], {"max_outgoing_message_size": True}, "is a number of bytes"),
        ([], {"base_pth": "x"}, "no option `base_pth`. Did you mean `base_path`"),
        ([], {"endpoint": "x"}, "leave `endpoint` out: there is no engine"),
    ],
)
def test_refusals(use: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        setup(use, **options)


def test_two_classes_of_one_name() -> None:
    class Other(Actor, name="counter"):
        pass

    with pytest.raises(DefinitionError, match=r"Counter and .*Other are both `counter`.*name="):
        setup(use=[Counter, Other])
