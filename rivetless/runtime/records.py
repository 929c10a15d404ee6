"""How connections and subscriptions are written down beside a head.

A connection is two records: one that never changes (who, from where, through which host), and its
state, which is versioned like the actor's. A subscription is two as well, a connection and event:
one named so that an event's subscribers are one range, one so that a connection's events are.

The first subscription of a life moves its version and is noted in a counter. So whoever commits on
a version of which the counter says nothing knows that nobody listens, without having looked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from rivetless.actor.turn import ConnInfo, RequestInfo, latin_headers, text_headers
from rivetless.protocol.values import JSON, tag, untag
from rivetless.store.base import Collection, Record, RecordKey, Store

LISTENED: Final = "listened"
"""Counter of a head that is not 0 once somebody has subscribed to an event of this life."""


STANDING: Final = frozenset({"apigw"})
"""Hosts that are services and not processes. They give no heartbeat and do not die, so nobody looks
for the connections of one, and a store need not keep all of those in one place.
"""


ADMISSION_KEPT: Final = 3 * 3600.0
"""Seconds for which it is known that a connection was let in: no standing host holds one so long,
and one that it holds no more is not let in.
"""


def connection_record(info: ConnInfo) -> Record:
    """Write a connection down."""
    request = info.request
    data: dict[str, object] = {
        "kind": info.kind,
        "params": tag(info.params, JSON),
        "request": request and [request.method, request.url, text_headers(request.headers)],
    }
    standing = info.host in STANDING
    if standing:
        data["host"] = info.host
    return Record(
        Collection.CONNECTION,
        info.id.encode(),
        json.dumps(data, separators=(",", ":")).encode(),
        host=None if standing else info.host,
    )


def read_connection(record: Record) -> ConnInfo:
    """Read a connection back."""
    data = json.loads(record.data)
    request = data["request"]
    return ConnInfo(
        id=record.key.decode(),
        kind=data["kind"],
        params=untag(data["params"]),
        host=record.host or data.get("host"),
        request=request and RequestInfo(request[0], request[1], latin_headers(request[2])),
    )


def admission_key(conn_id: str) -> RecordKey:
    """Name the note that a connection was let in."""
    return RecordKey(Collection.REPLY, b"admitted:" + conn_id.encode())


def admission_record(conn_id: str, admission: str, now: float) -> Record:
    """Note that a connection was let in, which outlasts the connection.

    Args:
        conn_id: the connection.
        admission: tells this one from another by which somebody else lets the same connection in.
        now: Unix seconds.
    """
    name = admission_key(conn_id)
    return Record(name.collection, name.key, admission.encode(), expires_at=now + ADMISSION_KEPT)


def conn_state_record(conn_id: str, state: bytes) -> Record:
    """Write a connection's state down."""
    return Record(Collection.CONN_STATE, conn_id.encode(), state)


def subscription_records(event: str, conn_id: str, host: str) -> tuple[Record, Record]:
    """Write down that a connection listens to an event.

    Written late, it may be all that there is of a connection: it is found by its host, too.
    """
    by_event, by_connection = subscription_keys(event, conn_id)
    finder = None if host in STANDING else host
    return (
        Record(by_event.collection, by_event.key, host.encode()),
        Record(by_connection.collection, by_connection.key, b"", host=finder),
    )


def connection_of(record: Record) -> str:
    """Return the id of the connection that a host's record is about."""
    return record.key.partition(b"\0")[0].decode()


def subscription_keys(event: str, conn_id: str) -> tuple[RecordKey, RecordKey]:
    """Name those records."""
    # Connection ids hold no NUL, so an event's subscribers are exactly the keys up to its last one;
    # nor do events.
    name, conn = event.encode(), conn_id.encode()
    return (
        RecordKey(Collection.SUBSCRIPTION, name + b"\0" + conn),
        RecordKey(Collection.LISTENING, conn + b"\0" + name),
    )


def connection_keys(conn_id: str, events: Iterable[str]) -> tuple[RecordKey, ...]:
    """Name everything that is written down about a connection."""
    key = conn_id.encode()
    return (
        RecordKey(Collection.CONNECTION, key),
        RecordKey(Collection.CONN_STATE, key),
        *(key for event in events for key in subscription_keys(event, conn_id)),
    )


async def find_record(
    store: Store, actor_id: str, collection: Collection, key: bytes
) -> Record | None:
    """Read one record."""
    found = await store.records(actor_id, collection, start=key, end=key + b"\0", limit=1)
    return found[0] if found else None


async def subscribers_of(store: Store, actor_id: str, event: str) -> dict[str, list[str]]:
    """Read the ids of the connections that listen to ``event``, by host."""
    prefix = event.encode() + b"\0"
    by_host: dict[str, list[str]] = {}
    for record in await store.records(
        actor_id, Collection.SUBSCRIPTION, start=prefix, end=event.encode() + b"\1"
    ):
        by_host.setdefault(record.data.decode(), []).append(record.key[len(prefix) :].decode())
    return by_host


async def events_of(store: Store, actor_id: str, conn_id: str) -> list[str]:
    """Read which events a connection listens to."""
    prefix = conn_id.encode() + b"\0"
    found = await store.records(
        actor_id, Collection.LISTENING, start=prefix, end=conn_id.encode() + b"\1"
    )
    return [record.key[len(prefix) :].decode() for record in found]
