"""What the parts of the store's contract share: fixtures, and lives to try things on."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from rivetless.keys import Address, actor_id, new_life
from rivetless.store.base import Changes, Collection, Creation, Head, Store
from rivetless.testing.clock import START, FakeClock

LATER: Final = START + 100_000_000
"""A time that no contract gets to."""

_numbers: Final = itertools.count(1)

Reopen = Callable[[], Awaitable[Store]]


def commit_id() -> str:
    """Return a commit id that nobody has had."""
    return f"commit-{next(_numbers)}"


def changes(**fields: Any) -> Changes:
    """Return changes with a commit id of their own."""
    return Changes(commit_id(), **fields)


def address(*key: str, name: str = "counter", namespace: str = "default") -> Address:
    """Return an address; a new one if there is no key."""
    return Address(namespace, name, key or (f"key-{next(_numbers)}",))


def life_of(where: Address) -> str:
    """Return the id of a new life at an address."""
    return actor_id(where, new_life(next(_numbers).to_bytes(7, "big")))


@dataclass(slots=True)
class Life:
    """A life in a store, and what a runtime would remember of it.

    Attributes:
        store: where it is.
        id: its actor id.
        address: its address.
        version: the head's version after the last commit made through this object.
    """

    store: Store
    id: str
    address: Address
    version: int = 0

    async def commit(self, **fields: Any) -> int:
        """Make a commit at the version that is known (none if the changes need none)."""
        made = changes(**fields)
        expected = self.version if made.versioned else None
        version = await self.store.commit(self.id, made, expected=expected)
        self.version = version or self.version
        return version

    async def head(self) -> Head:
        """Read the head, which must be there."""
        head = await self.store.load(self.id)
        assert head is not None
        return head

    async def destroy(self, at: float = START + 100, **fields: Any) -> None:
        """Make it a tombstone."""
        await self.commit(destroyed_at=at, **fields)


async def begin(
    store: Store,
    where: Address | None = None,
    *,
    created_at: float = START,
    state: bytes | None = b"{}",
    **fields: Any,
) -> Life:
    """Begin a life, at an address of its own if none is given."""
    where = where or address()
    life = Life(store, life_of(where), where)
    await life.commit(create=Creation(where, created_at), state=state, **fields)
    return life


async def everything(life: Life) -> object:
    """Read all there is of a life, to see whether something has changed."""
    records = [await life.store.records(life.id, collection) for collection in Collection]
    return await life.store.load(life.id), records


def as_listed(head: Head) -> Head:
    """Return what listing promises of a head."""
    return Head(
        actor_id=head.actor_id,
        address=head.address,
        version=head.version,
        state=None,
        created_at=head.created_at,
        destroyed_at=head.destroyed_at,
    )


class Contract:
    """Base of the parts. Override ``store``; the other fixtures where there is a better one."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The event loop that stores are written for."""
        return "asyncio"

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock to give the store."""
        return FakeClock()

    @pytest.fixture
    def store(self) -> Store:
        """Return the store under test, open and empty. To be overridden."""
        raise NotImplementedError("override the `store` fixture")

    @pytest.fixture
    def other(self, store: Store) -> Store:
        """Return a second store object on the same data, as another process has it.

        For a store that is the only writer of its data it is the same object.
        """
        return store

    @pytest.fixture
    def reopen(self, store: Store) -> Reopen:
        """Return a function that closes the store and opens its data again."""

        async def close_and_open() -> Store:
            await store.__aexit__(None, None, None)
            return await store.__aenter__()

        return close_and_open
