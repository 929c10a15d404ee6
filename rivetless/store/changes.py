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
    Collection,
    Head,
    Keep,
    Lease,
    Outgoing,
    Record,
    RecordKey,
    Reply,
)

_Name = tuple[Collection, bytes]


def merge(*several: Changes) -> Changes:
    """Return one ``Changes`` that has the effect of all, one after the other.

    The commit id is the last one's. Of two values for the same thing the later wins; a record that
    is put and then deleted is only deleted. Applying the result differs from applying each by its
    versions and commit ids only. It is refused where one of them would be; limits of counters are
    held against what all add together.
    """
    if len(several) == 1:
        return several[0]
    puts: dict[_Name, Record] = {}
    deletes: dict[_Name, RecordKey] = {}
    absent: list[RecordKey] = []
    outbox: list[Outgoing] = []
    replies: list[Reply] = []
    appends: list[Append] = []
    cleared: list[str] = []
    counters: dict[str, int] = {}
    at_most: dict[str, int] = {}
    create, destroyed_at = None, None
    state: bytes | Keep | None = KEEP
    alarm: float | Keep | None = KEEP
    lease: Lease | Keep | None = KEEP
    armed_until: float | Keep | None = KEEP
    touch, code_version = False, 0
    for one in several:
        if one.absent:
            absent += _still_absent(puts, deletes, absent, one.absent)
        for key in one.deletes:
            puts.pop((key.collection, key.key), None)
            deletes.pop((key.collection, key.key), None)
        for record in one.puts:
            puts.pop((record.collection, record.key), None)
            deletes.pop((record.collection, record.key), None)
        for key in one.deletes:
            deletes[key.collection, key.key] = key
        for record in one.puts:
            puts[record.collection, record.key] = record
        appends += one.appends
        replies += one.replies
        if one.outbox_clear:
            outbox = [entry for entry in outbox if entry.id not in one.outbox_clear]
            cleared += one.outbox_clear
        outbox += one.outbox_add
        for name, amount in one.counters.items():
            counters[name] = counters.get(name, 0) + amount
        for name, limit in one.at_most.items():
            at_most[name] = min(limit, at_most.get(name, limit))
        create = create or one.create
        state = state if one.state is KEEP else one.state
        alarm = alarm if one.alarm is KEEP else one.alarm
        lease = lease if one.lease is KEEP else one.lease
        armed_until = armed_until if one.armed_until is KEEP else one.armed_until
        destroyed_at = destroyed_at if one.destroyed_at is None else one.destroyed_at
        touch = touch or one.touch
        if one.code_version and one.versioned:
            code_version = max(code_version, one.code_version)
    return Changes(
        commit_id=several[-1].commit_id,
        create=create,
        state=state,
        alarm=alarm,
        lease=lease,
        replies=tuple(replies[-RECENT_REPLIES:]),
        destroyed_at=destroyed_at,
        code_version=code_version or None,
        touch=touch,
        puts=tuple(puts.values()),
        deletes=tuple(deletes.values()),
        appends=tuple(appends),
        outbox_add=tuple(outbox),
        outbox_clear=tuple(cleared),
        counters=counters,
        armed_until=armed_until,
        absent=tuple(absent),
        at_most=at_most,
    )


def _still_absent(
    puts: Mapping[_Name, Record],
    deletes: Mapping[_Name, RecordKey],
    absent: Sequence[RecordKey],
    wanted: Sequence[RecordKey],
) -> Iterator[RecordKey]:
    """Return what has to be absent before all so far so that ``wanted`` is absent after it."""
    known = {*deletes, *((name.collection, name.key) for name in absent)}
    for name in wanted:
        where = (name.collection, name.key)
        if where in puts:
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
