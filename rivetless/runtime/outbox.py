"""The outbox: durable effects on others, written with the commit that they belong to.

They are had after it (``outgoings``). Each is known to its receiver by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from rivetless.frozen import frozen
from rivetless.runtime.job import digest
from rivetless.runtime.parts import Part
from rivetless.store.base import Changes, Outgoing

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn

SEND: Final = 1 / 64
"""For how much of a hop an effect counts."""


@frozen
class Dispatch:
    """An effect that is to be had on others.

    Attributes:
        actor_id: the life whose outbox it is in.
        id: names the effect; the same whenever it is tried.
        kind: who handles it.
        body: the kind's own.
        created_at: when it was committed, in Unix seconds; rises from one to the next of an actor.
        attempts: how often it has failed.
        hops: how many wakes that actors made themselves led to it, sends counted as parts of one.
        noted_at: when the sweeper is to take it for new: later than it is once it was put off.
    """

    actor_id: str
    id: str
    kind: str
    body: bytes
    created_at: float
    attempts: int
    hops: float
    noted_at: float

    @classmethod
    def read(cls, actor_id: str, entry: Outgoing) -> Self:
        """Read an entry of the outbox back."""
        kind, created_at, counts, body = entry.data.split(b"\0", 3)
        attempts, _, hops = counts.partition(b"+")
        return cls(
            actor_id,
            entry.id,
            kind.decode(),
            body,
            float(created_at),
            int(attempts),
            float(hops or 0.0),
            entry.created_at,
        )

    def written(self) -> Outgoing:
        """Write it down as an entry of the outbox."""
        counts = f"{self.attempts}+{self.hops!r}" if self.hops else str(self.attempts)
        head = f"{self.kind}\0{self.created_at!r}\0{counts}\0"
        return Outgoing(self.id, self.noted_at, head.encode() + self.body)


class Outbox(Part):
    """The durable effects of one run of a turn."""

    __slots__ = ("_entries",)

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._entries: list[Dispatch] = []

    def add(self, kind: str, body: bytes) -> str:
        """Have an effect after the commit; returns its id, the same in every re-run."""
        turn = self.turn
        number = f"{turn.job.checkpoints}.{len(self._entries)}"
        effect = digest("outbox", turn.actor_id, turn.turn_id, number)
        self.add_again(kind, effect, body)
        return effect

    def add_again(self, kind: str, effect: str, body: bytes) -> None:
        """Have an effect once more that was given up; who has had it knows it by its id."""
        turn = self.turn
        hops = turn.job.hops + SEND
        # It is dated when the commit is made.
        self._entries.append(Dispatch(turn.actor_id, effect, kind, body, 0.0, 0, hops, 0.0))

    def contribute(self, changes: Changes) -> Changes:
        if not self._entries:
            return changes
        stamps = self.turn.runtime.outgoings.stamps(self.turn.cell.head)
        added = (
            replace(entry, created_at=at, noted_at=at).written()
            for entry, at in zip(self._entries, stamps, strict=False)
        )
        return replace(changes, outbox_add=(*changes.outbox_add, *added))

    def savepoint(self) -> Callable[[], None]:
        count = len(self._entries)

        def undo() -> None:
            del self._entries[count:]

        return undo

    def committed(self) -> None:
        self._entries = []
