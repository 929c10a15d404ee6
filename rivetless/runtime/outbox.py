"""The outbox: durable effects on others, written with a commit and dispatched after it.

An entry is there until its kind's handler has said that it is done. One that fails is tried again
with growing pauses, found by the sweeper whatever became of the process that wrote it, and becomes
a dead letter after a day. Handlers are called at least once, so receivers know entries by their id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.runtime.dead import Letter, failure_of, letter_record
from rivetless.runtime.job import digest
from rivetless.runtime.parts import Part
from rivetless.runtime.ports import Ring
from rivetless.runtime.timers import seconds
from rivetless.store.base import Changes, Head, Outgoing, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

OLD: Final = 30.0
"""Seconds after which the sweeper takes an entry that is still there for one nobody cares for."""

FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 3600.0

GIVEN_UP_AFTER: Final = 24 * 3600.0
"""Seconds after which an entry that fails becomes a dead letter."""


@frozen
class Dispatch:
    """An effect that is to be had on others.

    Attributes:
        actor_id: the life whose outbox it is in.
        id: names the effect; the same whenever it is tried.
        kind: who handles it.
        body: the kind's own.
        created_at: when it was committed, in Unix seconds.
        attempts: how often it has failed.
        hops: how many wakes that actors made themselves led to it.
    """

    actor_id: str
    id: str
    kind: str
    body: bytes
    created_at: float
    attempts: int = 0
    hops: int = 0


Handler = Callable[[Dispatch], Awaitable[None]]
"""Has the effect. Returns when it is durable; raises when it is to be tried again."""


class Outbox(Part):
    """The durable effects of one run of a turn."""

    __slots__ = ("_entries",)

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._entries: list[Dispatch] = []

    def add(self, kind: str, body: bytes) -> str:
        """Have an effect after the commit; returns its id, the same in every re-run."""
        turn = self.turn
        number = f"{turn.job.checkpoints}.{len(self._entries)}"
        effect = digest("outbox", turn.actor_id, turn.turn_id, number)
        now = turn.runtime.clock.now()
        self._entries.append(Dispatch(turn.actor_id, effect, kind, body, now))
        return effect

    def add_again(self, kind: str, effect: str, body: bytes) -> None:
        """Have an effect once more that was given up; who has had it knows it by its id."""
        now = self.turn.runtime.clock.now()
        self._entries.append(Dispatch(self.turn.actor_id, effect, kind, body, now))

    def contribute(self, changes: Changes) -> Changes:
        if not self._entries:
            return changes
        added = tuple(_write(entry, entry.created_at) for entry in self._entries)
        return replace(changes, outbox_add=(*changes.outbox_add, *added))

    def savepoint(self) -> Callable[[], None]:
        count = len(self._entries)

        def undo() -> None:
            del self._entries[count:]

        return undo

    def committed(self) -> None:
        self._entries = []


def _write(entry: Dispatch, visible_at: float) -> Outgoing:
    """Write an entry down; the sweeper sees it ``OLD`` seconds after ``visible_at``."""
    head = f"{entry.kind}\0{entry.created_at!r}\0{entry.attempts}\0"
    return Outgoing(entry.id, visible_at, head.encode() + entry.body)


def read_entry(actor_id: str, entry: Outgoing, hops: int = 0) -> Dispatch:
    """Read an entry of the outbox back."""
    kind, created_at, attempts, body = entry.data.split(b"\0", 3)
    return Dispatch(actor_id, entry.id, kind.decode(), body, float(created_at), int(attempts), hops)


def _replay(turn: ActorTurn, letter: Letter) -> None:
    if not isinstance(letter.body, bytes):
        raise TypeError("the letter holds no effect")
    turn.part(Outbox).add_again(letter.kind, letter.source, letter.body)


class Outgoings:
    """Dispatches what is in outboxes. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._handlers: dict[str, Handler] = {}
        self._keepers: set[str] = set()
        self._under_way: set[str] = set()

    def handle(self, kind: str, handler: Handler, *, keeps: bool = False) -> None:
        """Say who has the effects of a kind.

        Args:
            kind: the kind.
            handler: has them.
            keeps: whether it removes its entries by itself, when it likes.
        """
        self._handlers[kind] = handler
        if keeps:
            self._keepers.add(kind)
        self._runtime.dead.handle(kind, _replay)

    def committed(self, actor_id: str, changes: Changes, hops: int) -> None:
        """A commit has added to an outbox: dispatch it, unless it is what was just put off."""
        fresh = [o for o in changes.outbox_add if not read_entry(actor_id, o).attempts]
        if fresh:
            self._runtime.begin(self.dispatch(actor_id, fresh, hops))

    async def dispatch_old(self, head: Head) -> None:
        """Dispatch what nobody seems to care for any more."""
        before = self._runtime.clock.now() - OLD
        old = [entry for entry in head.outbox.values() if entry.created_at <= before]
        await self.dispatch(head.actor_id, old, 0)

    async def dispatch(self, actor_id: str, entries: Iterable[Outgoing], hops: int) -> None:
        """Have the effects, in order; clear what is done, and put off what is not."""
        done: list[str] = []
        again: list[Outgoing] = []
        dead: list[Letter] = []
        now = self._runtime.clock.now()
        mine = [entry for entry in entries if entry.id not in self._under_way]
        self._under_way.update(entry.id for entry in mine)
        try:
            for outgoing in mine:
                entry = read_entry(actor_id, outgoing, hops)
                try:
                    await self._handlers[entry.kind](entry)
                except Exception as error:
                    if now - entry.created_at < GIVEN_UP_AFTER:
                        again.append(self._put_off(entry, error))
                        continue
                    dead.append(self._give_up(entry, error))
                if entry.kind not in self._keepers:
                    done.append(entry.id)
            await self._note(actor_id, done, again, dead)
        finally:
            self._under_way.difference_update(entry.id for entry in mine)

    def _put_off(self, entry: Dispatch, error: Exception) -> Outgoing:
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
        return _write(replace(entry, attempts=entry.attempts + 1), again_at - OLD)

    def _give_up(self, entry: Dispatch, error: Exception) -> Letter:
        self._runtime.log.error(
            "an effect (%s) of actor %s has failed for a day; it is a dead letter now",
            entry.kind,
            entry.actor_id,
            exc_info=error,
        )
        return Letter(
            kind=entry.kind,
            source=entry.id,
            at=seconds(self._runtime.clock.now()),
            attempts=entry.attempts + 1,
            failure=failure_of(error),
            body=entry.body,
        )

    async def _note(
        self, actor_id: str, done: list[str], again: list[Outgoing], dead: list[Letter]
    ) -> None:
        """Write down what became of entries, in a commit that joins others under way."""
        if not (done or again):
            return
        changes = Changes(
            self._runtime.fresh_commit_id(),
            outbox_clear=tuple(done),
            outbox_add=tuple(again),
            puts=tuple(letter_record(letter) for letter in dead),
            counters={"dead": len(dead)} if dead else {},
        )
        try:
            try:
                await self._runtime.commit_loose(actor_id, changes)
            except ActorError:
                # A tombstone keeps its outbox, and nothing else can be written to it.
                cleared = replace(changes, outbox_add=(), puts=(), counters={})
                if done:
                    await self._runtime.commit_loose(actor_id, cleared)
        except (ActorError, StoreError):
            self._runtime.log.warning(
                "the outbox of actor %s could not be tidied", actor_id, exc_info=True
            )
