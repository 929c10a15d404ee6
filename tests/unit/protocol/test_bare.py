"""The primitives of BARE."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.protocol.bare import MAX_UINT, Reader, Writer


def written(write: Callable[[Writer], None]) -> bytes:
    writer = Writer()
    write(writer)
    return bytes(writer)


@given(
    st.integers(0, 255),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, MAX_UINT),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, MAX_UINT),
    st.booleans(),
    st.binary(max_size=300),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.none() | st.integers(0, 1000),
)
def test_readers_read_what_writers_write(
    u8: int,
    u16: int,
    u32: int,
    u64: int,
    i64: int,
    uint: int,
    flag: bool,
    data: bytes,
    text: str,
    optional: int | None,
) -> None:
    writer = Writer()
    writer.u8(u8)
    writer.u16(u16)
    writer.u32(u32)
    writer.u64(u64)
    writer.i64(i64)
    writer.uint(uint)
    writer.bool(flag)
    writer.data(data)
    writer.text(text)
    writer.optional(writer.uint, optional)
    writer.raw(b"abc")
    reader = Reader(bytes(writer))
    assert reader.u8() == u8
    assert reader.u16() == u16
    assert reader.u32() == u32
    assert reader.u64() == u64
    assert reader.i64() == i64
    assert reader.uint() == uint
    assert reader.bool() is flag
    assert reader.data() == data
    assert reader.text() == text
    assert reader.optional(reader.uint) == optional
    assert reader.take(3) == b"abc"
    reader.end()


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (2**32, "8080808010"),
        (MAX_UINT, "ffffffffffffffffff01"),
    ],
)
def test_uint(number: int, data: str) -> None:
    assert written(lambda writer: writer.uint(number)).hex() == data
    assert Reader(bytes.fromhex(data)).uint() == number


def test_little_endian() -> None:
    assert written(lambda writer: writer.u16(4)).hex() == "0400"
    assert written(lambda writer: writer.u64(3000)).hex() == "b80b000000000000"
    assert written(lambda writer: writer.i64(-2)).hex() == "feffffffffffffff"


@pytest.mark.parametrize("number", [-1, MAX_UINT + 1])
def test_uints_have_64_bits(number: int) -> None:
    with pytest.raises(ValueError, match="uint"):
        Writer().uint(number)


def test_lists_and_maps() -> None:
    reader = Reader(bytes.fromhex("0301020302016101016202"))
    assert reader.list(reader.u8) == [1, 2, 3]
    assert reader.map(reader.text, reader.u8) == {"a": 1, "b": 2}
    reader.end()


@pytest.mark.parametrize(
    ("data", "read", "message"),
    [
        ("", lambda reader: reader.u8(), "too early"),
        ("01", lambda reader: reader.u16(), "1 bytes too early"),
        ("010203", lambda reader: reader.u32(), "too early"),
        ("01", lambda reader: reader.u64(), "7 bytes too early"),
        ("80", lambda reader: reader.uint(), "too early"),
        ("8000", lambda reader: reader.uint(), "needless zero"),
        ("ff" * 10 + "01", lambda reader: reader.uint(), "more than 10 bytes"),
        ("ff" * 9 + "02", lambda reader: reader.uint(), "more than 64 bits"),
        ("80" * 1000, lambda reader: reader.uint(), "more than 10 bytes"),
        ("02", lambda reader: reader.bool(), "a bool is 2"),
        ("02", lambda reader: reader.optional(reader.u8), "a bool is 2"),
        ("05aabb", lambda reader: reader.data(), "3 bytes too early"),
        ("ffffffffffffffffff01", lambda reader: reader.data(), "too early"),
        ("02c328", lambda reader: reader.text(), "not UTF-8"),
        ("03eda080", lambda reader: reader.text(), "not UTF-8"),
        ("ffffffff0f", lambda reader: reader.list(reader.u8), "announces"),
        ("0301", lambda reader: reader.list(reader.u8), "announces 3 items"),
        ("02016101016102", lambda reader: reader.map(reader.text, reader.u8), "same key twice"),
        ("01", lambda reader: reader.end(), "1 bytes follow"),
    ],
)
def test_malformed(data: str, read: Callable[[Reader], object], message: str) -> None:
    with pytest.raises(ActorError, match=message) as caught:
        read(Reader(bytes.fromhex(data)))
    assert caught.value.name == "actor.invalid_request"
