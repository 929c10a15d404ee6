"""Mistakes with queues: what becomes of a message between its arrival and its effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from rivetless.errors import ActorError
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ById
from rivetless.runtime.dead import Letters
from rivetless.runtime.inbox import Inbox
from rivetless.runtime.job import Job
from rivetless.runtime.messages import COUNTER, MARK
from rivetless.runtime.pump import Pump
from rivetless.runtime.pumps import Pumps
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.replying import Replies
from rivetless.runtime.running import RunTurn
from rivetless.runtime.steps import Step, tick
from rivetless.store.base import Changes, Record, StoreError
from tests.simulation.mutants.mutant import mutant, replaced, together

if TYPE_CHECKING:
    from rivetless.actor.queue import Delivery
    from rivetless.runtime.dead import Failure
    from rivetless.runtime.messages import Stored
    from rivetless.runtime.outbox import Dispatch
    from rivetless.runtime.turn import ActorTurn

Plant = AbstractContextManager[None]


# -- removal -------------------------------------------------------------------------------------


def _removal(turn: ActorTurn, taken: Mapping[int, Stored]) -> Changes:
    return Changes(
        turn.runtime.fresh_commit_id(),
        deletes=tuple(message.key for message in taken.values()),
        counters={COUNTER: -len(taken)},
    )


@mutant("A message is removed when it is received, by a commit of its own.", features=("queues",))
def message_removed_beforehand() -> Plant:
    right = TurnQueue._hand_over

    async def wrong(
        self: TurnQueue, found: list[Stored], completable: bool | None
    ) -> list[Delivery]:
        deliveries = await right(self, found, completable)
        if taken := dict(self.taken):
            self.taken.clear()
            turn = self.turn
            removal = _removal(turn, taken)
            await turn.port_call(turn.runtime.commit_loose(turn.actor_id, removal, turn.cell))
            self.inbox.removed(taken)
        return deliveries

    return replaced(TurnQueue, "_hand_over", wrong)


@mutant("A message is removed by a commit after that of its effect.", features=("queues",))
def message_removed_afterwards() -> Plant:
    contribute, staged = TurnQueue.contribute, TurnQueue.staged

    def without(self: TurnQueue, changes: Changes) -> Changes:
        taken, self.taken = self.taken, {}
        try:
            rest = contribute(self, changes)
        finally:
            self.taken = taken
        return replace(rest, touch=rest.touch or bool(taken))

    def removing(self: TurnQueue) -> Callable[[bool], None]:
        turn, taken = self.turn, dict(self.taken)
        landed = staged(self)

        async def remove() -> None:
            try:
                await turn.runtime.commit_loose(turn.actor_id, _removal(turn, taken), turn.cell)
            except (ActorError, StoreError):
                landed(False)
            else:
                landed(True)

        def wrong(durable: bool) -> None:
            if durable and taken:
                turn.runtime.begin(remove())
            else:
                landed(durable)

        return wrong

    return together(
        replaced(TurnQueue, "contribute", without), replaced(TurnQueue, "staged", removing)
    )


@mutant(
    "The removal of a message moves no version, so two may receive it.",
    features=("queues", "receivers"),
)
def message_removal_unversioned() -> Plant:
    right = TurnQueue.contribute

    def wrong(self: TurnQueue, changes: Changes) -> Changes:
        return replace(right(self, changes), touch=changes.touch)

    return replaced(TurnQueue, "contribute", wrong)


@mutant(
    "A message that a turn receives is gone from memory although the turn loses.",
    features=("queues",),
)
def message_forgotten_by_a_loser() -> Plant:
    def wrong(self: Inbox, numbers: Iterable[int]) -> None:
        self._claimed.update(numbers)

    return replaced(Inbox, "release", wrong)


# -- order ---------------------------------------------------------------------------------------


@mutant("A message that comes back goes behind those that wait.", features=("queues", "failures"))
def message_comes_back_last() -> Plant:
    right = Inbox.release

    def wrong(self: Inbox, numbers: Iterable[int]) -> None:
        back = list(numbers)
        for number in back:
            if number in self._messages:
                self._messages[number] = self._messages.pop(number)
        right(self, back)

    return replaced(Inbox, "release", wrong)


@mutant(
    "Messages are read on from the last one, though earlier ones may come to light later.",
    stores=("dynamodb",),
    features=("queues",),
)
def message_behind_the_last_one() -> Plant:
    def wrong(self: Inbox) -> None:
        return

    return replaced(Inbox, "_begin_at_the_front", wrong)


@mutant("Messages are received in the order of the clocks of those who sent.", features=("queues",))
def messages_by_date() -> Plant:
    right = Inbox._pick

    def wrong(self: Inbox, names: Collection[str], count: int) -> list[Stored]:
        by_date = sorted(self._messages.items(), key=lambda item: item[1].created_at)
        self._messages = dict(by_date)
        return right(self, names, count)

    return replaced(Inbox, "_pick", wrong)


@mutant("A message is acknowledged while it is on its way to the store.", features=("queues",))
def message_acknowledged_too_early() -> Plant:
    right = Cell.stage

    def wrong(
        self: Cell, step: Step, *, newborn: str | None = None, hold_back: bool = False
    ) -> None:
        right(self, step, newborn=newborn, hold_back=hold_back)
        alone = bool(step.changes.appends) and not (step.changes.versioned or step.effects)
        if alone and not step.done.done():
            step.done.set_result(None)

    return replaced(Cell, "stage", wrong)


# -- who is told ---------------------------------------------------------------------------------


@mutant("Who waits for a message is answered before its commit.", features=("queues", "replies"))
def message_answered_too_early() -> Plant:
    right = TurnQueue.complete

    def wrong(self: TurnQueue, id: int, reply: object) -> None:
        message = self.held.get(id)
        right(self, id, reply)
        if message is not None and message.waiter is not None:
            self.turn.runtime.queues.replies.tell({message.waiter: reply})

    return replaced(TurnQueue, "complete", wrong)


@mutant(
    "The reply to a message is handed over in memory only.",
    features=("queues", "replies", "processes"),
)
def message_reply_not_stored() -> Plant:
    def wrong(self: Replies, waiter: str) -> bool:
        return True

    return replaced(Replies, "wanted_here", wrong)


# -- going on after a death ----------------------------------------------------------------------


def _without_mark(changes: Changes) -> Changes:
    left = tuple(entry for entry in changes.outbox_add if entry.id != MARK)
    return replace(changes, outbox_add=left)


@mutant(
    "A message leaves no note for the sweeper, so it waits if its process dies.",
    features=("queues", "deaths"),
)
def message_leaves_no_note() -> Plant:
    right = TurnQueue.contribute

    def wrong(self: TurnQueue, changes: Changes) -> Changes:
        added = right(self, changes)
        return added if added.outbox_add == changes.outbox_add else _without_mark(added)

    return replaced(TurnQueue, "contribute", wrong)


@mutant(
    "The note of waiting messages is taken back when it is found.", features=("queues", "deaths")
)
def note_taken_back_when_found() -> Plant:
    async def wrong(self: Pumps, entry: Dispatch) -> None:
        runtime, began = self._runtime, tick()
        head = await runtime.store.load(entry.actor_id)
        gone = Changes(runtime.fresh_commit_id(), outbox_clear=(MARK,))
        await runtime.commit_loose(entry.actor_id, gone)
        if head is not None and head.destroyed_at is None:
            self.arrived(await runtime.cells.met(head, began))

    return replaced(Pumps, "_reminded", wrong)


@mutant(
    "The note of waiting messages is taken back although one may just have come.",
    features=("queues", "deaths"),
)
def note_taken_back_blindly() -> Plant:
    async def wrong(self: Pump, looked: int | None = None) -> bool:
        runtime, cell = self._runtime, self._cell
        if not cell.known or cell.head is None or MARK not in cell.head.outbox:
            return True
        changes = Changes(runtime.fresh_commit_id(), outbox_clear=(MARK,))
        try:
            await runtime.commit_loose(self._actor_id, changes, cell)
        except (ActorError, StoreError):
            return False
        return True

    return replaced(Pump, "take_back_mark", wrong)


# -- the loop ------------------------------------------------------------------------------------


@mutant(
    "What a unit of `run` broadcasts goes out before its commit.", features=("queues", "events")
)
def loop_events_too_early() -> Plant:
    right = RunTurn.broadcast

    def wrong(self: RunTurn, event: str, args: Sequence[object]) -> None:
        right(self, event, args)
        if self.effects:
            self._flowing = self.runtime.let_out(self)
            self.effects = []

    return replaced(RunTurn, "broadcast", wrong)


# -- messages that fail --------------------------------------------------------------------------


@mutant("A message's failures are counted in memory.", features=("queues", "failures"))
def failures_counted_in_memory() -> Plant:
    def counts(queue: TurnQueue) -> dict[tuple[str, int], int]:
        known: dict[tuple[str, int], int] = vars(queue.turn.runtime).setdefault("_failures", {})
        return known

    async def count(self: TurnQueue, number: int) -> int:
        return counts(self).get((self.turn.actor_id, number), 0)

    def records(self: TurnQueue) -> list[Record]:
        for number, failed in self._marks.items():
            counts(self)[self.turn.actor_id, number] = failed
        return []

    return together(
        replaced(TurnQueue, "_count_failures", count),
        replaced(TurnQueue, "_mark_records", records),
    )


@mutant(
    "A message that is given up becomes a dead letter in a commit of its own.",
    features=("queues", "failures", "deaths"),
)
def dead_letter_afterwards() -> Plant:
    right = TurnQueue.note_failure

    async def wrong(self: TurnQueue, message: Stored, most: int, failure: Failure) -> None:
        await right(self, message, most, failure)
        turn = self.turn
        letters = turn.part(Letters)
        given_up, letters._added = dict(letters._added), {}
        if not given_up:
            return

        async def keep() -> None:
            async def body(turn: ActorTurn) -> None:
                for letter in given_up.values():
                    turn.part(Letters).add(letter)

            runtime = turn.runtime
            deadline = runtime.deadline(turn.definition)
            job = Job(turn.definition, body, label="dead letters", deadline=deadline)
            await runtime.execution.run(ById(None, turn.actor_id), job)

        turn.later.append(keep())

    return replaced(TurnQueue, "note_failure", wrong)
