"""Mistakes with workflows: what history says and what was really done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from rivetless.actor.queue import Delivery
from rivetless.errors import ActorAborted
from rivetless.runtime.flight import Flight
from rivetless.runtime.history import History
from rivetless.runtime.job import digest
from rivetless.runtime.messages import MARK
from rivetless.runtime.timers import Timers
from rivetless.runtime.transaction import Transaction
from rivetless.runtime.turn import ActorTurn
from rivetless.runtime.workflow_port import TurnPort, _Attempt
from rivetless.workflow import engine as engines
from rivetless.workflow import loops
from rivetless.workflow.engine import End, Engine
from rivetless.workflow.errors import info_of
from rivetless.workflow.journal import Writing
from rivetless.workflow.port import Finish, Outcome, Work
from rivetless.workflow.results import WorkflowEvent
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.store.base import Changes
    from rivetless.workflow.context import WorkflowContext

Plant = AbstractContextManager[None]


@mutant(
    "What a step returned is written by a commit after that of what it did.",
    features=("workflows",),
)
def step_recorded_afterwards() -> Plant:
    right = TurnPort.turn

    async def wrong(
        self: TurnPort,
        label: str,
        location: str,
        work: Work | None,
        finish: Finish,
        timeout: float | None,
    ) -> Outcome:
        if work is None:
            return await right(self, label, location, work, finish, timeout)
        attempt = _Attempt()

        async def act(turn: ActorTurn) -> Outcome:
            attempt.committing = False
            outcome = await self._try(turn, work, timeout)
            attempt.committing = True
            return outcome

        cause = digest("workflow", self.actor_id, location)
        outcome = await self._commit(attempt, act, label, cause, timeout)
        await self._flight.durable()
        dirty = await self._take_dirty(label)

        async def record(turn: ActorTurn) -> Outcome:
            await turn.part(History).write(self._journal, dirty, finish(outcome))
            return outcome

        return await self._commit(_Attempt(), record, label, None, None)

    return replaced(TurnPort, "turn", wrong)


@mutant(
    "Whether somebody else has written history is not asked at the commit.", features=("workflows",)
)
def history_not_fenced() -> Plant:
    async def wrong(self: History) -> None:
        if self._journal is None:
            return
        await self.turn.part(Timers).prepare()
        self.turn.rebase()

    return replaced(History, "prepare", wrong)


@mutant(
    "A message that a workflow receives is removed by a commit before history has it.",
    features=("workflows",),
)
def workflow_message_recorded_afterwards() -> Plant:
    async def wrong(
        self: TurnPort,
        location: str,
        names: Collection[str],
        count: int,
        completable: bool | None,
        finish: Callable[[Sequence[Delivery]], Writing],
    ) -> list[Delivery]:
        async def take(turn: ActorTurn) -> list[Delivery]:
            return await turn.queue.receive(
                names, count, timeout=0.0, signal=None, completable=completable
            )

        found = await self._commit(_Attempt(), take, f"a wait for {location}", None, None)
        if not found:
            return found
        await self._flight.durable()
        dirty = await self._take_dirty("history")

        async def record(turn: ActorTurn) -> list[Delivery]:
            await turn.part(History).write(self._journal, dirty, finish(found))
            return found

        return await self._commit(_Attempt(), record, f"a wait for {location}", None, None)

    return replaced(TurnPort, "receive", wrong)


@mutant("That a step is rolled back is written with whatever comes next.", features=("workflows",))
def rollback_recorded_with_the_next() -> Plant:
    async def wrong(self: Engine, error: Exception) -> End:
        if self._recorded_only:
            self.error = error
            return End.FAILED
        undone = sorted(self.compensations, key=lambda each: each.entry.seq, reverse=True)
        left = [each for each in undone if not each.entry.rolled_back]
        if left and not self.collecting:
            self.journal.mark(self._root("rolling_back", info_of(error)))
            await self.write("a rollback")
        for each in left:
            if self.port.abort.aborted:
                raise ActorAborted
            outcome = await self.port.turn(
                f"rollback of {each.entry.name}",
                f"{each.entry.location}:rollback",
                each.undo,
                lambda outcome: Writing(),
                None,
            )
            if outcome.error is not None:
                info = info_of(outcome.error)
                await self.report(WorkflowEvent("rollback", each.entry.name, info))
                return await self._fail(outcome.error)
            self.journal.mark(replace(each.entry, rolled_back=True))
        return await self._fail(error)

    return replaced(engines.Engine, "_roll_back", wrong)


@mutant(
    "History that a loop forgets goes before the loop's place is written.", features=("workflows",)
)
def loop_forgets_its_place() -> Plant:
    right = loops._forget

    def wrong(ctx: WorkflowContext, location: str, before: int) -> None:
        journal = ctx.engine.journal
        entry = journal.get(location)
        if entry is None or entry.status != "running" or before <= 0:
            right(ctx, location, before)
            return
        right(ctx, location, entry.value["iteration"])
        journal.dirty.puts.pop(location, None)

    return replaced(loops, "_forget", wrong)


@mutant(
    "A workflow leaves no note for the sweeper when its actor is created.", features=("workflows",)
)
def workflow_leaves_no_note() -> Plant:
    right = Transaction.changes

    def wrong(self: Transaction, *, last: bool = True) -> Changes | None:
        changes = right(self, last=last)
        if changes is None or changes.create is None:
            return changes
        left = tuple(entry for entry in changes.outbox_add if entry.id != MARK)
        return replace(changes, outbox_add=left)

    return replaced(Transaction, "changes", wrong)


@mutant(
    "What a step that fails has changed is committed with its failure.", features=("workflows",)
)
def failed_step_not_undone() -> Plant:
    right = Transaction.savepoint

    def wrong(self: Transaction) -> Callable[[], None]:
        undo = right(self)
        workflow = self.job.label.startswith("step ")
        return (lambda: None) if workflow else undo

    return replaced(Transaction, "savepoint", wrong)


@mutant(
    "A workflow goes on although a step that it was built on has come to nothing.",
    features=("workflows",),
)
def lost_step_built_on() -> Plant:
    def wrong(self: Flight) -> None:
        while self._ahead and self._ahead[0].landed.done():
            self._ahead.popleft()

    return replaced(Flight, "check", wrong)


@mutant(
    "A step that has reached outside is built on before it is durable.",
    features=("workflows",),
)
def outside_step_built_on() -> Plant:
    def wrong(self: Flight, turn: ActorTurn) -> bool:
        if self.careful:
            self.careful -= 1
            return True
        return turn.destroying or turn.sleeping

    return replaced(Flight, "_waits", wrong)
