"""CBOR, as far as the official client speaks it.

A thin layer over ``cbor2``, which an extra installs and the first use imports. Accepted are the
tags of dates, big integers, byte arrays, sets and maps; every other tag is refused, so that nobody
can have objects built that were not asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from struct import Struct
from typing import Any, Final, NamedTuple, NoReturn, cast

from rivetless.errors import ActorError, invalid_request, missing_extra
from rivetless.protocol.values import (
    BINARY,
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    Instant,
    Style,
    Tags,
    as_set,
    tag,
    untag,
)

__all__ = ["dumps", "loads", "map_head", "text", "u64"]

_DATETIME: Final = 1
_POSITIVE: Final = 2
_NEGATIVE: Final = 3
_UINT8_ARRAY: Final = 64
_SET: Final = 258
_MAP: Final = 259

# What cbor2 would make objects of by itself.
_REFUSED: Final = (0, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 260, 261, 1004)
_REFUSED_LARGE: Final = (43000, 55799)
_MAX_BIGNUM_BYTES: Final = 1750

# Bytes that are in every message that needs a second look: the "$" of a tagged array, big integers
# (whose tag may be written longer than need be), simple values and floats. Others have them by
# chance, inside of text or numbers.
_SECOND_LOOK: Final = re.compile(rb"[$\xc2\xc3\xd8-\xdb\xe0-\xf3\xf7-\xfb]")

# cbor2 ignores what follows a value. So it is given an array of the value and a byte string that
# nobody can know: a message with bytes to spare has something else at its place.
_SECRET: Final = os.urandom(12)
_HEAD: Final = b"\x82"
_END: Final = b"\x4c" + _SECRET

_U32: Final = Struct(">BI")
_U64: Final = Struct(">BQ")


def loads(data: bytes, tags: Tags = "strict", depth: int = MAX_DEPTH) -> object:
    """Return the plain value in a CBOR message.

    Args:
        data: exactly one value.
        tags: what to make of arrays that look like tags; see ``values.untag``.
        depth: how deep the value may nest.

    Raises:
        ActorError: ``actor.invalid_request``.
        MissingExtraError: cbor2 is not installed.
    """
    library = _library()
    try:
        value, end = library.loads(_HEAD + data + _END, max_depth=depth + 1)
    except library.decode_error as error:
        raise _malformed(error) from None
    if end != _SECRET:
        raise invalid_request("The message is not valid CBOR: something follows its end.")
    if _SECOND_LOOK.search(data) is None:
        return cast("object", value)
    return untag(value, tags=tags, leaf=library.leaf, depth=depth)


def dumps(value: object, style: Style = BINARY) -> bytes:
    """Return a plain value as CBOR.

    Raises:
        TypeError: the value has no form on the wire.
        MissingExtraError: cbor2 is not installed.
    """
    library = _library()
    tagged = tag(value, style)
    try:
        return library.dumps(tagged)
    except library.encode_error as error:
        raise TypeError(f"The value cannot be sent: {error}") from error


def text(value: str) -> bytes:
    """Return a text in CBOR; half a surrogate pair becomes a question mark."""
    data = value.encode(errors="replace")
    return _head(0x60, len(data)) + data


def map_head(count: int) -> bytes:
    """Return the beginning of a map; ``count`` pairs follow."""
    return _head(0xA0, count)


def _head(major: int, count: int) -> bytes:
    if count < 24:
        return bytes((major | count,))
    if count < 256:
        return bytes((major | 24, count))
    return _U32.pack(major | 26, count)


def u64(number: int) -> bytes:
    """Return an integer in the form that the official client reads as bigint, whatever its size."""
    return _U64.pack(0x1B, number)


# -- the library ---------------------------------------------------------------------------------


class _Library(NamedTuple):
    loads: Callable[..., Any]
    dumps: Callable[[object], bytes]
    leaf: Callable[[object], object]
    decode_error: tuple[type[Exception], ...]
    encode_error: tuple[type[Exception], ...]


class _Big:
    """A big integer on its way to becoming an ``int``.

    It cannot be hashed, so that it cannot be a map's key: see ``values.as_set``.
    """

    __slots__ = ("number",)
    __hash__ = None  # type: ignore[assignment]  # that is how Python spells it

    def __init__(self, number: int) -> None:
        self.number = number


@cache
def _library() -> _Library:
    try:
        import cbor2
    except ImportError:
        missing_extra("cbor", "cbor2")
    undefined = cbor2.undefined

    def leaf(value: object) -> object:
        kind = type(value)
        if kind is float:
            number = cast("float", value)
            # Beyond 32 bits the official client writes integers as floats.
            if number.is_integer() and 2**32 <= abs(number) <= MAX_SAFE_INTEGER:
                return int(number)
            return value
        if kind is datetime or kind is set:
            return value
        if kind is _Big:
            return cast("_Big", value).number
        if value is undefined:
            return None
        raise invalid_request(f"The message holds a CBOR value of no use here: {value!r}.")

    def read_set(value: object, immutable: bool) -> object:
        if type(value) is not list:
            raise ValueError("a set is not an array")
        items = cast("list[object]", value)
        return as_set([leaf(item) if type(item) not in _PLAIN else item for item in items])

    decoders: dict[int, Callable[[Any, bool], object]] = {
        _POSITIVE: lambda value, immutable: _Big(_bignum(value)),
        _NEGATIVE: lambda value, immutable: _Big(-1 - _bignum(value)),
        _UINT8_ARRAY: _read_bytes,
        _SET: read_set,
        _MAP: _read_map,
    }
    for number in (*_REFUSED, *_REFUSED_LARGE):
        decoders[number] = partial(_refuse, number)
    return _Library(
        loads=partial(
            cbor2.loads,
            tag_hook=_refuse_tag,
            object_hook=_check_keys,
            semantic_decoders=decoders,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ),
        dumps=partial(cbor2.dumps, default=_write_instant),
        leaf=leaf,
        decode_error=(cbor2.CBORDecodeError,),
        encode_error=(cbor2.CBOREncodeError, ValueError),
    )


_PLAIN: Final = frozenset({str, int, bool, type(None), bytes, list, dict})


def _bignum(value: object) -> int:
    if type(value) is not bytes:
        raise ValueError("a big integer is not a byte string")
    if len(value) > _MAX_BIGNUM_BYTES:
        raise ValueError(f"an integer takes more than {_MAX_BIGNUM_BYTES} bytes")
    return int.from_bytes(value, "big")


def _read_bytes(value: object, immutable: bool) -> object:
    if type(value) is not bytes:
        raise ValueError("a byte array is not a byte string")
    return value


def _read_map(value: object, immutable: bool) -> object:
    if type(value) is not dict:
        raise ValueError("a map tag has no map")
    return cast("object", value)


def _check_keys(value: Mapping[Any, Any], immutable: bool) -> object:
    # The library lets byte strings pass, too.
    for key in value:
        if type(key) is not str:
            raise ValueError("a map's key is not text")
    return value


def _refuse(number: int, value: object, immutable: bool) -> NoReturn:
    raise ValueError(f"tag {number} is not accepted")


def _refuse_tag(value: Any, immutable: bool) -> NoReturn:
    _refuse(value.tag, value, immutable)


def _write_instant(encoder: Any, value: object) -> None:
    # The one type of `tag`'s results that the library does not know.
    encoder.encode_semantic(_DATETIME, cast("Instant", value).timestamp)


def _malformed(error: Exception) -> ActorError:
    # The library wraps what our own callbacks say.
    cause = error.__cause__
    if isinstance(cause, ActorError):
        return cause
    reason = cause if type(cause) is ValueError else error
    return invalid_request(f"The message is not valid CBOR: {reason}.")
