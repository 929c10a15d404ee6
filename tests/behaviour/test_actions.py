"""Actions: arguments, results, groups, concurrency, time-outs."""

import asyncio
from typing import Any

import pytest

from rivetless import ActorError
from tests.behaviour.actors.calling import Calls, Gated, Impatient, Order, Patient
from tests.behaviour.cells import IN_MEMORY
from tests.behaviour.world import World

VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**53 + 1,
    2**64,
    -(2**63) - 1,
    1.5,
    "",
    "Ünï 💙 \x00",
    b"",
    b"\x00\xff",
    [],
    [1, [2, [3]]],
    {},
    {"a": {"b": [None, False]}},
    ["$x", 1],
    ["$BigInt", "5"],
    ["$", 1],
    {"$x": 1},
]


async def test_values_arrive_as_they_were_sent(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    results = [await calls.echo(value) for value in VALUES]
    assert results == VALUES
    assert [type(result) for result in results] == [type(value) for value in VALUES]
    async with world.client.connect(calls) as conn:
        assert [await conn.actor.echo(value) for value in VALUES] == VALUES


async def test_the_actor_sees_python_values(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    values = [5, 2**70, 0.5, "x", b"x", [1], {}, None, {1}]
    kinds = [await calls.kind(value) for value in values]
    assert kinds == ["int", "int", "float", "str", "bytes", "list", "dict", "NoneType", "set"]


async def test_nothing_is_a_result(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    assert await calls.nothing() is None  # type: ignore[func-returns-value]


async def test_defaults_and_keywords(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    assert await calls.greet("Ada") == "Hello, Ada!"
    assert await calls.greet("Ada", "Hi") == "Hi, Ada!"
    assert await calls.greet("Ada", greeting="Hi") == "Hi, Ada!"
    assert await calls.greet("Ada", loud=True) == "HELLO, ADA!"
    by_name = world.client.get_or_create("calls", world.key)
    assert await by_name.greet("Ada", "Hi", loud=True) == "HI, ADA!"


async def test_any_number_of_arguments(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    assert await calls.total() == 0
    assert await calls.total(1, 2, 3) == 6


async def test_models_go_in_and_come_out(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    receipt = await calls.buy(Order(item="tea", quantity=3))
    assert receipt.total == 30
    assert receipt.order == Order(item="tea", quantity=3)
    by_name = world.client.get_or_create("calls", world.key)
    assert await by_name.buy({"item": "tea"}) == {
        "order": {"item": "tea", "quantity": 1},
        "total": 10,
    }


@pytest.mark.parametrize(
    ("action", "args", "path"),
    [
        ("buy", [{"quantity": 1}], [0, "item"]),
        ("buy", [{"item": "tea", "quantity": "many"}], [0, "quantity"]),
        ("buy", [], [0]),
        ("total", [1, "two"], [1]),
        ("greet", ["Ada", "Hi", {"loud": True}, "more"], None),
        ("greet", [None], [0]),
    ],
)
async def test_wrong_arguments_are_named(
    world: World, action: str, args: list[Any], path: list[Any] | None
) -> None:
    calls = world.client.get_or_create("calls", world.key)
    with pytest.raises(ActorError) as caught:
        await getattr(calls, action)(*args)
    assert caught.value.name == "actor.validation_error"
    metadata: Any = caught.value.metadata
    assert metadata["issues"][0]["message"]
    if path is not None:
        assert metadata["issues"][0]["path"] == path


async def test_groups_are_reached_by_path_and_by_dotted_name(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    assert await calls.users.add("ada") == ["ada"]
    assert await calls.users.find_first() == "ada"
    assert await calls.users.members.count() == 1
    by_name = world.client.get_or_create("calls", world.key)
    assert await by_name.users.add("bob") == ["ada", "bob"]
    assert await by_name.users.members.count() == 2
    assert await getattr(by_name, "users.findFirst")() == "ada"


async def test_names_may_be_pythons_or_the_wires(world: World) -> None:
    calls = world.client.get_or_create("calls", world.key)
    assert await calls.users.findFirst() is None
    assert await calls.users.find_first() is None
    assert await getattr(calls, "special-name")() == "special"
    typed = world.client.get_or_create(Calls, world.key)
    assert await typed.renamed() == "special"


@pytest.mark.parametrize("name", ["missing", "users.missing", "users", "state", "doc", "on_create"])
async def test_unknown_actions_are_said_to_be(world: World, name: str) -> None:
    calls = world.client.get_or_create("calls", world.key)
    with pytest.raises(ActorError, match=f"Action `{name}` was not found") as caught:
        await getattr(calls, name)()
    assert caught.value.name == "actor.action_not_found"
    assert await calls.nothing() is None


async def test_unknown_actors_are_said_to_be(world: World) -> None:
    unknown = world.client.get_or_create("nobodyKnowsIt", world.key)
    with pytest.raises(ActorError) as caught:
        await unknown.ping()
    assert caught.value.name == "actor.not_registered"


async def test_a_result_that_cannot_be_sent_is_the_actors_mistake(world: World) -> None:
    calls = world.client.get_or_create(Calls, world.key)
    with pytest.raises(ActorError) as caught:
        await calls.unserialisable()
    assert caught.value.name == "rivetkit.internal_error"


@IN_MEMORY
async def test_slow_and_fast_actions_overlap(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    slow = asyncio.ensure_future(gated.slow())
    await world.eventually(gated.waiting, lambda count: count == 1)
    assert await gated.fast() == "fast"
    assert not slow.done()
    await gated.open()
    assert await world.elapse(0, slow) == "slow"


async def test_an_action_that_takes_too_long_times_out(world: World) -> None:
    impatient = world.client.get_or_create(Impatient, world.key)
    with pytest.raises(ActorError, match="Action timed out") as caught:
        await world.elapse(0.2, impatient.hang())
    assert caught.value.name == "actor.action_timed_out"
    assert await impatient.count() == 0
    assert await impatient.aborts() == 1
    assert await impatient.quick() == "done"


async def test_an_action_may_have_a_time_out_of_its_own(world: World) -> None:
    impatient = world.client.get_or_create(Impatient, world.key)
    with pytest.raises(ActorError, match="Action timed out"):
        await world.elapse(0.05, impatient.hang_shorter())


async def test_time_outs_are_each_actors_own(world: World) -> None:
    impatient = world.client.get_or_create(Impatient, world.key)
    patient = world.client.get_or_create(Patient, world.key)
    hanging = asyncio.ensure_future(impatient.hang())
    assert await patient.quick() == "done"
    with pytest.raises(ActorError, match="Action timed out"):
        await world.elapse(0.2, hanging)
    assert await patient.quick() == "done"


@IN_MEMORY
async def test_cancelling_the_caller_leaves_the_actor_well(world: World) -> None:
    gated = world.client.get_or_create(Gated, world.key)
    slow = asyncio.ensure_future(gated.slow())
    await world.eventually(gated.waiting, lambda count: count == 1)
    slow.cancel()
    assert await gated.fast() == "fast"
    await gated.open()
    assert await gated.slow() == "slow"
