"""Stores around a store: one that counts what it is asked, and one that fails on command."""

from __future__ import annotations

import asyncio
import enum
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self, TypeVar

from rivetless.clock import Clock, sleep
from rivetless.keys import Address
from rivetless.store.base import (
    Capabilities,
    Changes,
    Collection,
    Conflict,
    Due,
    Head,
    Host,
    OutcomeUnknown,
    Record,
    Store,
    Unavailable,
)

T = TypeVar("T")

READS: Final = frozenset({"load", "current", "records", "list", "due", "hosts", "hosted"})
"""The verbs that only read."""

WRITES: Final = frozenset({"commit", "drain", "announce"})
"""The verbs that write."""


class StoreWrapper(Store):
    """Hands every verb on to another store, through ``_call``; made to be subclassed.

    Args:
        store: the store to hand on to. Entering and leaving the wrapper enters and leaves it.
    """

    def __init__(self, store: Store) -> None:
        self.inner = store

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call of ``verb``; subclasses do what they are there for around it."""
        return await call()

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)

    async def load(self, ref: Address | str) -> Head | None:
        return await self._call("load", lambda: self.inner.load(ref))

    async def current(self, actor_id: str, version: int) -> bool:
        return await self._call("current", lambda: self.inner.current(actor_id, version))

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        return await self._call(
            "commit", lambda: self.inner.commit(actor_id, changes, expected=expected)
        )

    async def records(
        self,
        actor_id: str,
        collection: Collection,
        *,
        start: bytes = b"",
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Record]:
        return await self._call(
            "records",
            lambda: self.inner.records(
                actor_id, collection, start=start, end=end, limit=limit, reverse=reverse
            ),
        )

    async def list(
        self,
        namespace: str,
        name: str,
        *,
        limit: int,
        before: float | tuple[float, str] | None = None,
        include_destroyed: bool = False,
    ) -> Sequence[Head]:
        return await self._call(
            "list",
            lambda: self.inner.list(
                namespace, name, limit=limit, before=before, include_destroyed=include_destroyed
            ),
        )

    async def due(self, now: float, *, limit: int) -> Sequence[Due]:
        return await self._call("due", lambda: self.inner.due(now, limit=limit))

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        return await self._call("drain", lambda: self.inner.drain(actor_id, limit=limit))

    async def announce(self, host: Host) -> None:
        await self._call("announce", lambda: self.inner.announce(host))

    async def hosts(self) -> Sequence[Host]:
        return await self._call("hosts", lambda: self.inner.hosts())

    async def hosted(self, host: str, *, limit: int = 100) -> Sequence[tuple[str, Record]]:
        return await self._call("hosted", lambda: self.inner.hosted(host, limit=limit))


class CountingStore(StoreWrapper):
    """Counts what a store is asked.

    Attributes:
        calls: how often each verb was called.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.calls: Counter[str] = Counter()

    @property
    def reads(self) -> int:
        """How many calls only read."""
        return sum(count for verb, count in self.calls.items() if verb in READS)

    @property
    def writes(self) -> int:
        """How many calls wrote."""
        return sum(count for verb, count in self.calls.items() if verb in WRITES)

    def reset(self) -> None:
        """Begin counting at zero."""
        self.calls.clear()

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[verb] += 1
        return await call()


class SlowStore(StoreWrapper):
    """Answers as late as a store that is far away, and is shared by others.

    Args:
        store: the store to hand on to.
        clock: on which it takes its time.
        seconds: how long each verb takes.
    """

    def __init__(self, store: Store, *, clock: Clock, seconds: float) -> None:
        super().__init__(store)
        self._clock = clock
        self._seconds = seconds

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, single_writer=False)

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        await sleep(self._clock, self._seconds)
        return await call()


