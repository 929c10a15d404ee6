"""Workflows on turns: each step is one, and its commit writes history too.

A process that goes on with a workflow reads its history once, and keeps it with the actor's tenure.
Each commit of history raises a counter of the head and moves its version, so that of two processes
at one workflow only one can write; the other finds the counter moved and reads history anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rivetless import errors
from rivetless.clock import Timeout, sleep
from rivetless.runtime.commands import ById
from rivetless.runtime.execution import PASSING
from rivetless.runtime.flight import Flight
from rivetless.runtime.job import Job, digest
from rivetless.runtime.messages import MARK, mark, read_message
from rivetless.runtime.parts import Part
from rivetless.runtime.steps import Superseded
from rivetless.runtime.timers import Timer, Timers
from rivetless.runtime.timers import seconds as whole_milliseconds
from rivetless.store.base import Append, Changes, Record, RecordKey, StoreError
from rivetless.store.base import Collection as Records
from rivetless.workflow.engine import HAIR, End, Engine, Waits
from rivetless.workflow.errors import HistoryMoved, MisuseError, WorkflowError
from rivetless.workflow.journal import (
    Completion,
    Journal,
    Writing,
    entry_bytes,
    entry_key,
    read_entry,
)
from rivetless.workflow.outside import outside
from rivetless.workflow.port import Finish, Outcome, Port, Work

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.queue import Delivery, Queue
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.running import RunTurn
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.steps import Step
    from rivetless.runtime.turn import ActorTurn
    from rivetless.runtime.waking import Firing
    from rivetless.workflow.declare import Workflow
    from rivetless.workflow.results import WorkflowEvent

COUNTER: Final = "history"
"""The head's counter of commits that wrote history."""

TIMER: Final = "w"
"""The kind of timers that workflows wait for."""

NOTHING: Final = Writing()
"""Writes nothing."""

PATIENCE: Final = 60.0
"""Seconds beyond a step's own time for which its turn is tried again."""

MOMENT: Final = 0.25
"""Seconds before the end of a slice at which a step that has had all of it is over."""

T = TypeVar("T")


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
        if self.turn.job.flight is not None:
            self.turn.job.flight.check()
        # Branches commit beside each other: what one has not read need not be run again.
        if self._timers is not None:
            await self._timers.prepare()
        self.turn.rebase()
        if self.turn.cell.counter(COUNTER) != self._journal.version:
            raise HistoryMoved

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
    return Timer(whole_milliseconds(at), TIMER, name)


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
        records = await self._runtime.store.records(turn.actor_id, Records.HISTORY)
        entries = (read_entry(record.key, record.data) for record in records)
        return Memory(Journal(entries, version))

    async def _run(self, turn: RunTurn, workflow: Workflow, memory: Memory) -> Exception | None:
        """Run it from its top if there is a reason to; return what it has failed with."""
        inbox = self._runtime.queues.inbox(turn.cell)
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
            if memory.ended or not self.has_mail(turn.cell, memory):
                await turn.pump.take_back_mark(there)
                return engine.error
        return None

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


def _passing(error: StoreError | errors.ActorError) -> bool:
    """Whether an error says nothing of what was being done, which is done again."""
    if not isinstance(error, errors.ActorError):
        return True
    # What has called others is said to be interrupted where its own commit was not possible.
    cut = error.name == "actor.interrupted"
    return error.name in PASSING or (cut and error.metadata in [{"cause": c} for c in PASSING])


class _Attempt:
    """A turn under way. It may be stopped until its commit begins.

    It runs in its caller's task, which is cancelled for it, as by a time-out.
    """

    __slots__ = ("_stopped", "_task", "committing")

    def __init__(self) -> None:
        self.committing = False
        self._stopped = False
        self._task: asyncio.Task[Any] | None = None

    def stop(self) -> None:
        """Give it up, unless it is too late."""
        task = self._task
        if task is None or self.committing or self._stopped:
            return
        if task is asyncio.current_task():
            # It asks for its own end: it has that when it next waits.
            asyncio.get_running_loop().call_soon(self.stop)
            return
        self._stopped = True
        task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._stopped or task is None:
            return
        # Somebody else may have cancelled the task as well.
        if task.uncancel() <= 0 and isinstance(error, asyncio.CancelledError):
            raise errors.ActorAborted from None


