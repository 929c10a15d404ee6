"""What one feature keeps for one run of a turn: ``Part``.

A turn knows nothing of schedules, queues or pairs of keys and values. Each of those keeps what a
run wants to write in a part of its own, made when the handler first asks for it; the turn gathers
what the parts say into its one commit, and treats them alike when it rolls back, makes a checkpoint
or runs again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivetless.runtime.steps import Step
    from rivetless.runtime.turn import ActorTurn
    from rivetless.store.base import Changes, Collection, Record


class Part(ABC):
    """The base of parts. One instance lives for one run of a turn.

    Args:
        turn: whose part it is.
    """

    __slots__ = ("turn",)

    def __init__(self, turn: ActorTurn) -> None:
        self.turn = turn

    async def stored(
        self,
        collection: Collection,
        *,
        start: bytes = b"",
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Record]:
        """Read records as of the turn's base; a life that is only beginning has none."""
        turn = self.turn
        if turn.creation is not None:
            return []

        async def read() -> list[Record]:
            return await turn.runtime.store.records(
                turn.actor_id, collection, start=start, end=end, limit=limit, reverse=reverse
            )

        return await turn.read_stored(read)

    async def prepare(self) -> None:
        """Read what the writes of this part depend on. Called before ``contribute``."""
        return

    @abstractmethod
    def contribute(self, changes: Changes) -> Changes:
        """Return ``changes`` with what this part wants to write added, if anything.

        It may be asked several times for one commit, and must then say the same.
        """

    def sent(self, step: Step) -> None:
        """What was collected is on its way to the store."""
        return

    def released(self) -> None:
        """The turn has ended and what was collected is durable: begin what was to follow."""
        return

    @abstractmethod
    def savepoint(self) -> Callable[[], None]:
        """Remember what was collected so far; the function returned undoes what came after."""

    @abstractmethod
    def committed(self) -> None:
        """What was collected is committed (a checkpoint); begin anew."""

    def ended(self) -> None:
        """The run is over, committed or not."""
        return
