"""What a commit writes: the head's update, the items beside it, and what a refusal means.

Nothing here waits or sends. A commit is planned without having read the head: it writes parts of
attributes, and its conditions say what it takes for granted. Where one of those assumptions was
wrong the service refuses and shows the head, and the plan is made again with the head in hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

from rivetless.store.base import (
    RECENT_COMMITS,
    RECENT_REPLIES,
    RECORD_FORMAT,
    Append,
    Capabilities,
    Changes,
    Collection,
    Conflict,
    Gone,
    Lease,
)
from rivetless.store.changes import numbered
from rivetless.store.dynamodb import items, table
from rivetless.store.dynamodb.calls import ConditionFailed
from rivetless.store.dynamodb.expressions import Expression
from rivetless.store.dynamodb.items import Item, Place, Value
from rivetless.store.limits import check_counters

MOST_ITEMS: Final = 100
"""Requests in a transaction."""

INLINE_STATE: Final = 300 * 1024
"""Bytes of the largest state that is kept in the head; an item has at most 400 KB."""

CHUNK: Final = 390 * 1024
"""Bytes of each piece of a larger one."""

MOST_STATE: Final = 2900 * 1024
"""Bytes of the largest state. A transaction has 4 MB; this fits however they are counted: as items,
beside a head of 400 KB, or in base64, as on the wire."""

MOST_KEY: Final = 1024 - items.LIFE_BYTES - 1
"""Bytes of the longest record key: a sort key has 1,024."""

CAPABILITIES: Final = Capabilities(
    max_state_bytes=MOST_STATE,
    max_record_bytes=CHUNK,
    max_key_bytes=MOST_KEY,
    max_commit_records=MOST_ITEMS - 1 - -(-MOST_STATE // CHUNK),
    max_commit_bytes=MOST_STATE,
)

MOST_BLIND_ENTRIES: Final = 40
"""Outbox entries that a plan names one by one: an expression has at most 4 KB."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a commit needs to know of the head it is made on. Remembered, so not read again.

    Attributes:
        version: the version, which determines the next two.
        replied: how many replies the head has had.
        code: the highest code version that wrote it.
        sequences: the last number that was given in each collection, as far as we have heard.
    """

    version: int
    replied: int = 0
    code: int = 0
    sequences: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, head: Item) -> Known:
        """Return what there is to know of a head."""
        return cls(
            items.as_int(head[table.VERSION]),
            items.as_int(head.get(table.REPLIED)),
            items.as_int(head.get(table.CODE)),
            items.sequences(head),
        )

    def after(self, changes: Changes) -> Known:
        """Return what a commit makes of it."""
        sequences = self.sequences
        if changes.appends:
            sequences = dict(sequences)
            for name, count in changes.appended.items():
                sequences[name] = sequences.get(name, 0) + count
        if not changes.versioned:
            return replace(self, sequences=sequences)
        dead = changes.destroyed_at is not None
        return Known(
            self.version + 1,
            0 if dead else self.replied + len(changes.replies[-RECENT_REPLIES:]),
            max(self.code, changes.code_version or 0),
            sequences,
        )


def needs_head(changes: Changes, expected: int | None, known: Known | None) -> bool:
    """Say whether a commit's plan takes the head itself, or more than is known of it."""
    if len(changes.outbox_add) + len(changes.outbox_clear) > MOST_BLIND_ENTRIES:
        return True
    if changes.appends and (known is None or _outrun(changes, known.sequences)):
        return True
    needs_version = changes.versioned and (bool(changes.replies) or bool(changes.code_version))
    return needs_version and (known is None or known.version != expected)


def _outrun(changes: Changes, last: Mapping[str, int]) -> bool:
    """Say whether a commit removes what was appended after we heard of the last numbers.

    It would append under the same number then, and a transaction takes each item once only.
    """
    return any(
        name.collection in changes.appended
        and Append.number(name.key) > last.get(name.collection, 0)
        for name in changes.deletes
    )


# -- the head ------------------------------------------------------------------------------------