class TurnPort(Port):
    """What the engine asks of the runtime, for one run of a workflow's function."""

    def __init__(
        self,
        runtime: Runtime,
        turn: RunTurn,
        workflow: Workflow,
        journal: Journal,
        flight: Flight,
    ) -> None:
        self._runtime = runtime
        self._turn = turn
        self._workflow = workflow
        self._journal = journal
        self._flight = flight
        self._under_way: dict[_Attempt, None] = {}
        turn.abort.add_callback(self._stop)

    def _stop(self) -> None:
        for attempt in self._under_way:
            attempt.stop()

    # -- who and when -----------------------------------------------------------------------------

    @property
    def actor_id(self) -> str:
        return self._turn.actor_id

    @property
    def name(self) -> str:
        return self._turn.address.name

    @property
    def key(self) -> tuple[str, ...]:
        return self._turn.address.key

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return self._turn.log

    @property
    def created_at(self) -> float:
        return self._turn.cell.created_at

    @property
    def abort(self) -> AbortSignal:
        return self._turn.abort

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def longest(self) -> float | None:
        return self._turn.pump.longest

    def now(self) -> float:
        return self._runtime.clock.now()

    def jitter(self) -> float:
        return self._runtime.random_bits(32) / 2.0**32

    async def pause(self, seconds: float) -> None:
        await sleep(self._runtime.clock, seconds)

    def find_queue(self, name: str) -> Queue[Any, Any] | None:
        return self._turn.definition.find_queue(name)

    # -- turns ------------------------------------------------------------------------------------

    async def turn(
        self, label: str, location: str, work: Work | None, finish: Finish, timeout: float | None
    ) -> Outcome:
        dirty = await self._take_dirty(label)
        cause = None if work is None else digest("workflow", self.actor_id, location)
        attempt = _Attempt()

        async def body(turn: ActorTurn) -> Outcome:
            attempt.committing = False
            history = turn.part(History)
            outcome = Outcome() if work is None else await self._try(turn, work, timeout)
            attempt.committing = True
            await history.write(self._journal, dirty, finish(outcome))
            return outcome

        try:
            return await self._commit(attempt, body, label, cause, timeout)
        except errors.ActorError as error:
            if work is None or error.name in (*PASSING, "actor.not_found"):
                raise
            # What the step did cannot be committed: that is how this attempt has failed.
            failure = Outcome(error=error)

        async def failed(turn: ActorTurn) -> Outcome:
            attempt.committing = True
            await turn.part(History).write(self._journal, dirty, finish(failure))
            return failure

        return await self._commit(attempt, failed, label, None, None)

    async def _take_dirty(self, label: str) -> Writing:
        """Return what joins the next commit; what is too much for one goes ahead of it."""
        if not self._journal.dirty:
            return NOTHING
        most = max(self._runtime.store.capabilities.max_commit_records // 2, 1)
        *ahead, last = self._journal.take_dirty().split(most)
        for part in ahead:

            async def body(turn: ActorTurn, part: Writing = part) -> None:
                await turn.part(History).write(self._journal, part, NOTHING)

            await self._commit(_Attempt(), body, label, None, None)
        return last

    async def _try(self, turn: ActorTurn, work: Work, timeout: float | None) -> Outcome:
        """Run a step; what one that fails has changed is undone.

        One that has all the time that a step can have here, and takes longer, would do so wherever
        it is tried again: for it that time is over a moment before the host's is.
        """
        undo = turn.savepoint()
        left, bound = self._turn.pump.left, None
        if left is not None and (timeout is None or timeout > left - MOMENT):
            timeout = bound = max(left - MOMENT, 0.0)
        limit = Timeout(self._runtime.clock, timeout)
        try:
            async with limit:
                return Outcome(await work(turn.actor))
        except TimeoutError as error:
            undo()
            over = limit.expired
            return Outcome(error=error, timed_out=over, limit=bound if over else None)
        except Exception as error:
            undo()
            return Outcome(error=error)

    async def _commit(
        self,
        attempt: _Attempt,
        body: Callable[[ActorTurn], Coroutine[Any, Any, T]],
        label: str,
        cause: str | None,
        timeout: float | None,
    ) -> T:
        """Run a turn; return when the next one may begin."""
        if self.abort.aborted:
            raise errors.ActorAborted
        self._flight.check()
        job = Job(
            self._turn.definition,
            body,
            label=label,
            deadline=self.now() + (timeout or 0.0) + PATIENCE,
            turn_id=cause,
            hops=self._turn.job.hops,
            flight=self._flight,
        )
        self._under_way[attempt] = None
        try:
            with attempt:
                turn = self._turn
                target = ById(None, turn.actor_id)
                result = await self._runtime.execution.run(target, job, turn.cell)
        except (StoreError, errors.ActorError) as error:
            if not _passing(error):
                raise
            # No failure of the workflow: it is gone on with, from what is there, by and by.
            raise HistoryMoved from error
        finally:
            self._under_way.pop(attempt, None)
        await self._flight.go_on()
        return cast("T", result)

    async def durable(self) -> None:
        await self._flight.durable()

    async def receive(
        self,
        location: str,
        names: Collection[str],
        count: int,
        completable: bool | None,
        finish: Callable[[Sequence[Delivery]], Writing],
    ) -> list[Delivery]:
        dirty = await self._take_dirty("history")

        async def body(turn: ActorTurn) -> list[Delivery]:
            history = turn.part(History)
            found = await turn.queue.receive(
                names, count, timeout=0.0, signal=None, completable=completable
            )
            if found:
                await history.write(self._journal, dirty, finish(found))
            return found

        found = await self._commit(_Attempt(), body, f"a wait for {location}", None, None)
        if not found:
            self._journal.dirty = dirty.then(self._journal.dirty)
        return found

    async def report(self, event: object) -> None:
        on_error = self._workflow.on_error
        await self._flight.durable()
        if on_error is None:
            return
        told = cast("WorkflowEvent", event)

        async def body(turn: ActorTurn) -> None:
            await on_error(turn.actor, told)

        runtime, definition = self._runtime, self._turn.definition
        job = Job(definition, body, label="on_error", deadline=self.now() + PATIENCE)
        try:
            await runtime.execution.run(ById(None, self.actor_id), job)
        except Exception:
            self.log.warning("`on_error` has failed itself", exc_info=True)
