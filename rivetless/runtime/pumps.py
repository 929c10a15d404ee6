"""``Pumps``: which actors' loops a process begins, and when it begins them again.

A loop is begun when its actor is created or woken here, when something is sent to it, and when the
sweeper finds that it was to go on; its messages that fail are counted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rivetless import errors
from rivetless.runtime.commands import ById
from rivetless.runtime.dead import Letter, failure_of
from rivetless.runtime.job import Job
from rivetless.runtime.messages import MARK, Stored, encode_body, mark, unmark
from rivetless.runtime.ports import Ring
from rivetless.runtime.pump import End, Pump
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.steps import tick
from rivetless.store.base import Changes, Collection, Conflict, Duplicate, Gone, StoreError
from rivetless.workflow.declare import workflow_of

if TYPE_CHECKING:
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.commands import Wake
    from rivetless.runtime.outbox import Dispatch
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.steps import Step
    from rivetless.runtime.turn import ActorTurn
    from rivetless.store.base import Head


class Pumps:
    """Starts and stops pumps. One for each runtime.

    Args:
        runtime: the process.
        resident: whether it stays.
    """

    def __init__(self, runtime: Runtime, *, resident: bool) -> None:
        self._runtime = runtime
        self._resident = resident
        self._stopped = False
        runtime.waking.on_wake(self._woken)
        runtime.outgoings.handle(MARK, self._reminded, keeps=True)
        runtime.dead.handle("message", _replay)

    def stop(self) -> None:
        """Begin nothing any more: the process ends."""
        self._stopped = True

    def start(self, cell: Cell) -> None:
        """An actor has been created or woken here: run its loop."""
        if "run" in cell.definition.hooks:
            self.arrived(cell)

    def arrived(self, cell: Cell) -> None:
        """There may be something for an actor's loop."""
        if "run" not in cell.definition.hooks or self._stopped:
            return
        if cell.pump is not None and not cell.pump.is_late:
            return
        if not cell.met:
            return
        if not self._resident:
            self._runtime.begin(self._ring(cell.actor_id, cell.snapshot().step))
            return
        cell.pump = pump = Pump(self._runtime, cell)
        pump.task = self._runtime.spawn(pump.work())
        pump.task.add_done_callback(lambda task: self._left(cell, pump, task))

    async def _ring(self, actor_id: str, step: Step | None) -> None:
        """Have a slice run somewhere, once what is for it is durable."""
        if step is not None:
            await asyncio.wait((step.landed,))
        self._runtime.alarms.ring(Ring(actor_id))

    def _left(self, cell: Cell, pump: Pump, task: asyncio.Task[End]) -> None:
        """See to it that a loop that is not done is begun again."""
        if task.cancelled() or task.exception() is not None:
            return
        if pump.again_at is not None and cell.met and cell.pump is None:
            cell.pump = pump  # nothing begins it before
            self._runtime.alarms.ring(Ring(cell.actor_id, pump.again_at))
            if pump.rival is not None:
                self._runtime.cells.listens(cell)
                self._runtime.rivals.watch(cell.actor_id, pump.rival)

    def retry(self, cell: Cell) -> None:
        """Another process may not run an actor's loop any more: run it here if it was to be."""
        pump = cell.pump
        if pump is not None and pump.hurry():
            cell.pump = None
            self.arrived(cell)

    async def _woken(self, command: Wake, head: Head) -> None:
        """A wake has come: run a slice, or let the loop that runs here look again."""
        runtime = self._runtime
        cell = await runtime.cells.of(ById(None, head.actor_id))
        if "run" not in cell.definition.hooks or not cell.met:
            return
        if cell.pump is not None and cell.pump.again_at is not None:
            if runtime.clock.now() < cell.pump.again_at:
                runtime.alarms.ring(Ring(head.actor_id, cell.pump.again_at))
                return
            cell.pump = None
        if self._resident or cell.pump is not None:
            runtime.queues.arrived(cell)
            return
        cell.pump = pump = Pump(runtime, cell, command)
        end = await pump.work()
        again = None
        if end is End.STOPPED or pump.again_at is not None:
            again = pump.again
        elif runtime.workflows.waits_for_time(cell):
            again = None
        elif end is End.PARKED and not (
            await self._is_drained(cell) and await pump.take_back_mark()
        ):
            again = Ring(head.actor_id, None, command.hops + 1)
        if again is not None and cell.met:
            runtime.alarms.ring(again)

    async def _is_drained(self, cell: Cell) -> bool:
        """Whether nothing has come since the loop last looked.

        Whoever sent it may have found that the loop ran here, and left it to this process.
        """
        head = await self._runtime.store.load(cell.address)
        if head is None or cell.inbox is None or not cell.met or head.actor_id != cell.actor_id:
            return True
        return head.sequences.get(Collection.MESSAGE, 0) <= cell.inbox.last

    async def _reminded(self, entry: Dispatch) -> None:
        """The sweeper has found messages that nobody seems to care for."""
        runtime = self._runtime
        head = await runtime.store.load(entry.actor_id)
        if head is None or head.destroyed_at is not None:
            changes = Changes(runtime.fresh_commit_id(), outbox_clear=(MARK,))
        elif await self._is_forgotten(head):
            return
        else:
            # Somebody else may look after them; if not, the sweeper comes by again.
            again = mark(runtime.clock.now())
            changes = Changes(runtime.fresh_commit_id(), outbox_add=(again,))
            if head.address.name in runtime.definitions:
                self.arrived(await runtime.cells.met(head, tick()))
        await runtime.commit_loose(entry.actor_id, changes)

    async def _is_forgotten(self, head: Head) -> bool:
        """Clear a mark that nothing is behind; say whether nothing was.

        A loop in another process does not know of marks that were set since it read the head.
        """
        runtime = self._runtime
        definition = runtime.definitions.get(head.address.name)
        if definition is None or workflow_of(definition.cls) is not None:
            return False  # workflows are marked before they begin, too
        if await runtime.store.records(head.actor_id, Collection.MESSAGE, limit=1):
            return False
        last = head.sequences.get(Collection.MESSAGE, 0)
        changes = unmark(runtime.fresh_commit_id(), last)
        try:
            await runtime.store.commit(head.actor_id, changes, expected=head.version)
        except Duplicate:
            return False
        except (Conflict, Gone):
            pass  # somebody is at it; if the mark stays, the next pass looks again
        return True

    async def ended(self, cell: Cell) -> None:
        """Return when the loop has ended, after its actor was told to sleep."""
        pump = cell.pump
        if pump is not None and pump.task is not None and not pump.task.done():
            await asyncio.wait((pump.task,))

    def cancel(self, cell: Cell) -> None:
        """Cut a loop off that has not ended in time."""
        if cell.pump is not None and cell.pump.task is not None:
            cell.pump.cut_off = True
            cell.pump.task.cancel()

    # -- messages that fail -----------------------------------------------------------------------

    async def note_failures(
        self, actor_id: str, failed: Sequence[Stored], error: Exception
    ) -> None:
        """Count a failure of each message; make dead letters of those that fail too often."""
        runtime, target = self._runtime, ById(None, actor_id)
        try:
            definition = await runtime.cells.definition_of(target)
        except (errors.ActorError, StoreError):
            return  # there is nothing left to count for

        async def note(turn: ActorTurn) -> None:
            part = turn.part(TurnQueue)
            for message in failed:
                queue = definition.find_queue(message.queue)
                most = 1 if queue is None else queue.max_deliveries
                await part.note_failure(message, most, failure_of(error))

        job = Job(definition, note, label="a failure", deadline=runtime.deadline(definition))
        try:
            await runtime.execution.run(target, job)
        except (errors.ActorError, StoreError):
            runtime.log.warning("a failure of %s was not counted", actor_id, exc_info=True)


def _replay(turn: ActorTurn, letter: Letter) -> None:
    """Put a dead message back, behind those that wait."""
    queue, body = cast("tuple[str, object]", letter.body)
    turn.part(TurnQueue).add(queue, encode_body(body))
