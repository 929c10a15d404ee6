"""What changes mean: what two are together, and what they make of a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rivetless.store.base import (
    KEEP,
    RECENT_COMMITS,
    RECENT_REPLIES,
    RECORD_FORMAT,
    Append,
    Changes,
    Head,
    Record,
    RecordKey,
)


def merge(first: Changes, second: Changes) -> Changes:
    """Return one ``Changes`` that has the effect of ``first`` and then ``second``.

    The commit id is the second's. Of two values for the same thing the second's wins; a record
    put by the first and deleted by the second is only deleted. Applying the result differs from
    applying the two by its versions and commit ids only. It is refused where one of the two would
    be; limits of counters are held against what the two add together.
    """
    touched = {(r.collection, r.key) for r in second.puts}
    touched.update((r.collection, r.key) for r in second.deletes)
    counters = dict(first.counters)
    for name, amount in second.counters.items():
        counters[name] = counters.get(name, 0) + amount
    cleared = set(second.outbox_clear)
    versions = [c.code_version or 0 for c in (first, second) if c.versioned]
    return Changes(
        commit_id=second.commit_id,
        create=first.create or second.create,
        state=first.state if second.state is KEEP else second.state,
        alarm=first.alarm if second.alarm is KEEP else second.alarm,
        lease=first.lease if second.lease is KEEP else second.lease,
        replies=(*first.replies, *second.replies)[-RECENT_REPLIES:],
        destroyed_at=first.destroyed_at if second.destroyed_at is None else second.destroyed_at,
        code_version=max(versions, default=0) or None,
        touch=first.touch or second.touch,
        puts=(*(r for r in first.puts if (r.collection, r.key) not in touched), *second.puts),
        deletes=(
            *(r for r in first.deletes if (r.collection, r.key) not in touched),
            *second.deletes,
        ),
        appends=(*first.appends, *second.appends),
        outbox_add=(*(o for o in first.outbox_add if o.id not in cleared), *second.outbox_add),
        outbox_clear=(*first.outbox_clear, *second.outbox_clear),
        counters=counters,
        armed_until=first.armed_until if second.armed_until is KEEP else second.armed_until,
        absent=(*first.absent, *_still_absent(first, second.absent)),
        at_most=_lowest(first.at_most, second.at_most),
    )


def _lowest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    limits = dict(one)
    for name, limit in other.items():
        limits[name] = min(limit, limits.get(name, limit))
    return limits


def _still_absent(first: Changes, wanted: Sequence[RecordKey]) -> Iterator[RecordKey]:
    """Return what has to be absent before ``first`` so that ``wanted`` is absent after it."""
    made = {(r.collection, r.key) for r in first.puts}
    known = {(r.collection, r.key) for r in (*first.deletes, *first.absent)}
    for name in wanted:
        where = (name.collection, name.key)
        if where in made:
            yield from (name, name)  # it cannot be
        elif where not in known:
            yield name


def apply(head: Head | None, actor_id: str, changes: Changes, version: int) -> Head:
    """Return the head that ``changes`` make of ``head``, at ``version``.

    This is the meaning of a commit. Every store must agree with it; the runtime uses it to know
    the new head without reading it back.
    """
    if head is None or changes.create is not None:
        if changes.create is None:
            raise ValueError("changes to a life that does not exist must create it")
        head = Head(actor_id, changes.create.address, 0, None, changes.create.created_at)
    outbox = head.outbox
    if changes.outbox_add or changes.outbox_clear:
        cleared = set(changes.outbox_clear)
        kept = {i: o for i, o in outbox.items() if i not in cleared}
        kept.update((o.id, o) for o in changes.outbox_add)
        outbox = {o.id: o for o in sorted(kept.values(), key=lambda o: (o.created_at, o.id))}
    counters = head.counters
    if changes.counters:
        counters = dict(counters)
        for name, amount in changes.counters.items():
            counters[name] = counters.get(name, 0) + amount
    sequences = head.sequences
    if changes.appends:
        sequences = dict(sequences)
        for name, count in changes.appended.items():
            sequences[name] = sequences.get(name, 0) + count
    dead = changes.destroyed_at is not None or head.destroyed_at is not None
    return Head(
        actor_id=actor_id,
        address=head.address,
        version=version,
        state=None if dead else head.state if changes.state is KEEP else changes.state,
        created_at=head.created_at,
        destroyed_at=head.destroyed_at if changes.destroyed_at is None else changes.destroyed_at,
        alarm=None if dead else head.alarm if changes.alarm is KEEP else changes.alarm,
        armed_until=head.armed_until if changes.armed_until is KEEP else changes.armed_until,
        lease=None if dead else head.lease if changes.lease is KEEP else changes.lease,
        commits=(*head.commits, changes.commit_id)[-RECENT_COMMITS:]
        if changes.versioned
        else head.commits,
        replies=() if dead else (*head.replies, *changes.replies)[-RECENT_REPLIES:],
        outbox=outbox,
        counters=counters,
        sequences=sequences,
        code_version=max(head.code_version, changes.code_version or 0)
        if changes.versioned
        else head.code_version,
        format=RECORD_FORMAT if changes.versioned else head.format,
    )


def numbered(changes: Changes, sequences: Mapping[str, int]) -> list[Record]:
    """Return the records that ``changes`` append to a head with these ``sequences``."""
    last = dict(sequences)
    records: list[Record] = []
    for append in changes.appends:
        where = append.collection
        last[where] = last.get(where, 0) + 1
        records.append(Record(where, Append.key(last[where]), append.data, append.expires_at))
    return records
