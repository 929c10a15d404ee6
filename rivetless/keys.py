"""Addresses of actors: keys, their text form, and the ids made from them.

An actor's address is (namespace, name, key). Its partition is a 96-bit hash of the address; the id
of one of its lives is that hash with the life's 56-bit number, so key and id lead to the same place
in a store. May import ``errors`` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from rivetless.errors import ActorError, invalid_request
from rivetless.frozen import frozen

__all__ = [
    "EMPTY_KEY",
    "MAX_KEY_BYTES",
    "MAX_NAME_CHARS",
    "MAX_PART_BYTES",
    "ActorRef",
    "Address",
    "Key",
    "actor_id",
    "from_query",
    "is_reserved",
    "join_actor_id",
    "new_life",
    "normalise",
    "parse",
    "partition_of_address",
    "serialise",
    "split_actor_id",
]

Key = tuple[str, ...]
"""The parts of an actor's key; ``()`` for the actor that needs none."""

EMPTY_KEY: Final[Key] = ()
MAX_PART_BYTES: Final = 128
MAX_KEY_BYTES: Final = 1024
MAX_NAME_CHARS: Final = 64

_HASH_BYTES: Final = 12
_LIFE_BYTES: Final = 7
_LIFE_BITS: Final = _LIFE_BYTES * 8
_ID_BITS: Final = _HASH_BYTES * 8 + _LIFE_BITS
_ID_CHARS: Final = 30
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGIT_PAIRS: Final = tuple(a + b for a in _DIGITS for b in _DIGITS)


# -- keys ----------------------------------------------------------------------------------------


def normalise(key: str | Sequence[str] | None) -> Key:
    """Return a key as the tuple of its parts: ``"x"`` is ``("x",)``, None is ``()``.

    Integers are taken as their decimal text.

    Raises:
        ActorError: ``actor.key_too_large``, or ``actor.invalid_request`` for half a character.
        TypeError: a part is not text.
    """
    if key is None:
        return EMPTY_KEY
    parts = (key,) if isinstance(key, str) else tuple(_part(part) for part in key)
    _check_size(parts)
    return parts


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return str(part)
    raise TypeError(f"The parts of a key are text or integers, not {type(part).__name__}: {part!r}")


def _check_size(parts: Key) -> None:
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise invalid_request("A key holds half of a surrogate pair; keys are Unicode.") from None
    for index, size in enumerate(sizes):
        if size > MAX_PART_BYTES:
            raise _too_large(f"Part {index} of the key is {size} bytes", MAX_PART_BYTES)
    # Escapes at most double the text: the exact size is rarely needed.
    if sum(sizes) * 2 + len(sizes) > MAX_KEY_BYTES:
        total = len(serialise(parts).encode())
        if total > MAX_KEY_BYTES:
            raise _too_large(f"The key is {total} bytes", MAX_KEY_BYTES)


def _too_large(what: str, limit: int) -> ActorError:
    return ActorError("actor", "key_too_large", f"{what}. Limit is {limit} bytes.")


def serialise(key: Key) -> str:
    r"""Return a key's text form: ``("a", "b/c", "")`` is ``a/b\/c/\0``; ``()`` is ``/``."""
    if not key:
        return "/"
    return "/".join(
        [part.replace("\\", "\\\\").replace("/", "\\/") if part else "\\0" for part in key]
    )


def parse(text: str) -> Key:
    """Return the key that a text form stands for; the reverse of ``serialise``.

    Raises:
        ActorError: ``actor.key_too_large``, or ``actor.invalid_request`` for half a character.
    """
    if text in ("", "/"):
        return EMPTY_KEY
    if "\\" not in text:
        return normalise(text.split("/"))
    parts: list[str] = []
    part: list[str] = []
    empty = False
    characters = iter(text)
    for character in characters:
        if character == "/":
            parts.append("" if empty else "".join(part))
            part, empty = [], False
        elif character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                part, empty = [*part, "\\"], False  # a lone backslash at the end stands for itself
            elif escaped == "0":
                empty = True
            else:
                part.append(escaped)
        else:
            part.append(character)
    parts.append("" if empty else "".join(part))
    return normalise(parts)