def plan(
    place: Place,
    changes: Changes,
    expected: int | None,
    known: Known | None,
    head: Item | None,
    *,
    reserved: bool = False,
) -> Expression:
    """Return what a commit to a life does to its head.

    Args:
        place: where the life is.
        changes: what is committed.
        expected: the version it was prepared on.
        known: of the head.
        head: the head as it was a moment ago, where a plan without it was refused.
        reserved: whether the numbers behind the known ones are ours already.
    """
    plan = Expression(place.head)
    plan.require(f"{table.LIFE} = {plan.value(items.binary(place.life))}")
    end = table.DIED if changes.enriching else table.DRAINED
    plan.require(f"attribute_not_exists({end})")
    if expected is not None:
        plan.require(f"{table.VERSION} = {plan.value(items.number(expected))}")
        if changes.versioned:
            fits = known is not None and known.version == expected
            _plan_versioned(plan, changes, expected + 1, known if fits else None)
    for name, amount in changes.counters.items():
        path = f"{table.COUNTERS}.{plan.name(name)}"
        plan.add(path, items.number(amount))
        if amount > 0 and (limit := changes.at_most.get(name)) is not None:
            room = f"{path} <= {plan.value(items.number(limit - amount))}"
            # What is not there yet is nothing.
            plan.require(f"(attribute_not_exists({path}) OR {room})" if amount <= limit else room)
    if changes.appends and known is not None and not reserved:
        _plan_sequences(plan, changes, known.sequences)
    _plan_number(plan, table.ARMED, changes.armed_until)
    if changes.outbox_add or changes.outbox_clear:
        plan.add(table.OUTBOX_REV, items.number(1))
        if head is None:
            _plan_outbox(plan, changes)
        else:
            _plan_whole_outbox(plan, changes, head)
    return plan


def _plan_versioned(plan: Expression, changes: Changes, version: int, known: Known | None) -> None:
    written = plan.value(items.number(RECORD_FORMAT))
    plan.require(f"{table.FORMAT} <= {written}")
    plan.set(table.FORMAT, items.number(RECORD_FORMAT))
    plan.set(table.VERSION, items.number(version))
    # Just behind the ring's end this appends.
    slot = (version - 1) % RECENT_COMMITS
    plan.set(f"{table.COMMITS}[{slot}]", items.pack_commit_id(changes.commit_id))
    if changes.code_version is not None and known is not None and changes.code_version > known.code:
        plan.set(table.CODE, items.number(changes.code_version))
    if changes.destroyed_at is not None:
        plan.set(table.DIED, items.number(changes.destroyed_at))
        plan.set(table.WAKE_AT, items.number(changes.destroyed_at))
        plan.set(table.REPLIES, {"M": {}})
        plan.remove(table.STATE, table.CHUNKS, table.LEASE, table.REPLIED)
        return
    _plan_number(plan, table.WAKE_AT, changes.alarm)
    if isinstance(changes.lease, Lease):
        plan.set(table.LEASE, items.pack_lease(changes.lease))
    elif changes.lease is None:
        plan.remove(table.LEASE)
    if isinstance(changes.state, bytes):
        name, value = state_value(changes.state, version)
        plan.set(name, value)
        plan.remove(table.CHUNKS if name == table.STATE else table.STATE)
    elif changes.state is None:
        plan.remove(table.STATE, table.CHUNKS)
    if changes.replies and known is not None:
        # More than the ring holds would write a slot twice.
        latest = changes.replies[-RECENT_REPLIES:]
        for count, reply in enumerate(latest, known.replied):
            path = f"{table.REPLIES}.{plan.name(items.reply_slot(count))}"
            plan.set(path, items.pack_reply(reply))
        plan.set(table.REPLIED, items.number(known.replied + len(latest)))


def _plan_sequences(plan: Expression, changes: Changes, last: Mapping[str, int]) -> None:
    """Take the next numbers, if nobody has taken any since we heard of the last ones."""
    for name, count in changes.appended.items():
        path = table.SEQUENCE + name
        if name in last:
            plan.require(f"{path} = {plan.value(items.number(last[name]))}")
        else:
            plan.require(f"attribute_not_exists({path})")
        plan.set(path, items.number(last.get(name, 0) + count))


def reserve(place: Place, changes: Changes) -> Expression:
    """Return what takes the next numbers whatever the last ones are; the answer shows which."""
    plan = Expression(place.head)
    plan.require(f"{table.LIFE} = {plan.value(items.binary(place.life))}")
    plan.require(f"attribute_not_exists({table.DIED})")
    for name, count in changes.appended.items():
        plan.add(table.SEQUENCE + name, items.number(count))
    return plan


