"""How messages and replies are written down, by processes of all versions."""

from __future__ import annotations

import pytest

from rivetless.runtime import messages
from rivetless.runtime.dead import Failure
from rivetless.runtime.messages import Stored
from rivetless.runtime.outbox import Dispatch
from rivetless.store.base import Append, Collection, Record

KEY = Append.key(7)


@pytest.mark.parametrize(
    ("stored", "data"),
    [
        (Stored(7, "notes", {"a": [1, "é"]}, 1.25, None), '["notes",1250,null,{"a":[1,"é"]}]'),
        (Stored(7, "asks", "x", 2.0, "w", 1.5), '["asks",2000,"w","x",1.5]'),
    ],
)
def test_messages(stored: Stored, data: str) -> None:
    body = messages.encode_body(stored.body)
    written = messages.write_message(
        stored.queue, body, stored.created_at, stored.waiter, stored.hops
    )
    assert written == data.encode()
    assert messages.read_message(Record(Collection.MESSAGE, KEY, written)) == stored
    assert (stored.key.collection, stored.key.key) == (Collection.MESSAGE, KEY)


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        ({"a": [1, 2]}, b'[{"a":[1,2]}]'),
        (None, b"[null]"),
        (Failure("user", "user.no", "No."), b'["user","user.no","No."]'),
    ],
)
def test_replies(reply: object, data: bytes) -> None:
    record = messages.reply_record("waiter", reply, 100.0)
    assert (record.collection, record.key, record.data) == (
        Collection.REPLY,
        b"done:waiter",
        data,
    )
    assert record.expires_at == 100.0 + messages.REPLY_KEPT
    assert messages.read_reply(record) == reply


def test_failures() -> None:
    record = messages.failures_record(7, 12, 100.0)
    assert (record.key, record.data, record.expires_at) == (b"failed:" + KEY, b"12", 100.0)


def test_arrivals() -> None:
    record = messages.arrival_record("key", "check", 100.0)
    assert (record.key, record.data) == (b"sent:key", b"check")
    assert record.expires_at == 100.0 + messages.ARRIVAL_KEPT


def test_the_mark_of_a_loop_counts_as_tried() -> None:
    mark = Dispatch.read("life", messages.mark(100.7))
    assert (mark.id, mark.kind, mark.body) == ("queue", "queue", b"")
    assert (mark.created_at, mark.attempts, mark.hops) == (100.0, 1, 0.0)
