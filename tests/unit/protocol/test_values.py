"""Tags of values: both ways, and what is refused."""

import dataclasses
import enum
import ipaddress
import uuid
from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pydantic
import pytest
from hypothesis import given

from rivetless.errors import ActorError
from rivetless.protocol.values import (
    BINARY,
    CBOR,
    JSON,
    JSON_3,
    MAX_DEPTH,
    NATIVE,
    Instant,
    Style,
    as_args,
    stand_in,
    tag,
    untag,
)
from tests.unit.protocol.plain import VALUES, exactly

STYLES = [JSON, JSON_3, CBOR, BINARY, NATIVE]


class Colour(enum.Enum):
    RED = "red"
    DATA = b"x"


class Number(enum.IntEnum):
    BIG = 2**60


class Word(str):
    __slots__ = ()


class Length(float):
    pass


class Count(int):
    pass


class Model(pydantic.BaseModel):
    data: bytes
    big: int
    items: set[int]
    inner: "Model | None" = None


@pydantic.dataclasses.dataclass
class Checked:
    data: bytes


@dataclasses.dataclass
class Plain:
    data: object
    big: int = 2**60


Point = namedtuple("Point", "x y")

AGED = datetime(2020, 1, 1, 12, 30, tzinfo=UTC)


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tagged", "plain"),
    [
        (["$BigInt", "123"], 123),
        (["$BigInt", "-9007199254740993"], -9007199254740993),
        (["$Uint8Array", "AAEC"], b"\0\1\2"),
        (["$Uint8Array", ""], b""),
        (["$ArrayBuffer", "/w=="], b"\xff"),
        (["$Undefined", 0], None),
        (["$Set", [1, "a", ["$BigInt", "5"]]], {1, "a", 5}),
        (["$Set", []], set()),
        (["$Set", [[1]]], [[1]]),
        (["$Set", [{"a": 1}]], [{"a": 1}]),
        (["$Set", [1, True]], [1, True]),
        (["$Set", ["$BigInt", "1"]], {"$BigInt", "1"}),
        (["$Set", [["$BigInt", str(2**64)]]], [2**64]),
        (["$$x", 1], ["$x", 1]),
        (["$$$x", ["$BigInt", "1"]], ["$$x", 1]),
        (["$$BigInt", "1"], ["$BigInt", "1"]),
        # No tags at all.
        (["$BigInt"], ["$BigInt"]),
        (["$BigInt", "1", 2], ["$BigInt", "1", 2]),
        ([1, "$BigInt"], [1, "$BigInt"]),
        ({"$BigInt": "1"}, {"$BigInt": "1"}),
        ("$BigInt", "$BigInt"),
        ({"a": [{"b": ["$BigInt", "1"]}]}, {"a": [{"b": 1}]}),
    ],
)
def test_untag(tagged: object, plain: object) -> None:
    assert exactly(untag(tagged)) == exactly(plain)


@pytest.mark.parametrize(
    "tagged",
    [
        ["$BigInt", 1],
        ["$BigInt", ""],
        ["$BigInt", "1.5"],
        ["$BigInt", " 1"],
        ["$BigInt", "1_000"],
        ["$BigInt", "٣"],
        ["$BigInt", "0x10"],
        ["$BigInt", "--1"],
        ["$BigInt", "9" * 4301],
        ["$BigInt", None],
        ["$Uint8Array", "AAE"],
        ["$Uint8Array", "AA EC"],
        ["$Uint8Array", "AA=="[:3]],
        ["$Uint8Array", "_-=="],
        ["$Uint8Array", "é==="],
        ["$Uint8Array", [1]],
        ["$ArrayBuffer", None],
        ["$Set", 1],
        ["$Set", {"a": 1}],
        ["$", 1],
        ["$Date", "2020"],
        ["$bigint", "1"],
        {"deep": [[["$" + "x" * 100_000, 1]]]},
    ],
)
def test_tags_that_are_refused(tagged: object) -> None:
    with pytest.raises(ActorError) as caught:
        untag(tagged)
    assert caught.value.name == "actor.invalid_request"
    assert len(caught.value.message) < 250


