"""Mistakes in how changes become durable: fences, acknowledgements, chains, unknown outcomes."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rivetless.runtime import cell as cells
from rivetless.runtime import kv, lifecycle, reconcile, replies
from rivetless.runtime.cell import Cell
from rivetless.runtime.chain import Chain
from rivetless.runtime.execution import Execution
from rivetless.runtime.leases import Leases
from rivetless.runtime.reconcile import Verdict
from rivetless.runtime.steps import Snapshot, Step, Superseded, fail, tick
from rivetless.store import memory
from rivetless.store.base import (
    KEEP,
    Changes,
    Conflict,
    Gone,
    Head,
    Lease,
    Store,
    StoreError,
)
from rivetless.store.changes import merge
from rivetless.store.memory import MemoryStore
from rivetless.testing.stores import StoreWrapper
from tests.simulation.mutants.mutant import mutant, replaced, together

if TYPE_CHECKING:
    from rivetless.clock import Clock
    from rivetless.runtime.commands import Target
    from rivetless.runtime.job import Job
    from rivetless.runtime.turn import ActorTurn

Plant = AbstractContextManager[None]


# -- fences --------------------------------------------------------------------------------------


@mutant(
    "The memory store commits whatever version the changes were prepared on.", stores=("memory",)
)
def memory_commit_without_fence() -> Plant:
    right = memory._fence

    def wrong(head: Head, changes: Changes, expected: int | None) -> None:
        right(head, changes, None)

    return replaced(memory, "_fence", wrong)


class _Stubborn(StoreWrapper):
    """Commits again on the version that a refusal has shown, where ``may`` says so."""

    def __init__(self, store: Store, may: Callable[[Changes], bool]) -> None:
        super().__init__(store)
        self._may = may

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        try:
            return await super().commit(actor_id, changes, expected=expected)
        except Conflict as conflict:
            head = conflict.current or await self.inner.load(actor_id)
            if changes.create is not None or head is None or not self._may(changes):
                raise
            return await super().commit(actor_id, changes, expected=head.version)


@mutant("A commit that conflicts is sent once more on the version that won.")
def conflict_sent_again() -> Plant:
    right = Cell.__init__

    def wrong(
        self: Cell, definition: Any, address: Any, store: Store, let_out: Any, committed: Any
    ) -> None:
        right(self, definition, address, _Stubborn(store, lambda changes: True), let_out, committed)

    return replaced(Cell, "__init__", wrong)


@mutant(
    "Whoever holds the lease commits without a fence: nobody else should have written.",
    features=("exclusive", "freezes"),
)
def lease_instead_of_fence() -> Plant:
    right = Cell.__init__

    def wrong(
        self: Cell, definition: Any, address: Any, store: Store, let_out: Any, committed: Any
    ) -> None:
        def held(changes: Changes) -> bool:
            lease = None if self.head is None else self.head.lease
            return lease is not None and lease.holder == self.holder

        right(self, definition, address, _Stubborn(store, held), let_out, committed)

    return replaced(Cell, "__init__", wrong)


@mutant("A turn that keeps losing, or is exclusive, takes no lease.", features=("exclusive",))
def lease_not_taken() -> Plant:
    async def wrong(self: Leases, cell: Cell, job: Job, turn_id: str, commit_id: str) -> Snapshot:
        return cell.snapshot()

    return replaced(Leases, "take", wrong)


@mutant("Nobody waits for another process's lease.", features=("exclusive",))
def lease_not_respected() -> Plant:
    def wrong(self: Leases, lease: Any, turn_id: str, here: str | None) -> bool:
        return False

    return replaced(Leases, "blocks", wrong)


@mutant(
    "Who has waited for another process's lease looks again, whoever holds the actor by then.",
    features=("exclusive",),
)
def holder_disturbed() -> Plant:
    async def wrong(self: Execution, cell: Cell, lease: Lease, job: Job, tries: int) -> None:
        self._check_deadline(job)
        await self._runtime.leases.wait(tries)
        if cell.lease is not None:
            cell.forget()

    return replaced(Execution, "_wait_for_lease", wrong)


@mutant(
    "A lost commit that is not there yet is fenced off, and its turn runs again.",
    features=("exclusive",),
)
def lost_commit_not_sent_again() -> Plant:
    async def wrong(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
        await store.commit(
            actor_id, Changes(f"{changes.commit_id}!", touch=True), expected=expected
        )
        return Verdict(applied=False)

    return replaced(reconcile, "_send_again", wrong)


# -- acknowledgements ----------------------------------------------------------------------------


@mutant("A turn that joins a commit behind one under way is answered before it is durable.")
def joined_commit_not_awaited() -> Plant:
    right = Cell.stage

    def wrong(
        self: Cell, step: Step, *, newborn: str | None = None, hold_back: bool = False
    ) -> None:
        joins = self.flusher is not None and not step.effects and step.changes.state is not KEEP
        right(self, step, newborn=newborn, hold_back=hold_back)
        if joins and not step.done.done():
            step.done.set_result(None)

    return replaced(Cell, "stage", wrong)


@mutant("A stored reply is written after the commit of what it answers.", features=("retries",))
def reply_stored_after_commit() -> Plant:
    right = Execution._send

    async def wrong(self: Execution, turn: ActorTurn, changes: Changes | None) -> Step | None:
        if changes is None or not changes.replies or turn.job.checkpoints:
            return await right(self, turn, changes)
        late, runtime = changes.replies, self._runtime
        note = Changes(
            runtime.fresh_commit_id(),
            puts=tuple(replies._record(reply) for reply in late),
            counters={"replies": len(late)},
        )
        step = await right(self, turn, replace(changes, replies=()))

        def store(landed: Future[bool]) -> None:
            if landed.result():
                runtime.begin(runtime.commit_loose(turn.actor_id, note))

        if step is not None:
            step.landed.add_done_callback(store)
        return step

    return replaced(Execution, "_send", wrong)


# -- chains --------------------------------------------------------------------------------------


@mutant("A commit that the store refused leaves its state in the cell for the next turn.")
def refused_state_kept() -> Plant:
    right = Cell._discard

    def wrong(
        self: Cell, batch: list[Step], error: BaseException, cause: BaseException | None = None
    ) -> None:
        if cause is None or isinstance(error, Superseded):
            right(self, batch, error, cause)
            return
        if self._chain_end in batch:
            self._chain_end = None
        for step in batch:
            fail(step, error)

    return replaced(Cell, "_discard", wrong)


@mutant("What was built on a commit that has failed is committed nevertheless.")
def chain_outlives_its_base() -> Plant:
    right = Cell._discard

    def wrong(
        self: Cell, batch: list[Step], error: BaseException, cause: BaseException | None = None
    ) -> None:
        kept, self._staged = self._staged, []
        right(self, batch, error, cause)
        self._staged = kept

    return replaced(Cell, "_discard", wrong)


@mutant(
    "When a batch is refused and its head distrusted, the rest is given up, and not what is on it.",
    features=("bursts",),
)
def what_is_built_on_the_rest_kept() -> Plant:
    right = Cell._refused

    async def newest(self: Cell, head: Head) -> bool:
        # A commit of its own that is under way is taken for another process's.
        now = tick()
        found = await self._store.current(head.actor_id, head.version)
        if found and self.head is head:
            self.checked = max(self.checked, now)
        return found

    async def refused(self: Cell, batch: list[Step], error: Any) -> None:
        if len(batch) == 1:
            await right(self, batch, error)
            return
        epoch = self._epoch
        while self._sending:
            if self._epoch == epoch:
                await self._commit(self._sending[:1])
            else:
                fail(self._sending[0], Superseded(elsewhere=True))
            self._sending = self._sending[1:]

    return together(replaced(Cell, "newest", newest), replaced(Cell, "_refused", refused))


@mutant("A turn begins on the durable state although others have gone on from it.")
def chain_not_seen() -> Plant:
    right = Chain.snapshot

    def wrong(self: Chain) -> Snapshot:
        seen = right(self)
        if self.head is None or not self._sending:
            return seen
        return Snapshot(seen.epoch, seen.seq, self.head.state, seen.step)

    return replaced(Chain, "snapshot", wrong)


@mutant("A cell that has to read the head again takes its version, and keeps the state it had.")
def old_state_on_new_version() -> Plant:
    right = Cell._adopt

    def wrong(self: Cell, head: Head | None, checked: int) -> None:
        old = self.head
        right(self, head, checked)
        if old is not None and self.head is not None and self.head.actor_id == old.actor_id:
            self._state = old.state

    return replaced(Cell, "_adopt", wrong)


@mutant("Of turns that commit together only the last one's reply is stored.", features=("retries",))
def grouped_reply_lost() -> Plant:
    def wrong(*several: Changes) -> Changes:
        last = next((each.replies for each in reversed(several) if each.replies), ())
        return replace(merge(*several), replies=last)

    return replaced(cells, "merge", wrong)


@mutant("What one turn writes and the next one deletes is there if they commit together.")
def grouped_delete_lost() -> Plant:
    def wrong(*several: Changes) -> Changes:
        puts = {(record.collection, record.key): record for c in several for record in c.puts}
        return replace(merge(*several), puts=tuple(puts.values()))

    return replaced(cells, "merge", wrong)


# -- unknown outcomes ----------------------------------------------------------------------------


@mutant("A commit whose acknowledgement was lost counts as refused, and its turn runs again.")
def unknown_is_failure() -> Plant:
    async def wrong(self: Cell, actor_id: str, changes: Changes, expected: int) -> int:
        raise Conflict(actor_id, None)

    return replaced(Cell, "_reconcile", wrong)


@mutant("A commit whose acknowledgement was lost counts as made.")
def unknown_is_success() -> Plant:
    async def wrong(self: Cell, actor_id: str, changes: Changes, expected: int) -> int:
        return expected + changes.versioned

    return replaced(Cell, "_reconcile", wrong)


@mutant("If the version has moved by one, the lost commit is taken for the one that moved it.")
def commit_known_by_version() -> Plant:
    right = reconcile.reconcile

    async def wrong(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
        if changes.versioned and changes.create is None:
            head = await store.load(actor_id)
            if head is not None and head.version == expected + 1:
                return Verdict(applied=True, version=head.version)
        return await right(store, actor_id, changes, expected)

    return replaced(cells, "reconcile", wrong)


@mutant("The ids of recent commits are not looked at: whoever moved the version was another.")
def commit_ids_not_looked_at() -> Plant:
    right = reconcile.reconcile

    async def wrong(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
        if changes.versioned and changes.create is None:
            head = await store.load(actor_id)
            if head is not None and head.version > expected:
                return Verdict(applied=False)
        return await right(store, actor_id, changes, expected)

    return replaced(cells, "reconcile", wrong)


@mutant("A lost commit that is not there yet is not fenced off, so it may still arrive.")
def late_commit_not_fenced() -> Plant:
    right = reconcile.reconcile

    async def wrong(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
        if changes.versioned and changes.create is None:
            head = await store.load(actor_id)
            if head is not None and head.version == expected:
                return Verdict(applied=False)
        return await right(store, actor_id, changes, expected)

    return replaced(cells, "reconcile", wrong)


@mutant("An append whose acknowledgement was lost is made again.", features=("queues",))
def append_sent_again() -> Plant:
    right = reconcile.reconcile

    async def wrong(store: Store, actor_id: str, changes: Changes, expected: int) -> Verdict:
        if changes.versioned or reconcile._makes(changes) or not changes.appends:
            return await right(store, actor_id, changes, expected)
        for _ in range(reconcile.ATTEMPTS):
            try:
                version = await store.commit(actor_id, changes, expected=None)
            except Gone:
                return reconcile.UNKNOWN
            except StoreError:
                continue
            return Verdict(applied=True, version=version)
        return reconcile.UNKNOWN

    return replaced(cells, "reconcile", wrong)


# -- checkpoints ---------------------------------------------------------------------------------


@mutant(
    "The first checkpoint does not note that the turn has begun.",
    features=("save_state", "retries"),
)
def checkpoint_not_noted() -> Plant:
    right = replies.remember

    def wrong(changes: Changes, clock: Clock, cell: Cell, job: Job, data: bytes) -> Changes:
        return changes if data == replies.STARTED else right(changes, clock, cell, job, data)

    return replaced(replies, "remember", wrong)


@mutant("A turn that loses after a checkpoint is run again from its top.", features=("save_state",))
def checkpoint_run_again() -> Plant:
    right = Execution.after_conflict

    async def wrong(self: Execution, job: Job, lost: Superseded) -> None:
        job.checkpoints = 0
        await right(self, job, lost)

    return replaced(Execution, "after_conflict", wrong)


# -- lives ---------------------------------------------------------------------------------------


@mutant("An id leads to whatever life is at its address now.", features=("destroy", "ids"))
def id_leads_to_next_life() -> Plant:
    from rivetless.runtime.commands import ById, ByKey

    right = Execution.enter

    async def wrong(self: Execution, cell: Cell, target: Target, job: Job) -> None:
        by_key = ByKey(cell.address) if isinstance(target, ById) else target
        await right(self, cell, by_key, job)

    return replaced(Execution, "enter", wrong)


@mutant(
    "A destroyed actor's last messages go with it.",
    stores=("memory",),
    features=("destroy", "sends"),
)
def tombstone_dropped_with_outbox() -> Plant:
    right = MemoryStore.drain

    async def wrong(self: MemoryStore, actor_id: str, *, limit: int = 100) -> bool:
        life = self._lives.get(actor_id)
        if life is not None and life.head.destroyed_at is not None:
            life.head = replace(life.head, outbox={})
        return await right(self, actor_id, limit=limit)

    return replaced(MemoryStore, "drain", wrong)


@mutant("A life may begin again after it was drained.", stores=("memory",), features=("destroy",))
def drained_life_begins_again() -> Plant:
    right = MemoryStore.drain

    async def wrong(self: MemoryStore, actor_id: str, *, limit: int = 100) -> bool:
        gone = await right(self, actor_id, limit=limit)
        if gone:
            self._drained.pop(actor_id, None)
        return gone

    return replaced(MemoryStore, "drain", wrong)


@mutant(
    "What `on_wake` has changed is lost if the commit that it joins fails.", features=("hooks",)
)
def waking_forgets() -> Plant:
    right = lifecycle.Lifecycle._stage

    def wrong(
        self: lifecycle.Lifecycle,
        turn: ActorTurn,
        changes: Changes | None,
        newborn: str | None = None,
    ) -> None:
        right(self, turn, changes, newborn)
        if newborn is None:
            for step in turn.cell._staged:
                step.begins_tenure = False

    return replaced(lifecycle.Lifecycle, "_stage", wrong)


# -- pairs of keys and values --------------------------------------------------------------------


@mutant("KV pairs are written before the turn's commit.", features=("kv",))
def kv_outside_commit() -> Plant:
    right = kv.TurnKV.contribute

    async def prepare(self: kv.TurnKV) -> None:
        turn = self.turn
        if turn.creation is not None or not self._written:
            return
        pairs = right(self, turn.no_changes())
        await turn.port_call(
            turn.runtime.commit_loose(turn.actor_id, replace(pairs, touch=False), turn.cell)
        )

    def contribute(self: kv.TurnKV, changes: Changes) -> Changes:
        if self.turn.creation is not None or not self._written:
            return right(self, changes)
        return replace(changes, touch=True)

    async def wrong(self: Execution, turn: ActorTurn) -> Changes | None:
        if kv.TurnKV in turn._parts:
            await prepare(turn.kv)
        return await right_prepare(self, turn)

    right_prepare = Execution._prepare
    return together(
        replaced(kv.TurnKV, "contribute", contribute), replaced(Execution, "_prepare", wrong)
    )


@mutant("A turn that has written KV pairs does not move the version.", features=("kv",))
def kv_unversioned() -> Plant:
    right = kv.TurnKV.contribute

    def wrong(self: kv.TurnKV, changes: Changes) -> Changes:
        return replace(right(self, changes), touch=changes.touch)

    return replaced(kv.TurnKV, "contribute", wrong)