class Fault(enum.Enum):
    """What a ``FaultyStore`` can do to a call."""

    BEFORE = "before"
    """Fails with ``Unavailable``; nothing is read or written."""

    UNACKNOWLEDGED = "unacknowledged"
    """The call is made, and then its outcome is lost (``OutcomeUnknown``)."""

    VANISHED = "vanished"
    """The call is not made, and its outcome is lost (``OutcomeUnknown``)."""

    CONFLICT = "conflict"
    """A commit is refused with ``Conflict``, as if another process had been faster."""

    HELD = "held"
    """The call waits for ``Injection.release``, and is then made."""

    HELD_AFTER = "held after"
    """The call is made, and its answer waits for ``Injection.release``."""

    HELD_LOST = "held lost"
    """The call is made, and on ``Injection.release`` its outcome is lost (``OutcomeUnknown``)."""

    LATE = "late"
    """Its outcome is lost at once (``OutcomeUnknown``), but it is made on ``Injection.release``."""


@dataclass(eq=False)
class Injection:
    """One fault that is planned, and what became of it.

    Attributes:
        fault: what happens.
        verb: to which verb.
        reached: set when a call has met the fault (and waits there, if the fault holds it).
        released: set when a call that is held may go on.
        finished: set when the call has been made, or would have been.
    """

    fault: Fault
    verb: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let a call go on that is held."""
        self.released.set()


class FaultyStore(StoreWrapper):
    """Fails on command: faults are queued for a verb, and each meets one call of it, in order."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._planned: dict[str, deque[Injection | None]] = {}
        self._late: set[asyncio.Task[None]] = set()

    def inject(self, fault: Fault, *, verb: str = "commit", skip: int = 0) -> Injection:
        """Plan a fault for a call of ``verb``: the next one, or the one ``skip`` calls later.

        Faults planned already for the verb come first.
        """
        if verb not in READS | WRITES:
            raise ValueError(f"{verb!r} is no verb of a store")
        planned = self._planned.setdefault(verb, deque())
        planned.extend([None] * skip)
        injection = Injection(fault, verb)
        planned.append(injection)
        return injection

    def clear(self) -> None:
        """Take back what was planned and not met yet."""
        self._planned.clear()

    @property
    def planned(self) -> int:
        """How many faults no call has met yet."""
        return sum(
            injection is not None for planned in self._planned.values() for injection in planned
        )

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        injection = self._next("commit")
        if injection is not None and injection.fault is Fault.CONFLICT:
            injection.reached.set()
            injection.finished.set()
            raise Conflict(actor_id, None)
        return await self._run(
            injection, lambda: self.inner.commit(actor_id, changes, expected=expected)
        )

    async def _call(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._run(self._next(verb), call)

    def _next(self, verb: str) -> Injection | None:
        planned = self._planned.get(verb)
        return planned.popleft() if planned else None

    async def _run(self, injection: Injection | None, call: Callable[[], Awaitable[T]]) -> T:
        if injection is None:
            return await call()
        injection.reached.set()
        try:
            match injection.fault:
                case Fault.BEFORE:
                    raise Unavailable("injected: nothing was done")
                case Fault.VANISHED:
                    raise OutcomeUnknown("injected: lost on the way")
                case Fault.UNACKNOWLEDGED:
                    await call()
                    raise OutcomeUnknown("injected: the acknowledgement was lost")
                case Fault.HELD:
                    await injection.released.wait()
                    return await call()
                case Fault.HELD_AFTER:
                    result = await call()
                    await injection.released.wait()
                    return result
                case Fault.HELD_LOST:
                    await call()
                    await injection.released.wait()
                    raise OutcomeUnknown("injected: the acknowledgement was lost")
                case Fault.LATE:
                    self._make_late(injection, call)
                    raise OutcomeUnknown("injected: still on its way")
                case Fault.CONFLICT:
                    raise ValueError(f"{injection.verb!r} knows no conflicts")
        finally:
            if injection.fault is not Fault.LATE:
                injection.finished.set()

    def _make_late(self, injection: Injection, call: Callable[[], Awaitable[T]]) -> None:
        async def late() -> None:
            await injection.released.wait()
            try:
                await call()
            except Exception:
                # Nobody is there any more to hear of it; a test sees the result in the store.
                return
            finally:
                injection.finished.set()

        task = asyncio.get_running_loop().create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
