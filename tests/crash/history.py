"""A load that tells afterwards what became of it: for tests that kill stores.

Every commit of an actor writes the same number in many places: in its state, in a record, in a
counter, in its commit id. So a commit that is there in part can be told, and so can one that is
there twice.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Final

from rivetless.keys import Address, actor_id
from rivetless.store.base import (
    Changes,
    Collection,
    Conflict,
    Creation,
    Outgoing,
    Record,
    RecordKey,
    Store,
    StoreError,
)

SHARED: Final = Address("crash", "shared")
SHARED_ID: Final = actor_id(SHARED, 1)
WHERE: Final = Collection.CONNECTION

LARGE: Final = 3000
"""Bytes; a state of this size does not fit into the row of its head."""


def address_of(writer: str) -> Address:
    """Return the address of a writer's own actor."""
    return Address("crash", "own", (writer,))


def id_of(writer: str) -> str:
    """Return the id of a writer's own actor; there is only one life."""
    return actor_id(address_of(writer), 1)


def own_changes(writer: str, version: int) -> Changes:
    """Return the commit that brings a writer's own actor to a version."""
    text = b"%d" % version
    return Changes(
        commit_id=f"{writer}-{version}",
        create=Creation(address_of(writer), 1.0) if version == 1 else None,
        # Now small, now large, so that all ways of keeping a state take part.
        state=text + b"." * (LARGE if version % 5 == 0 else version % 7),
        alarm=1_000.0 + version,
        puts=(Record(WHERE, b"%d" % (version % 3), text), Record(WHERE, b"last", text)),
        deletes=(RecordKey(WHERE, b"%d" % ((version + 1) % 3)),),
        outbox_add=(Outgoing(f"o{version}", float(version), text),),
        outbox_clear=(f"o{version - 1}",),
        counters={"commits": 1},
    )


async def check_own(store: Store, writer: str) -> int:
    """Check that a writer's own actor is whole; return its version, 0 if it is not there."""
    head = await store.load(address_of(writer))
    if head is None:
        assert await store.records(id_of(writer), WHERE) == [], f"{writer}: records without a head"
        return 0
    version = head.version
    expected = own_changes(writer, version)
    assert head.state == expected.state, f"{writer}: a torn state"
    assert head.alarm == expected.alarm
    assert head.commits == tuple(
        f"{writer}-{number}" for number in range(max(1, version - 31), version + 1)
    )
    assert dict(head.counters) == {"commits": version}, f"{writer}: applied twice, or not at all"
    assert tuple(head.outbox.values()) == expected.outbox_add
    records = {record.key: record.data for record in await store.records(head.actor_id, WHERE)}
    assert records.pop(b"last") == b"%d" % version, f"{writer}: a torn commit"
    for number in range(max(1, version - 1), version + 1):
        assert records.pop(b"%d" % (number % 3)) == b"%d" % number, f"{writer}: a torn commit"
    assert not records, f"{writer}: a torn commit"
    return version


Tell = Callable[[str, str, int], None]
"""Takes down an acknowledgement: ``own`` or ``shared``, the writer's name, the commit's number."""

Acknowledged = tuple[str, str, int]


async def write_own(store: Store, writer: str, tell: Tell) -> None:
    """Commit to an actor of one's own until the store fails."""
    head = await store.load(address_of(writer))
    version = 0 if head is None else head.version
    try:
        while True:
            version = await store.commit(
                id_of(writer), own_changes(writer, version + 1), expected=version
            )
            tell("own", writer, version)
    except StoreError:
        return


async def write_shared(store: Store, writer: str, tell: Tell) -> None:
    """Add to the actor that everybody adds to, by versioned commits, until the store fails."""
    for number in itertools.count():
        name = f"{writer}-{number}"
        while True:
            try:
                head = await store.load(SHARED)
                total = 0 if head is None else int(head.state or b"0")
                made = Changes(
                    name,
                    create=Creation(SHARED, 1.0) if head is None else None,
                    state=b"%d" % (total + 1),
                    puts=(Record(WHERE, name.encode(), b""),),
                )
                await store.commit(SHARED_ID, made, expected=0 if head is None else head.version)
            except Conflict:
                await asyncio.sleep(0)
            except StoreError:
                return
            else:
                tell("shared", writer, number)
                break


async def check_shared(store: Store) -> set[str]:
    """Check that the shared actor is whole; return the names of the additions that are there."""
    head = await store.load(SHARED)
    names = {record.key.decode() for record in await store.records(SHARED_ID, WHERE)}
    total = 0 if head is None else int(head.state or b"0")
    assert total == len(names), "an addition was applied twice, lost, or torn"
    assert total == (0 if head is None else head.version)
    return names


async def count_lost(store: Store, order: Sequence[Acknowledged]) -> int:
    """Check that all is whole and what is left a prefix; return how many commits are missing.

    Args:
        store: what is left.
        order: what was acknowledged, in order.
    """
    additions = await check_shared(store)
    versions = {
        writer: await check_own(store, writer)
        for writer in sorted({name for kind, name, _ in order if kind == "own"})
    }

    def survived(kind: str, name: str, number: int) -> bool:
        return versions[name] >= number if kind == "own" else f"{name}-{number}" in additions

    fate = [survived(*commit) for commit in order]
    left = fate.index(False) if False in fate else len(fate)
    assert not any(fate[left:]), "a later commit survived an earlier one"
    return len(fate) - left
