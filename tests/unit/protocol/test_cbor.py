"""CBOR: what is read, what is written, what is refused."""

import struct
import subprocess
import sys
from datetime import UTC, datetime

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError, MissingExtraError
from rivetless.protocol import cbor
from rivetless.protocol.values import BINARY, CBOR, MAX_DEPTH, NATIVE
from tests.unit.protocol.plain import VALUES, exactly


@given(VALUES)
def test_loads_reverses_dumps(value: object) -> None:
    assert exactly(cbor.loads(cbor.dumps(value))) == exactly(value)
    assert exactly(cbor.loads(cbor.dumps(value, CBOR))) == exactly(value)
    assert exactly(cbor.loads(cbor.dumps(value, NATIVE), "off")) == exactly(value)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("f6", None),
        ("f7", None),
        ("f5", True),
        ("00", 0),
        ("1b0000000000000007", 7),
        ("3b0000000000000007", -8),
        ("1bffffffffffffffff", 2**64 - 1),
        ("c249010000000000000000", 2**64),
        ("c349010000000000000000", -(2**64) - 1),
        ("c240", 0),
        # The same with heads that are longer than need be.
        ("d80249010000000000000000", 2**64),
        ("81d900024101", [1]),
        ("81da000000034101", [-2]),
        ("81db00000000000000024101", [1]),
        ("f93e00", 1.5),
        ("fa3fc00000", 1.5),
        ("fb3ff8000000000000", 1.5),
        # Numbers as the official client writes them beyond 32 bits: integers again.
        ("fb41f0000000000000", 2**32),
        ("fb433fffffffffffff", 2**53 - 1),
        ("fbc33fffffffffffff", -(2**53) + 1),
        ("fb4014000000000000", 5.0),
        ("fb4340000000000000", float(2**53)),
        ("fb7ff0000000000000", float("inf")),
        ("4100", b"\0"),
        ("d8404100", b"\0"),
        ("5f41014102ff", b"\1\2"),
        ("7f61616162ff", "ab"),
        ("9f01ff", [1]),
        ("bf616101ff", {"a": 1}),
        ("b90001616101", {"a": 1}),
        ("990001f7", [None]),
        ("d90102820161 61", {1, "a"}),
        ("d9010281f7", {None}),
        ("d9010280", set()),
        ("d90102818101", [[1]]),
        ("d9010281c249010000000000000000", [2**64]),
        ("d90103a1616101", {"a": 1}),
        ("c11a5e0be100", datetime(2020, 1, 1, tzinfo=UTC)),
        ("c1fb41d782f840000000", datetime(2020, 1, 1, tzinfo=UTC)),
        ("c120", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("8263242478 01", ["$x", 1]),
        ("8267 24426967496e74 6131", 1),
        ("a1616182642453657481 00", {"a": {0}}),
    ],
)
def test_loads(data: str, value: object) -> None:
    assert exactly(cbor.loads(bytes.fromhex(data.replace(" ", "")))) == exactly(value)


def test_not_a_number() -> None:
    number = cbor.loads(bytes.fromhex("fb7ff8000000000000"))
    assert number != number


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "not valid CBOR"),
        ("82", "not valid CBOR"),
        ("8201", "not valid CBOR"),
        ("0102", "something follows"),
        ("01ff", "not valid CBOR"),
        ("01f6", "something follows"),
        ("ff", "not valid CBOR"),
        ("1c", "not valid CBOR"),
        ("61ff", "not valid CBOR"),
        ("63eda080", "not valid CBOR"),
        ("9bffffffffffffffff", "not valid CBOR"),
        ("5bffffffffffffffff", "not valid CBOR"),
        ("bbffffffffffffffff", "not valid CBOR"),
        ("4d" + "00" * 12, "not valid CBOR"),
        ("e0", "of no use"),
        ("81f8ff", "of no use"),
        ("d9010281e0", "of no use"),
        ("a2616101616102", "not valid CBOR"),
        # Map keys that are no text.
        ("a10102", "not valid CBOR"),
        ("a1416101", "a map's key is not text"),
        ("81d90103a1416101", "a map's key is not text"),
        ("a1f601", "not valid CBOR"),
        ("a18001", "not valid CBOR"),
        ("a1c2490100000000000000000 1", "not valid CBOR"),
        # Tags.
        ("c074323032302d30312d30315430303a30303a30305a", "tag 0 is not accepted"),
        ("c48221196ab3", "tag 4 is not accepted"),
        ("c5821a7fffffff03", "tag 5 is not accepted"),
        ("d81c80", "tag 28 is not accepted"),
        ("82d81c80d81d00", "not valid CBOR"),
        ("d81e820102", "tag 30 is not accepted"),
        ("d823612e", "tag 35 is not accepted"),
        ("d82460", "tag 36 is not accepted"),
        ("d81b8263466f6f01", "tag 27 is not accepted"),
        ("d901008163616263", "tag 256 is not accepted"),
        ("d9025880", "tag 600 is not accepted"),
        ("d9d9f701", "tag 55799 is not accepted"),
        ("d84001", "not a byte string"),
        ("c201", "not a byte string"),
        ("c2590bb8" + "01" * 3000, "more than 1750 bytes"),
        ("d9010201", "not an array"),
        ("d9010301", "has no map"),
        ("c16161", "not valid CBOR"),
        ("c1f7", "not valid CBOR"),
        ("c1fb7ff8000000000000", "not valid CBOR"),
        ("c11bffffffffffffffff", "not valid CBOR"),
        ("c1c249010000000000000000", "not valid CBOR"),
    ],
)
def test_malformed(data: str, message: str) -> None:
    with pytest.raises(ActorError, match=message) as caught:
        cbor.loads(bytes.fromhex(data.replace(" ", "")))
    assert caught.value.name == "actor.invalid_request"
    assert len(caught.value.message) < 200


