"""Arguments: from the wire into an action, and from a Python client to the wire."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from rivetless import Actor, ActorError, action
from rivetless.actor.base import definition_of
from rivetless.actor.definition import ActionDefinition

from .turns import run


class Item(BaseModel):
    name: str
    price: float = 0.0


class Shop(Actor):
    @action
    async def plain(self, a: int, b: str = "b", c: float | None = None) -> list[Any]:
        """Three of a kind."""
        return [a, b, c]

    @action
    async def named(self, text: str = "", *, limit: int = 10, deep: bool = False) -> list[Any]:
        return [text, limit, deep]

    @action
    async def needed(self, text: str, /, *, limit: int) -> list[Any]:
        return [text, limit]

    @action
    async def total(self, first: float = 0, *rest: float) -> float:
        return first + sum(rest)

    @action
    async def buy(self, item: Item, count: Annotated[int, Field(ge=1)] = 1) -> Item:
        return Item(name=item.name, price=item.price * count)

    @action
    async def untyped(self, a, b=2):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return [a, b]

    @action
    async def wrong(self) -> int:
        return "not a number"  # type: ignore[return-value]

    @action
    async def maybe(self, value: int | None = 5) -> int | None:
        return value


def find(name: str) -> ActionDefinition:
    found = definition_of(Shop).find_action(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "args", "result"),
    [
        ("plain", [1], [1, "b", None]),
        ("plain", ["1", "x", "2.5"], [1, "x", 2.5]),
        ("plain", [1, None], [1, "b", None]),
        ("named", [], ["", 10, False]),
        ("named", ["x"], ["x", 10, False]),
        ("named", ["x", {"limit": "3"}], ["x", 3, False]),
        ("named", [None, {"deep": True}], ["", 10, True]),
        ("named", ["x", None], ["x", 10, False]),
        ("named", ["x", {"limit": None}], ["x", 10, False]),
        ("needed", ["x", {"limit": 1}], ["x", 1]),
        ("total", [], 0.0),
        ("total", [1, 2, "3"], 6.0),
        ("buy", [{"name": "tea", "price": 2}, 3], {"name": "tea", "price": 6.0}),
        ("untyped", [{"x": 1}], [{"x": 1}, 2]),
        ("maybe", [], 5),
        ("maybe", [None], None),
    ],
)
async def test_calls(name: str, args: list[object], result: object) -> None:
    assert await run(Shop, name, *args) == result


@pytest.mark.parametrize(
    ("name", "args", "issues"),
    [
        ("plain", [], [([0], "missing_argument", "Missing argument `a`")]),
        (
            "plain",
            [1, "b", 2, 4],
            [([3], "too_many_arguments", "Takes at most 3 arguments, 4 given")],
        ),
        ("plain", ["x"], [([0], "int_parsing", "Input should be a valid integer")]),
        ("plain", [None], [([0], "int_type", "Input should be a valid integer")]),
        (
            "plain",
            ["x", 5, "y"],
            [
                ([0], "int_parsing", "Input should"),
                ([1], "string_type", "Input should"),
                ([2], "float_parsing", "Input should"),
            ],
        ),
        ("named", ["x", {"limt": 1}], [([1, "limt"], "unexpected_keyword_argument", "Unexpected")]),
        ("named", ["x", {"limit": "y"}], [([1, "limit"], "int_parsing", "Input should")]),
        ("named", ["x", 5], [([1], "object_type", "Argument 1 is an object with `limit`")]),
        ("named", ["x", {}, {}], [([2], "too_many_arguments", "Takes at most 2")]),
        ("needed", ["x"], [([1, "limit"], "missing_argument", "Missing argument `limit`")]),
        ("total", [1, "x"], [([1], "float_parsing", "Input should")]),
        ("buy", [{}], [([0, "name"], "missing", "Field required")]),
        ("buy", [{"name": "x"}, 0], [([1], "greater_than_equal", "Input should")]),
    ],
)
def test_wrong_arguments(name: str, args: list[object], issues: list[Any]) -> None:
    with pytest.raises(ActorError) as caught:
        find(name).bind(args)
    error = caught.value
    assert error.name == "actor.validation_error"
    assert error.message.startswith(f"Shop.{name}: ")
    found: Any = error.metadata
    assert [(issue["path"], issue["code"]) for issue in found["issues"]] == [
        (path, code) for path, code, _ in issues
    ]
    for issue, (_, _, message) in zip(found["issues"], issues, strict=True):
        assert issue["message"].startswith(message)


def test_a_message_names_the_parameter() -> None:
    with pytest.raises(ActorError, match=r"Shop\.buy: `item\.name`: Field required\."):
        find("buy").bind([{}])
    with pytest.raises(ActorError, match=r"`limit`: Input should be a valid integer"):
        find("named").bind(["x", {"limit": "y"}])
    with pytest.raises(ActorError, match=r"; `b`: "):
        find("plain").bind(["x", 5])


def test_many_mistakes_are_counted() -> None:
    with pytest.raises(ActorError, match="and 2 more"):
        find("total").bind(["a", "b", "c", "d", "e"])


def test_a_result_that_does_not_fit_is_the_actors_mistake() -> None:
    with pytest.raises(TypeError, match=r"Shop\.wrong returned str, which does not fit .* `int`"):
        find("wrong").plain_result("not a number")


# -- the client's side ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "plain"),
    [
        ("plain", (1,), {}, [1]),
        ("plain", (), {"a": 1}, [1]),
        ("plain", (1,), {"c": 2.5}, [1, "b", 2.5]),
        ("plain", (1, "x", None), {}, [1, "x", None]),
        ("named", (), {}, []),
        ("named", ("x",), {}, ["x"]),
        ("named", (), {"limit": 3}, ["", {"limit": 3}]),
        ("needed", ("x",), {"limit": 3}, ["x", {"limit": 3}]),
        ("total", (1, 2.5, 3), {}, [1.0, 2.5, 3.0]),
        ("total", (), {}, []),
        ("buy", (Item(name="tea"),), {}, [{"name": "tea", "price": 0.0}]),
        ("untyped", ([1],), {}, [[1]]),
    ],
)
def test_python_calls(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], plain: list[object]
) -> None:
    assert find(name).bind_client(args, kwargs) == plain


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "message"),
    [
        ("plain", (), {}, r"Shop\.plain: missing a required argument: 'a'"),
        ("plain", (1, "2", 3, 4), {}, "too many positional arguments"),
        ("plain", (1,), {"d": 1}, "unexpected keyword argument 'd'"),
        ("needed", ("x", 3), {}, "too many positional arguments"),
    ],
)
def test_wrong_python_calls(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        find(name).bind_client(args, kwargs)


def test_wrong_values_of_python_calls() -> None:
    with pytest.raises(ActorError, match=r"Shop\.plain: `a`: Input should be a valid integer"):
        find("plain").bind_client(("x",), {})
    with pytest.raises(ActorError, match=r"Shop\.named: `limit`: Input should"):
        find("named").bind_client((), {"limit": "x"})


def test_a_default_that_cannot_travel_is_left_to_the_server() -> None:
    class Picky(Actor):
        @action
        async def get(self, a: int = ..., b: int = 2) -> int:  # type: ignore[assignment]
            return b

    found = definition_of(Picky).find_action("get")
    assert found is not None
    assert found.bind_client((), {"b": 3}) == [None, 3]
    assert found.bind([None, 3]) == ([..., 3], {})


@given(a=st.integers(), b=st.text(st.characters(codec="utf-8")), c=st.none() | st.floats())
def test_what_a_client_sends_is_what_the_actor_gets(a: int, b: str, c: float | None) -> None:
    plain = find("plain").bind_client((a, b), {"c": c})
    args, kwargs = find("plain").bind(plain)
    assert kwargs == {}
    assert args[:2] == [a, b]
    assert args[2] == c or (args[2] != args[2] and c is not None)


def test_results_come_back_typed() -> None:
    item = find("buy").result({"name": "tea", "price": 6})
    assert item == Item(name="tea", price=6.0)
    with pytest.raises(ActorError, match="validation_error"):
        find("buy").result({"price": 6})


# -- descriptions ---------------------------------------------------------------------------------


def test_descriptions() -> None:
    assert find("plain").doc == "Three of a kind."
    schema = find("plain").arguments_schema()
    assert (schema["minItems"], schema["maxItems"], schema["items"]) == (1, 3, False)
    assert [item["title"] for item in schema["prefixItems"]] == ["a", "b", "c"]
    assert schema["prefixItems"][1]["default"] == "b"

    named = find("needed").arguments_schema()
    assert named["minItems"] == 2
    assert named["prefixItems"][1]["required"] == ["limit"]

    total = find("total").arguments_schema()
    assert total["items"]["type"] == "number"
    assert "maxItems" not in total

    buy = find("buy").arguments_schema(ref_template="#/x/{model}")
    assert buy["prefixItems"][0]["$ref"] == "#/x/Item"
    assert "Item" in buy["$defs"]
    assert find("buy").result_schema()["title"] == "Item"
    assert [parameter.name for parameter in find("total").parameters] == ["first"]
    variadic = find("total").variadic
    assert variadic is not None
    assert variadic.name == "rest"
    assert [parameter.name for parameter in find("named").keywords] == ["limit", "deep"]