def from_query(text: str | None) -> Key:
    """Return the key in a gateway URL's ``rvt-key``: parts joined with ``,``, which has no escape.

    Raises:
        ActorError: ``actor.key_too_large``, or ``actor.invalid_request`` for half a character.
    """
    return normalise(text.split(",")) if text else EMPTY_KEY


# -- addresses and ids ---------------------------------------------------------------------------


@frozen
class Address:
    """Where an actor lives; at any time at most one life of it exists.

    Attributes:
        namespace: separates applications that share a store.
        name: wire name of the actor class.
        key: its key.
    """

    namespace: str
    name: str
    key: Key = EMPTY_KEY

    def __post_init__(self) -> None:
        _check_name(self.namespace, "namespace")
        _check_name(self.name, "actor name")
        _check_size(self.key)


def is_reserved(namespace: str) -> bool:
    """Tell whether a namespace is one in which hosts keep things of their own, hidden from all."""
    return namespace.startswith("$")


def _check_name(name: str, what: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise invalid_request(f"A(n) {what} has 1 to {MAX_NAME_CHARS} characters, not {len(name)}.")
    # Surrogates and control characters are not printable, and they harm logs and stores.
    if not name.isprintable():
        raise invalid_request(f"The {what} {name!r} holds characters that cannot be shown.")


@frozen
class ActorRef:
    """What an actor id says.

    Attributes:
        partition: as ``partition_of_address``.
        life: number of the life.
    """

    partition: str
    life: int


@lru_cache(maxsize=4096)
def partition_of_address(address: Address) -> str:
    """Return the partition of an address: 24 hexadecimal digits."""
    digest = blake2b(digest_size=_HASH_BYTES, person=b"rivetless")
    for text in (address.namespace, address.name, *address.key):
        data = text.encode()
        # With its length in front no two addresses give the same bytes.
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


def new_life(random_bytes: bytes) -> int:
    """Return the number of a new life: 56 bits, never 0.

    Args:
        random_bytes: seven random bytes or more.
    """
    if len(random_bytes) < _LIFE_BYTES:
        raise ValueError(f"A life needs {_LIFE_BYTES} random bytes, got {len(random_bytes)}.")
    return int.from_bytes(random_bytes[:_LIFE_BYTES], "big") or 1


def actor_id(address: Address, life: int) -> str:
    """Return the id of a life: 30 lower-case base-36 characters."""
    return join_actor_id(partition_of_address(address), life)


def join_actor_id(partition: str, life: int) -> str:
    """Return the id of a life in a partition; the reverse of ``split_actor_id``."""
    if not 0 < life < 1 << _LIFE_BITS:
        raise ValueError(f"A life is a positive number of at most {_LIFE_BITS} bits, not {life}.")
    number = int(partition, 16) << _LIFE_BITS | life
    pairs: list[str] = []
    for _ in range(_ID_CHARS // 2):
        number, pair = divmod(number, 1296)
        pairs.append(_DIGIT_PAIRS[pair])
    pairs.reverse()
    return "".join(pairs)


def split_actor_id(actor_id: str) -> ActorRef:
    """Return what an actor id says; the reverse of ``actor_id``.

    Raises:
        ActorError: ``actor.invalid_request`` for anything that is no id of ours.
    """
    # int() takes signs, spaces, underscores, capitals and foreign digits; an id has none of them.
    if len(actor_id) == _ID_CHARS and actor_id.isascii() and actor_id.isalnum():
        number = int(actor_id, 36)
        life = number & (1 << _LIFE_BITS) - 1
        if not number >> _ID_BITS and life and actor_id == actor_id.lower():
            return ActorRef(f"{number >> _LIFE_BITS:024x}", life)
    shown = actor_id if len(actor_id) <= 64 else actor_id[:64] + "…"
    raise invalid_request(
        f"{shown!r} is not an actor id; those are {_ID_CHARS} characters of 0-9 and a-z."
    )