def test_unknown_tags_can_be_kept() -> None:
    # The official client escapes nothing in its `cbor` mode.
    assert untag(["$x", ["$BigInt", "1"]], tags="lenient") == ["$x", 1]
    assert untag(["$BigInt", "1"], tags="lenient") == 1


def test_tags_can_be_left_alone() -> None:
    assert untag([["$BigInt", "1"], {"a": ["$x", 1]}], tags="off") == [
        ["$BigInt", "1"],
        {"a": ["$x", 1]},
    ]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_depth_is_limited_when_reading() -> None:
    assert untag(nested(10), depth=10) == nested(10)
    for value in (nested(11), ["$Set", nested(10)], ["$$x", nested(10)]):
        with pytest.raises(ActorError, match="nests deeper"):
            untag(value, depth=10)


@pytest.mark.parametrize(
    ("value", "args"), [(None, []), ([1, 2], [1, 2]), (5, [5]), ({"a": 1}, [{"a": 1}]), ("", [""])]
)
def test_arguments_are_always_a_list(value: object, args: list[object]) -> None:
    assert as_args(value) == args


# -- writing -------------------------------------------------------------------------------------


@given(VALUES)
def test_untag_reverses_tag(value: object) -> None:
    assert exactly(untag(tag(value, JSON))) == exactly(value)


@given(VALUES)
def test_tagging_leaves_the_value_as_it_is(value: object) -> None:
    before = exactly(value)
    for style in STYLES:
        tag(value, style)
    assert exactly(value) == before


