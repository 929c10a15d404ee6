"""Hypothesis strategies for what is given to a store."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from rivetless.store.base import (
    Append,
    Changes,
    Collection,
    Lease,
    Outgoing,
    Record,
    RecordKey,
    Reply,
)
from rivetless.testing.clock import START
from rivetless.testing.contracts.base import commit_id

times: Final = st.integers(-20, 60).map(lambda half_seconds: START + half_seconds / 2)
collections: Final = st.sampled_from(Collection)
keys: Final = st.sampled_from([b"", b"\0", b"a", b"a\0", b"ab", b"\xff"]) | st.binary(max_size=3)
values: Final = st.binary(max_size=8) | st.sampled_from([3000, 10_000]).map(bytes)
hosts: Final = st.sampled_from(["host-1", "host-2"])
texts: Final = st.sampled_from(["a", "b", "turn:1", "ü", "\0'\"\\"])
entry_ids: Final = st.sampled_from(["o1", "o2", "o3", "o4"])

records: Final = st.builds(Record, collections, keys, values, st.none() | times, st.none() | hosts)
record_keys: Final = st.builds(RecordKey, collections, keys)
appends: Final = st.builds(
    Append,
    st.sampled_from([Collection.MESSAGE, Collection.DEAD]),
    st.binary(max_size=8),
    st.none() | times,
)
leases: Final = st.builds(
    Lease, texts, times, st.lists(texts, max_size=2).map(tuple), st.booleans()
)
replies: Final = st.builds(Reply, texts, texts, values, times)
outgoings: Final = st.builds(Outgoing, entry_ids, times, values)
counters: Final = st.dictionaries(
    st.sampled_from(["messages", "schedules", "é.x"]), st.integers(-3, 3), max_size=2
)


def _some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


_VERSIONED: Final[dict[str, st.SearchStrategy[Any]]] = {
    "state": st.none() | values,
    "alarm": st.none() | times,
    "lease": st.none() | leases,
    "replies": st.lists(replies, min_size=1, max_size=20).map(tuple),
    "touch": st.just(True),
}
_COMMUTATIVE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "puts": _some(records),
    "deletes": _some(record_keys),
    "appends": _some(appends),
    "outbox_add": _some(outgoings),
    "outbox_clear": _some(entry_ids),
    "counters": counters,
    "armed_until": st.none() | times,
    "code_version": st.integers(1, 3),
}
_CONDITIONS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "absent": _some(record_keys),
    "at_most": counters,
}


_SomeChanges: TypeAlias = st.SearchStrategy[Changes]


def _make(fields: dict[str, Any]) -> Changes:
    return Changes(commit_id(), **fields)


def changes(*, versioned: bool) -> st.SearchStrategy[Changes]:
    """Return changes that move the version, or such that do not; with conditions, at times."""
    return _changes(versioned, _COMMUTATIVE) | _changes(versioned, _COMMUTATIVE | _CONDITIONS)


def _changes(versioned: bool, others: dict[str, st.SearchStrategy[Any]]) -> _SomeChanges:
    if not versioned:
        return st.fixed_dictionaries({}, optional=others).map(_make)

    def with_one(name: str) -> st.SearchStrategy[dict[str, Any]]:
        """Return fields of which one is always there."""
        rest = {other: s for other, s in (_VERSIONED | others).items() if other != name}
        return st.fixed_dictionaries({name: _VERSIONED[name]}, optional=rest)

    return st.sampled_from(sorted(_VERSIONED)).flatmap(with_one).map(_make)


def any_changes() -> st.SearchStrategy[Changes]:
    """Return changes of both kinds."""
    return changes(versioned=True) | changes(versioned=False)


def unconditional_changes() -> st.SearchStrategy[Changes]:
    """Return changes of both kinds that only a version or the end of a life can refuse."""
    return _changes(True, _COMMUTATIVE) | _changes(False, _COMMUTATIVE)
