"""Stores by URL: ``memory:``, ``sqlite:path/to/actors.db``, ``dynamodb:TABLE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.store.base import Store

__all__ = ["open_store", "secret_file"]

Synchronous = Literal["full", "normal"]


def open_store(url: str, *, synchronous: Synchronous = "full", clock: Clock | None = None) -> Store:
    """Make the store that a URL names; it is opened by ``async with``.

    Args:
        url: ``memory:``; ``sqlite:`` with a path: ``sqlite:.rivetless/actors.db`` is relative,
            ``sqlite:/var/lib/actors.db`` (or ``sqlite:///var/lib/actors.db``) absolute;
            ``dynamodb:`` with a table, and where it is if the environment does not say:
            ``dynamodb:actors?region=eu-west-1``, ``dynamodb:actors?endpoint=http://localhost:4566``.
        synchronous: of SQLite. ``"full"`` survives a power cut with every acknowledged call;
            ``"normal"`` is faster and may lose the last of them, never a part of one.
        clock: for expiry.

    Raises:
        ValueError: no store has such a URL.
        MissingExtraError: the store's library is not installed.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory" and url in ("memory:", "memory://"):
        from rivetless.store.memory import MemoryStore

        return MemoryStore(clock=clock)
    path = _sqlite_path(url)
    if path is not None:
        from rivetless.store.sqlite import SQLiteStore

        # Cast: a concrete store is one by its shape, which checkers compare by and by.
        return cast("Store", SQLiteStore(path, synchronous=synchronous, clock=clock))
    if scheme == "dynamodb":
        return _dynamodb(url, clock)
    raise ValueError(
        f"{url!r} names no store. Write `memory:`, `sqlite:path/to/actors.db` or `dynamodb:TABLE`."
    )


def secret_file(url: str) -> Path | None:
    """Return where the processes that share a store keep their secret; None if it has no place."""
    path = _sqlite_path(url)
    return None if path is None else path.with_name(path.name + ".secret")


def _sqlite_path(url: str) -> Path | None:
    scheme, _, rest = url.partition(":")
    if scheme != "sqlite":
        return None
    if rest.startswith("//"):
        # sqlite:///absolute; sqlite://relative is what people write who mean sqlite:relative.
        rest = rest[2:]
    if not rest:
        raise ValueError(f"{url!r} names no file. Write `sqlite:path/to/actors.db`.")
    return Path(unquote(rest))


def _dynamodb(url: str, clock: Clock | None) -> Store:
    from rivetless.store.dynamodb import DynamoDBStore

    table, _, query = url.removeprefix("dynamodb:").removeprefix("//").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - {"endpoint", "region"})
    if unknown or not table or "/" in table or "" in options.values():
        raise ValueError(
            f"{url!r} names no table. Write `dynamodb:TABLE`, `dynamodb:TABLE?region=REGION` "
            "or `dynamodb:TABLE?endpoint=URL`."
        )
    store = DynamoDBStore(
        unquote(table),
        endpoint=options.get("endpoint"),
        region=options.get("region"),
        clock=clock,
    )
    # Cast: a concrete store is one by its shape, which checkers compare by and by.
    return cast("Store", store)
