"""Items and what they stand for: heads, records, hosts, and the small encodings between them."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rivetless.keys import (
    Address,
    join_actor_id,
    parse,
    partition_of_address,
    serialise,
    split_actor_id,
)
from rivetless.store.base import (
    DRAINED_FOR,
    RECENT_COMMITS,
    RECENT_REPLIES,
    RECORD_FORMAT,
    Changes,
    Collection,
    Creation,
    Head,
    Host,
    Lease,
    NewerFormat,
    Outgoing,
    Record,
    Reply,
)
from rivetless.store.dynamodb import table

Value: TypeAlias = dict[str, Any]
"""A value with its type in front: ``{"N": "1"}``."""

Item: TypeAlias = Mapping[str, Value]

LIFE_BYTES: Final = 7
MOST_PAST: Final = 64
"""How many drained lives an address remembers; whoever has had more lately is a test."""

_SEPARATOR: Final = "\x1f"  # cannot be shown, so it is in no name
_COMPACT_ID: Final = re.compile(r"[0-9a-f]{16}\.[1-9a-f][0-9a-f]{0,15}", re.ASCII)


# -- values --------------------------------------------------------------------------------------


def text(value: str) -> Value:
    """Return a text's value."""
    return {"S": value}


def binary(value: bytes) -> Value:
    """Return the value of bytes."""
    return {"B": value}


def number(value: float) -> Value:
    """Return a number's value; a float keeps every bit."""
    shown = repr(value)
    return {"N": shown.removesuffix(".0")}


def as_float(value: Value | None) -> float | None:
    """Return a number that may be absent."""
    return None if value is None else float(value["N"])


def as_int(value: Value | None) -> int:
    """Return a whole number; 0 if it is absent."""
    return 0 if value is None else int(value["N"])


# -- keys ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a life is.

    Attributes:
        partition: of its address.
        life: its number, as sort keys begin.
    """

    partition: str
    life: bytes

    @classmethod
    def of(cls, actor_id: str) -> Place:
        """Return where the life of an id is.

        Raises:
            ActorError: it is no actor id.
        """
        ref = split_actor_id(actor_id)
        return cls(ref.partition, ref.life.to_bytes(LIFE_BYTES, "big"))

    @property
    def actor_id(self) -> str:
        """The id of the life."""
        return join_actor_id(self.partition, int.from_bytes(self.life, "big"))

    @property
    def head(self) -> dict[str, Value]:
        """The key of its head."""
        return head_key(self.partition)

    def child(self, letter: bytes, name: bytes) -> dict[str, Value]:
        """Return the key of an item beside the head."""
        return item_key(self.partition, self.life + letter + name)


def item_key(partition: str, sort_key: bytes) -> dict[str, Value]:
    """Return the key of an item."""
    return {table.PK: text(partition), table.SK: binary(sort_key)}


def head_key(partition: str) -> dict[str, Value]:
    """Return the key of a head."""
    return item_key(partition, table.HEAD_SK)


def listed(namespace: str, name: str) -> str:
    """Return what the actors of one name have in common."""
    return namespace + _SEPARATOR + name


def sortable(instant: float) -> bytes:
    """Return 8 bytes that sort as the numbers do."""
    bits = int.from_bytes(struct.pack(">d", instant + 0.0), "big")
    # The sign bit is flipped, so that negative numbers come first; theirs the other way round.
    bits = bits ^ (1 << 63) if not bits >> 63 else bits ^ ((1 << 64) - 1)
    return bits.to_bytes(8, "big")


def unsortable(data: bytes) -> float:
    """Return the number of ``sortable``."""
    bits = int.from_bytes(data, "big")
    bits = bits ^ (1 << 63) if bits >> 63 else bits ^ ((1 << 64) - 1)
    return float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])


def born(created_at: float, actor_id: str) -> bytes:
    """Return what sorts actors by ``created_at`` and then by id."""
    place = Place.of(actor_id)
    return sortable(created_at) + bytes.fromhex(place.partition) + place.life


# -- heads ---------------------------------------------------------------------------------------


def pack_commit_id(commit_id: str) -> Value:
    """Return a commit id's value. The runtime's ids take half their length; a head keeps 32."""
    if _COMPACT_ID.fullmatch(commit_id) is None:
        return text(commit_id)
    process, _, count = commit_id.partition(".")
    number = int(count, 16)
    return binary(bytes.fromhex(process) + number.to_bytes((number.bit_length() + 7) // 8, "big"))


def unpack_commit_id(value: Value) -> str:
    """Return the commit id of a value."""
    if "S" in value:
        return str(value["S"])
    data: bytes = value["B"]
    return f"{data[:8].hex()}.{int.from_bytes(data[8:], 'big'):x}"


def pack_lease(lease: Lease) -> Value:
    """Return a lease's value."""
    chain: Value = {"L": [text(actor) for actor in lease.chain]}
    return {
        "L": [text(lease.holder), number(lease.expires_at), chain, {"BOOL": lease.closed}],
    }


