"""A state machine that compares a store with ``MemoryStore``: same commands, same answers.

```python
def test_model(tmp_path: Path) -> None:
    numbers = itertools.count()
    compare_with_memory(lambda clock: RedisStore(URL, prefix=str(next(numbers)), clock=clock))
```

Needs hypothesis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rivetless.clock import Clock
from rivetless.keys import Address, actor_id
from rivetless.store.base import (
    Changes,
    Collection,
    Conflict,
    Creation,
    Host,
    OutcomeUnknown,
    Store,
    StoreError,
    TooLarge,
    Unavailable,
)
from rivetless.store.changes import apply
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import strategies
from rivetless.testing.contracts.base import as_listed, commit_id

T = TypeVar("T")

OpenStore = Callable[[Clock], Store]

ADDRESSES: Final = (
    Address("default", "counter", ("a",)),
    Address("default", "counter", ("b", "")),
    Address("default", "room", ("a",)),
    Address("other", "counter", ("a",)),
)

_indexes: Final = st.integers(0, 7)
_offsets: Final = st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1])


class StoreMachine(RuleBasedStateMachine):
    """Gives a store and ``MemoryStore`` the same commands and compares all that can be seen."""

    open_store: ClassVar[OpenStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.lives: list[tuple[Address, str]] = []

    @initialize()
    def open(self) -> None:
        """Open both stores."""
        self.store = self.run(type(self).open_store(self.clock).__aenter__())
        model = MemoryStore(clock=self.clock, capabilities=self.store.capabilities)
        self.model = self.run(model.__aenter__())

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.__aexit__(None, None, None))
        self.runner.close()

    def run(self, call: Awaitable[T]) -> T:
        """Run something in the event loop."""

        async def await_it() -> T:
            return await call

        return self.runner.run(await_it())

    def both(self, call: Callable[[Store], Awaitable[T]]) -> T | StoreError:
        """Make a call of both stores; return what both answered."""
        answer = self.run(_answer(call(self.store)))
        expected = self.run(_answer(call(self.model)))
        if isinstance(expected, StoreError):
            assert type(answer) is type(expected), f"{answer!r}, and memory: {expected!r}"
            if isinstance(answer, Conflict) and isinstance(expected, Conflict):
                assert answer.current in (None, expected.current)
            if isinstance(answer, TooLarge) and isinstance(expected, TooLarge):
                assert (answer.what, answer.limit) == (expected.what, expected.limit)
        else:
            assert answer == expected
        return expected

    def life(self, index: int) -> tuple[Address, str]:
        """Return one of the latest lives."""
        return self.lives[-1 - index % len(self.lives)]

    def version(self, actor: str) -> int:
        """Return a life's present version; 0 if it is gone."""
        head = self.run(self.model.load(actor))
        return 0 if head is None else head.version

    # -- commands ---------------------------------------------------------------------------------

    @rule(
        place=st.integers(0, len(ADDRESSES) - 1),
        changes=strategies.any_changes(),
        at=strategies.times,
    )
    def create(self, place: int, changes: Changes, at: float) -> None:
        """Begin a life, or try to."""
        address = ADDRESSES[place]
        actor = actor_id(address, len(self.lives) + 1)
        made = replace(changes, create=Creation(address, at))
        self.both(lambda store: store.commit(actor, made, expected=0))
        self.lives.append((address, actor))

    @precondition(lambda self: bool(self.lives))
    @rule(index=_indexes, changes=strategies.any_changes(), at=strategies.times)
    def create_again(self, index: int, changes: Changes, at: float) -> None:
        """Have a creation arrive that may have arrived before."""
        address, actor = self.life(index)
        made = replace(changes, create=Creation(address, at))
        self.both(lambda store: store.commit(actor, made, expected=0))

    @precondition(lambda self: bool(self.lives))
    @rule(index=_indexes, changes=strategies.changes(versioned=True), offset=_offsets)
    def commit(self, index: int, changes: Changes, offset: int) -> None:
        """Commit at the right version, mostly."""
        _, actor = self.life(index)
        before = self.run(self.model.load(actor))
        expected = max(self.version(actor) + offset, 0)
        result = self.both(lambda store: store.commit(actor, changes, expected=expected))
        if not isinstance(result, StoreError):
            # What the runtime believes without reading it back.
            believed = apply(before, actor, changes, result)
            assert self.run(self.store.load(actor)) == believed

    @precondition(lambda self: bool(self.lives))
    @rule(
        index=_indexes,
        changes=strategies.changes(versioned=False),
        offset=st.none() | _offsets,
    )
    def commit_commutative(self, index: int, changes: Changes, offset: int | None) -> None:
        """Commit without moving the version."""
        _, actor = self.life(index)
        expected = None if offset is None else self.version(actor) + offset

        async def commit(store: Store) -> bool:
            version = await store.commit(actor, changes, expected=expected)
            head = await store.load(actor)
            return head is not None and version in (head.version, expected or 0)

        assert self.both(commit) is not False

    @precondition(lambda self: bool(self.lives))
    @rule(many=st.lists(st.tuples(_indexes, strategies.any_changes(), _offsets), max_size=4))
    def commit_together(self, many: list[tuple[int, Changes, int]]) -> None:
        """Commit to several actors at once: nobody disturbs anybody."""
        calls: dict[str, tuple[Changes, int]] = {}
        for index, changes, offset in many:
            _, actor = self.life(index)
            calls[actor] = (changes, self.version(actor) + offset)

        async def all_of(store: Store) -> Sequence[object]:
            return await asyncio.gather(
                *(
                    store.commit(actor, changes, expected=expected)
                    for actor, (changes, expected) in calls.items()
                ),
                return_exceptions=True,
            )

        answers = self.run(all_of(self.store))
        expected_answers = self.run(all_of(self.model))
        assert [_shape(answer) for answer in answers] == [_shape(a) for a in expected_answers]

    @precondition(lambda self: bool(self.lives))
    @rule(index=_indexes, changes=strategies.any_changes(), at=strategies.times)
    def destroy(self, index: int, changes: Changes, at: float) -> None:
        """Make a tombstone."""
        _, actor = self.life(index)
        made = replace(changes, destroyed_at=at)
        expected = self.version(actor)
        self.both(lambda store: store.commit(actor, made, expected=expected))

    @precondition(lambda self: bool(self.lives))
    @rule(index=_indexes)
    def drain(self, index: int) -> None:
        """Drain what may be a tombstone, as far as it goes."""
        _, actor = self.life(index)

        async def drain(store: Store) -> bool:
            # The number of steps is not compared: records that expired may be gone, or not yet.
            for _ in range(40):
                if await store.drain(actor, limit=5):
                    return True
            return False

        self.both(drain)

    @precondition(lambda self: bool(self.lives))
    @rule(index=_indexes)
    def clear_outbox(self, index: int) -> None:
        """Clear what is in an outbox, so that tombstones come to an end."""
        _, actor = self.life(index)
        head = self.run(self.model.load(actor))
        made = Changes(commit_id(), outbox_clear=() if head is None else tuple(head.outbox))
        self.both(lambda store: store.commit(actor, made, expected=None))

    @rule(host=strategies.hosts, port=st.integers(1, 3), at=st.just(0.0) | strategies.times)
    def announce(self, host: str, port: int, at: float) -> None:
        """Write a heartbeat, or take a host away."""
        self.both(lambda store: store.announce(Host(host, f"http://127.0.0.1:{port}", at)))

    @rule(half_seconds=st.integers(0, 20))
    def let_time_pass(self, half_seconds: int) -> None:
        """Move the clock."""
        self.clock.jump(half_seconds / 2)

    @rule()
    def reopen(self) -> None:
        """Close the store and open it again."""
        self.run(self.store.__aexit__(None, None, None))
        self.run(self.store.__aenter__())

    # -- what can be seen -------------------------------------------------------------------------

    @precondition(lambda self: bool(self.lives))
    @rule(
        index=_indexes,
        collection=strategies.collections,
        start=strategies.keys,
        end=st.none() | strategies.keys,
        limit=st.none() | st.integers(1, 3),
        reverse=st.booleans(),
    )
    def read_range(
        self,
        index: int,
        collection: Collection,
        start: bytes,
        end: bytes | None,
        limit: int | None,
        reverse: bool,
    ) -> None:
        """Read some records."""
        _, actor = self.life(index)
        self.both(
            lambda store: store.records(
                actor, collection, start=start, end=end, limit=limit, reverse=reverse
            )
        )

    @rule(
        place=st.integers(0, len(ADDRESSES) - 1),
        limit=st.integers(1, 4),
        before=st.none() | strategies.times,
        destroyed=st.booleans(),
    )
    def read_list(self, place: int, limit: int, before: float | None, destroyed: bool) -> None:
        """List actors, page by page."""
        where = ADDRESSES[place]

        async def page(store: Store, at: float | tuple[float, str] | None) -> list[Any]:
            heads = await store.list(
                where.namespace, where.name, limit=limit, before=at, include_destroyed=destroyed
            )
            return [as_listed(head) for head in heads]

        found = self.both(lambda store: page(store, before))
        assert not isinstance(found, StoreError)
        if found:
            after = (found[-1].created_at, found[-1].actor_id)
            self.both(lambda store: page(store, after))

    @rule(at=strategies.times)
    def read_due(self, at: float) -> None:
        """Find what is due."""

        async def due(store: Store) -> list[str]:
            return sorted(found.actor_id for found in await store.due(at, limit=1000))

        self.both(due)

    @rule(host=strategies.hosts)
    def read_hosted(self, host: str) -> None:
        """Find the records of a host."""

        async def hosted(store: Store) -> list[Any]:
            found = await store.hosted(host, limit=1000)
            return sorted(found, key=lambda pair: (pair[0], pair[1].collection, pair[1].key))

        self.both(hosted)

    @rule()
    def read_hosts(self) -> None:
        """Read the hosts."""

        async def hosts(store: Store) -> list[Any]:
            return sorted(await store.hosts(), key=lambda host: host.id)

        self.both(hosts)

    @invariant()
    def heads_and_records_agree(self) -> None:
        """Compare all heads, by address and by id, and all records."""
        if not hasattr(self, "store"):
            return
        actors = [(actor, self.version(actor)) for _, actor in self.lives[-8:]]

        async def look(store: Store) -> list[object]:
            seen: list[object] = [await store.load(address) for address in ADDRESSES]
            for actor, version in actors:
                seen.append(await store.load(actor))
                seen += [await store.current(actor, version + more) for more in (0, 1)]
                seen += [await store.records(actor, collection) for collection in Collection]
            return seen

        self.both(look)


def compare_with_memory(open_store: OpenStore, settings: hypothesis_settings | None = None) -> None:
    """Compare a store with ``MemoryStore``.

    Args:
        open_store: returns a store that is empty, to be entered; called for every example.
        settings: how long to go on; by default as long as hypothesis does.
    """

    class Machine(StoreMachine):
        pass

    Machine.open_store = staticmethod(open_store)
    run_state_machine_as_test(Machine, settings=settings)


async def _answer(call: Awaitable[T]) -> T | StoreError:
    try:
        return await call
    except (Unavailable, OutcomeUnknown):
        raise
    except StoreError as error:
        return error


def _shape(answer: object) -> object:
    return type(answer) if isinstance(answer, BaseException) else answer
