"""The turn behind ``run``: a sequence of transactions, one from each wait on the queue to the next.

While such a unit has changed nothing, its state is the newest there is, at each access. What it
changes is committed when it waits for the next message, together with the removal of its own. The
commit is not waited for: the next unit runs on top of it, and what it lets out waits instead. In a
process that stays, what nobody waits for shares the commit of the next send, if one comes at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivetless import errors
from rivetless.actor.queue import Delivery
from rivetless.runtime.job import digest
from rivetless.runtime.messages import Stored
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.steps import Step, Superseded, tick
from rivetless.runtime.transaction import UNREAD
from rivetless.runtime.turn import ActorTurn
from rivetless.store.base import KEEP, Full

if TYPE_CHECKING:
    from rivetless.actor.abort import AbortSignal
    from rivetless.actor.turn import ConnInfo
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.job import Job
    from rivetless.runtime.pump import Pump
    from rivetless.runtime.runtime import Runtime

T = TypeVar("T")

WINDOW: Final = 64
"""How many units may be on their way to the store at once."""

STALE: Final = 4
"""How many outdated state objects are watched: whoever keeps one for longer is on their own."""


class RunTurn(ActorTurn):
    """One run of an actor's ``run``, from its top.

    Attributes:
        progressed: whether it has committed something, or waited on the queue.
        failing: the messages of the unit under way, or of the one whose commit failed.
    """

    __slots__ = (
        "_began",
        "_flowing",
        "_on_their_way",
        "_pump",
        "_read_at",
        "_stale",
        "_unit_id",
        "failing",
        "progressed",
    )

    def __init__(self, runtime: Runtime, cell: Cell, job: Job, pump: Pump) -> None:
        super().__init__(runtime, cell, job, cell.actor_id)
        self._pump = pump
        self._stale: deque[tuple[Any, bytes | None]] = deque(maxlen=STALE)
        self._on_their_way: deque[tuple[Step, tuple[Stored, ...]]] = deque()
        self._unit_id: str | None = None
        self._flowing: asyncio.Future[None] | None = None
        self._began = self._read_at = 0
        self.progressed = False
        self.failing: tuple[Stored, ...] = ()

    @property
    def queue(self) -> RunQueue:
        return self.part(RunQueue)

    @property
    def pump(self) -> Pump:
        """What runs it."""
        return self._pump

    # -- the newest state -------------------------------------------------------------------------

    def get_state(self) -> Any:
        if self.cell.moved(self.base) is not None:
            self._follow()
        self._read_at = self._read_at or tick()
        return super().get_state()

    @property
    def _tied(self) -> bool:
        """Whether what the unit has done depends on the snapshot that it began with."""
        if self.read_records or self.puts or self.deletes or self._changed_state() is not KEEP:
            return True
        return self._collected(but=RunQueue)

    def _follow(self) -> None:
        """Move to the newest state, if the unit has changed nothing that depends on the old one.

        Raises:
            Superseded: the chain was thrown away, and with it what the unit has received.
        """
        cell, queue = self.cell, self.queue
        moved = cell.moved(self.base)
        if moved is None:
            return
        if cell.snapshot().epoch != self.base.epoch and (queue.held or queue.taken):
            raise moved
        if not cell.known or cell.actor_id != self.actor_id:
            raise moved
        if self._tied:
            return  # the commit finds out
        if self._state is not UNREAD:
            self._stale.append((self._state, self.base.state))
            self._state = UNREAD
        self.base = cell.snapshot()
        self._check_stale()

    def _check_stale(self) -> None:
        """Refuse changes to a state object that is not the actor's state any more.

        Raises:
            ActorError: ``actor.invalid_operation``.
        """
        schema = self.job.definition.state
        if schema is None:
            return
        for state, data in self._stale:
            if schema.dump(state) != data:
                raise errors.ActorError(
                    "actor",
                    "invalid_operation",
                    "`run` has changed a state object that it had kept across an await, while the "
                    "actor's state became another one. Use `self.state` again after each await.",
                )

    async def freshen(self, began: int | None = None) -> None:
        """See what other processes have done, before a message is taken.

        Args:
            began: a tick from which on it is enough that somebody has looked.
        """
        if not self.runtime.store.capabilities.single_writer:
            base, cell = self.base, self.cell
            if began is not None and cell.known and cell.checked >= began:
                fresh = cell.snapshot()
            else:
                await self.runtime.checkpoints.refresh(self)
                fresh, self.base = self.base, base
            if fresh.epoch != base.epoch:
                self._follow()

    async def refresh(self) -> None:
        self.check_open()
        if self._tied:
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                "`refresh` would lose the changes made so far. `await self.save_state()` first.",
            )
        await self.port_call(self.freshen())

    # -- what goes out at once --------------------------------------------------------------------

    def broadcast(self, event: str, args: Sequence[object]) -> None:
        super().broadcast(event, args)
        self._let_flow()

    def send(self, conn: ConnInfo, event: str, args: Sequence[object]) -> None:
        super().send(conn, event, args)
        self._let_flow()

    def send_raw(self, conn: ConnInfo, data: str | bytes) -> None:
        super().send_raw(conn, data)
        self._let_flow()

    def disconnect(self, conn: ConnInfo, code: int, reason: str) -> None:
        super().disconnect(conn, code, reason)
        self._let_flow()

    def _let_flow(self) -> None:
        """Let effects out, unless they may tell of something that is not committed."""
        if self._tied or not self.effects:
            return
        if self.cell.writing:
            # They tell of what is on its way to the store, and follow it.
            self.cell.stage(Step(self.no_changes(), tuple(self.effects)))
        else:
            self._flowing = self.runtime.let_out(self)
        self.effects = []

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        work.close()
        raise errors.ActorError(
            "actor",
            "invalid_operation",
            "`run` is background work itself: await what it is to do, or let it send a message.",
        )

    # -- units ------------------------------------------------------------------------------------

    def begin_unit(self, received: Sequence[Stored] = ()) -> None:
        """What follows is a transaction of its own, caused by these messages."""
        self.failing = tuple(received)
        self.refused = None
        self._began = tick()
        self._calls = None
        self._unit_id = None
        if received:
            numbers = ",".join(str(message.number) for message in received)
            self._unit_id = digest("message", self.actor_id, numbers)
        self.job.hops = self._pump.hops
        self.job.begin_unit(self.runtime.clock.now() + self._pump.patience)

    @property
    def durable_cause(self) -> bool:
        return bool(self.failing)

    @property
    def turn_id(self) -> str:
        if self._unit_id is None:
            self._unit_id = self.runtime.fresh_id()
        return self._unit_id

    async def commit_unit(self, *, wait: bool = False) -> None:
        """Commit what the unit did.

        Args:
            wait: until it is durable and its effects are out.

        Raises:
            Superseded: another turn was faster.
            ActorAborted: the actor has destroyed itself.
            ActorError: the changes cannot be committed.
        """
        self.check_open()
        execution, cell = self.runtime.execution, self.cell
        self.check_landed()
        wait = wait or self.destroying or self.sleeping
        if self.destroying:
            await self.runtime.lifecycle.run_destroy_hooks(self)
        await self.prepare()
        self._follow()
        self._check_stale()
        changes = execution.collect(self)
        if changes is not None or self.effects:
            if changes is not None and changes.versioned:
                self.check_base()
            elif changes is not None:
                await self._validate()
            changes = changes or self.no_changes()
            step = Step(changes, tuple(self.effects), hops=self.job.hops)
            self._stage(step, hold_back=not wait and self._may_wait(step))
        execution.leave(cell, self.job)
        self._read_at = 0
        self.begin_unit()
        if wait:
            await self.all_durable()
            self.runtime.after_commit(self)
            self.sleeping = False
            if self.destroying:
                raise errors.ActorAborted
        elif len(self._on_their_way) > WINDOW:
            cell.flush()
            await asyncio.shield(self._on_their_way[0][0].landed)

    def _may_wait(self, step: Step) -> bool:
        """Whether nobody waits for a unit to be committed, so that it may share what comes next.

        Who reads what it has changed has it committed at once.
        """
        changes = step.changes
        return (
            self._pump.stays
            and not (step.effects or self.queue.answers)
            and not (changes.puts or changes.appends or changes.outbox_add)
            and changes.armed_until is KEEP
        )

    async def _validate(self) -> None:
        """Make sure that what is written, which no version fences, depends on nothing old.

        Raises:
            Superseded: it may.
        """
        since = max(self._read_at, self.read_records)
        if since or self.presence.has_read:
            await self.cell.validate(self.base, since or self.job.started)
        if self.read_records and (moved := self.cell.moved(self.base)) is not None:
            raise moved

    async def check_failure(self) -> None:
        """Make sure that the unit has not failed because of something old.

        What the store has refused says so itself: it is gone, and the base with it.

        Raises:
            Superseded: it may have.
            StoreError: the store cannot say.
        """
        if self.refused is None:
            since = max(self._began, self._read_at, self.read_records)
            await self.cell.validate(self.base, since or self.job.started)

    def _stage(self, step: Step, *, hold_back: bool) -> None:
        received, inbox = self.failing, self.queue.inbox
        self.cell.stage(step, hold_back=hold_back)
        self.presence.remember(step.changes)
        landed = self.queue.staged()
        self.go_on_from(self.cell.snapshot())
        self._on_their_way.append((step, received))

        def done(durable: asyncio.Future[bool]) -> None:
            if durable.result():
                self.progressed = True
                self.job.conflicts = 0
            else:
                inbox.poke()  # the loop may wait for a message, and has to begin anew
            landed(durable.result())

        step.landed.add_done_callback(done)

    def check_landed(self) -> None:
        """Forget the units that are durable; complain of one that never will be.

        Raises:
            Superseded: another process was faster, or nobody knows what became of it.
            ActorError: the store refused it.
        """
        while self._on_their_way and self._on_their_way[0][0].landed.done():
            step, received = self._on_their_way.popleft()
            if step.landed.result():
                continue
            error = step.done.exception() if step.done.done() else None
            cause: BaseException | None = None
            if isinstance(error, Full):
                error, cause = errors.queue_full(error.limit), error
            if isinstance(error, errors.ActorError) and not _passing(error):
                self.failing, self.refused = received, error
                raise error from cause
            raise Superseded(elsewhere=True)

    async def all_durable(self) -> None:
        """Wait until every unit so far is durable and its effects are out."""
        self.cell.flush()
        while self._on_their_way:
            step, _ = self._on_their_way[0]
            await asyncio.wait((step.landed,))
            if step.landed.result() and not step.done.done():
                await asyncio.wait((step.done,))
            self.check_landed()
        if self._flowing is not None:
            await asyncio.wait((self._flowing,))

    async def save_state(self) -> None:
        self.check_open()
        await self.port_call(self.commit_unit(wait=True))


class RunQueue(TurnQueue):
    """``self.queue`` within ``run``: each wait ends a unit."""

    __slots__ = ()

    @property
    def _run(self) -> RunTurn:
        turn = self.turn
        assert isinstance(turn, RunTurn)
        return turn

    async def receive(
        self,
        names: Collection[str],
        count: int,
        *,
        timeout: float | None,
        signal: AbortSignal | None,
        completable: bool | None,
    ) -> list[Delivery]:
        run = self._run
        if self.held:
            raise errors.make("queue.previous_message_not_completed")
        await run.port_call(run.commit_unit())
        if run.abort.aborted:
            raise errors.ActorAborted
        return await super().receive(
            names, count, timeout=timeout, signal=signal, completable=completable
        )

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> object:
        await self._run.port_call(self._run.commit_unit())
        return await super().send_and_wait(*args, **kwargs)

    async def _hand_over(self, found: list[Stored], completable: bool | None) -> list[Delivery]:
        self._run.cell.flush()  # what was held back until there is something to share with
        self._run.begin_unit(found)
        self._run.pump.received()
        return await super()._hand_over(found, completable)

    async def _before_waiting(self) -> None:
        run = self._run
        if not run.pump.stays or run.cell.head is None:
            await super()._before_waiting()

    async def _wait(
        self,
        wait: Callable[[], Awaitable[None]],
        seconds: float | None,
        signal: AbortSignal | None,
    ) -> None:
        run = self._run
        if signal is not None and signal.aborted and not run.abort.aborted:
            raise errors.make("actor.aborted")
        run.progressed = True
        run.runtime.cells.listens(run.cell)
        self._listen(run.abort)
        if signal is not None:
            self._listen(signal)
        if run.pump.stays:
            run.cell.flush_soon(run.runtime.clock)
        else:
            await run.port_call(run.all_durable())
            await run.port_call(run.cell.durable(run.base))
        if run.abort.aborted:
            raise errors.ActorAborted
        began = tick()
        await run.port_call(run.pump.park(wait, seconds))
        run.check_landed()
        if run.abort.aborted:
            raise errors.ActorAborted
        await run.port_call(run.freshen(began))

    def committed(self) -> None:
        """Do nothing: ``RunTurn`` says when a unit is durable."""


def _passing(error: errors.ActorError) -> bool:
    """Whether a unit may simply be done again."""
    return error.name in ("guard.service_unavailable", "actor.outcome_unknown")
