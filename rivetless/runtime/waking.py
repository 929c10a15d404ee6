"""Wakes: what an actor has to do by itself, done when a doorbell or an alarm says so.

A wake is a hint. It reads the head, does what is due by then, and has the actor woken again for
what is due later; one that comes early, late or twice finds nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from rivetless.clock import sleep, within
from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.runtime.commands import Sweep, Wake
from rivetless.runtime.ports import Ring
from rivetless.runtime.records import find_record
from rivetless.runtime.steps import tick
from rivetless.runtime.timers import FRONT, Front, Timer, due_until, read_timer
from rivetless.store.base import Changes, Collection, Head, Record, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

MAX_HOPS: Final = 16
"""Wakes of an actor's own making in a row: what rings itself for ever is left to the sweeper."""

BATCH: Final = 32
"""How many due timers are read and begun together."""

HEAD_START: Final = 0.05
"""Seconds that a timer's work has for itself before the next one's begins beside it."""

LONG: Final = 0.25
"""Seconds of work on a timer from which on it takes long."""

CLAIM: Final = 20.0
"""Seconds for which one process keeps others off a timer; renewed at half."""

MARGIN: Final = 1.0
"""Seconds before the host's deadline from which nothing more is begun."""


@frozen
class Firing:
    """A timer that is due.

    Attributes:
        head: the actor's head, as the wake has seen it.
        timer: the timer; whoever handles it removes it with the commit of what it causes.
        wake: what found it.
        front: the read that it was found with.
    """

    head: Head
    timer: Timer
    wake: Wake
    front: Front


TimerHandler = Callable[[Firing], Awaitable[None]]
"""Does what a timer stands for. Its errors are logged, and the timer fires again later."""

WakeHandler = Callable[[Wake, Head], Awaitable[None]]
"""Sees to something else that a wake may have been sent for; looks by itself whether it was."""