def _lease(value: Value | None) -> Lease | None:
    if value is None:
        return None
    holder, expires_at, chain, closed = value["L"]
    return Lease(
        holder["S"],
        float(expires_at["N"]),
        tuple(actor["S"] for actor in chain["L"]),
        closed["BOOL"],
    )


def pack_reply(reply: Reply) -> Value:
    """Return a reply's value."""
    return {"L": [text(reply.key), text(reply.check), binary(reply.data), number(reply.expires_at)]}


def _reply(value: Value) -> Reply:
    key, check, data, expires_at = value["L"]
    return Reply(key["S"], check["S"], data["B"], float(expires_at["N"]))


def pack_outgoing(entry: Outgoing) -> Value:
    """Return an outbox entry's value."""
    return {"L": [number(entry.created_at), binary(entry.data)]}


def outbox(item: Item) -> dict[str, Outgoing]:
    """Return a head's outbox, oldest first."""
    packed: Mapping[str, Value] = item[table.OUTBOX]["M"]
    entries = [
        Outgoing(name, float(value["L"][0]["N"]), value["L"][1]["B"])
        for name, value in packed.items()
    ]
    entries.sort(key=lambda entry: (entry.created_at, entry.id))
    return {entry.id: entry for entry in entries}


def reply_slot(count: int) -> str:
    """Return where in its ring the n-th reply is (from 0)."""
    return str(count % RECENT_REPLIES)


def replies(item: Item) -> tuple[Reply, ...]:
    """Return a head's replies, oldest first."""
    total = as_int(item.get(table.REPLIED))
    if not total:
        return ()
    ring: Mapping[str, Value] = item[table.REPLIES]["M"]
    first = max(0, total - RECENT_REPLIES)
    return tuple(_reply(ring[reply_slot(count)]) for count in range(first, total))


def commits(item: Item) -> tuple[str, ...]:
    """Return the ids of a head's last commits, oldest first."""
    ring = [unpack_commit_id(value) for value in item[table.COMMITS]["L"]]
    turn = as_int(item[table.VERSION]) % RECENT_COMMITS if len(ring) == RECENT_COMMITS else 0
    return (*ring[turn:], *ring[:turn])


def sequences(item: Item) -> dict[str, int]:
    """Return the last number given in each collection of a head."""
    return {
        name.removeprefix(table.SEQUENCE): as_int(value)
        for name, value in item.items()
        if name.startswith(table.SEQUENCE)
    }


def counters(item: Item) -> dict[str, int]:
    """Return a head's counters."""
    found: Mapping[str, Value] = item[table.COUNTERS]["M"]
    return {name: as_int(value) for name, value in found.items()}


def is_dead(item: Item) -> bool:
    """Say whether a head is a tombstone."""
    return table.DIED in item


def is_drained(item: Item) -> bool:
    """Say whether a head is all that is left of a tombstone."""
    return table.DRAINED in item


def drained_head(item: Item, now: float) -> dict[str, Value]:
    """Return what is left of a tombstone's head: enough that its life never begins again."""
    kept = (table.PK, table.SK, table.LIFE, table.DIED, table.PAST)
    return {name: item[name] for name in kept if name in item} | {
        table.DRAINED: number(now),
        table.TTL: number(math.ceil(now + DRAINED_FOR)),
    }


def past_lives(item: Item, now: float) -> list[Value]:
    """Return the lives of an address that were drained lately, the drained head's last."""
    own: Value = {"L": [item[table.LIFE], item[table.DRAINED]]}
    before: list[Value] = item[table.PAST]["L"] if table.PAST in item else []
    recent = [past for past in before if float(past["L"][1]["N"]) > now - DRAINED_FOR]
    return [*recent[1 - MOST_PAST :], own]


def place_of(item: Item) -> Place:
    """Return where the life of a head is."""
    return Place(item[table.PK]["S"], item[table.LIFE]["B"])


def address_of(item: Item) -> Address:
    """Return the address of a head."""
    namespace, _, name = item[table.LISTED]["S"].partition(_SEPARATOR)
    return Address(namespace, name, parse(item[table.KEY]["S"]))


def check_format(item: Item) -> None:
    """Refuse a head that newer code wrote.

    Raises:
        NewerFormat: it is in a format that this code does not know.
    """
    written = as_int(item[table.FORMAT])
    if written > RECORD_FORMAT:
        raise NewerFormat(
            f"actor {place_of(item).actor_id} is in record format {written}; "
            f"this version of rivetless knows formats up to {RECORD_FORMAT}"
        )


