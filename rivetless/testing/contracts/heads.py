"""The contract of a head's fields: each is written as ``apply`` says, and by itself."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, Final

import pytest

from rivetless.store.base import (
    RECENT_COMMITS,
    RECENT_REPLIES,
    RECORD_FORMAT,
    Capabilities,
    Changes,
    Collection,
    Creation,
    Lease,
    Outgoing,
    Record,
    RecordKey,
    Reply,
    Store,
    TooLarge,
)
from rivetless.store.changes import apply, merge
from rivetless.testing.clock import START
from rivetless.testing.contracts.base import (
    LATER,
    Contract,
    address,
    begin,
    changes,
    everything,
    life_of,
)

REPLIES = tuple(Reply(f"key-{n}", f"check-{n}", b"%d" % n, LATER) for n in range(40))
OUTBOX = tuple(Outgoing(f"o{n}", START + n, b"effect %d" % n) for n in range(9))

EVERY_FIELD: Final[dict[str, Any]] = {
    "state": b"new",
    "alarm": START + 123.456,
    "lease": Lease("turn-9", START + 60.25, ("a", "b"), closed=True),
    "replies": REPLIES[5:7],
    "code_version": 12,
    "touch": True,
    "outbox_add": OUTBOX[5:7],
    "outbox_clear": ("o1",),
    "counters": {"messages": 4, "schedules": -2},
    "armed_until": START + 100.125,
}


class HeadContract(Contract):
    """What commits make of a head."""

    @pytest.mark.parametrize("field", EVERY_FIELD)
    async def test_each_field_leaves_the_others(self, store: Store, field: str) -> None:
        life = await begin(
            store,
            state=b"s",
            alarm=START + 50,
            lease=Lease("turn-1", LATER),
            replies=REPLIES[:2],
            code_version=3,
            outbox_add=OUTBOX[:3],
            counters={"messages": 1},
            armed_until=START + 50,
        )
        before = await life.head()
        made = changes(**{field: EVERY_FIELD[field]})
        version = await store.commit(life.id, made, expected=1)
        after = await life.head()
        assert after == apply(before, life.id, made, version)
        assert after != before or field == "code_version"

    async def test_all_fields_at_once(self, store: Store) -> None:
        life = await begin(store)
        before = await life.head()
        made = changes(**EVERY_FIELD)
        await store.commit(life.id, made, expected=1)
        assert await life.head() == apply(before, life.id, made, 2)

    async def test_all_fields_at_creation(self, store: Store) -> None:
        life = await begin(store, **{k: v for k, v in EVERY_FIELD.items() if k != "state"})
        head = await life.head()
        assert head.alarm == EVERY_FIELD["alarm"]
        assert head.lease == EVERY_FIELD["lease"]
        assert head.replies == EVERY_FIELD["replies"]
        assert head.counters == EVERY_FIELD["counters"]
        assert list(head.outbox.values()) == list(OUTBOX[5:7])
        assert (head.code_version, head.format) == (12, RECORD_FORMAT)
        assert head.armed_until == EVERY_FIELD["armed_until"]

    @pytest.mark.parametrize("field", ["state", "alarm", "lease", "armed_until"])
    async def test_none_clears_a_field(self, store: Store, field: str) -> None:
        life = await begin(store)
        await life.commit(**{field: EVERY_FIELD[field]})
        assert getattr(await life.head(), field) == EVERY_FIELD[field]
        await life.commit(**{field: None})
        assert getattr(await life.head(), field) is None

    async def test_an_actor_may_have_no_state(self, store: Store) -> None:
        life = await begin(store, state=None)
        assert (await life.head()).state is None
        await life.commit(state=b"")
        assert (await life.head()).state == b""

    @pytest.mark.parametrize("size", [1, 1000, 2047, 2048, 2049, 5000, 100_000, 390_000])
    async def test_states_of_all_sizes(self, store: Store, size: int) -> None:
        size = min(size, store.capabilities.max_state_bytes)
        life = await begin(store, state=b"small")
        state = random.Random(size).randbytes(size)
        await life.commit(state=state)
        assert (await life.head()).state == state
        await life.commit(alarm=5.0)
        await life.commit(counters={"n": 1})
        assert (await life.head()).state == state
        await life.commit(state=b"small again")
        assert (await life.head()).state == b"small again"
        await life.commit(state=state)
        await life.destroy()
        assert (await life.head()).state is None

    async def test_head_remembers_its_last_commits(self, store: Store) -> None:
        life = await begin(store)
        ids = [(await life.head()).commits[0]]
        for _ in range(RECENT_COMMITS + 5):
            made = changes(state=b"x")
            ids.append(made.commit_id)
            life.version = await store.commit(life.id, made, expected=life.version)
            assert (await life.head()).commits == tuple(ids[-RECENT_COMMITS:])

    async def test_commit_ids_of_all_kinds_are_remembered(self, store: Store) -> None:
        life = await begin(store)
        ids = ["!", "~" * 64, "a,b;c", '"', "'", "\\", "%s", "commit-1!"]
        for made in ids:
            life.version = await store.commit(
                life.id, Changes(made, touch=True), expected=life.version
            )
        assert (await life.head()).commits[1:] == tuple(ids)

    async def test_head_remembers_its_last_replies(self, store: Store) -> None:
        life = await begin(store)
        told = 0
        for count in (1, 2, 10, 4, 20, 1):
            await life.commit(replies=REPLIES[told : told + count])
            told += count
            assert (await life.head()).replies == REPLIES[max(0, told - RECENT_REPLIES) : told]

    async def test_lease_is_taken_and_released(self, store: Store) -> None:
        life = await begin(store)
        lease = Lease("turn ü", START + 0.001, (life.id, "x"), closed=False)
        await life.commit(lease=lease)
        assert (await life.head()).lease == lease
        await life.commit(lease=None)
        head = await life.head()
        assert (head.lease, head.version) == (None, 3)

    async def test_counters_add_up(self, store: Store, other: Store) -> None:
        life = await begin(store, counters={"a": 1})
        await life.commit(counters={"a": 2, "b-c.d": -7})
        await other.commit(life.id, changes(counters={"a": -10, "é": 2**40}), expected=None)
        assert (await life.head()).counters == {"a": -7, "b-c.d": -7, "é": 2**40}

    async def test_concurrent_additions_all_count(self, store: Store, other: Store) -> None:
        life = await begin(store)
        await asyncio.gather(
            *(
                (store, other)[n % 2].commit(life.id, changes(counters={"n": n}), expected=None)
                for n in range(40)
            )
        )
        assert (await life.head()).counters == {"n": sum(range(40))}

    async def test_code_version_only_rises(self, store: Store) -> None:
        life = await begin(store, code_version=5)
        await life.commit(touch=True, code_version=3)
        assert (await life.head()).code_version == 5
        await life.commit(touch=True, code_version=6)
        assert (await life.head()).code_version == 6

    async def test_armed_until_outlasts_an_alarm(self, store: Store) -> None:
        life = await begin(store, alarm=5.0)
        await life.commit(armed_until=5.0)
        await life.commit(alarm=None)
        head = await life.head()
        assert (head.alarm, head.armed_until, head.version) == (None, 5.0, 2)

    # -- the outbox -------------------------------------------------------------------------------

    async def test_outbox_is_filled_and_cleared(self, store: Store) -> None:
        life = await begin(store, outbox_add=OUTBOX[:2])
        await life.commit(outbox_add=OUTBOX[2:4])
        assert list((await life.head()).outbox.values()) == list(OUTBOX[:4])
        await life.commit(outbox_clear=("o0", "o2", "unknown"))
        head = await life.head()
        assert list(head.outbox) == ["o1", "o3"]
        assert head.version == 1
        await life.commit(outbox_clear=("o1", "o3"))
        assert dict((await life.head()).outbox) == {}

    async def test_outbox_is_read_oldest_first(self, store: Store) -> None:
        life = await begin(store)
        twins = [Outgoing(name, START + 4, b"") for name in ("z", "a", "m")]
        for entry in [OUTBOX[7], *twins, OUTBOX[0]]:
            await life.commit(outbox_add=(entry,))
        assert list((await life.head()).outbox) == ["o0", "a", "m", "z", "o7"]

    async def test_clearing_comes_before_adding(self, store: Store) -> None:
        life = await begin(store, outbox_add=OUTBOX[:1])
        newer = Outgoing("o0", START + 3, b"newer")
        await life.commit(outbox_clear=("o0",), outbox_add=(OUTBOX[0], newer))
        assert list((await life.head()).outbox.values()) == [newer]

    # -- merge and apply --------------------------------------------------------------------------

    async def test_merged_changes_do_what_each_would(self, store: Store) -> None:
        steps = [
            changes(state=b"1", puts=(_record(b"a"), _record(b"b")), outbox_add=OUTBOX[:2]),
            changes(alarm=7.0, deletes=(_key(b"a"),), outbox_clear=("o0",), counters={"n": 1}),
            changes(puts=(_record(b"c"),), counters={"n": 1, "m": 1}, armed_until=7.0),
            changes(state=b"2", replies=REPLIES[:3], deletes=(_key(b"c"),), outbox_add=OUTBOX[2:3]),
            changes(alarm=None, lease=Lease("t", LATER), puts=(_record(b"a", b"again"),)),
        ]
        single, grouped = await begin(store), await begin(store)
        together = steps[0]
        for step in steps:
            expected = single.version if step.versioned else None
            version = await store.commit(single.id, step, expected=expected)
            single.version = version or single.version
            together = merge(together, step) if step is not steps[0] else together
        await store.commit(grouped.id, together, expected=1)
        one, other = await single.head(), await grouped.head()
        assert replace(
            other, actor_id=one.actor_id, address=one.address, version=5, commits=one.commits
        ) == replace(one, version=5)
        for collection in Collection:
            assert await store.records(single.id, collection) == await store.records(
                grouped.id, collection
            )

    # -- limits -----------------------------------------------------------------------------------

    async def test_the_largest_state_is_taken(self, store: Store) -> None:
        limits = store.capabilities
        life = await begin(store)
        size = min(limits.max_state_bytes, limits.max_commit_bytes)
        await life.commit(state=bytes(size))
        head = await life.head()
        assert head.state is not None
        assert len(head.state) == size

    async def test_the_largest_record_is_taken(self, store: Store) -> None:
        limits = store.capabilities
        size = min(limits.max_record_bytes, limits.max_commit_bytes - 1)
        life = await begin(store)
        await life.commit(puts=(_record(b"k", bytes(size)),))
        assert len((await store.records(life.id, Collection.CONNECTION))[0].data) == size

    async def test_as_many_records_as_allowed_are_taken(self, store: Store) -> None:
        life = await begin(store, puts=(_record(b"7"),))
        count = store.capabilities.max_commit_records
        await life.commit(deletes=tuple(_key(b"%d" % n) for n in range(count)))
        assert await store.records(life.id, Collection.CONNECTION) == []

    @pytest.mark.parametrize("what", ["state", "record", "number of records", "commit"])
    async def test_what_is_too_large_is_refused(self, store: Store, what: str) -> None:
        life = await begin(store)
        before = await everything(life)
        fields, size, limit = _too_large(what, store.capabilities)
        for expected in (1, 7):
            with pytest.raises(TooLarge) as refused:
                await store.commit(life.id, changes(**{"state": b"x", **fields}), expected=expected)
            assert (refused.value.what, refused.value.limit) == (what, limit)
            assert refused.value.size >= size
        assert await everything(life) == before

    # -- calls that make no sense -----------------------------------------------------------------

    async def test_versioned_commit_must_name_its_version(self, store: Store) -> None:
        life = await begin(store)
        with pytest.raises(ValueError, match="version"):
            await store.commit(life.id, changes(state=b"x"), expected=None)

    async def test_creation_must_expect_nothing(self, store: Store) -> None:
        where = address()
        for expected in (1, None):
            with pytest.raises(ValueError, match="version 0"):
                await store.commit(
                    life_of(where), changes(create=Creation(where, 1.0)), expected=expected
                )

    async def test_creation_must_have_an_id_of_its_address(self, store: Store) -> None:
        where = address()
        with pytest.raises(ValueError, match="is no id of"):
            await store.commit(life_of(address()), changes(create=Creation(where, 1.0)), expected=0)
        assert await store.load(where) is None

    @pytest.mark.parametrize("bad", ["", "a b", "a\n", "é", "x" * 65, "\0"])
    async def test_commit_ids_are_visible_and_short(self, store: Store, bad: str) -> None:
        life = await begin(store)
        with pytest.raises(ValueError, match="commit id"):
            await store.commit(life.id, Changes(bad, touch=True), expected=1)
        assert (await life.head()).version == 1


def _record(key: bytes, data: bytes = b"data") -> Record:
    return Record(Collection.CONNECTION, key, data)


def _key(key: bytes) -> RecordKey:
    return RecordKey(Collection.CONNECTION, key)


def _too_large(what: str, limits: Capabilities) -> tuple[dict[str, object], int, int]:
    """Return fields that are over one limit and, if possible, no other."""
    if what == "state":
        size = limits.max_state_bytes + 1
        return {"state": bytes(size)}, size, limits.max_state_bytes
    if what == "record":
        size = limits.max_record_bytes + 1
        return {"puts": (_record(b"k", bytes(size)),)}, size, limits.max_record_bytes
    if what == "number of records":
        count = limits.max_commit_records + 1
        puts = tuple(_record(b"%d" % n, b"") for n in range(count - 1))
        return {"puts": puts, "deletes": (_key(b"x"),)}, count, limits.max_commit_records
    part = bytes(limits.max_record_bytes)
    puts = tuple(_record(b"%d" % n, part) for n in range(limits.max_commit_bytes // len(part) + 1))
    return {"puts": puts}, limits.max_commit_bytes + 1, limits.max_commit_bytes
