"""Handles: what their attributes are, and what is said about those that are not."""

from __future__ import annotations

import copy

import pytest

from rivetless.client import Client, Handle, MockTransport
from rivetless.client.calls import ActionCall, ById, ByKey
from rivetless.client.handle import binding_of
from rivetless.errors import ActorError

from .actors import ChatRoom, Counter, Message, RoomInput


def answer(request: object) -> object:
    match request:
        case ActionCall(action="sendMessage", args=[text, *_]):
            return {"sender": "me", "text": text}
        case ActionCall(action="increment", args=args):
            return args[0] if args else 1
        case ActionCall(action="admin.ban"):
            return True
        case ActionCall(args=args):
            return args
        case _:
            return None


@pytest.fixture
def transport() -> MockTransport:
    return MockTransport(answer)


@pytest.fixture
def client(transport: MockTransport) -> Client:
    return Client(transport=transport)


def asked(transport: MockTransport) -> ActionCall:
    request = transport.requests[-1]
    assert isinstance(request, ActionCall)
    return request


async def test_arguments_and_results_have_their_types(
    client: Client, transport: MockTransport
) -> None:
    room = client.get(ChatRoom, "general")
    assert await room.send_message("hi") == Message(sender="me", text="hi")
    assert asked(transport).args == ["hi"]
    await room.send_message(text="hi", urgent=True)
    assert (asked(transport).action, asked(transport).args) == (
        "sendMessage",
        ["hi", {"urgent": True}],
    )


async def test_wrong_arguments_are_not_sent(client: Client, transport: MockTransport) -> None:
    counter = client.get(Counter)
    with pytest.raises(ActorError, match=r"actor\.validation_error"):
        await counter.increment("many")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await counter.increment(1, 2, 3)  # type: ignore[call-arg]
    assert transport.requests == []


async def test_groups(client: Client, transport: MockTransport) -> None:
    assert await client.get(ChatRoom).admin.ban("eve") is True
    assert asked(transport).action == "admin.ban"
    assert repr(client.get(ChatRoom).admin) == "<actions admin of ChatRoom>"


async def test_wire_names_are_found_too(client: Client, transport: MockTransport) -> None:
    await getattr(client.get(ChatRoom), "sendMessage")("x")  # noqa: B009
    assert asked(transport).action == "sendMessage"


async def test_a_handle_knows_its_events(client: Client) -> None:
    assert client.get(ChatRoom).new_message is ChatRoom.new_message


async def test_by_name_everything_is_an_action(client: Client, transport: MockTransport) -> None:
    handle = client.get_or_create("counter", ["a", "b"], input={"x": 1})
    assert await handle.do_it(1, [2], three=3) == [1, [2], {"three": 3}]
    assert asked(transport).target == ByKey("counter", ("a", "b"), create=True, input={"x": 1})
    assert asked(transport).action == "do_it"
    await handle.users.admins.add()
    assert asked(transport).action == "users.admins.add"
    assert repr(handle.users.add) == "<action users.add>"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("incremnt", "Counter has no action `incremnt`. Did you mean `increment`?"),
        (
            "state",
            "Counter has no action `state`. A handle reaches an actor's actions, events and "
            "queues; the rest lives in the actor.",
        ),
        ("zzz", "Counter has no action `zzz`. It has: destroy_it, increment."),
    ],
)
def test_what_is_no_action_is_explained(client: Client, path: str, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(client.get(Counter), path)
    assert str(caught.value) == message


def test_groups_explain_too(client: Client) -> None:
    with pytest.raises(AttributeError, match=r"ChatRoom\.admin has no action `bann`. Did you"):
        _ = client.get(ChatRoom).admin.bann  # type: ignore[attr-defined]


def test_underscored_names_are_pythons_own(client: Client) -> None:
    for thing in (
        client.get(Counter),
        client.get("a"),
        client.get("a").b,
        client.get(ChatRoom).admin,
    ):
        with pytest.raises(AttributeError):
            _ = thing._anything  # type: ignore[union-attr]
        assert not hasattr(thing, "__len__")
        copy.copy(thing)


def test_what_a_handle_shows(client: Client) -> None:
    assert repr(client.get(Counter, ["a", "b"])) == "<Handle of counter['a', 'b']>"
    assert repr(client.get_for_id(Counter, "id1")) == "<Handle of actor id1>"
    assert {"increment", "destroy_it"} <= set(dir(client.get(Counter)))
    assert isinstance(client.get("a"), Handle)
    action = client.get(ChatRoom).send_message
    assert (action.__name__, action.__doc__) == ("send_message", "Say something.")


@pytest.mark.parametrize("wrong", [5, int, None, object()])
def test_only_classes_and_names(client: Client, wrong: object) -> None:
    with pytest.raises(TypeError):
        client.get(wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize("wrong", ["name", Counter, object()])
def test_what_is_no_handle(wrong: object) -> None:
    with pytest.raises(TypeError, match="not a handle"):
        binding_of(wrong)


# -- targets --------------------------------------------------------------------------------------


def test_targets(client: Client) -> None:
    def target(handle: object) -> object:
        return binding_of(handle).target

    assert target(client.get(Counter)) == ByKey("counter")
    assert target(client.get(ChatRoom, "a")) == ByKey("chatRoom", ("a",))
    assert target(client.get_for_id(ChatRoom, "id")) == ById("id")
    made = client.get_or_create(
        ChatRoom, "a", input=RoomInput(title="t"), region="eu", pool="workers"
    )
    assert target(made) == ByKey("chatRoom", ("a",), True, {"title": "t"}, "eu", "workers")


def test_input_is_checked(client: Client) -> None:
    with pytest.raises(ActorError, match=r"actor\.validation_error"):
        client.get_or_create(ChatRoom, "a", input={"title": 5})  # type: ignore[misc]
    with pytest.raises(TypeError, match="takes no input"):
        client.get_or_create(Counter, "a", input=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", [""], "a,b", ["x", "a,b"]])
def test_keys_that_would_be_mistaken_are_refused(client: Client, key: str | list[str]) -> None:
    with pytest.raises(ActorError) as caught:
        client.get("a", key)
    assert caught.value.name == "client.invalid_key"


async def test_create_leads_to_the_life_it_made(client: Client, transport: MockTransport) -> None:
    made = await client.create(Counter, "a")
    assert await made.increment() == 1
    assert asked(transport).target == ById("counter['a']")


# -- options --------------------------------------------------------------------------------------


async def test_params_go_with_every_call(client: Client, transport: MockTransport) -> None:
    async def params() -> dict[str, str]:
        return {"token": "made"}

    await client.get("a", params={"token": "t"}).x()
    assert asked(transport).params == {"token": "t"}
    await client.get("a", params=params).x()
    assert asked(transport).params == {"token": "made"}
    with_others = client.with_options(client.get("a", params={"token": "t"}), params=[1])
    await with_others.x()
    assert asked(transport).params == [1]


async def test_a_users_idempotency_key(client: Client, transport: MockTransport) -> None:
    counter = client.get(Counter)
    await counter.increment()
    assert asked(transport).idempotency_key is None
    await client.with_options(counter, idempotency_key="k", params={"a": 1}).increment()
    assert (asked(transport).idempotency_key, asked(transport).params) == ("k", {"a": 1})
