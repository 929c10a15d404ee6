"""Values on the wire: the tagged arrays that carry what JSON has no form for.

A tag is an array of two whose first item is text that begins with ``$``: ``["$BigInt", "5"]``,
``["$Uint8Array", base64]``, ``["$ArrayBuffer", base64]``, ``["$Undefined", 0]``,
``["$Set", items]``. A real array of that shape gets one more ``$``.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, Final, Literal, cast

from pydantic_core import PydanticSerializationError, to_jsonable_python

from rivetless.errors import ActorError, invalid_request
from rivetless.frozen import frozen

__all__ = [
    "BINARY",
    "BODY_DEPTH",
    "CBOR",
    "DOCUMENT_DEPTH",
    "FRAME_DEPTH",
    "JSON",
    "JSON_3",
    "MAX_DEPTH",
    "MAX_SAFE_INTEGER",
    "NATIVE",
    "Instant",
    "Leaf",
    "Style",
    "Tags",
    "as_args",
    "as_set",
    "stand_in",
    "tag",
    "too_deep",
    "untag",
]

MAX_DEPTH: Final = 128
"""How deep arrays and maps may nest in a value."""

BODY_DEPTH: Final = MAX_DEPTH + 1
"""The same with the envelope of an HTTP body in JSON or CBOR."""

FRAME_DEPTH: Final = MAX_DEPTH + 3
"""The same with the envelope of a frame in JSON or CBOR."""

DOCUMENT_DEPTH: Final = MAX_DEPTH + 8
"""The same for anything else that a value may be wrapped in: what was written can be read."""

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest number up to which JavaScript's numbers hold every integer."""

MAX_DIGITS: Final = 4300
"""Python's own limit for turning text into integers, which is quadratic work."""

Leaf = Callable[[object], object]
"""Turns a decoded scalar that JSON does not have into a plain value, or refuses it."""


# -- reading -------------------------------------------------------------------------------------

Tags = Literal["strict", "lenient", "off"]
"""What to make of arrays that look like tags: refuse unknown ones, keep them, or look for none."""

_BIGINT: Final = re.compile(r"-?[0-9]+", re.ASCII)
_PLAIN: Final = frozenset({str, int, bool, type(None), bytes})
_HASHED: Final = frozenset({str, bool, float, type(None), bytes, datetime})


