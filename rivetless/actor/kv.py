"""``self.kv``: pairs of keys and values beside the state, read one by one or by range.

The state is loaded whole at every turn; what an actor has much of belongs here. What is written
joins the turn's commit, and the turn reads its own writes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, overload

from rivetless.errors import ActorError

__all__ = ["KV", "KVPort"]

Text: TypeAlias = Literal["text"]
Binary: TypeAlias = Literal["binary"]
Kind: TypeAlias = Literal["text", "binary"]

MOST_KEY: Final = 2048
"""Bytes of the longest key; a store may take less."""

MOST_VALUE: Final = 128 * 1024
"""Bytes of the largest value."""

MOST_BATCH: Final = 128
"""Keys in one batch."""

MOST_LISTED: Final = 16_384
"""Pairs that one ``list`` returns."""


class KVPort(Protocol):
    """What stands behind ``KV``: bytes in, bytes out. The runtime implements it."""

    @property
    @abstractmethod
    def max_key_bytes(self) -> int:
        """Bytes of the longest key that the store takes."""

    @abstractmethod
    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    @abstractmethod
    async def range(
        self, start: bytes, end: bytes | None, *, limit: int | None, reverse: bool
    ) -> list[tuple[bytes, bytes]]:
        """Read the pairs with ``start <= key < end`` in key order, or reversed."""

    @abstractmethod
    def write(self, pairs: Mapping[bytes, bytes | None]) -> None:
        """Put pairs; ``None`` deletes. Joins the turn's commit."""


