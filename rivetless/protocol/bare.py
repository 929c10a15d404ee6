"""The primitives of BARE, the schema language of the official client's binary frames.

Integers are little endian, lengths are LEB128 varints, structs are their fields in order.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeVar

from rivetless.errors import ActorError, invalid_request

__all__ = ["MAX_UINT", "Reader", "Writer", "binary"]

MAX_UINT: Final = 2**64 - 1

_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")
_I64: Final = Struct("<q")
_MAX_VARINT_BYTES: Final = 10

K = TypeVar("K")
T = TypeVar("T")


class Reader:
    """Takes values off the front of a message, one after the other.

    Whatever the bytes are, the only exception it raises is ``actor.invalid_request``.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes (``data[N]``)."""
        start = self._position
        end = start + size
        if end > len(self._data):
            raise _malformed(f"it ends {end - len(self._data)} bytes too early")
        self._position = end
        return self._data[start:end]

    def u8(self) -> int:
        """Return a ``u8``."""
        position = self._position
        if position >= len(self._data):
            raise _malformed("it ends too early")
        self._position = position + 1
        return self._data[position]

    def u16(self) -> int:
        """Return a ``u16``."""
        number: int = _U16.unpack(self.take(2))[0]
        return number

    def u32(self) -> int:
        """Return a ``u32``."""
        number: int = _U32.unpack(self.take(4))[0]
        return number

    def u64(self) -> int:
        """Return a ``u64``."""
        number: int = _U64.unpack(self.take(8))[0]
        return number

    def i64(self) -> int:
        """Return an ``i64``."""
        number: int = _I64.unpack(self.take(8))[0]
        return number

    def uint(self) -> int:
        """Return a ``uint``."""
        byte = self.u8()
        if byte < 0x80:
            return byte
        number = byte & 0x7F
        shift = 7
        while True:
            byte = self.u8()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= 7 * _MAX_VARINT_BYTES:
                raise _malformed(f"a uint takes more than {_MAX_VARINT_BYTES} bytes")
        if number > MAX_UINT:
            raise _malformed("a uint takes more than 64 bits")
        if not byte:
            raise _malformed("a uint ends in a needless zero byte")
        return number

    def bool(self) -> bool:
        """Return a ``bool``."""
        byte = self.u8()
        if byte > 1:
            raise _malformed(f"a bool is {byte}")
        return byte == 1

    def data(self) -> bytes:
        """Return a ``data``."""
        return self.take(self.uint())

    def text(self) -> str:
        """Return a ``str``."""
        try:
            return self.take(self.uint()).decode()
        except UnicodeDecodeError:
            raise _malformed("a text is not UTF-8") from None

    def optional(self, read: Callable[[], T]) -> T | None:
        """Return an ``optional``; ``read`` takes the value off if there is one."""
        return read() if self.bool() else None

    def list(self, read: Callable[[], T]) -> list[T]:
        """Return a ``list``; ``read`` takes one item off."""
        return [read() for _ in range(self._count())]

    def map(self, read_key: Callable[[], K], read_value: Callable[[], T]) -> dict[K, T]:
        """Return a ``map``; the two take one key and one value off."""
        result: dict[K, T] = {}
        for _ in range(self._count()):
            key = read_key()
            if key in result:
                raise _malformed("a map has the same key twice")
            result[key] = read_value()
        return result

    def end(self) -> None:
        """Make sure that nothing is left."""
        left = len(self._data) - self._position
        if left:
            raise _malformed(f"{left} bytes follow its end")

    def _count(self) -> int:
        count = self.uint()
        # No item of ours takes no byte: a count that cannot be met is not begun with.
        if count > len(self._data) - self._position:
            raise _malformed(f"it announces {count} items and ends too early")
        return count


class Writer:
    """Puts values at the end of a message, one after the other."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def raw(self, data: bytes) -> None:
        """Write bytes without their length (``data[N]``)."""
        self._data += data

    def u8(self, number: int) -> None:
        """Write a ``u8``."""
        self._data.append(number)

    def u16(self, number: int) -> None:
        """Write a ``u16``."""
        self._data += _U16.pack(number)

    def u32(self, number: int) -> None:
        """Write a ``u32``."""
        self._data += _U32.pack(number)

    def u64(self, number: int) -> None:
        """Write a ``u64``."""
        self._data += _U64.pack(number)

    def i64(self, number: int) -> None:
        """Write an ``i64``."""
        self._data += _I64.pack(number)

    def uint(self, number: int) -> None:
        """Write a ``uint``."""
        if not 0 <= number <= MAX_UINT:
            raise ValueError(f"A uint is 0 to 2**64 - 1, not {number}.")
        while number >= 0x80:
            self._data.append(number & 0x7F | 0x80)
            number >>= 7
        self._data.append(number)

    def bool(self, value: bool) -> None:
        """Write a ``bool``."""
        self._data.append(value)

    def data(self, data: bytes) -> None:
        """Write a ``data``."""
        self.uint(len(data))
        self._data += data

    def text(self, text: str) -> None:
        """Write a ``str``; half a surrogate pair becomes a question mark."""
        self.data(text.encode(errors="replace"))

    def optional(self, write: Callable[[T], None], value: T | None) -> None:
        """Write an ``optional``; ``write`` writes the value if there is one."""
        self.bool(value is not None)
        if value is not None:
            write(value)


def binary(data: bytes | str) -> bytes:
    """Return a frame's bytes; clients that speak a binary encoding send no text.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if isinstance(data, str):
        raise invalid_request("A text frame came over a connection with a binary encoding.")
    return data


def _malformed(what: str) -> ActorError:
    return invalid_request(f"The message is not valid BARE: {what}.")