@pytest.mark.parametrize(
    ("value", "json", "binary", "native"),
    [
        (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        (-(2**32), -(2**32), -(2**32), -(2**32)),
        (2**32, 2**32, float(2**32), float(2**32)),
        (-(2**32) - 1, -(2**32) - 1, float(-(2**32) - 1), float(-(2**32) - 1)),
        (2**53 - 1, 2**53 - 1, float(2**53 - 1), float(2**53 - 1)),
        (2**53, ["$BigInt", str(2**53)], ["$BigInt", str(2**53)], 2**53),
        (-(2**53), ["$BigInt", str(-(2**53))], ["$BigInt", str(-(2**53))], -(2**53)),
        (b"\xff", ["$Uint8Array", "/w=="], ["$Uint8Array", "/w=="], b"\xff"),
        (bytearray(b"x"), ["$Uint8Array", "eA=="], ["$Uint8Array", "eA=="], b"x"),
        (memoryview(b"x"), ["$Uint8Array", "eA=="], ["$Uint8Array", "eA=="], b"x"),
        ({1}, ["$Set", [1]], ["$Set", [1]], frozenset({1})),
        (frozenset(), ["$Set", []], ["$Set", []], frozenset()),
        (["$x", 1], ["$$x", 1], ["$$x", 1], ["$x", 1]),
        (["$", 1], ["$$", 1], ["$$", 1], ["$", 1]),
        (("$x", 1), ["$$x", 1], ["$$x", 1], ["$x", 1]),
        (["$x", 1, 2], ["$x", 1, 2], ["$x", 1, 2], ["$x", 1, 2]),
        ([b"x", 1], [["$Uint8Array", "eA=="], 1], [["$Uint8Array", "eA=="], 1], [b"x", 1]),
        (AGED, "2020-01-01T12:30:00Z", Instant(AGED.timestamp()), Instant(AGED.timestamp())),
        (AGED.replace(tzinfo=None), *(["2020-01-01T12:30:00"] * 3)),
        (date(2020, 1, 2), *(["2020-01-02"] * 3)),
        (time(1, 2, 3), *(["01:02:03"] * 3)),
        (timedelta(minutes=1.5), *(["PT1M30S"] * 3)),
        (Decimal("1.10"), *(["1.10"] * 3)),
        (uuid.UUID(int=5), *(["00000000-0000-0000-0000-000000000005"] * 3)),
        (PurePosixPath("/a/b"), *(["/a/b"] * 3)),
        (ipaddress.ip_address("::1"), *(["::1"] * 3)),
        (Colour.RED, *(["red"] * 3)),
        (Colour.DATA, ["$Uint8Array", "eA=="], ["$Uint8Array", "eA=="], b"x"),
        (Number.BIG, ["$BigInt", str(2**60)], ["$BigInt", str(2**60)], 2**60),
        (Word("$x"), "$x", "$x", "$x"),
        (Length(1.5), 1.5, 1.5, 1.5),
        (Count(5), 5, 5, 5),
        ({Word("a"): Word("b")}, {"a": "b"}, {"a": "b"}, {"a": "b"}),
        ([Word("$x"), 1], ["$$x", 1], ["$$x", 1], ["$x", 1]),
        (True, True, True, True),
        (deque([1]), [1], [1], [1]),
        (Point(1, 2), [1, 2], [1, 2], [1, 2]),
        (OrderedDict(a=1), {"a": 1}, {"a": 1}, {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}, {"a": 1}, {"a": 1}),
        ({1: "a", 1.5: "b", Colour.RED: "c"}, *([{"1": "a", "1.5": "b", "red": "c"}] * 3)),
        (Checked(b"x"), *([{"data": ["$Uint8Array", "eA=="]}] * 2), {"data": b"x"}),
        (
            Plain([]),
            *([{"data": [], "big": ["$BigInt", str(2**60)]}] * 2),
            {"data": [], "big": 2**60},
        ),
    ],
)
def test_tag(value: object, json: object, binary: object, native: object) -> None:
    assert exactly(tag(value, JSON)) == exactly(json)
    assert exactly(tag(value, BINARY)) == exactly(binary)
    assert tag(value, NATIVE) == native


def test_models_keep_what_has_a_tag_of_its_own() -> None:
    model = Model(data=b"\xff", big=2**60, items={1}, inner=Model(data=b"", big=1, items=set()))
    assert tag(model, JSON) == {
        "data": ["$Uint8Array", "/w=="],
        "big": ["$BigInt", str(2**60)],
        "items": ["$Set", [1]],
        "inner": {
            "data": ["$Uint8Array", ""],
            "big": 1,
            "items": ["$Set", []],
            "inner": None,
        },
    }


def test_items_of_a_set_are_not_escaped() -> None:
    # They are two texts of which one begins with "$", but no array of their own.
    tagged = tag({"$a", "$b"}, JSON)
    assert isinstance(tagged, list)
    assert sorted(tagged[1]) == ["$a", "$b"]
    assert untag(tagged) == {"$a", "$b"}


def test_old_clients_get_arrays_for_sets() -> None:
    assert tag({5}, JSON_3) == [5]
    assert exactly(tag({("$x", b"")}, JSON_3)) == exactly([["$$x", ["$Uint8Array", ""]]])
    assert tag({(1,)}, NATIVE) == [[1]]


def test_cbor_dates_are_text() -> None:
    assert tag(AGED, CBOR) == "2020-01-01T12:30:00Z"


class Stranger:
    pass


def numbers() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "value",
    [
        Stranger(),
        [Stranger()],
        {"a": Stranger()},
        {Stranger(): 1},
        Stranger,
        Plain(Stranger()),
        Plain,
        len,
        [10**5000],
        {"a": -(10**5000)},
        object(),
    ],
)
def test_values_that_cannot_be_sent(value: object, style: Style) -> None:
    with pytest.raises(TypeError, match="sent"):
        tag(value, style)


@pytest.mark.parametrize("style", STYLES)
def test_depth_is_limited_when_writing(style: Style) -> None:
    assert tag(nested(MAX_DEPTH), style) == nested(MAX_DEPTH)
    endless: list[object] = []
    endless.append(endless)
    looped: dict[str, object] = {}
    looped["a"] = (looped,)
    plain = Plain(None)
    plain.data = plain
    for value in (nested(MAX_DEPTH + 1), endless, looped, plain):
        with pytest.raises(TypeError, match="nests deeper"):
            tag(value, style)


def test_a_model_that_contains_itself_cannot_be_sent() -> None:
    model = Model(data=b"", big=1, items=set())
    model.inner = model
    with pytest.raises(TypeError, match="cannot be sent"):
        tag(model, JSON)


def test_what_stands_for_metadata_that_cannot_be_sent() -> None:
    assert stand_in(Stranger()) == "<Stranger that cannot be sent>"
