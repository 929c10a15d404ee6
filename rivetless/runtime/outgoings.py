"""``Outgoings``: has the effects that are in outboxes, in their order, until each is done.

An entry is there until its kind's handler has said that it is done. One that fails is tried again
with growing pauses, found by the sweeper whatever became of the process that wrote it, and becomes
a dead letter after a day, or at once if the receiver will never take it. Handlers are called at
least once, so receivers know entries by their id. What one actor sends to one receiver arrives in
the order of its commits.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.errors import ActorError, make
from rivetless.runtime.dead import Letter, failure_of, letter_record
from rivetless.runtime.outbox import Dispatch, Outbox
from rivetless.runtime.ports import Ring
from rivetless.runtime.timers import rounded
from rivetless.runtime.waking import MAX_HOPS
from rivetless.store.base import Changes, Collection, Duplicate, Head, Record, RecordKey, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

OLD: Final = 30.0
"""Seconds after which the sweeper takes an entry that is still there for one nobody cares for."""

FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 3600.0

GIVEN_UP_AFTER: Final = 24 * 3600.0
"""Seconds after which an entry that fails becomes a dead letter."""

KNOWN_FOR: Final = 47 * 3600.0
"""Seconds for which it is certain that a receiver still knows what it has had."""

BURIED: Final = 600.0
"""Seconds for which it is remembered that an effect was given up."""

BATCH: Final = 64
"""How many effects on one receiver are cleared together."""

ABREAST: Final = 32
"""On how many receivers one commit's effects are had at a time."""

_HAIR: Final = 1e-6


Handler = Callable[[Dispatch], Awaitable[None]]
"""Has the effect. Returns when it is durable; raises when it is to be tried again."""

Receiver = Callable[[Dispatch], str]
"""Names whom an effect is on. Effects on one receiver are had in their order."""


