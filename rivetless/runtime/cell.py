"""``Cell``: a process's cached copy of one actor, and the group commit of the turns that run on it.

A turn that ends adds a ``Step`` to the actor's *chain*. Steps that are ready together become one
commit, and what depends on a step (its reply, its events, the reply of a turn that read it) waits
until it is durable. When the store refuses a commit because another process was faster, the whole
chain is thrown away and its turns run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.clock import until
from rivetless.runtime.chain import Chain
from rivetless.runtime.reconcile import Verdict, reconcile
from rivetless.runtime.steps import (
    Snapshot,
    Step,
    Superseded,
    cut,
    fail,
    finish,
    last_deadline,
    tick,
    told,
)
from rivetless.runtime.tenure import Tenure
from rivetless.store.base import (
    KEEP,
    Changes,
    Conflict,
    Duplicate,
    Full,
    Gone,
    Head,
    OutcomeUnknown,
    Store,
    StoreError,
    TooLarge,
)
from rivetless.store.changes import apply, merge

MOMENT: Final = 0.005
"""Seconds that a step may wait for others to share a commit with, if nobody waits for it."""

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.clock import Clock
    from rivetless.keys import Address
    from rivetless.runtime.effects import Effect
    from rivetless.runtime.inbox import Inbox
    from rivetless.runtime.pump import Pump


class Cell(Chain):
    """One actor in this process.

    Attributes:
        definition: the actor's definition.
        address: its address; the life at it may change.
        awake: whether this process has begun its tenure (``create_vars`` and ``on_wake`` ran).
        tenure: what the process has of the actor beside its state.
        beginning: id of the turn whose hooks create or wake the actor now.
        running: how many turns are under way, work kept awake included.
        quiet: what waits until none is.
        inbox: the messages this process has read, once one was asked for.
        pump: what runs the actor's ``run`` here, while it does.
        used: tick of the last use.
        checked: tick of the last moment at which ``head`` is known to have been the newest.
        idle_timer: the timer that puts the actor to sleep, where that matters to its class.
        lock: held by whoever loads, creates or wakes the actor.
    """

    __slots__ = (
        "_committed",
        "_flusher",
        "_held_since",
        "_let_out",
        "_soon",
        "_store",
        "address",
        "awake",
        "beginning",
        "checked",
        "definition",
        "idle_timer",
        "inbox",
        "lock",
        "pump",
        "quiet",
        "running",
        "tenure",
        "used",
    )

    def __init__(
        self,
        definition: ActorDefinition,
        address: Address,
        store: Store,
        let_out: Callable[[Cell, str, int, int, Sequence[Effect], bool], asyncio.Future[None]],
        committed: Callable[[str, Changes, float, Head | None], None],
    ) -> None:
        super().__init__()
        self.definition = definition
        self.address = address
        self.awake = False
        self.beginning: str | None = None
        self.tenure = Tenure()
        self.running = 0
        self.used = 0
        self.checked = 0
        self.quiet: asyncio.Future[None] | None = None
        self.idle_timer: object = None
        self.inbox: Inbox | None = None
        self.pump: Pump | None = None
        self.lock = asyncio.Lock()
        self._store = store
        self._let_out = let_out
        self._committed = committed
        self._flusher: asyncio.Task[None] | None = None
        self._held_since = 0.0
        self._soon = False

    # -- what is under way ------------------------------------------------------------------------

    @property
    def flusher(self) -> asyncio.Task[None] | None:
        """The task that commits, while there is something to commit."""
        return self._flusher

    @property
    def writing(self) -> bool:
        """Whether something is on its way to the store, held back or not."""
        return self._flusher is not None or bool(self._staged)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here, so that the cell may be forgotten."""
        return not (self.running or self._staged or self._flusher or self._waiting or self.holder)

    # -- reading ----------------------------------------------------------------------------------

    async def load(self) -> Head | None:
        """Read the head from the store; afterwards ``known`` says whether there is an actor.

        Returns:
            The head that was read: of the actor, or what an earlier one has left.
        """
        self.flush()
        while self._flusher is not None:
            await asyncio.shield(self._flusher)
        now = tick()
        head = await self._store.load(self.address)
        self._adopt(head, now)
        return head

    def offer(self, head: Head, checked: int) -> None:
        """Take a head that somebody has read anyway, if the cell has nothing better.

        Args:
            head: of a life that is alive.
            checked: tick of a moment before it was read.
        """
        if not self.known and self.idle and not self.lock.locked():
            self._adopt(head, checked)

    def _adopt(self, head: Head | None, checked: int) -> None:
        """Make a head that was read the durable one; the chain is empty."""
        if head is not None and head.destroyed_at is not None:
            head = None
        old = self.head
        if old is not None and (head is None or head.actor_id != old.actor_id):
            self.end_tenure("destroyed")
            self._drop_staged()  # meant for the old life
        self._lost = False
        self.head = head
        self.checked = checked
        self._rewind()

    def end_tenure(self, reason: str) -> None:
        """Forget ``vars``; the next call wakes the actor again. Turns under way keep theirs."""
        tenure, self.tenure = self.tenure, Tenure()
        self.awake = False
        tenure.stop(reason)
        for call in tenure.afterwards:
            call()

    async def validate(self, base: Snapshot, started: int) -> None:
        """Make sure that ``base`` was durable and the newest at some moment after ``started``.

        Raises:
            Superseded: it was not.
        """
        alone = self._store.capabilities.single_writer
        if base.step is not None:
            await self.durable(base)
            # Commits are fenced: until this one was made, nobody else had changed the actor. But
            # one that was sent before ``started`` may have been made long before it was answered.
            if alone or base.step.sent >= started:
                return
        while (head := self.head) is not None and base.epoch == self._epoch:
            if base.seq != self._seq:
                # Turns of this process have followed: until their fenced commit is made, the base
                # is the newest.
                await self.durable(self.snapshot())
                return
            if alone or self.checked >= started:
                return
            if await self.newest(head):
                if self.head is head:
                    return
            elif base.seq == self._seq:
                break
        if base.epoch == self._epoch:
            self.forget()
        raise Superseded(elsewhere=True)

    async def newest(self, head: Head) -> bool:
        """Whether no other process has moved on from what was the cell's head at the call."""
        now = tick()
        if await self._store.current(head.actor_id, head.version):
            if self.head is head:
                self.checked = max(self.checked, now)
            return True
        if self._flusher is not None:
            # What has moved the version may be a commit of this process.
            await asyncio.shield(self._flusher)
        return self.head is not None and self.head.version > head.version

    async def durable(self, base: Snapshot) -> None:
        """Wait until everything a turn has seen is durable.

        Raises:
            Superseded: it never will be.
        """
        step = base.step
        if step is None:
            return
        if not step.landed.done():
            self.flush()
            await asyncio.shield(step.landed)
        if not step.landed.result():
            raise Superseded(elsewhere=True)

    # -- writing ----------------------------------------------------------------------------------

    def stage(self, step: Step, *, newborn: str | None = None, hold_back: bool = False) -> None:
        """Add a step to the end of the chain.

        The caller has made sure that the step's turn ran on the end of the chain (or that its
        changes are commutative).

        Args:
            step: what to add.
            newborn: id of the life that the step creates.
            hold_back: do not begin a commit for it; the next step, or whoever waits, will.
        """
        self._add(step, newborn)
        if not hold_back:
            self.flush()

    def flush(self) -> asyncio.Task[None] | None:
        """Begin to commit what is staged, unless a commit is under way (which goes on with it).

        Returns:
            The task that commits, if there is anything to commit.
        """
        if self._flusher is None and self._staged:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())
            self._flusher.add_done_callback(self._flushed)
        return self._flusher

    def flush_soon(self, clock: Clock) -> None:
        """Begin to commit what is staged in a moment, unless there is a reason to before."""
        if self._flusher is not None or not self._staged:
            return
        self._held_since = clock.now()
        if not self._soon:
            self._soon = True
            clock.call_later(MOMENT, partial(self._moment_over, clock))

    def _moment_over(self, clock: Clock) -> None:
        self._soon = False
        if self._flusher is not None or not self._staged:
            return
        left = self._held_since + MOMENT - clock.now()
        if MOMENT / 50 < left <= MOMENT:
            self._soon = True
            clock.call_later(left, partial(self._moment_over, clock))
        else:
            self.flush()

    async def _flush(self) -> None:
        try:
            while self._staged:
                limits = self._store.capabilities
                self._sending, self._staged = cut(self._staged, limits)
                await self._commit(self._sending)
        finally:
            self._sending = []
            self._flusher = None

    def _flushed(self, flusher: asyncio.Task[None]) -> None:
        """Throw away what was not sent if the flusher was cancelled, perhaps before it began."""
        if flusher.cancelled():
            self._flusher = None
            self._discard([], Superseded(elsewhere=True))

    async def _commit(self, batch: list[Step]) -> None:
        changes = merge(*(step.changes for step in batch))
        head = self.head
        if changes.create is not None and self._newborn is not None:
            actor_id, expected = self._newborn, 0
        elif head is not None:
            actor_id, expected = head.actor_id, head.version
        else:
            self._discard(batch, Superseded(elsewhere=True))
            return
        if changes.empty:
            self._landed(batch, changes, actor_id, expected, expected, self.checked)
            return
        now = tick()
        for step in batch:
            step.sent = now
        try:
            try:
                with until(last_deadline(batch)):
                    version = await self._store.commit(
                        actor_id, changes, expected=expected if changes.versioned else None
                    )
            except OutcomeUnknown:
                if len(batch) > 1 and changes.absent and not changes.versioned:
                    raise
                version = await self._reconcile(actor_id, changes, expected)
        except OutcomeUnknown:
            await self._reconcile_each(batch, actor_id, expected)
        except (Conflict, Gone):
            self._discard(batch, Superseded(elsewhere=True))
        except (Full, Duplicate, TooLarge) as error:
            await self._refused(batch, error)
        except StoreError as error:
            if len(batch) == 1 and batch[0].unseen:
                fail(batch[0], told(error))  # nothing is built on it
            else:
                self._discard(batch, told(error), error)
        except errors.ActorError as error:
            self._discard(batch, error)
        except BaseException as error:
            # A store that breaks its contract: nothing can be said about the outcome.
            self._discard(batch, errors.make("actor.outcome_unknown"), error)
            raise
        else:
            self._landed(batch, changes, actor_id, expected, version, now)

    async def _refused(self, batch: list[Step], error: Full | Duplicate | TooLarge) -> None:
        """Let only those fail whose conditions do not hold, and what was built on them."""
        if len(batch) > 1:
            while self._sending:  # one that is thrown away takes those behind it along
                await self._commit(self._sending[:1])
                self._sending = self._sending[1:]
            return
        reason: Exception = error
        if isinstance(error, TooLarge):
            reason = errors.state_too_large(error.size, error.limit)
        if batch[0].changes.versioned and not batch[0].unseen:
            self._discard(batch, reason)
        else:
            fail(batch[0], reason)

    async def _reconcile(self, actor_id: str, changes: Changes, expected: int) -> int:
        verdict = await reconcile(self._store, actor_id, changes, expected)
        match verdict:
            case Verdict(applied=True, version=version):
                return version
            case Verdict(applied=False):
                if not changes.versioned:
                    raise Duplicate("another has made what was to be absent")
                raise Conflict(actor_id, None)
            case _:
                raise errors.make("actor.outcome_unknown")

    async def _reconcile_each(self, batch: list[Step], actor_id: str, expected: int) -> None:
        """Find out what became of steps without a version, of which some may have been made before.

        That one of them is there says nothing of the others.
        """
        for step in batch:
            now = tick()
            try:
                version = await self._reconcile(actor_id, step.changes, expected)
            except (errors.ActorError, Duplicate) as error:
                fail(step, error)
            else:
                self._landed([step], step.changes, actor_id, expected, version, now)

    def _landed(
        self,
        batch: list[Step],
        changes: Changes,
        actor_id: str,
        expected: int,
        version: int,
        checked: int,
    ) -> None:
        """Go on from a commit that was made.

        Args:
            batch: its steps.
            changes: all that they wrote.
            actor_id: the life they wrote to.
            expected: the version it was prepared on.
            version: the head's version now, or 0, as far as the store's answer tells.
            checked: tick of the moment before it was sent.
        """
        # Its own version. The head's may be greater: others can have been here before the answer.
        own = expected + 1
        if not changes.versioned:
            own = expected if self.head is None else self.head.version
        if changes.destroyed_at is not None:
            self.end_tenure("destroyed")
            self.head = None
            self._rewind()
        elif self.head is None or self.head.actor_id == actor_id:
            if changes.versioned or changes.touches_head:
                self.head = apply(self.head, actor_id, changes, own)
            if own == version:
                self.checked = max(self.checked, checked)
            elif version:
                self.forget()
            if self._newborn == actor_id:
                self._newborn = None
        if self._chain_end in batch:
            self._chain_end = None
        if changes.armed_until is not KEEP or changes.outbox_add:
            hops = max(step.hops for step in batch)
            self._committed(actor_id, changes, hops, self.head)
        # What is not versioned was not fenced: the head may have moved, and somebody subscribed.
        heard = not changes.versioned or self.listened
        index = 0
        for step in batch:
            step.landed.set_result(True)
            if step.effects:
                out = self._let_out(self, actor_id, own, index, step.effects, heard)
                out.add_done_callback(partial(finish, step.done))
                index += len(step.effects)
            elif not step.done.done():  # whoever waited may have been cancelled
                step.done.set_result(None)

    def _discard(
        self, batch: list[Step], error: BaseException, cause: BaseException | None = None
    ) -> None:
        """Throw the chain away: what is in ``batch``, and everything built on it."""
        self._lost = True
        self._rewind()
        if cause is not None:
            error.__cause__ = cause
        for step in batch:
            fail(step, error)
        self._staged = [*self._sending[len(batch) :], *self._staged]
        self._sending = []
        if self._drop_staged() or any(step.begins_tenure for step in batch):
            self.end_tenure("restarted")

    def _drop_staged(self) -> bool:
        """Throw away what was never sent: it can simply run again. Say whether a tenure began."""
        staged, self._staged = self._staged, []
        for step in staged:
            fail(step, Superseded(elsewhere=True))
        return any(step.begins_tenure for step in staged)