def head(item: Item, state: bytes | None = None) -> Head:
    """Return the head that an item is.

    Args:
        item: the item, whole.
        state: the state, where it is in pieces of its own.
    """
    died = as_float(item.get(table.DIED))
    if table.STATE in item:
        state = item[table.STATE]["B"]
    return Head(
        actor_id=place_of(item).actor_id,
        address=address_of(item),
        version=as_int(item[table.VERSION]),
        state=state,
        created_at=unsortable(item[table.BORN]["B"][:8]),
        destroyed_at=died,
        alarm=None if died is not None else as_float(item.get(table.WAKE_AT)),
        armed_until=as_float(item.get(table.ARMED)),
        lease=_lease(item.get(table.LEASE)),
        commits=commits(item),
        replies=replies(item),
        outbox=outbox(item),
        counters=counters(item),
        sequences=sequences(item),
        code_version=as_int(item.get(table.CODE)),
        format=as_int(item[table.FORMAT]),
    )


def listed_head(item: Item) -> Head:
    """Return what listing promises of a head."""
    return Head(
        actor_id=place_of(item).actor_id,
        address=address_of(item),
        version=as_int(item[table.VERSION]),
        state=None,
        created_at=unsortable(item[table.BORN]["B"][:8]),
        destroyed_at=as_float(item.get(table.DIED)),
    )


def new_head(actor_id: str, creation: Creation, changes: Changes) -> dict[str, Value]:
    """Return the item that begins a life, without its state.

    It is complete: partial updates need the maps they write into.
    """
    place = Place.of(actor_id)
    address = creation.address
    entries = {entry.id: entry for entry in changes.outbox_add}
    kept = changes.replies[-RECENT_REPLIES:] if changes.destroyed_at is None else ()
    item = place.head | {
        table.LIFE: binary(place.life),
        table.KEY: text(serialise(address.key)),
        table.LISTED: text(listed(address.namespace, address.name)),
        table.BORN: binary(born(creation.created_at, actor_id)),
        table.SHARD: text(table.shard_of(partition_of_address(address))),
        table.VERSION: number(1),
        table.FORMAT: number(RECORD_FORMAT),
        table.COMMITS: {"L": [pack_commit_id(changes.commit_id)]},
        table.REPLIES: {
            "M": {reply_slot(count): pack_reply(reply) for count, reply in enumerate(kept)}
        },
        table.OUTBOX: {"M": {name: pack_outgoing(entry) for name, entry in entries.items()}},
        table.COUNTERS: {"M": {name: number(n) for name, n in changes.counters.items()}},
    }
    for name, count in changes.appended.items():
        item[table.SEQUENCE + name] = number(count)
    if kept:
        item[table.REPLIED] = number(len(kept))
    if entries:
        item[table.OUTBOX_AT] = number(min(entry.created_at for entry in entries.values()))
    if changes.code_version:
        item[table.CODE] = number(changes.code_version)
    if isinstance(changes.armed_until, int | float):
        item[table.ARMED] = number(changes.armed_until)
    if changes.destroyed_at is not None:
        item[table.DIED] = item[table.WAKE_AT] = number(changes.destroyed_at)
    else:
        if isinstance(changes.alarm, int | float):
            item[table.WAKE_AT] = number(changes.alarm)
        if isinstance(changes.lease, Lease):
            item[table.LEASE] = pack_lease(changes.lease)
    return item


# -- records and hosts ---------------------------------------------------------------------------


def record_item(place: Place, record: Record) -> dict[str, Value]:
    """Return a record's item."""
    item = place.child(record.collection.encode(), record.key)
    item[table.STATE] = binary(record.data)
    if record.expires_at is not None:
        item[table.EXPIRES] = number(record.expires_at)
        item[table.TTL] = number(math.ceil(record.expires_at))
    if record.host is not None:
        item[table.HOST] = text(record.host)
    return item


def is_absent(now: float) -> dict[str, Any]:
    """Return the condition that a record is not there, or has expired."""
    return {
        "ConditionExpression": f"attribute_not_exists({table.PK}) OR {table.EXPIRES} <= :now",
        "ExpressionAttributeValues": {":now": number(now)},
    }


def record(item: Item) -> Record:
    """Return the record that an item is."""
    sort_key: bytes = item[table.SK]["B"]
    host = item.get(table.HOST)
    return Record(
        Collection(sort_key[LIFE_BYTES : LIFE_BYTES + 1].decode()),
        sort_key[LIFE_BYTES + 1 :],
        item[table.STATE]["B"],
        as_float(item.get(table.EXPIRES)),
        None if host is None else host["S"],
    )


def host_item(host: Host) -> dict[str, Value]:
    """Return a host's item."""
    return item_key(table.HOSTS, host.id.encode()) | {
        table.LINK: text(host.url),
        table.EXPIRES: number(host.expires_at),
    }


def host(item: Item) -> Host:
    """Return the host that an item is."""
    return Host(
        item[table.SK]["B"].decode(), item[table.LINK]["S"], float(item[table.EXPIRES]["N"])
    )
