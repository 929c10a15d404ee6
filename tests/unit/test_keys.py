"""Keys, their text form, addresses and ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.keys import (
    ActorRef,
    Address,
    Key,
    actor_id,
    from_query,
    new_life,
    normalise,
    parse,
    partition_of_address,
    serialise,
    split_actor_id,
)

PARTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\\/0,"), max_size=30)
KEYS = st.lists(PARTS, max_size=6).map(tuple)
NAMES = st.text("abcXYZ-_ é", min_size=1, max_size=64).filter(str.isprintable)
ADDRESSES = st.builds(Address, NAMES, NAMES, KEYS)
LIVES = st.binary(min_size=7, max_size=7).map(new_life)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (None, ()),
        ([], ()),
        ("x", ("x",)),
        ("", ("",)),
        (["a", "b"], ("a", "b")),
        (("a", 5), ("a", "5")),
        ("a/b", ("a/b",)),
    ],
)
def test_normalise(given: object, key: Key) -> None:
    assert normalise(given) == key  # type: ignore[arg-type]  # integers are taken at run time


@pytest.mark.parametrize("part", [1.5, True, None, b"x", ["x"]])
def test_parts_of_other_types_are_refused(part: object) -> None:
    with pytest.raises(TypeError, match="text or integers"):
        normalise(["a", part])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "key",
    [
        "x" * 129,
        "é" * 65,
        ["x" * 128] * 8,  # 1024 bytes and seven slashes
        ["/" * 128] * 4,  # doubled by their escapes
    ],
)
def test_keys_that_are_too_large(key: object) -> None:
    with pytest.raises(ActorError) as caught:
        normalise(key)  # type: ignore[arg-type]
    assert caught.value.name == "actor.key_too_large"


def test_keys_of_just_the_right_size() -> None:
    assert normalise(["x" * 128] * 7 + ["x" * 121]) == ("x" * 128,) * 7 + ("x" * 121,)
    assert len(normalise([""] * 341)) == 341


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_characters_are_refused(text: str) -> None:
    for make in (normalise, from_query, parse):
        with pytest.raises(ActorError, match="surrogate"):
            make(text)


# The table of protocol section 2.4.
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((), "/"),
        (("a", "b"), "a/b"),
        (("",), "\\0"),
        (("a", "b/c", "", "\\0"), "a/b\\/c/\\0/\\\\0"),
    ],
)
def test_serialise(key: Key, text: str) -> None:
    assert serialise(key) == text
    assert parse(text) == key


@given(KEYS)
def test_parse_reverses_serialise(key: Key) -> None:
    assert parse(serialise(key)) == key


@given(KEYS, KEYS)
def test_different_keys_have_different_texts(one: Key, other: Key) -> None:
    assert (serialise(one) == serialise(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (None, ()),
        ("", ()),
        ("k", ("k",)),
        ("a,b", ("a", "b")),
        ("a,", ("a", "")),
        (",", ("", "")),
        ("a/b\\0", ("a/b\\0",)),
    ],
)
def test_keys_in_urls_are_split_at_commas(text: str | None, key: Key) -> None:
    assert from_query(text) == key


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "\x7f", "\ud800", "a\u202eb"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ActorError) as caught:
        Address(name, "counter")
    assert caught.value.name == "actor.invalid_request"
    with pytest.raises(ActorError):
        Address("default", name)


def test_addresses_check_their_key() -> None:
    with pytest.raises(ActorError, match="129 bytes"):
        Address("default", "counter", ("x" * 129,))


def test_partitions_do_not_change() -> None:
    # Stores are full of them: a change here loses every actor.
    address = Address("default", "counter", ("a", "b"))
    assert partition_of_address(address) == "ee48048de0cd76c3b5203a72"
    assert actor_id(address, 2**56 - 1) == "3wwqbnjn1pg44jcxetgk52gww4cmbj"
    assert actor_id(address, 1) == "3wwqbnjn1pg44jcxetg0fk6n6i42kh"


@given(ADDRESSES, ADDRESSES)
def test_different_addresses_have_different_partitions(one: Address, other: Address) -> None:
    assert (partition_of_address(one) == partition_of_address(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Address("a", "b", ("c",)), Address("a", "bc")),
        (Address("a", "b", ("c", "d")), Address("a", "b", ("cd",))),
        (Address("a", "b", ("",)), Address("a", "b")),
        (Address("ab", "c"), Address("a", "bc")),
    ],
)
def test_partitions_tell_parts_from_their_sum(one: Address, other: Address) -> None:
    assert partition_of_address(one) != partition_of_address(other)


@given(ADDRESSES, LIVES)
def test_split_reverses_actor_id(address: Address, life: int) -> None:
    text = actor_id(address, life)
    assert len(text) == 30
    assert set(text) <= set("0123456789abcdefghijklmnopqrstuvwxyz")
    assert split_actor_id(text) == ActorRef(partition_of_address(address), life)


def test_lives() -> None:
    assert new_life(b"\0" * 7) == 1
    assert new_life(b"\xff" * 9) == 2**56 - 1
    with pytest.raises(ValueError, match="random bytes"):
        new_life(b"short")
    for life in (0, -1, 2**56):
        with pytest.raises(ValueError, match="56 bits"):
            actor_id(Address("d", "c"), life)


@given(
    st.text(max_size=40) | st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=30, max_size=30)
)
def test_splitting_anything_gives_a_reference_or_one_clear_error(text: str) -> None:
    result = split_or_error(text)
    if isinstance(result, ActorError):
        assert result.name == "actor.invalid_request"
        assert "not an actor id" in result.message
    else:
        assert len(result.partition) == 24
        assert 0 < result.life < 2**56


def split_or_error(text: str) -> ActorRef | ActorError:
    try:
        return split_actor_id(text)
    except ActorError as error:
        return error


GOOD = actor_id(Address("default", "counter"), 77)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD.upper(),
        "-" + GOOD[1:],
        "+" + GOOD[1:],
        " " + GOOD[1:],
        GOOD[:5] + "_" + GOOD[6:],
        "٣" + GOOD[1:],  # int() reads that as 3
        "z" * 30,  # more than 152 bits
        "0" * 30,  # no life
        "x" * 100_000,
    ],
)
def test_what_is_no_actor_id(text: str) -> None:
    with pytest.raises(ActorError) as caught:
        split_actor_id(text)
    assert caught.value.name == "actor.invalid_request"
    assert len(caught.value.message) < 200
