"""Workflows on turns: when a process goes on with one, and what it keeps of it meanwhile.

A process that goes on with a workflow reads its history once, and keeps it with the actor's tenure.
Each step is a turn (``workflow_port``), and its commit writes history too (``history``).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from rivetless import errors
from rivetless.runtime.execution import PASSING
from rivetless.runtime.flight import Flight
from rivetless.runtime.history import COUNTER, TIMER
from rivetless.runtime.steps import Superseded
from rivetless.runtime.workflow_port import TurnPort
from rivetless.store.base import Collection
from rivetless.workflow.engine import HAIR, End, Engine, Waits
from rivetless.workflow.errors import HistoryMoved, MisuseError, WorkflowError
from rivetless.workflow.journal import Journal, read_entry
from rivetless.workflow.outside import outside

if TYPE_CHECKING:
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.running import RunTurn
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.waking import Firing
    from rivetless.workflow.declare import Workflow


class Memory:
    """What a process keeps of a workflow for the actor's tenure.

    Attributes:
        journal: its history.
        waits: what it waits for, if it is suspended.
        seen: how often the actor's inbox had been poked when the workflow was run last.
        ended: whether it has completed or failed here.
    """

    __slots__ = ("ended", "journal", "seen", "waits")

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.waits: Waits | None = None
        self.seen = 0
        self.ended = False


class Workflows:
    """Goes on with workflows. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        runtime.waking.on_timer(TIMER, self._fired)

    async def _fired(self, firing: Firing) -> None:
        """Leave it to the pump, which every wake asks: the workflow removes the timer."""

    async def go_on(self, turn: RunTurn, workflow: Workflow) -> None:
        """Go on with a workflow until it waits, has ended or is to stop.

        Raises:
            ActorAborted: it waits, or was told to stop.
            Superseded: it has to be begun again.
            Exception: what a workflow has raised that nobody has foreseen.
        """
        tenure = turn.tenure
        # Its steps have turns of their own, and take their time one by one.
        self._runtime.execution.leave(turn.cell, turn.job)
        turn.begin_unit()
        memory, tenure.workflow = tenure.workflow, None
        try:
            memory = await self._recall(turn, memory)
            failure = await self._run(turn, workflow, memory)
        except HistoryMoved:
            raise Superseded(elsewhere=True) from None
        except errors.ActorError as error:
            if error.name in PASSING:
                raise Superseded(elsewhere=True) from error
            raise
        # What was interrupted is read again; what has come here is known.
        tenure.workflow = memory
        if failure is not None:
            if isinstance(failure, MisuseError) or not isinstance(failure, WorkflowError):
                raise failure
            turn.log.warning("the workflow has failed: %s", failure)
        if memory.waits is not None:
            turn.abort.fire("parked")
            raise errors.ActorAborted

    async def _recall(self, turn: RunTurn, memory: Memory | None) -> Memory:
        """Return what is known of a workflow: from memory, if nobody else has written since."""
        await turn.freshen()
        version = turn.cell.counter(COUNTER)
        if memory is not None and memory.journal.version == version:
            return memory
        records = await self._runtime.store.records(turn.actor_id, Collection.HISTORY)
        entries = (read_entry(record.key, record.data) for record in records)
        return Memory(Journal(entries, version))

    async def _run(self, turn: RunTurn, workflow: Workflow, memory: Memory) -> Exception | None:
        """Run it from its top if there is a reason to; return what it has failed with."""
        inbox = self._runtime.queues.inbox(turn.cell)
        there = turn.cell.last_message
        failure: Exception | None = None
        while not memory.ended and self._is_due(memory):
            memory.seen, there = inbox.pokes, turn.cell.last_message
            flight = Flight(self._runtime, turn.pump.careful)
            port = TurnPort(self._runtime, turn, workflow, memory.journal, flight)
            engine = Engine(port)
            actor = turn.definition.new(outside(turn))
            try:
                end = await engine.run(workflow, actor)
            except asyncio.CancelledError:
                raise
            except BaseException:
                # The host may stop this process once the slice has ended.
                with suppress(HistoryMoved):
                    await flight.durable()
                raise
            else:
                await flight.durable()
            finally:
                turn.pump.careful = flight.careful + flight.lost
                if flight.commits:
                    turn.progressed = True
                    turn.job.conflicts = 0
            memory.ended = end is not End.SUSPENDED
            memory.waits = None if memory.ended else engine.waits
            failure = engine.error
            if not self.has_mail(turn.cell, memory):
                break
        # Also if there was nothing to do: the note may have stayed when there was, or come again.
        await turn.pump.take_back_mark(there)
        return failure

    def has_mail(self, cell: Cell, memory: Memory | None) -> bool:
        """Whether messages may have come since a workflow that waits for some was run."""
        waits = None if memory is None else memory.waits
        if memory is None or waits is None or not waits.messages or cell.inbox is None:
            return False
        return cell.inbox.pokes != memory.seen

    def waits_for_time(self, cell: Cell) -> bool:
        """Whether a workflow waits, and not for a message."""
        memory = cell.tenure.workflow
        return memory is not None and memory.waits is not None and not memory.waits.messages

    def _is_due(self, memory: Memory) -> bool:
        """Whether a workflow may find something that it waits for."""
        waits = memory.waits
        if waits is None or waits.messages:
            return True
        return waits.until is not None and self._runtime.clock.now() + HAIR >= waits.until