def untag(
    value: object, *, tags: Tags = "strict", leaf: Leaf | None = None, depth: int = DOCUMENT_DEPTH
) -> object:
    """Return the plain value that a decoded JSON or CBOR value stands for.

    Bytes, large integers and sets become ``bytes``, ``int`` and ``set`` (``list`` if an item cannot
    be in a set); ``undefined`` becomes None. Lists and dicts are changed in place.

    Args:
        value: fresh from the decoder; nobody else may hold it.
        tags: ``"lenient"`` is for the official client's ``cbor`` mode, which does not escape arrays
            that look like tags; ``"off"`` for versions that know no tags.
        leaf: called for every scalar that is not text, int, bool, None or bytes.
        depth: how deep the value may nest.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if type(value) is list or type(value) is dict:
        return _reader(tags, leaf).container(cast("object", value), depth)
    if leaf is not None and type(value) not in _PLAIN:
        return leaf(value)
    return value


@frozen
class _Reader:
    tags: Tags
    leaf: Leaf | None

    def any(self, value: object, depth: int) -> object:
        kind = type(value)
        if kind is list or kind is dict:
            return self.container(value, depth)
        if self.leaf is not None and kind not in _PLAIN:
            return self.leaf(value)
        return value

    def container(self, value: object, depth: int) -> object:
        if depth <= 0:
            raise too_deep()
        leaf = self.leaf
        items: Iterable[tuple[Any, object]]
        holder = cast("dict[object, object]", value)  # lists take items by index just the same
        if type(value) is list:
            array = cast("list[object]", value)
            if len(array) == 2 and self.tags != "off":
                name = array[0]
                if type(name) is str and name.startswith("$"):
                    return self.revive(array, name, depth)
            items = enumerate(array)
        else:
            items = holder.items()
        for key, item in items:
            kind = type(item)
            if kind is list or kind is dict:
                holder[key] = self.container(item, depth - 1)
            elif leaf is not None and kind not in _PLAIN:
                holder[key] = leaf(item)
        return holder

    def revive(self, array: list[object], name: str, depth: int) -> object:
        payload = array[1]
        if name == "$BigInt":
            return _bigint(payload)
        if name in ("$Uint8Array", "$ArrayBuffer"):
            return _bytes(payload, name)
        if name == "$Undefined":
            return None
        if name == "$Set":
            if type(payload) is not list:
                raise invalid_request('A "$Set" tag needs an array.')
            items = cast("list[object]", payload)
            return as_set([self.any(item, depth - 2) for item in items])
        if name.startswith("$$"):
            return [name[1:], self.any(payload, depth - 1)]
        if self.tags == "lenient":
            return [name, self.any(payload, depth - 1)]
        shown = name if len(name) <= 32 else name[:32] + "…"
        raise invalid_request(
            f"Unknown tag {shown!r}. An array of two that begins with such a text is sent "
            f"with one more $ in front of it."
        )


_reader = cache(_Reader)  # there are a handful


def _bigint(payload: object) -> int:
    if type(payload) is not str or not _BIGINT.fullmatch(payload):
        raise invalid_request('A "$BigInt" tag needs an integer in decimal digits, as text.')
    if len(payload) > MAX_DIGITS:
        raise invalid_request(f"An integer has {len(payload)} digits. Limit is {MAX_DIGITS}.")
    return int(payload)


def _bytes(payload: object, name: str) -> bytes:
    if type(payload) is str and payload.isascii():
        try:
            return binascii.a2b_base64(payload, strict_mode=True)
        except binascii.Error:
            pass
    raise invalid_request(f'A "{name}" tag needs base64 text with padding.')


def as_set(items: list[object]) -> object:
    """Return items as a set, or as they are if one of them cannot be in a set."""
    # Only what cannot be given colliding hashes at will goes into a set: an integer's hash is its
    # remainder, so huge ones can be chosen to collide and make the set take quadratic time.
    for item in items:
        kind = type(item)
        if kind is int:
            if not -(2**64) < cast("int", item) < 2**64:
                return items
        elif kind not in _HASHED:
            return items
    result = set(items)
    # Python takes 1 and True for the same item, JavaScript does not.
    return result if len(result) == len(items) else items


def as_args(value: object) -> list[object]:
    """Return arguments as their list: None stands for none, any other single value for one."""
    if type(value) is list:
        return cast("list[object]", value)
    return [] if value is None else [value]


def too_deep() -> ActorError:
    """The error for a value whose arrays and maps nest too deep."""
    return invalid_request(f"A value nests deeper than {MAX_DEPTH} arrays and maps.")


# -- writing -------------------------------------------------------------------------------------


@frozen
class Instant:
    """A point in time, for the binary encoders, which have a form of their own for it.

    Attributes:
        timestamp: seconds since 1970.
    """

    timestamp: float


@frozen
class Style:
    """How plain values are written in one encoding.

    Attributes:
        min_int: the smallest integer written as such.
        max_int: the largest integer written as such.
        floats: other integers that a JavaScript number holds are written as floats.
        tags: with tags and escapes; else large integers and bytes are left to the encoder.
        sets: sets are written as such; else as arrays.
        instants: datetimes become ``Instant``; else text.
    """

    min_int: int
    max_int: int
    floats: bool
    tags: bool
    sets: bool
    instants: bool


JSON: Final = Style(
    -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER, floats=False, tags=True, sets=True, instants=False
)
"""JSON."""

JSON_3: Final = Style(
    -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER, floats=False, tags=True, sets=False, instants=False
)
"""JSON for clients of protocol versions 1 to 3, which throw at ``$Set``."""

# The official client reads CBOR integers of more than 32 bits as bigint; its own numbers of that
# size are floats on the wire, and so are ours.
CBOR: Final = Style(-(2**32), 2**32 - 1, floats=True, tags=True, sets=True, instants=False)
"""CBOR as an encoding of its own."""

BINARY: Final = Style(-(2**32), 2**32 - 1, floats=True, tags=True, sets=True, instants=True)
"""CBOR inside of BARE."""

NATIVE: Final = Style(-(2**32), 2**32 - 1, floats=True, tags=False, sets=True, instants=True)
"""CBOR, by itself or inside of BARE, for protocol versions 1 to 3, which know no tags there."""

_SIMPLE: Final = frozenset({str, bool, float, type(None)})


def tag(value: object, style: Style, depth: int = MAX_DEPTH) -> object:
    """Return what an encoder writes for a plain value; the reverse of ``untag``.

    The result consists of None, bool, int, float, str, list and dict with text keys, plus
    ``Instant``, ``bytes`` and ``frozenset`` where the style says so. Models, dataclasses, enums,
    dates, decimals and whatever else pydantic serialises are taken too. The value itself is never
    changed.

    Raises:
        TypeError: the value has no form on the wire.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is int:
        number = cast("int", value)
        if style.min_int <= number <= style.max_int:
            return value
        return _large_int(number, style)
    if depth <= 0:
        raise TypeError(f"A value that nests deeper than {MAX_DEPTH} levels cannot be sent.")
    if kind is list:
        return _list(cast("list[object]", value), style, depth)
    if kind is dict:
        return _dict(cast("dict[object, object]", value), style, depth)
    return _other(value, style, depth)


