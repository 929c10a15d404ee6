"""The table as data: its keys, attributes and indexes. Code, deployment and tests all read it here.

An actor is one partition, named by the hash in its id. Its head has the sort key ``HEAD``, so key
and id both lead to it. What else belongs to a life has sort keys that begin with the life:

    life (7 bytes) + collection's letter + record's key     a record
    life (7 bytes) + NUL + number (1 byte)                  a piece of a state too large for a head

Sort keys are binary: records are read in the byte order of their keys. Hosts share a partition.

A commit writes the attributes it owns and never rewrites the others. The *versioned* ones change
only together with ``ver``; the *commutative* ones at any time. Names are short because they count
in an item's size (and so in its price), and none is a reserved word.
"""

from __future__ import annotations

from typing import Any, Final

# -- every item ----------------------------------------------------------------------------------

PK: Final = "pk"  # S: the partition, 24 hexadecimal digits, or HOSTS
SK: Final = "sk"  # B

HEAD_SK: Final = b"HEAD"
"""Sort key of heads. Others have at least 8 bytes, so it is in nobody's way."""

HOSTS: Final = "hosts"
"""Partition of the host records."""

CHUNK_LETTER: Final = b"\0"
"""Stands where records have their collection's letter."""

# -- heads, written at creation only -------------------------------------------------------------

LIFE: Final = "life"  # B: 7 bytes, in every condition
KEY: Final = "akey"  # S: the key's text form
LISTED: Final = "listed"  # S: namespace and name; index "list"
BORN: Final = "born"  # B: created_at in 8 bytes that sort, then the id's 19; index "list"
SHARD: Final = "lane"  # S: which part of the due indexes the actor is in

# -- heads, versioned ----------------------------------------------------------------------------

VERSION: Final = "ver"  # N
STATE: Final = "body"  # B, or absent; on records and chunks their data
CHUNKS: Final = "chunks"  # M: "n" pieces, written at version "v"; instead of STATE
WAKE_AT: Final = "wake_at"  # N: the alarm; on a tombstone the time of its end. Index "wake"
DIED: Final = "died"  # N: marks a tombstone
DRAINED: Final = "drained"  # N: when it was drained; nothing else is left of it than its life
PAST: Final = "past"  # L: the lives drained here lately, each an L of life and time; or absent
LEASE: Final = "lease"  # L: holder, expiry, chain, closed
COMMITS: Final = "commits"  # L: that of version v at (v - 1) mod 32
REPLIES: Final = "replies"  # M: the n-th reply ever at n mod 16
REPLIED: Final = "replied"  # N: how many replies there ever were
CODE: Final = "code"  # N: highest code version
FORMAT: Final = "fmt"  # N: record format

# -- heads, commutative --------------------------------------------------------------------------

OUTBOX: Final = "outbox"  # M: id -> L: created_at, data
OUTBOX_AT: Final = "outbox_at"  # N: the oldest entry's created_at; absent if none. Index "outbox"
OUTBOX_REV: Final = "outbox_rev"  # N: moves with every change of the outbox
COUNTERS: Final = "counters"  # M: name -> N
ARMED: Final = "armed"  # N
SEQUENCE: Final = "seq_"  # N: with a collection's letter behind it, the last number given there

# -- records, chunks, hosts ----------------------------------------------------------------------

EXPIRES: Final = "expires"  # N: exact
TTL: Final = "ends"  # N: whole seconds, for DynamoDB's own removal
HOST: Final = "host"  # S: index "host"
STAMP: Final = "stamp"  # N: on chunks, the version that wrote them
LINK: Final = "link"  # S: on hosts, their URL

# -- indexes -------------------------------------------------------------------------------------

SHARDS: Final = 8
"""Parts of the due indexes: an index partition takes 1,000 writes a second."""

LIST_INDEX: Final = "list"
WAKE_INDEX: Final = "wake"
OUTBOX_INDEX: Final = "outbox"
HOST_INDEX: Final = "host"

# Sparse, and only of what never changes: a commit that moves nothing in them costs nothing more.
_INDEXES: Final = (
    (LIST_INDEX, LISTED, BORN, ()),
    (WAKE_INDEX, SHARD, WAKE_AT, (LIFE,)),
    (OUTBOX_INDEX, SHARD, OUTBOX_AT, (LIFE,)),
    (HOST_INDEX, HOST, None, ()),
)
_TYPES: Final = {
    PK: "S",
    SK: "B",
    LISTED: "S",
    BORN: "B",
    SHARD: "S",
    WAKE_AT: "N",
    OUTBOX_AT: "N",
    HOST: "S",
}


def shard_of(partition: str) -> str:
    """Return the part of the due indexes that an actor is in."""
    return str(int(partition[:2], 16) % SHARDS)


def definition(table: str) -> dict[str, Any]:
    """Return what ``CreateTable`` takes (and, key by key, CloudFormation's ``AWS::DynamoDB``)."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in _TYPES.items()
        ],
        "KeySchema": _key_schema(PK, SK),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": _key_schema(hash_key, range_key),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(included)}
                if included
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for name, hash_key, range_key, included in _INDEXES
        ],
    }


def expiry(table: str) -> dict[str, Any]:
    """Return what ``UpdateTimeToLive`` takes."""
    return {
        "TableName": table,
        "TimeToLiveSpecification": {"AttributeName": TTL, "Enabled": True},
    }


def _key_schema(hash_key: str, range_key: str | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    if range_key is not None:
        schema.append({"AttributeName": range_key, "KeyType": "RANGE"})
    return schema
