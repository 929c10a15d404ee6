"""Finds out what became of a commit whose acknowledgement was lost."""

from __future__ import annotations

from dataclasses import replace

from rivetless.frozen import frozen
from rivetless.runtime.records import find_record
from rivetless.store.base import Changes, Duplicate, Full, Gone, Record, Store, StoreError


@frozen
class Verdict:
    """What is known of a commit.

    Attributes:
        applied: whether it was applied; ``None`` when nobody can tell any more.
        version: the head's version now, where it was applied; others may have moved it since.
    """

    applied: bool | None
    version: int = 0


UNKNOWN = Verdict(applied=None)
ATTEMPTS = 3


async def reconcile(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
    """Look for a commit in the head; if it is not there, make it, or make sure it never will be.

    A write may still be on its way when its answer is given up. If the head is as it was, the same
    commit is sent again, so that nobody has to run again: either arrives on the version that both
    were prepared on, and the other is refused. If the version has moved, the head's window of
    recent commit ids shows whether it was this commit that has moved it.

    Args:
        store: where the commit went.
        actor_id: the life.
        changes: what it carried.
        expected: the version it was prepared on; 0 for a creation.
    """
    for _ in range(ATTEMPTS):
        try:
            if not changes.versioned and _makes(changes):
                try:
                    version = await store.commit(actor_id, changes, expected=None)
                except Duplicate:
                    if not await _made(store, actor_id, changes):
                        return Verdict(applied=False)
                    head = await store.load(actor_id)
                    version = 0 if head is None else head.version
                return Verdict(applied=True, version=version)
            if not changes.versioned:
                records = changes.puts or changes.deletes or changes.appends
                if changes.absent or (records and not changes.bare):
                    return UNKNOWN  # what is appended twice is there twice
                # Bare records count once. A note or a hint may be written twice; a counter not.
                again = changes if changes.bare else replace(changes, counters={})
                return Verdict(
                    applied=True, version=await store.commit(actor_id, again, expected=None)
                )
            head = await store.load(actor_id)
            if head is None:
                if expected:
                    return UNKNOWN  # the life has ended, perhaps after the commit or by it
                # A creation names its life: sending it again cannot begin a second one.
                return Verdict(
                    applied=True, version=await store.commit(actor_id, changes, expected=0)
                )
            if changes.commit_id in head.commits:
                return Verdict(applied=True, version=head.version)
            if head.version > expected:
                # Every version since the base has its id in the window, and ours is not among them.
                unbroken = head.version - expected <= len(head.commits)
                return Verdict(applied=False) if unbroken else UNKNOWN
            return await _send_again(store, actor_id, changes, expected)
        except Gone:
            return UNKNOWN
        except StoreError:
            continue  # moved once more, or out of reach, or not to be read by this code
    return UNKNOWN


async def _send_again(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
    """Make a commit that is not there yet: of the two, one at most is on the version it wants."""
    try:
        version = await store.commit(actor_id, changes, expected=expected)
    except (Full, Duplicate):
        fence = Changes(commit_id=f"{changes.commit_id}!", touch=True)
        await store.commit(actor_id, fence, expected=expected)
        return Verdict(applied=False)
    return Verdict(applied=True, version=version)


def _makes(changes: Changes) -> bool:
    """Whether changes leave behind what keeps them from being made twice."""
    return bool(_guards(changes))


def _guards(changes: Changes) -> list[Record]:
    """Return the records that are there once changes are made, and must not be before."""
    absent = {(name.collection, name.key) for name in changes.absent}
    return [record for record in changes.puts if (record.collection, record.key) in absent]


async def _made(store: Store, actor_id: str, changes: Changes) -> bool:
    """Whether what is in the way of changes is what they have made themselves."""
    for guard in _guards(changes):
        found = await find_record(store, actor_id, guard.collection, guard.key)
        if found is not None and found.data != guard.data:
            return False
    return True