def _list(items: Iterable[object], style: Style, depth: int) -> list[object]:
    depth -= 1
    result = [item if type(item) in _SIMPLE else tag(item, style, depth) for item in items]
    if len(result) == 2 and style.tags:
        first = result[0]
        # A text stays the same text, so looking at it afterwards is looking at the original.
        if type(first) is str and first.startswith("$"):
            result[0] = "$" + first
    return result


def _dict(mapping: Mapping[object, object], style: Style, depth: int) -> dict[str, object]:
    depth -= 1
    return {
        key if type(key) is str else _key(key): item
        if type(item) in _SIMPLE
        else tag(item, style, depth)
        for key, item in mapping.items()
    }


def _key(key: object) -> str:
    """Return a map key as text, as pydantic writes it in JSON."""
    jsonable = cast("dict[str, None]", _jsonable({key: None}))
    return next(iter(jsonable))


def _large_int(number: int, style: Style) -> object:
    if style.floats and -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
        return float(number)
    if number.bit_length() > 14_000:  # fewer than MAX_DIGITS digits
        raise TypeError(f"An integer of {number.bit_length()} bits is too large to be sent.")
    return ["$BigInt", str(number)] if style.tags else number


def _other(value: object, style: Style, depth: int) -> object:
    if isinstance(value, Enum):
        return tag(value.value, style, depth - 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return tag(int(value), style, depth)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(cast("bytes", value))
        if not style.tags:
            return data
        return ["$Uint8Array", binascii.b2a_base64(data, newline=False).decode("ascii")]
    if isinstance(value, AbstractSet):
        return _set_out(cast("AbstractSet[object]", value), style, depth)
    if isinstance(value, (list, tuple, deque)):
        return _list(cast("Iterable[object]", value), style, depth)
    if isinstance(value, Mapping):
        return _dict(cast("Mapping[object, object]", value), style, depth)
    if style.instants and isinstance(value, datetime):
        return _instant(value)
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is not None:
        # Python mode, so that what has a tag of its own keeps its type.
        return tag(_plain(serializer, value), style, depth - 1)
    if is_dataclass(value) and not isinstance(value, type):
        attributes: dict[object, object] = {
            field.name: getattr(value, field.name) for field in fields(value)
        }
        return _dict(attributes, style, depth)
    if isinstance(value, PurePath):
        return str(value)
    return tag(_jsonable(value), style, depth - 1)


def _set_out(items: AbstractSet[object], style: Style, depth: int) -> object:
    if not style.sets:
        return _list(items, style, depth)
    # The items of a tag are no array of their own, so they are never escaped.
    result = [tag(item, style, depth - 2) for item in items]
    if style.tags:
        return ["$Set", result]
    try:
        return frozenset(result)
    except TypeError:
        return result


def _instant(value: datetime) -> object:
    if value.tzinfo is None:
        # Text without an offset is what JSON clients get, so that all read the same local time.
        return value.isoformat()
    return Instant(value.timestamp())


def _plain(serializer: Any, value: object) -> object:
    try:
        return serializer.to_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise _cannot_send(value, error) from error


def _jsonable(value: object) -> object:
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise _cannot_send(value, error) from error


def _cannot_send(value: object, error: Exception) -> TypeError:
    return TypeError(f"A value of type {type(value).__name__} cannot be sent: {error}")


def stand_in(value: object) -> str:
    """Return what an error carries instead of metadata that has no form on the wire."""
    return f"<{type(value).__name__} that cannot be sent>"
