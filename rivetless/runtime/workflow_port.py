"""``TurnPort``: what the workflow engine asks of the runtime; each step it takes is a turn.

A step's turn commits what the step did together with the history that says so. Turns are sent
without waiting for each other (``flight``), and can be stopped until their commit begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rivetless import errors
from rivetless.clock import Timeout, sleep
from rivetless.runtime.commands import ById
from rivetless.runtime.execution import PASSING
from rivetless.runtime.flight import Flight
from rivetless.runtime.history import History
from rivetless.runtime.job import Job, digest
from rivetless.store.base import StoreError
from rivetless.workflow.errors import HistoryMoved
from rivetless.workflow.journal import Journal, Writing
from rivetless.workflow.port import Finish, Outcome, Port, Work

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.queue import Delivery, Queue
    from rivetless.runtime.running import RunTurn
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn
    from rivetless.workflow.declare import Workflow
    from rivetless.workflow.results import WorkflowEvent

NOTHING: Final = Writing()
"""Writes nothing."""

PATIENCE: Final = 60.0
"""Seconds beyond a step's own time for which its turn is tried again."""

MOMENT: Final = 0.25
"""Seconds before the end of a slice at which a step that has had all of it is over."""

T = TypeVar("T")


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
            history.check(self._journal)  # else what it does outside is in vain, and done again
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
        outside = self._turn.pump.outside
        if cause in outside:
            job.go_on_from_outside()
        self._under_way[attempt] = None
        try:
            with attempt:
                turn = self._turn
                target = ById(None, turn.actor_id)
                result = await self._runtime.execution.run(target, job, turn.cell)
        except HistoryMoved:
            if cause is not None and job.outside:
                outside.add(cause)
            raise
        except (StoreError, errors.ActorError) as error:
            if not _passing(error):
                raise
            # No failure of the workflow: it is gone on with, from what is there, by and by.
            if cause is not None and job.outside:
                outside.add(cause)
            raise HistoryMoved from error
        finally:
            self._under_way.pop(attempt, None)
        if cause is not None:
            outside.discard(cause)
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


def _passing(error: StoreError | errors.ActorError) -> bool:
    """Whether an error says nothing of what was being done, which is done again."""
    if not isinstance(error, errors.ActorError):
        return True
    # What has called others is said to be interrupted where its own commit was not possible.
    cut = error.name == "actor.interrupted"
    return error.name in PASSING or (cut and error.metadata in [{"cause": c} for c in PASSING])