class RefusedError(Exception):
    """The receiver will never take the effect: there is no use in trying again."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Outgoings:
    """Dispatches what is in outboxes. One for each runtime.

    The effects of one actor on one receiver make a lane: each is had when the one before is done,
    or given up. One that fails holds back those behind it, in the store as well.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handlers: dict[str, tuple[Handler, Receiver]] = {}
        self._keepers: set[str] = set()
        self._under_way: set[str] = set()
        self._lanes: dict[_Lane, list[Dispatch]] = {}
        self._held_back: dict[_Lane, float] = {}
        self._last = 0.0

    def handle(
        self,
        kind: str,
        handler: Handler,
        *,
        receiver: Receiver | None = None,
        keeps: bool = False,
    ) -> None:
        """Say who has the effects of a kind.

        Args:
            kind: the kind.
            handler: has them.
            receiver: tells whom one is on; else all of the kind are on one.
            keeps: whether it removes its entries by itself, when it likes.
        """
        self._handlers[kind] = handler, receiver or _nobody
        if keeps:
            self._keepers.add(kind)
        self._runtime.dead.handle(kind, _replay)

    def stamps(self, head: Head | None) -> Iterator[float]:
        """Give instants for effects: each is after those of all others that are known of."""
        known = () if head is None else head.outbox.values()
        for outgoing in known:
            self._last = max(self._last, float(outgoing.data.split(b"\0", 2)[1]))
        while True:
            self._last = max(self._runtime.clock.now(), self._last + _HAIR)
            yield self._last

    # -- what is dispatched when ------------------------------------------------------------------

    def committed(self, actor_id: str, changes: Changes, head: Head | None) -> None:
        """A commit has added to an outbox: dispatch it, unless it is what was just put off.

        Args:
            actor_id: the life.
            changes: what was committed.
            head: as it is now, as far as is known: what is before the new entries goes first.
        """
        added = (Dispatch.read(actor_id, outgoing) for outgoing in changes.outbox_add)
        fresh = [entry for entry in added if self._is_fresh(entry)]
        if not fresh:
            return
        if head is not None and len(head.outbox) > len(fresh):
            fresh = self._behind(fresh, head)
        self._runtime.begin(self.dispatch(fresh))

    def _is_fresh(self, entry: Dispatch) -> bool:
        if entry.attempts or entry.noted_at != entry.created_at:
            return False
        if entry.hops > MAX_HOPS:
            self._runtime.log.warning(
                "actor %s sends because of what it or others have sent, again and again; its next "
                "message is left to the sweeper",
                entry.actor_id,
            )
            return False
        return True

    def _behind(self, fresh: list[Dispatch], head: Head) -> list[Dispatch]:
        """Put before new entries what is on its way to the same receivers from another process.

        New ones behind an entry that was put off are left to whoever tries that again.
        """
        new = {entry.id for entry in fresh}
        lanes = {self._lane(entry) for entry in fresh}
        first: dict[_Lane, Dispatch] = {}
        before: list[Dispatch] = []
        for outgoing in head.outbox.values():
            if outgoing.id in new or outgoing.id in self._under_way:
                continue
            entry = Dispatch.read(head.actor_id, outgoing)
            lane = self._lane(entry)
            if lane in lanes and entry.kind not in self._keepers:
                first.setdefault(lane, entry)
                before.append(entry)
        held = {lane for lane, entry in first.items() if entry.attempts}
        return [entry for entry in (*before, *fresh) if self._lane(entry) not in held]

    async def dispatch_old(self, head: Head) -> None:
        """Dispatch what nobody seems to care for any more, and all that is behind it."""
        before = self._runtime.clock.now() - OLD
        lanes: dict[_Lane, list[Dispatch]] = {}
        for outgoing in head.outbox.values():
            entry = Dispatch.read(head.actor_id, outgoing)
            lanes.setdefault(self._lane(entry), []).append(entry)
        old: list[Dispatch] = []
        again: list[Dispatch] = []
        for lane, entries in lanes.items():
            entries.sort(key=_created)
            first = entries[0].noted_at
            if first <= before:
                self._held_back.pop(lane, None)
                # Whatever led to it was long ago.
                old += [replace(entry, hops=0.0) for entry in entries]
            else:
                # What is behind it is not to be looked at before it is tried again.
                behind = (entry for entry in entries[1:] if entry.noted_at <= before)
                again += [replace(entry, noted_at=first) for entry in behind]
        if again:
            await self._note(head.actor_id, [], again, [])
        await self.dispatch(old)

    async def dispatch(self, entries: Iterable[Dispatch]) -> None:
        """Have effects: those on one receiver in order; clear what is done, put off what is not."""
        now = self._runtime.clock.now()
        begun: list[_Lane] = []
        for entry in entries:
            name = self._lane(entry)
            if entry.id in self._under_way or now < self._held_back.get(name, 0.0):
                continue
            self._under_way.add(entry.id)
            lane = self._lanes.get(name)
            if lane is None:
                lane = self._lanes[name] = []
                begun.append(name)
            insort(lane, entry, key=_created)
        if len(begun) == 1:
            await self._drain(begun[0])
        elif begun:
            drains = [self._runtime.spawn(self._drain_some(begun)) for _ in begun[:ABREAST]]
            await asyncio.wait(drains)

    async def _drain_some(self, lanes: list[_Lane]) -> None:
        while lanes:
            await self._drain(lanes.pop(0))

    def _lane(self, entry: Dispatch) -> _Lane:
        known = self._handlers.get(entry.kind)
        return entry.actor_id, entry.kind, "" if known is None else known[1](entry)

    # -- one lane ---------------------------------------------------------------------------------

    async def _drain(self, name: _Lane) -> None:
        actor_id, lane = name[0], self._lanes[name]
        taken: list[str] = []
        try:
            while lane:
                done: list[str] = []
                again: list[Dispatch] = []
                dead: list[tuple[Dispatch, Letter]] = []
                while lane and len(done) < BATCH and not again:
                    entry = lane.pop(0)
                    taken.append(entry.id)
                    error = await self._have(entry)
                    if error is None:
                        if entry.kind not in self._keepers:
                            done.append(entry.id)
                    elif self._is_hopeless(entry, error):
                        dead.append((entry, self._give_up(entry, error)))
                    else:
                        again = self._hold_back(name, self._put_off(entry, error), lane)
                        taken += [behind.id for behind in lane]
                        lane.clear()
                await self._note(actor_id, done, again, dead)
                self._under_way.difference_update(taken)
                taken = []
        finally:
            self._under_way.difference_update((*taken, *(entry.id for entry in lane)))
            del self._lanes[name]

    async def _have(self, entry: Dispatch) -> Exception | None:
        """Have an effect; return what it failed with."""
        age = self._runtime.clock.now() - entry.created_at
        if age >= KNOWN_FOR and entry.kind not in self._keepers:
            # The receiver may have had it, and have forgotten.
            return RefusedError(make("actor.outcome_unknown"))
        try:
            handler, _ = self._handlers[entry.kind]
            await handler(entry)
        except Exception as error:
            return error
        return None

    def _is_hopeless(self, entry: Dispatch, error: Exception) -> bool:
        if entry.kind in self._keepers:
            return False
        age = self._runtime.clock.now() - entry.created_at
        return isinstance(error, RefusedError) or age >= GIVEN_UP_AFTER

    def _hold_back(self, name: _Lane, failed: Dispatch, lane: list[Dispatch]) -> list[Dispatch]:
        """Put off what is behind an entry that is tried again later, and what will be."""
        now = self._runtime.clock.now()
        for other in [other for other, until in self._held_back.items() if until <= now]:
            del self._held_back[other]
        self._held_back[name] = failed.noted_at + OLD
        return [failed, *(replace(entry, noted_at=failed.noted_at) for entry in lane)]

    def _put_off(self, entry: Dispatch, error: Exception) -> Dispatch:
        runtime = self._runtime
        pause = min(FIRST_PAUSE * 2**entry.attempts, LONGEST_PAUSE)
        runtime.log.warning(
            "an effect (%s) of actor %s failed; it is tried again in %.0f s",
            entry.kind,
            entry.actor_id,
            pause,
            exc_info=error,
        )
        again_at = runtime.clock.now() + pause
        if pause < OLD:
            runtime.alarms.ring(Ring(entry.actor_id, again_at))  # else the sweeper is early enough
        return replace(entry, attempts=entry.attempts + 1, noted_at=again_at - OLD)

    def _give_up(self, entry: Dispatch, error: Exception) -> Letter:
        reason = error.reason if isinstance(error, RefusedError) else error
        self._runtime.log.error(
            "an effect (%s) of actor %s is given up; it is a dead letter now",
            entry.kind,
            entry.actor_id,
            exc_info=reason,
        )
        return Letter(
            kind=entry.kind,
            source=entry.id,
            at=rounded(self._runtime.clock.now()),
            attempts=entry.attempts + 1,
            failure=failure_of(reason),
            body=entry.body,
        )

    # -- what became of entries -------------------------------------------------------------------

    async def _note(
        self,
        actor_id: str,
        done: list[str],
        again: list[Dispatch],
        dead: list[tuple[Dispatch, Letter]],
    ) -> None:
        """Write down what became of entries, in commits that join others under way."""
        fresh_id = self._runtime.fresh_commit_id
        if done or again:
            written = tuple(entry.written() for entry in again)
            changes = Changes(fresh_id(), outbox_clear=tuple(done), outbox_add=written)
            await self._commit(actor_id, changes)
        for entry, letter in dead:
            # Two processes may give up one effect; one that was put back may die once more.
            name = f"buried:{entry.id}:{entry.created_at!r}"
            burial = RecordKey(Collection.REPLY, name.encode())
            until = self._runtime.clock.now() + BURIED
            changes = Changes(
                fresh_id(),
                outbox_clear=(entry.id,),
                puts=(
                    letter_record(letter),
                    Record(burial.collection, burial.key, letter.id.encode(), expires_at=until),
                ),
                counters={"dead": 1},
                absent=(burial,),
            )
            try:
                await self._commit(actor_id, changes)
            except Duplicate:
                await self._commit(actor_id, Changes(fresh_id(), outbox_clear=(entry.id,)))

    async def _commit(self, actor_id: str, changes: Changes) -> None:
        try:
            try:
                await self._runtime.commit_loose(actor_id, changes)
            except ActorError:
                # A tombstone keeps its outbox, and nothing else can be written to it.
                if changes.outbox_clear:
                    cleared = Changes(changes.commit_id, outbox_clear=changes.outbox_clear)
                    await self._runtime.commit_loose(actor_id, cleared)
        except Duplicate:
            raise
        except (ActorError, StoreError):
            self._runtime.log.warning(
                "the outbox of actor %s could not be tidied", actor_id, exc_info=True
            )


_Lane = tuple[str, str, str]


def _nobody(entry: Dispatch) -> str:
    return ""


def _created(entry: Dispatch) -> float:
    return entry.created_at


def _replay(turn: ActorTurn, letter: Letter) -> None:
    if not isinstance(letter.body, bytes):
        raise TypeError("the letter holds no effect")
    turn.part(Outbox).add_again(letter.kind, letter.source, letter.body)
