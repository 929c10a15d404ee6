"""``Chain``: what a process knows of one actor, and what its turns have added to that.

The newest head known to be durable is where it begins (``head``). On top of it are the steps of
turns that have ended but are not durable yet. A new turn runs on the end of the chain, and adds a
step of its own there. Who may do so when is settled here too, in memory: a turn may hold the actor,
and the others wait in the order of their arrival (``Gate``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivetless.runtime.gate import Gate
from rivetless.runtime.records import LISTENED
from rivetless.runtime.steps import Snapshot, Step, Superseded
from rivetless.store.base import KEEP, RECENT_REPLIES, Collection, Head, Lease, Record, Reply

if TYPE_CHECKING:
    from rivetless.runtime.tenure import CachedConn


class Chain(Gate):
    """An actor as the newest turn would see it.

    Attributes:
        head: the newest head known to be durable; ``None`` until one was read or written.
        conns: connections this process has read; dropped with the chain.
        alarm: the alarm at the end of the chain.
        armed_until: for when a wake was sent, or will be with what is staged.
        lease: the lease at the end of the chain.
        replies: the stored replies at the end of the chain, oldest first.
    """

    __slots__ = (
        "_born_at",
        "_chain_end",
        "_epoch",
        "_lost",
        "_newborn",
        "_sending",
        "_seq",
        "_staged",
        "_state",
        "alarm",
        "armed_until",
        "conns",
        "head",
        "lease",
        "replies",
    )

    def __init__(self) -> None:
        super().__init__()
        self.head: Head | None = None
        self.conns: dict[str, CachedConn] = {}
        self._staged: list[Step] = []
        self._sending: list[Step] = []
        self._chain_end: Step | None = None
        self._newborn: str | None = None
        self._born_at = 0.0
        self._lost = False
        self._epoch = 0
        self._seq = 0
        self._state: bytes | None = None
        self.lease: Lease | None = None
        self.alarm: float | None = None
        self.armed_until: float | None = None
        self.replies: tuple[Reply, ...] = ()

    # -- the life ---------------------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """Whether a turn may begin here: there is a living actor, as far as this process knows."""
        return not self._lost and self.met

    @property
    def met(self) -> bool:
        """Whether there was a living actor when this process last heard of it."""
        return self.head is not None or self._newborn is not None

    @property
    def actor_id(self) -> str:
        """Id of the life at the end of the chain. Only where ``met``."""
        if self._newborn is not None:
            return self._newborn
        assert self.head is not None, "the cell knows of no actor"
        return self.head.actor_id

    @property
    def created_at(self) -> float:
        """When the life at the end of the chain began, in Unix seconds. Only where ``known``."""
        if self._newborn is None and self.head is not None:
            return self.head.created_at
        return self._born_at

    # -- at its end -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the end of the chain, for a turn to run on."""
        return Snapshot(self._epoch, self._seq, self._state, self._chain_end)

    def moved(self, base: Snapshot) -> Superseded | None:
        """Say whether (and by whom) the actor was changed after ``base``, as far as is known."""
        if self._epoch != base.epoch:
            return Superseded(elsewhere=True)
        if self._seq != base.seq:
            return Superseded(elsewhere=False)
        return None

    def counter(self, name: str) -> int:
        """Return one of the head's counters at the end of the chain."""
        head = self.head
        count = 0 if head is None else head.counters.get(name, 0)
        for step in (*self._sending, *self._staged):
            count += step.changes.counters.get(name, 0)
        return count

    @property
    def last_message(self) -> int:
        """Number of the last message that is durable, as far as is known."""
        return 0 if self.head is None else self.head.sequences.get(Collection.MESSAGE, 0)

    @property
    def listened(self) -> bool:
        """Whether anybody may have subscribed to an event by the head's version."""
        return self.head is None or bool(self.head.counters.get(LISTENED))

    def pending(self, collection: Collection, key: bytes) -> Record | None:
        """Return a record that is on its way to the store, as its last writer left it."""
        for step in reversed((*self._sending, *self._staged)):
            for record in step.changes.puts:
                if record.key == key and record.collection is collection:
                    return record
        return None

    def lost_lease_of(self, holder: str) -> bool:
        """Whether ``holder`` had the lease in the store when the cell ceased to know its head."""
        head = self.head
        lease = None if head is None else head.lease
        return self._lost and lease is not None and lease.holder == holder

    # -- moving its end ---------------------------------------------------------------------------

    def _add(self, step: Step, newborn: str | None) -> None:
        """Make a step the end of the chain."""
        changes = step.changes
        if changes.versioned:
            if not step.unseen:
                self._seq += 1
                self._chain_end = step
            if newborn is not None:
                self._newborn = newborn
            if changes.create is not None:
                self._born_at = changes.create.created_at
            if changes.state is not KEEP:
                self._state = changes.state
            if changes.lease is not KEEP:
                self.lease = changes.lease
            if changes.replies:
                self.replies = (*self.replies, *changes.replies)[-RECENT_REPLIES:]
            if changes.alarm is not KEEP:
                self.alarm = changes.alarm
            if changes.destroyed_at is not None:
                self._lost = True
        if changes.armed_until is not KEEP:
            self.armed_until = changes.armed_until
        self._staged.append(step)

    def _rewind(self) -> None:
        """Go back to the durable head: what turns have seen beyond it never happened."""
        head = self.head
        self._epoch += 1
        self._newborn = None
        self._chain_end = None
        self.conns.clear()
        self._state = None if head is None else head.state
        self.lease = None if head is None else head.lease
        self.alarm = None if head is None else head.alarm
        self.armed_until = None if head is None else head.armed_until
        self.replies = () if head is None else head.replies

    def forget(self) -> None:
        """Distrust the cached head: the next turn reads it from the store."""
        self._lost = True
        self._epoch += 1
