"""What changes are, and that merging and applying agree."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.keys import Address, actor_id
from rivetless.store.base import (
    RECORD_FORMAT,
    Append,
    Capabilities,
    Changes,
    Collection,
    Creation,
    Head,
    Lease,
    Outgoing,
    Record,
    RecordKey,
    Reply,
)
from rivetless.store.changes import apply, merge, numbered
from rivetless.store.limits import check_size
from rivetless.testing.contracts import strategies

ADDRESS = Address("default", "counter", ("a",))
ID = actor_id(ADDRESS, 1)
NEWBORN = apply(None, ID, Changes("c0", create=Creation(ADDRESS, 1.0), state=b"s"), 1)

some_changes = strategies.unconditional_changes()


def forget(head: Head) -> Head:
    """Leave out what merging does not keep apart."""
    return replace(head, version=0, commits=())


def records_after(records: dict[tuple[str, bytes], Record], changes: Changes) -> None:
    """Do to records what a store does."""
    for name in changes.deletes:
        records.pop((name.collection, name.key), None)
    for record in changes.puts:
        records[record.collection, record.key] = record


@given(st.lists(some_changes, min_size=1, max_size=5))
def test_merged_changes_do_what_each_would(steps: list[Changes]) -> None:
    head, version = NEWBORN, 1
    records: dict[tuple[str, bytes], Record] = {}
    for step in steps:
        version += step.versioned
        head = apply(head, ID, step, version)
        records_after(records, step)

    together = merge(*steps)
    grouped: dict[tuple[str, bytes], Record] = {}
    records_after(grouped, together)
    assert forget(apply(NEWBORN, ID, together, 2)) == forget(head)
    assert list(apply(NEWBORN, ID, together, 2).outbox) == list(head.outbox)
    assert grouped == records
    assert together.commit_id == steps[-1].commit_id


@given(st.lists(strategies.any_changes(), min_size=1, max_size=5), st.lists(strategies.records))
def test_merged_changes_are_refused_where_one_would_be(
    steps: list[Changes], present: list[Record]
) -> None:
    before: dict[tuple[str, bytes], Record] = {
        (record.collection, record.key): record for record in present
    }

    def absent(changes: Changes, records: dict[tuple[str, bytes], Record]) -> bool:
        names = [(name.collection, name.key) for name in changes.absent]
        return len(set(names)) == len(names) and records.keys().isdisjoint(names)

    records, taken = dict(before), True
    for step in steps:
        taken = taken and absent(step, records)
        records_after(records, step)
    assert absent(merge(*steps), before) == taken


@given(some_changes, some_changes, some_changes)
def test_merging_is_associative(one: Changes, two: Changes, three: Changes) -> None:
    left, right = merge(merge(one, two), three), merge(one, merge(two, three))
    assert apply(NEWBORN, ID, left, 2) == apply(NEWBORN, ID, right, 2)
    assert left == right == merge(one, two, three)


def test_a_creation_takes_what_follows_with_it() -> None:
    creation = Changes("c1", create=Creation(ADDRESS, 1.0), state=b"1")
    together = merge(creation, Changes("c2", state=b"2", counters={"n": 1}))
    head = apply(None, ID, together, 1)
    assert (head.address, head.state, head.created_at) == (ADDRESS, b"2", 1.0)
    assert (dict(head.counters), head.commits) == ({"n": 1}, ("c2",))


def test_a_life_begins_anew_on_what_an_earlier_one_has_left() -> None:
    tombstone = apply(NEWBORN, ID, Changes("c1", destroyed_at=5.0), 2)
    creation = Changes("c2", create=Creation(ADDRESS, 9.0), state=b"2")
    head = apply(tombstone, actor_id(ADDRESS, 2), creation, 1)
    assert (head.created_at, head.destroyed_at, head.commits) == (9.0, None, ("c2",))


def test_the_code_version_is_the_highest_that_has_moved_the_version() -> None:
    changes = [
        Changes("c1", code_version=3, touch=True),
        Changes("c2", code_version=5, touch=True),
        Changes("c3", code_version=4, touch=True),
        Changes("c4", code_version=9, counters={"n": 1}),
    ]
    together = merge(*changes)
    assert together.code_version == 5
    head = apply(NEWBORN, ID, together, 2)
    assert (NEWBORN.code_version, head.code_version) == (0, 5)
    assert apply(NEWBORN, ID, Changes("c5", touch=True), 2).code_version == 0
    assert apply(head, ID, Changes("c5", touch=True), 3).code_version == 5
    assert apply(head, ID, Changes("c5", touch=True, code_version=4), 3).code_version == 5
    assert apply(head, ID, Changes("c5", counters={"n": 1}, code_version=9), 2).code_version == 5
    assert merge(Changes("c1", touch=True), Changes("c2")).code_version is None


def test_the_strictest_limit_of_a_counter_counts() -> None:
    strict, lax = Changes("c1", at_most={"n": 3}), Changes("c2", at_most={"n": 5, "m": 1})
    assert merge(strict, lax).at_most == merge(lax, strict).at_most == {"n": 3, "m": 1}


def test_what_one_clears_the_others_do_not_add() -> None:
    kept, cleared = Outgoing("kept", 1.0, b""), Outgoing("cleared", 2.0, b"")
    together = merge(
        Changes("c1", outbox_add=(kept, cleared)), Changes("c2", outbox_clear=("cleared",))
    )
    assert together.outbox_add == (kept,)
    assert [*apply(NEWBORN, ID, together, 1).outbox] == ["kept"]


def test_of_a_record_the_last_word_counts_in_its_order() -> None:
    put, key = Record(Collection.KV, b"a", b""), RecordKey(Collection.KV, b"a")
    other = Record(Collection.KV, b"b", b"")
    deleted = merge(Changes("c1", puts=(put, other)), Changes("c2", deletes=(key,)))
    assert (deleted.puts, deleted.deletes) == ((other,), (key,))
    again = merge(Changes("c1", deletes=(key,)), Changes("c2", puts=(put,)))
    assert (again.puts, again.deletes) == ((put,), ())
    later = merge(Changes("c1", puts=(put, other)), Changes("c2", puts=(put,)))
    assert later.puts == (other, put)


def test_of_a_record_that_two_delete_the_last_one_counts() -> None:
    a, b = (RecordKey(Collection.KV, name) for name in (b"a", b"b"))
    again = merge(Changes("c1", deletes=(a, b)), Changes("c2", deletes=(a,)))
    assert (again.puts, again.deletes) == ((), (b, a))


def test_what_none_of_them_asks_for_is_not_asked_for_together() -> None:
    together = merge(Changes("c1", counters={"n": 1}), Changes("c2", counters={"n": 2}))
    assert together == Changes("c2", counters={"n": 3})
    assert not together.versioned


@pytest.mark.parametrize("first", [True, False])
def test_what_one_of_them_asks_for_is_asked_for_together(first: bool) -> None:
    one = Changes("c1", create=Creation(ADDRESS, 1.0), touch=True, destroyed_at=2.0)
    other = Changes("c1")
    together = merge(one, other) if first else merge(other, one)
    assert together == one


def test_of_two_creations_and_two_ends_the_first_and_the_last_count() -> None:
    ends = [Changes(f"c{n}", create=Creation(ADDRESS, n), destroyed_at=n) for n in (1.0, 2.0)]
    together = merge(*ends)
    assert (together.create, together.destroyed_at) == (Creation(ADDRESS, 1.0), 2.0)


def test_an_end_leaves_nothing_to_be_done() -> None:
    full = Changes(
        "c1",
        state=b"1",
        alarm=5.0,
        lease=Lease("t1", 9.0),
        replies=(Reply("k", "check", b"answer", 9.0),),
        code_version=3,
    )
    head = apply(NEWBORN, ID, full, 2)
    assert (head.state, head.alarm, head.lease) == (b"1", 5.0, Lease("t1", 9.0))
    assert [reply.key for reply in head.replies] == ["k"]
    assert head.code_version == 3
    ended = apply(head, ID, Changes("c2", destroyed_at=7.0), 3)
    assert (ended.state, ended.alarm, ended.lease, ended.replies) == (None, None, None, ())
    assert (ended.destroyed_at, ended.version) == (7.0, 3)
    after = apply(ended, ID, Changes("c3", counters={"n": 2}), 3)
    assert (after.state, after.destroyed_at, dict(after.counters)) == (None, 7.0, {"n": 2})


def test_what_is_appended_is_numbered_from_where_the_head_is() -> None:
    append, other = Append(Collection.MESSAGE, b"m"), Append(Collection.DEAD, b"d")
    changes = Changes("c1", appends=(append, other, append))
    keys = [record.key for record in numbered(changes, {Collection.MESSAGE: 4})]
    assert keys == [Append.key(5), Append.key(1), Append.key(6)]
    head = apply(NEWBORN, ID, changes, 1)
    assert dict(head.sequences) == {Collection.MESSAGE: 2, Collection.DEAD: 1}
    assert dict(apply(head, ID, changes, 1).sequences) == {
        Collection.MESSAGE: 4,
        Collection.DEAD: 2,
    }


def test_nothing_follows_a_destruction() -> None:
    together = merge(Changes("c1", state=b"1", destroyed_at=5.0), Changes("c2", state=b"2"))
    head = apply(NEWBORN, ID, together, 2)
    assert (head.state, head.destroyed_at) == (None, 5.0)


def test_changes_to_nobody_must_create() -> None:
    with pytest.raises(ValueError, match="must create"):
        apply(None, ID, Changes("c", state=b""), 1)


def test_commutative_changes_leave_a_newer_format_alone() -> None:
    newer = replace(NEWBORN, format=RECORD_FORMAT + 1, code_version=9)
    assert apply(newer, ID, Changes("c", counters={"n": 1}), 1).format == RECORD_FORMAT + 1
    assert apply(newer, ID, Changes("c", touch=True), 2).format == RECORD_FORMAT


@given(strategies.changes(versioned=True))
def test_versioned_changes_are_versioned(changes: Changes) -> None:
    assert changes.versioned
    assert not changes.empty


@given(strategies.changes(versioned=False))
def test_commutative_changes_are_not(changes: Changes) -> None:
    assert not changes.versioned


def test_empty_changes_are_empty() -> None:
    assert Changes("c").empty
    assert Changes("c", code_version=3).empty
    assert not Changes("c", armed_until=None).empty
    assert not Changes("c", deletes=(RecordKey(Collection.REPLY, b""),)).empty
    assert not Changes("c", absent=(RecordKey(Collection.REPLY, b""),)).empty
    assert not Changes("c", appends=(Append(Collection.MESSAGE, b""),)).empty


def test_size_counts_values_and_keys() -> None:
    changes = Changes(
        "c",
        state=b"12345",
        puts=(Record(Collection.REPLY, b"ab", b"cde"),),
        deletes=(RecordKey(Collection.REPLY, b"abcd"),),
        appends=(Append(Collection.MESSAGE, b"abc"),),
    )
    assert check_size(changes, Capabilities()) == 5 + 5 + 4 + 11
    assert check_size(Changes("c", state=None), Capabilities()) == 0
