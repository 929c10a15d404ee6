"""How connections and subscriptions are written down beside a head.

A connection is two records: one that never changes (who, from where, through which host), and its
state, which is versioned like the actor's. A subscription is one record a connection and event,
named so that an event's subscribers are one range.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rivetless.actor.turn import ConnInfo, RequestInfo
from rivetless.protocol.values import JSON, tag, untag
from rivetless.store.base import Collection, Record, RecordKey, Store


def connection_record(info: ConnInfo) -> Record:
    """Write a connection down."""
    request = info.request
    data = {
        "kind": info.kind,
        "params": tag(info.params, JSON),
        "request": request and [request.method, request.url, request.headers],
    }
    return Record(
        Collection.CONNECTION,
        info.id.encode(),
        json.dumps(data, separators=(",", ":")).encode(),
        host=info.host,
    )


def read_connection(record: Record) -> ConnInfo:
    """Read a connection back."""
    data = json.loads(record.data)
    request = data["request"]
    return ConnInfo(
        id=record.key.decode(),
        kind=data["kind"],
        params=untag(data["params"]),
        host=record.host,
        request=request
        and RequestInfo(request[0], request[1], tuple((n, v) for n, v in request[2])),
    )


def conn_state_record(conn_id: str, state: bytes) -> Record:
    """Write a connection's state down."""
    return Record(Collection.CONN_STATE, conn_id.encode(), state)


def subscription_record(event: str, conn_id: str, host: str) -> Record:
    """Write down that a connection listens to an event."""
    return Record(Collection.SUBSCRIPTION, _subscription(event, conn_id), host.encode())


def subscription_key(event: str, conn_id: str) -> RecordKey:
    """Name that record."""
    return RecordKey(Collection.SUBSCRIPTION, _subscription(event, conn_id))


def _subscription(event: str, conn_id: str) -> bytes:
    # Connection ids hold no NUL, so an event's subscribers are exactly the keys up to its last one.
    return event.encode() + b"\0" + conn_id.encode()


def connection_keys(conn_id: str, events: Iterable[str]) -> tuple[RecordKey, ...]:
    """Name everything that is written down about a connection."""
    key = conn_id.encode()
    return (
        RecordKey(Collection.CONNECTION, key),
        RecordKey(Collection.CONN_STATE, key),
        *(subscription_key(event, conn_id) for event in events),
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
    suffix = b"\0" + conn_id.encode()
    return [
        record.key[: -len(suffix)].decode()
        for record in await store.records(actor_id, Collection.SUBSCRIPTION)
        if record.key.endswith(suffix)
    ]