class KV:
    """The actor's pairs of keys and values: ``await self.kv.put("greeting", "hello")``.

    Keys and values are ``str`` (kept as UTF-8) or ``bytes``; ``"a"`` and ``b"a"`` are one key. What
    was stored as one may be read as the other: ``type="binary"`` says so, and text that is no
    UTF-8 is read with replacement characters. Keys are ordered by their bytes.
    """

    __slots__ = ("_port",)

    def __init__(self, port: KVPort) -> None:
        self._port = port

    @overload
    async def get(self, key: str | bytes, *, type: Text = ...) -> str | None: ...
    @overload
    async def get(self, key: str | bytes, *, type: Binary) -> bytes | None: ...
    async def get(self, key: str | bytes, *, type: Kind = "text") -> str | bytes | None:
        """Return a key's value, or ``None`` if it has none."""
        (found,) = await self._port.get([self._key(key)])
        return None if found is None else _decoded(found, type)

    @overload
    async def get_batch(
        self, keys: Iterable[str | bytes], *, type: Text = ...
    ) -> list[str | None]: ...
    @overload
    async def get_batch(
        self, keys: Iterable[str | bytes], *, type: Binary
    ) -> list[bytes | None]: ...
    async def get_batch(self, keys: Iterable[str | bytes], *, type: Kind = "text") -> list[Any]:
        """Return the values of up to 128 keys, in their order; ``None`` where there is none."""
        found = await self._port.get(_batch([self._key(key) for key in keys]))
        return [None if value is None else _decoded(value, type) for value in found]

    async def put(self, key: str | bytes, value: str | bytes) -> None:
        """Set a key's value.

        Raises:
            ActorError: ``kv.key_too_large`` or ``kv.value_too_large``.
        """
        self._port.write({self._key(key): _value(value)})

    async def put_batch(
        self, pairs: Mapping[str, str | bytes] | Mapping[bytes, str | bytes]
    ) -> None:
        """Set the values of up to 128 keys.

        Raises:
            ActorError: ``kv.key_too_large``, ``kv.value_too_large`` or ``kv.batch_too_large``.
        """
        keys = _batch([self._key(key) for key in pairs])
        self._port.write(dict(zip(keys, map(_value, pairs.values()), strict=True)))

    async def delete(self, key: str | bytes) -> None:
        """Delete a key, if it is there."""
        self._port.write({self._key(key): None})

    async def delete_batch(self, keys: Iterable[str | bytes]) -> None:
        """Delete up to 128 keys."""
        self._port.write(dict.fromkeys(_batch([self._key(key) for key in keys])))

    async def delete_range(self, start: str | bytes, end: str | bytes) -> None:
        """Delete the keys with ``start <= key < end``, as many as one commit can."""
        found = await self._port.range(_bytes(start), _bytes(end), limit=None, reverse=False)
        self._port.write({key: None for key, _ in found})

    @overload
    async def list(
        self,
        prefix: str | bytes = ...,
        *,
        start: str | bytes | None = ...,
        end: str | bytes | None = ...,
        reverse: bool = ...,
        limit: int = ...,
        type: Text = ...,
        key_type: Text = ...,
    ) -> list[tuple[str, str]]: ...
    @overload
    async def list(
        self,
        prefix: str | bytes = ...,
        *,
        start: str | bytes | None = ...,
        end: str | bytes | None = ...,
        reverse: bool = ...,
        limit: int = ...,
        type: Binary,
        key_type: Text = ...,
    ) -> list[tuple[str, bytes]]: ...
    @overload
    async def list(
        self,
        prefix: str | bytes = ...,
        *,
        start: str | bytes | None = ...,
        end: str | bytes | None = ...,
        reverse: bool = ...,
        limit: int = ...,
        type: Text = ...,
        key_type: Binary,
    ) -> list[tuple[bytes, str]]: ...
    @overload
    async def list(
        self,
        prefix: str | bytes = ...,
        *,
        start: str | bytes | None = ...,
        end: str | bytes | None = ...,
        reverse: bool = ...,
        limit: int = ...,
        type: Binary,
        key_type: Binary,
    ) -> list[tuple[bytes, bytes]]: ...
    async def list(
        self,
        prefix: str | bytes = b"",
        *,
        start: str | bytes | None = None,
        end: str | bytes | None = None,
        reverse: bool = False,
        limit: int = MOST_LISTED,
        type: Kind = "text",
        key_type: Kind = "text",
    ) -> list[Any]:
        """Return pairs in the order of their keys, which are given whole.

        Args:
            prefix: only keys that begin with it.
            start: only keys from here on.
            end: only keys before this one.
            reverse: the last ones first; before ``limit`` applies.
            limit: at most so many; 16,384 at the most.
            type: read values as text or as bytes.
            key_type: read keys as text or as bytes.

        Raises:
            ValueError: the limit is negative or too large.
        """
        if not 0 <= limit <= MOST_LISTED:
            raise ValueError(f"`limit` is 0 to {MOST_LISTED}, not {limit}")
        first, last = _bytes(prefix), _after(_bytes(prefix))
        if start is not None:
            first = max(first, _bytes(start))
        if end is not None:
            last = _bytes(end) if last is None else min(last, _bytes(end))
        if limit == 0 or (last is not None and first >= last):
            return []
        found = await self._port.range(first, last, limit=limit, reverse=reverse)
        return [(_decoded(key, key_type), _decoded(value, type)) for key, value in found]

    def _key(self, key: object) -> bytes:
        data = _bytes(key)
        limit = min(MOST_KEY, self._port.max_key_bytes)
        if len(data) > limit:
            raise _too_large("key", len(data), limit)
        return data


def _value(value: object) -> bytes:
    data = _bytes(value)
    if len(data) > MOST_VALUE:
        raise _too_large("value", len(data), MOST_VALUE)
    return data


def _bytes(given: object) -> bytes:
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, bytes):
        return given
    raise TypeError(f"Keys and values are str or bytes, not {type(given).__name__}.")


def _batch(items: Sequence[bytes]) -> Sequence[bytes]:
    if len(items) > MOST_BATCH:
        raise _too_large("batch", len(items), MOST_BATCH)
    return items


def _decoded(data: bytes, kind: Kind) -> str | bytes:
    if kind == "binary":
        return data
    if kind == "text":
        return data.decode(errors="replace")
    raise ValueError(f"A type is 'text' or 'binary', not {kind!r}.")


def _after(prefix: bytes) -> bytes | None:
    """Return the first key that no key with the prefix reaches; ``None`` if there is no such."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _too_large(what: str, size: int, limit: int) -> ActorError:
    unit = "keys" if what == "batch" else "bytes"
    return ActorError(
        "kv",
        f"{what}_too_large",
        f"A {what} has at most {limit} {unit}; this one has {size}.",
        {"limit": limit, "size": size},
    )