def _plan_number(plan: Expression, name: str, value: object) -> None:
    if isinstance(value, int | float):
        plan.set(name, items.number(value))
    elif value is None:
        plan.remove(name)


def _plan_outbox(plan: Expression, changes: Changes) -> None:
    """Write the outbox without having seen it, so that its oldest entry's date stays exact."""
    added = {entry.id: entry for entry in changes.outbox_add}
    if changes.outbox_clear:
        # What is cleared is nearly always all there was.
        cleared = set(changes.outbox_clear)
        plan.require(f"size({table.OUTBOX}) = {plan.value(items.number(len(cleared)))}")
        for name in sorted(cleared):
            plan.require(f"attribute_exists({table.OUTBOX}.{plan.name(name)})")
        _set_outbox(plan, {name: items.pack_outgoing(entry) for name, entry in added.items()})
        return
    oldest = items.number(min(entry.created_at for entry in added.values()))
    # New entries are nearly always new, and younger than the others.
    at = table.OUTBOX_AT
    plan.require(f"(attribute_not_exists({at}) OR {at} <= {plan.value(oldest)})")
    plan.set_once(at, oldest)
    for name, entry in added.items():
        path = f"{table.OUTBOX}.{plan.name(name)}"
        plan.require(f"attribute_not_exists({path})")
        plan.set(path, items.pack_outgoing(entry))


def _plan_whole_outbox(plan: Expression, changes: Changes, head: Item) -> None:
    """Write the outbox whole, if nobody has touched it since the head was read."""
    revision = head.get(table.OUTBOX_REV)
    if revision is None:
        plan.require(f"attribute_not_exists({table.OUTBOX_REV})")
    else:
        plan.require(f"{table.OUTBOX_REV} = {plan.value(revision)}")
    entries: Mapping[str, Value] = head[table.OUTBOX]["M"]
    kept = {name: value for name, value in entries.items() if name not in changes.outbox_clear}
    kept.update((entry.id, items.pack_outgoing(entry)) for entry in changes.outbox_add)
    _set_outbox(plan, kept)


def _set_outbox(plan: Expression, entries: dict[str, Value]) -> None:
    plan.set(table.OUTBOX, {"M": entries})
    if entries:
        oldest = min(float(value["L"][0]["N"]) for value in entries.values())
        plan.set(table.OUTBOX_AT, items.number(oldest))
    else:
        plan.remove(table.OUTBOX_AT)


def replacing(
    actor_id: str, place: Place, item: dict[str, Value], left: Item, now: float
) -> dict[str, Any]:
    """Return how a head is put in the place of one that was drained.

    Raises:
        Gone: it is of one of the lives that were.
    """
    past = items.past_lives(left, now)
    if any(life["L"][0]["B"] == place.life for life in past):
        raise Gone(f"actor {actor_id} was destroyed")
    return {
        "Item": item | {table.PAST: {"L": past}},
        "ConditionExpression": f"{table.LIFE} = :left AND attribute_exists({table.DRAINED})",
        "ExpressionAttributeValues": {":left": left[table.LIFE]},
    }


# -- beside the head -----------------------------------------------------------------------------


