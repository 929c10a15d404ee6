"""Mistakes in what leaves a turn: messages to others, their arrival, events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rivetless import errors
from rivetless.keys import Address
from rivetless.runtime import messages
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import GetActor, SendMessage
from rivetless.runtime.effects import Effect, Effects
from rivetless.runtime.execution import Execution
from rivetless.runtime.outbox import Dispatch
from rivetless.runtime.outgoings import Outgoings
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.queues import Queues
from rivetless.runtime.records import LISTENED
from rivetless.runtime.sending import Sending
from rivetless.runtime.steps import Step
from rivetless.runtime.transaction import Transaction
from rivetless.runtime.turn import ActorTurn
from rivetless.store.base import Changes, Duplicate, Head
from tests.simulation.mutants.mutant import mutant, replaced, together

if TYPE_CHECKING:
    from rivetless.runtime.job import Job

Plant = AbstractContextManager[None]


# -- the outbox ----------------------------------------------------------------------------------


@mutant("A message of another actor that arrives twice is taken twice.", features=("sends",))
def arrival_not_known() -> Plant:
    right = Queues._key

    def wrong(self: Queues, command: SendMessage, body: str) -> tuple[str | None, str]:
        key = command.origin.call_key
        if key is not None and key.startswith("o:"):
            return None, ""
        return right(self, command, body)

    return replaced(Queues, "_key", wrong)


@mutant(
    "That a message has arrived is noted by a commit before the one that adds it.",
    features=("sends",),
)
def arrival_noted_first() -> Plant:
    right = Queues._add

    def arrived(self: TurnQueue, key: str, check: str) -> None:
        return

    async def add(
        self: Queues, command: SendMessage, job: Job, key: str | None, check: str
    ) -> tuple[str, Address]:
        if key is not None:
            runtime = self._runtime
            info = await runtime.actions.get_actor(GetActor(command.target))
            note = Changes(
                runtime.fresh_commit_id(),
                puts=(messages.arrival_record(key, check, runtime.clock.now()),),
                absent=(messages.arrival_key(key),),
            )
            try:
                await runtime.commit_loose(info.actor_id, note)
            except Duplicate:
                await self._check_repeat(info.actor_id, key, check)
                return info.actor_id, info.address
        return await right(self, command, job, None, check)

    return together(replaced(TurnQueue, "arrived", arrived), replaced(Queues, "_add", add))


@mutant("Messages to others leave the outbox before they are delivered.", features=("sends",))
def outbox_cleared_first() -> Plant:
    right = Outgoings.dispatch

    async def wrong(self: Outgoings, entries: Iterable[Dispatch]) -> None:
        found = list(entries)
        leaving = [e for e in found if e.id not in self._under_way and e.id != messages.MARK]
        if leaving:
            await self._note(leaving[0].actor_id, [entry.id for entry in leaving], [], [])
        await right(self, found)

    return replaced(Outgoings, "dispatch", wrong)


@mutant(
    "Nobody looks for messages whose process died before it delivered them.", features=("sends",)
)
def outbox_not_swept() -> Plant:
    right = Outgoings.dispatch_old

    async def wrong(self: Outgoings, head: Head) -> None:
        marks = {name: entry for name, entry in head.outbox.items() if name == messages.MARK}
        await right(self, replace(head, outbox=marks))

    return replaced(Outgoings, "dispatch_old", wrong)


@mutant("A message that could not be delivered is taken for one that was.", features=("sends",))
def delivery_failure_swallowed() -> Plant:
    right = Sending._deliver

    async def wrong(self: Sending, entry: Dispatch) -> None:
        try:
            await right(self, entry)
        except errors.ActorError:
            self._runtime.log.warning("actor %s did not take a message", entry.actor_id)

    return replaced(Sending, "_deliver", wrong)


@mutant("An effect that is put off is tried again as another one.", features=("sends",))
def effect_renamed_when_put_off() -> Plant:
    right = Outgoings._put_off
    note = Outgoings._note

    def put_off(self: Outgoings, entry: Dispatch, error: Exception) -> Dispatch:
        later = right(self, entry, error)
        return replace(later, id=f"{entry.id.partition('+')[0]}+{entry.attempts + 1}")

    async def wrong(
        self: Outgoings, actor_id: str, done: list[str], again: list[Dispatch], dead: list[Any]
    ) -> None:
        for entry in again:
            first, _, attempt = entry.id.partition("+")
            if attempt:
                done = [*done, first if attempt == "1" else f"{first}+{int(attempt) - 1}"]
        await note(self, actor_id, done, again, dead)

    return together(replaced(Outgoings, "_put_off", put_off), replaced(Outgoings, "_note", wrong))


# -- events --------------------------------------------------------------------------------------


@mutant("Events go out when their commit is on its way.", features=("events",))
def events_before_commit() -> Plant:
    right = Cell.stage

    def wrong(
        self: Cell, step: Step, *, newborn: str | None = None, hold_back: bool = False
    ) -> None:
        right(self, step, newborn=newborn, hold_back=hold_back)
        if step.effects and self.head is not None and newborn is None:
            version = self.head.version + 1
            out = self._let_out(self, self.head.actor_id, version, 0, step.effects, self.listened)
            step.effects = ()
            del out

    return replaced(Cell, "stage", wrong)


@mutant("What a handler that fails has broadcast is sent nevertheless.", features=("events",))
def events_of_a_failure() -> Plant:
    right = Execution._failed

    async def wrong(self: Execution, turn: ActorTurn, error: Exception) -> None:
        if turn.effects:
            out = self._runtime.let_out(turn)
            del out
        await right(self, turn, error)

    return replaced(Execution, "_failed", wrong)


@mutant("The events of one commit may overtake those of the one before.", features=("events",))
def events_overtake() -> Plant:
    def wrong(
        self: Effects,
        cell: Cell,
        actor_id: str,
        version: int,
        index: int,
        effects: Sequence[Effect],
        heard: bool,
    ) -> asyncio.Future[None]:
        out: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def deliver() -> None:
            try:
                await self._deliver(actor_id, version, index, effects, heard)
            except Exception:
                self._log.exception("effects of actor %s were not delivered", actor_id)
            finally:
                if not out.done():
                    out.set_result(None)

        self._begin(deliver())
        return out

    return replaced(Effects, "let_out", wrong)


@mutant("A reply does not wait for the events of its turn.", features=("events",))
def reply_overtakes_events() -> Plant:
    right = Cell._landed

    def wrong(
        self: Cell,
        batch: list[Step],
        changes: Changes,
        actor_id: str,
        expected: int,
        version: int,
        checked: int,
    ) -> None:
        right(self, batch, changes, actor_id, expected, version, checked)
        for step in batch:
            if not step.done.done():
                step.done.set_result(None)

    return replaced(Cell, "_landed", wrong)


@mutant(
    "The first subscription of a life moves no version, so others do not know of it.",
    features=("events",),
)
def first_subscription_not_seen() -> Plant:
    right = Transaction.changes

    def wrong(self: Transaction, *, last: bool = True) -> Changes | None:
        changes = right(self, last=last)
        if changes is not None and LISTENED in changes.counters and not self.touch:
            return replace(changes, touch=False)
        return changes

    return replaced(Transaction, "changes", wrong)


@mutant("Events of turns that commit together go out the last first.", features=("events",))
def grouped_events_reversed() -> Plant:
    right = Cell._landed

    def wrong(
        self: Cell,
        batch: list[Step],
        changes: Changes,
        actor_id: str,
        expected: int,
        version: int,
        checked: int,
    ) -> None:
        right(self, batch[::-1], changes, actor_id, expected, version, checked)

    return replaced(Cell, "_landed", wrong)