def test_only_asked_for_objects_are_made() -> None:
    # Whatever cbor2 learns to read by itself one day, it must not reach an actor.
    plain = (str, int, float, bool, bytes, list, dict, set, datetime, type(None))
    for number in [*range(1100), 43000, 55799]:
        head = b"\xd9" + number.to_bytes(2, "big")
        for content in (b"\x80", b"\x41a", b"\x61a", b"\x01", b"\x82\x01\x02", b"\xa1\x61a\x02"):
            try:
                value = cbor.loads(head + content)
            except ActorError:
                continue
            assert number in (1, 2, 3, 64, 258, 259)
            assert isinstance(value, plain)


@pytest.mark.parametrize("opener", [b"\x81", b"\xa1\x61a", b"\x9f", b"\xd9\x01\x02\x81"])
def test_depth_is_limited(opener: bytes) -> None:
    for count in (MAX_DEPTH * 4, 50_000):
        with pytest.raises(ActorError, match=r"CBOR|deeper"):
            cbor.loads(opener * count + b"\x01")


def test_tags_within_tags_are_no_way_around_the_limit() -> None:
    with pytest.raises(ActorError):
        cbor.loads(b"\xd8\x40" * 50_000 + b"\x41a")


@given(VALUES, st.binary(min_size=1, max_size=30))
def test_nothing_may_follow(value: object, rest: bytes) -> None:
    data = cbor.dumps(value)
    with pytest.raises(ActorError):
        cbor.loads(data + rest)


@given(VALUES, st.data())
def test_nothing_may_be_missing(value: object, data: st.DataObject) -> None:
    whole = cbor.dumps(value)
    with pytest.raises(ActorError):
        cbor.loads(whole[: data.draw(st.integers(0, len(whole) - 1))])


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, "f6"),
        (5, "05"),
        (2**32 - 1, "1affffffff"),
        # Not 1b, which the official client reads as bigint.
        (2**32, "fb41f0000000000000"),
        (1700000000000, "fb4278bcfe56800000"),
        (-(2**32), "3affffffff"),
        (-(2**32) - 1, "fbc1f0000000100000"),
        (1.5, "fb3ff8000000000000"),
        ({"a": [1]}, "a161618101"),
        ({5}, "8264245365748105"),
        (datetime(2020, 1, 1, tzinfo=UTC), "c1fb41d782f840000000"),
        (float("nan"), "f97e00"),
    ],
)
def test_dumps(value: object, data: str) -> None:
    assert cbor.dumps(value, BINARY).hex() == data


def test_dumps_for_versions_without_tags() -> None:
    assert cbor.dumps(2**60, NATIVE).hex() == "1b1000000000000000"
    assert cbor.dumps(b"x", NATIVE).hex() == "4178"
    assert cbor.dumps({5}, NATIVE).hex() == "d901028105"
    assert cbor.dumps(["$x", 1], NATIVE).hex() == "8262247801"


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, ["a", {"b": "\udfff"}], object()])
def test_values_that_cannot_be_sent(value: object) -> None:
    with pytest.raises(TypeError, match="sent"):
        cbor.dumps(value)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65535, 65536])
def test_texts(size: int) -> None:
    data = cbor.text("x" * size)
    assert cbor2.loads(data) == "x" * size
    assert cbor.loads(data) == "x" * size


def test_parts() -> None:
    assert cbor.text("h\u00e9\ud800") == cbor2.dumps("h\u00e9?")
    assert cbor.map_head(3) == b"\xa3"
    assert cbor.u64(3) == b"\x1b" + struct.pack(">Q", 3)


def test_without_the_library_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['cbor2'] = None\n"
        "from rivetless.errors import MissingExtraError\n"
        "from rivetless.protocol.codec import CBOR, JSON\n"
        "from rivetless.protocol.messages import HttpActionResponse\n"
        "assert JSON.encode(HttpActionResponse(1)) == b'{\"output\":1}'\n"
        "try: CBOR.encode(HttpActionResponse(1))\n"
        "except MissingExtraError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "pip install 'rivetless[cbor]'" in result.stdout
    assert issubclass(MissingExtraError, ImportError)