def state_value(state: bytes, version: int) -> tuple[str, Value]:
    """Return the head's attribute for a state that is written at a version, and its value."""
    if len(state) <= INLINE_STATE:
        return table.STATE, items.binary(state)
    count = -(-len(state) // CHUNK)
    return table.CHUNKS, {"M": {"n": items.number(count), "v": items.number(version)}}


def beside(
    name: str,
    place: Place,
    changes: Changes,
    version: int,
    last: Mapping[str, int],
    now: float,
) -> list[dict[str, Any]]:
    """Return a transaction's requests for the items beside the head.

    Args:
        name: of the table.
        place: where the life is.
        changes: what is committed.
        version: the head's afterwards.
        last: the numbers behind which records are appended.
        now: what has expired by then is absent.
    """
    puts = {(record.collection, record.key): record for record in changes.puts}
    deletes: dict[tuple[Collection, bytes], None] = {
        (key.collection, key.key): None for key in changes.deletes
    }
    absent = {(key.collection, key.key) for key in changes.absent}
    if changes.create is not None:  # a life that begins has nothing to delete, or to find
        deletes.clear()
        absent.clear()
    requests: list[dict[str, Any]] = []

    def request(kind: str, fields: dict[str, Any], *, if_absent: bool) -> None:
        condition = items.is_absent(now) if if_absent else {}
        requests.append({kind: {"TableName": name, **fields, **condition}})

    for where, record in puts.items():
        request("Put", {"Item": items.record_item(place, record)}, if_absent=where in absent)
    for where in deletes:
        if where not in puts:
            request("Delete", {"Key": _child(place, where)}, if_absent=where in absent)
    appended = numbered(changes, last)
    # What has the next number is not there: the head's condition on the last one says so.
    absent -= {(record.collection, record.key) for record in appended}
    for where in absent:
        if where not in puts and where not in deletes:
            request("ConditionCheck", {"Key": _child(place, where)}, if_absent=True)
    for record in appended:
        request("Put", {"Item": items.record_item(place, record)}, if_absent=False)
    for item in _chunks(place, changes, version):
        request("Put", {"Item": item}, if_absent=False)
    return requests


def token(changes: Changes, beside: list[dict[str, Any]]) -> str | None:
    """Return what the service knows bare changes again by, should they be sent again.

    It is of their id and their content: one id may be used for a commit alone and with others.
    """
    if not changes.bare:
        return None
    text = repr((changes.commit_id, beside))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _child(place: Place, where: tuple[Collection, bytes]) -> dict[str, Value]:
    collection, key = where
    return place.child(collection.encode(), key)


def _chunks(place: Place, changes: Changes, version: int) -> list[dict[str, Value]]:
    """Return the pieces of a state that is too large for the head."""
    state = changes.state
    if (
        isinstance(state, bytes)
        and len(state) > INLINE_STATE
        and changes.destroyed_at is None
        and changes.versioned
    ):
        stamp = {table.STAMP: items.number(version)}
        return [
            place.child(table.CHUNK_LETTER, bytes([number]))
            | {table.STATE: items.binary(state[start : start + CHUNK])}
            | stamp
            for number, start in enumerate(range(0, len(state), CHUNK))
        ]
    return []


# -- refusals ------------------------------------------------------------------------------------


def fence(actor_id: str, place: Place, changes: Changes, expected: int | None, head: Item) -> None:
    """Raise what a commit deserves on this head; return if there is nothing against it.

    Raises:
        Gone: it is another life, or a tombstone that takes no such changes.
        Conflict: it is at another version.
        NewerFormat: newer code wrote it.
        Full: a counter would rise above its limit.
    """
    if head[table.LIFE]["B"] != place.life or items.is_drained(head):
        raise Gone(f"actor {actor_id} does not exist")
    if items.is_dead(head) and changes.enriching:
        raise Gone(f"actor {actor_id} was destroyed")
    if expected is not None and expected != items.as_int(head[table.VERSION]):
        raise conflict(actor_id, head)
    if changes.versioned:
        items.check_format(head)
    check_counters(changes, items.counters(head))


def is_overtaken(
    failed: ConditionFailed,
    changes: Changes,
    expected: int | None,
    last: Mapping[str, int] | None,
) -> bool:
    """Whether a write that was refused can never be taken: what it counts on has moved on.

    Else it may be, should it arrive once more: counters fall, entries are cleared, records go.

    Args:
        failed: the refusal.
        changes: what was to be written.
        expected: the version it was prepared on.
        last: the numbers it was prepared on; None if its own were reserved.
    """
    head = failed.item
    if failed.place:
        return False
    if head is None:
        return True
    if expected is not None and items.as_int(head[table.VERSION]) != expected:
        return True
    if last is None:
        return False
    now = items.sequences(head)
    return any(now.get(name, 0) != last.get(name, 0) for name in changes.appended)


def conflict(actor_id: str, head: Item) -> Conflict:
    """Return the refusal that shows a head, if all of it is in the item."""
    readable = items.as_int(head[table.FORMAT]) <= RECORD_FORMAT and table.CHUNKS not in head
    return Conflict(actor_id, items.head(head) if readable else None)