class Waking:
    """Handles the commands that no caller is behind. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handlers: dict[str, TimerHandler] = {}
        self._on_wake: list[WakeHandler] = []
        self._firing: set[tuple[str, bytes]] = set()

    def on_timer(self, kind: str, handler: TimerHandler) -> None:
        """Say who handles timers of a kind (one character)."""
        self._handlers[kind] = handler

    def on_wake(self, handler: WakeHandler) -> None:
        """Have somebody asked at every wake, after the timers that were due."""
        self._on_wake.append(handler)

    async def sweep(self, command: Sweep) -> None:
        """Make one pass over what died processes have left."""
        await self._runtime.sweeper.sweep(command.deadline)

    async def wake(self, command: Wake) -> None:
        """Do what is due for one actor."""
        runtime = self._runtime
        if command.hops > MAX_HOPS:
            runtime.log.warning(
                "actor %s has woken itself %d times in a row; it is left to the sweeper",
                command.actor_id,
                command.hops,
            )
            return
        if await self._fire_at_hand(command):
            return
        began = tick()
        try:
            head = await runtime.store.load(command.actor_id)
        except ValueError:
            return
        if head is None:
            return
        if not await self.tend(head):
            return
        if head.address.name not in runtime.definitions:
            runtime.log.warning("actor %s is of no known class", head.address)
            return
        tenure = (await runtime.cells.met(head, began)).tenure
        if tenure.stopped is None:
            await self._do_what_is_due(head, command)
        else:  # the actor is being put to sleep here
            tenure.afterwards.append(lambda: runtime.begin(self.wake(command)))

    async def tend(self, head: Head) -> bool:
        """Do what a head needs that is not its actor's own doing; say whether there is an actor."""
        runtime = self._runtime
        if head.outbox:
            await runtime.outgoings.dispatch_old(head)
        if head.destroyed_at is not None:
            await runtime.lifecycle.drain(head.actor_id)
            return False
        keeper = runtime.keepers.get(head.address.namespace)
        if keeper is None:
            return True
        await keeper.tend(head)
        return False

    async def _fire_at_hand(self, command: Wake) -> bool:
        """Fire what is due of an actor that is awake here, without having read its head again.

        The timers are read all the same, and if none is due the head is too. What else the wake
        may have been sent for is looked for afterwards, as after any other.

        Returns:
            Whether there was any.
        """
        runtime = self._runtime
        cell = runtime.cells.known(command.actor_id) if runtime.alarms.local else None
        head = None if cell is None else cell.head
        if cell is None or head is None or head.actor_id != command.actor_id or head.outbox:
            return False
        known = cell.known and cell.awake and cell.tenure.stopped is None
        if not known or head.alarm is None or not self._is_due(head.alarm):
            return False
        end = due_until(runtime.clock.now())
        front = await self._look(head, b"", end)
        if not front.timers or front.timers[0].key >= end:
            return False
        await self._do_what_is_due(head, command, front)
        return True

    def _is_due(self, alarm: float) -> bool:
        return due_until(alarm) <= due_until(self._runtime.clock.now())

    async def _do_what_is_due(self, head: Head, command: Wake, front: Front | None = None) -> None:
        alarm = head.alarm
        if alarm is not None:
            if self._is_due(alarm):
                if not await self._fire_all(head, command, front):
                    self._go_on_later(command)
                    return
            else:
                await self._runtime.alarms.rearm(head)
        for handler in self._on_wake:
            if self._over(command):
                self._go_on_later(command)
                return
            await handler(command, head)

    # -- timers -----------------------------------------------------------------------------------

    async def _fire_all(self, head: Head, command: Wake, front: Front | None) -> bool:
        """Fire what is due now, in order; what becomes due in the meantime rings by itself.

        Args:
            head: the actor's.
            command: the wake.
            front: its first timers, if they were read already.

        Returns:
            Whether there was time for all of it.
        """
        runtime = self._runtime
        end = due_until(runtime.clock.now())
        start = b""
        ahead = runtime.spawn(self._arm_next(head, end))
        try:
            while not self._over(command):
                found = front or await self._look(head, start, end)
                due = [timer for timer in found.timers if timer.key < end]
                await self._fire_batch(head, due, command, found)
                if found.all or len(due) < len(found.timers):
                    return True
                start, front = due[-1].key + b"\0", None
        finally:
            ahead.cancel()
        return False

    async def _look(self, head: Head, start: bytes, end: bytes) -> Front:
        """Read some timers: the first with those that follow what is due, then what is due only."""
        runtime, first = self._runtime, not start
        cell = runtime.cells.known(head.actor_id)
        at_rest = first and cell is not None and cell.known and not cell.writing
        base = cell.snapshot() if at_rest and cell is not None else None
        limit = FRONT if first else BATCH
        found = await runtime.store.records(
            head.actor_id,
            Collection.SCHEDULE,
            start=start,
            end=None if first else end,
            limit=limit,
        )
        timers = tuple(read_timer(record) for record in found)
        return Front(base, timers, len(found) < limit, tick())

    async def _arm_next(self, head: Head, end: bytes) -> None:
        """While the work on what is due takes long, have the next timer ring at its own time.

        Until that work is committed the alarm is still what is due now.
        """
        runtime = self._runtime
        await sleep(runtime.clock, LONG)
        found = await runtime.store.records(head.actor_id, Collection.SCHEDULE, start=end, limit=1)
        for record in found:
            runtime.alarms.ring(Ring(head.actor_id, read_timer(record).at))

    async def _fire_batch(
        self, head: Head, timers: list[Timer], command: Wake, front: Front
    ) -> None:
        """Begin the timers' work one after the other, each with a head start; wait for all."""
        under_way: list[asyncio.Task[None]] = []
        for timer in timers:
            name = head.actor_id, timer.key
            if name in self._firing:
                continue  # a doubled wake: this process is at it already
            self._firing.add(name)
            task = self._runtime.spawn(self._fire(Firing(head, timer, command, front)))
            task.add_done_callback(partial(self._fired, name))
            under_way.append(task)
            if timer is not timers[-1]:
                await self._wait_for(task, HEAD_START)
        for task in under_way:
            await self._wait_for(task, None)

    def _fired(self, name: tuple[str, bytes], task: asyncio.Task[None]) -> None:
        self._firing.discard(name)

    async def _wait_for(self, task: asyncio.Task[None], seconds: float | None) -> None:
        with suppress(TimeoutError):
            await within(self._runtime.clock, seconds, asyncio.shield(task))

    async def _fire(self, firing: Firing) -> None:
        runtime, timer = self._runtime, firing.timer
        alone = runtime.store.capabilities.single_writer
        try:
            if not alone and await self._is_claimed(firing):
                return
            claim = None if alone else runtime.spawn(self._claim(firing))
            try:
                await self._handlers[timer.kind](firing)
            finally:
                if claim is not None:
                    claim.cancel()
        except Exception:
            runtime.log.exception(
                "a timer (%s) of %s could not be handled; it is left to the sweeper",
                timer.kind,
                firing.head.address,
            )

    # -- several processes ------------------------------------------------------------------------

    async def _claim(self, firing: Firing) -> None:
        """While the work takes long, tell other processes that somebody is at it.

        No data depends on it: whoever takes the timer's work up nevertheless finds out when it
        commits.
        """
        runtime = self._runtime
        await sleep(runtime.clock, LONG)
        while True:
            until = runtime.clock.now() + CLAIM
            record = Record(Collection.REPLY, _claim_key(firing.timer), b"", expires_at=until)
            changes = Changes(runtime.fresh_commit_id(), puts=(record,))
            with suppress(ActorError, StoreError):
                await runtime.commit_loose(firing.head.actor_id, changes)
            await sleep(runtime.clock, CLAIM / 2)

    async def _is_claimed(self, firing: Firing) -> bool:
        """Whether another process is at work on a timer; nobody asks for one that is on time."""
        runtime, timer = self._runtime, firing.timer
        if runtime.clock.now() < timer.at + LONG:
            return False
        key = _claim_key(timer)
        actor_id = firing.head.actor_id
        return await find_record(runtime.store, actor_id, Collection.REPLY, key) is not None

    # -- time -------------------------------------------------------------------------------------

    def _over(self, command: Wake) -> bool:
        deadline = command.deadline
        return deadline is not None and self._runtime.clock.now() + MARGIN >= deadline

    def _go_on_later(self, command: Wake) -> None:
        """The host's time is over: the rest is for another wake."""
        self._runtime.alarms.ring(Ring(command.actor_id, hops=command.hops + 1))


def _claim_key(timer: Timer) -> bytes:
    return b"fire:" + timer.key
