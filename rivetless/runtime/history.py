"""``History``: what one run of a turn writes into a workflow's history.

Each commit of history raises a counter of the head and moves its version, so that of two processes
at one workflow only one can write; the other finds the counter moved and reads history anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.runtime.messages import MARK, mark, read_message
from rivetless.runtime.parts import Part
from rivetless.runtime.timers import Timer, Timers, rounded
from rivetless.store.base import Append, Changes, Record, RecordKey
from rivetless.store.base import Collection as Records
from rivetless.workflow.errors import HistoryMoved
from rivetless.workflow.journal import Completion, Journal, Writing, entry_bytes, entry_key

if TYPE_CHECKING:
    from rivetless.runtime.steps import Step
    from rivetless.runtime.turn import ActorTurn

COUNTER: Final = "history"
"""The head's counter of commits that wrote history."""

TIMER: Final = "w"
"""The kind of timers that workflows wait for."""


class History(Part):
    """What one run of a turn writes into a workflow's history."""

    __slots__ = ("_journal", "_own", "_timers", "_writing")

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._journal: Journal | None = None
        self._timers: Timers | None = None
        self._writing = self._own = Writing()

    async def write(self, journal: Journal, dirty: Writing, own: Writing) -> None:
        """Have something written, if history is still what the journal says.

        Args:
            journal: what history is.
            dirty: what the journal has already.
            own: what it takes over when the commit is sent.
        """
        self._journal, self._own = journal, own
        self._writing = writing = dirty.then(own) if dirty else own
        if writing.disarm or writing.arm:
            self._timers = timers = self.turn.part(Timers)
            for name, at in writing.disarm.items():
                timers.remove(_timer(name, at))
            for name, at in writing.arm.items():
                timers.add(_timer(name, at))
        for completion in writing.completions:
            await self._complete(completion)

    def check(self, journal: Journal) -> None:
        """Make sure that a commit of the run could still write to a journal, before it does much.

        Raises:
            HistoryMoved: somebody else has written history.
        """
        flight = self.turn.job.flight
        if flight is not None:
            flight.check()
        if self.turn.cell.counter(COUNTER) != journal.version:
            raise HistoryMoved

    async def _complete(self, completion: Completion) -> None:
        queue, key = self.turn.queue, Append.key(completion.id)
        found = await self.stored(Records.MESSAGE, start=key, end=key + b"\0", limit=1)
        for record in found:
            queue.held[completion.id] = read_message(record)
            queue.complete(completion.id, completion.reply)

    async def prepare(self) -> None:
        """Make sure that nobody else has written history.

        Raises:
            HistoryMoved: somebody has.
        """
        if self._journal is None:
            return
        # Branches commit beside each other: what one has not read need not be run again.
        if self._timers is not None:
            await self._timers.prepare()
        self.turn.rebase()
        self.check(self._journal)

    def contribute(self, changes: Changes) -> Changes:
        if self._journal is None or not self._writing:
            return changes
        writing = self._writing
        counters = {**changes.counters, COUNTER: 1}
        outbox, head = changes.outbox_add, self.turn.cell.head
        if head is None or MARK not in head.outbox:
            # Should this process die, the sweeper finds that there is something to go on with.
            outbox = (*outbox, mark(self.turn.runtime.clock.now()))
        puts = (
            Record(Records.HISTORY, entry_key(e.location), entry_bytes(e))
            for e in writing.puts.values()
        )
        deletes = (RecordKey(Records.HISTORY, entry_key(location)) for location in writing.deletes)
        return replace(
            changes,
            touch=True,
            puts=(*changes.puts, *puts),
            deletes=(*changes.deletes, *deletes),
            counters=counters,
            outbox_add=outbox,
        )

    def sent(self, step: Step) -> None:
        """The commit is on its way, on top of everything before it."""
        journal = self._journal
        if journal is None or COUNTER not in step.changes.counters:
            return
        journal.version += 1
        journal.apply(self._own)

        def landed(durable: asyncio.Future[bool]) -> None:
            if not durable.result():
                journal.version -= 1

        step.landed.add_done_callback(landed)

    def savepoint(self) -> Callable[[], None]:
        kept = self._journal, self._writing, self._own

        def undo() -> None:
            self._journal, self._writing, self._own = kept

        return undo

    def committed(self) -> None:
        self._journal = None
        self._writing = self._own = Writing()


def _timer(name: str, at: float) -> Timer:
    return Timer(rounded(at), TIMER, name)
