"""Timers: everything an actor is to be woken for, in one order.

Schedules, recurring jobs, time-outs of queues and whatever else waits for an instant keep one small
record each, named so that they lie in the order of their due times. What is due first is therefore
one short read, and the head's ``alarm`` is always its time. A timer is removed by the commit of
what it caused, so its effect happens once however often the actor is woken for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rivetless.frozen import frozen
from rivetless.runtime.parts import Part
from rivetless.runtime.ports import Ring
from rivetless.store.base import Changes, Collection, Record, RecordKey

if TYPE_CHECKING:
    from rivetless.runtime.steps import Snapshot
    from rivetless.runtime.turn import ActorTurn

FRONT: Final = 8
"""How many of the first timers are read together."""

SOON: Final = 0.05
"""Seconds: an actor that asks to be woken within them makes a hop, later a fresh start."""

_DATE: Final = 8


@frozen
class Timer:
    """One instant at which something has to be done.

    Attributes:
        at: when it is due, in Unix seconds; whole milliseconds.
        kind: one character: who handles it.
        id: unique among the timers of its kind.
        data: the kind's own.
    """

    at: float
    kind: str
    id: str
    data: bytes = b""

    @property
    def key(self) -> bytes:
        """The record's key: the due time first, so that timers lie in their order."""
        return timer_key(self.at, self.kind, self.id)


def milliseconds(instant: float) -> int:
    """Return an instant in whole milliseconds; what is before 1970 is due since then."""
    return max(0, round(instant * 1000))


def rounded(instant: float) -> float:
    """Return an instant, in seconds, rounded to whole milliseconds: timers have no finer ones."""
    return milliseconds(instant) / 1000


def timer_key(at: float, kind: str, id: str) -> bytes:
    """Name a timer's record."""
    return milliseconds(at).to_bytes(_DATE, "big") + kind.encode() + id.encode()


def is_timer_at(record: Record, at: float) -> bool:
    """Whether a record is a timer that is due at an instant."""
    date = milliseconds(at).to_bytes(_DATE, "big")
    return record.collection is Collection.SCHEDULE and record.key.startswith(date)


def due_until(now: float) -> bytes:
    """Return the key before which everything is due."""
    # A hair more, so that an alarm that fires at its very instant is not too early by rounding.
    return (math.floor(now * 1000 + 0.01) + 1).to_bytes(_DATE, "big")


def read_timer(record: Record) -> Timer:
    """Read a timer back."""
    key = record.key
    at = int.from_bytes(key[:_DATE], "big") / 1000
    name = key[_DATE:].decode()
    return Timer(at, name[0], name[1:], record.data)


@frozen
class Front:
    """The first timers of an actor, read before a turn began that is to know of them.

    Attributes:
        base: what the process knew of the actor before they were read; ``None`` where that was not
            durable, or nothing.
        timers: in their order.
        all: whether there are no others.
        read: tick of when they had been read.
    """

    base: Snapshot | None
    timers: tuple[Timer, ...]
    all: bool
    read: int


class Timers(Part):
    """The timers that one run of a turn adds and takes away."""

    __slots__ = ("_added", "_all_read", "_behind", "_front", "_quiet", "_removed")

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._added: dict[bytes, Timer] = {}
        self._removed: set[bytes] = set()
        # Added timers that are left to the sweeper.
        self._quiet: set[bytes] = set()
        # The first stored timers as of the turn's base, and whether there are no others.
        self._front: list[Timer] | None = None
        self._all_read = False
        # Whether what was added lies behind the present alarm, so that the commit rings for nobody.
        self._behind = False

    # -- what a turn asks for ---------------------------------------------------------------------

    def add(self, timer: Timer, *, quiet: bool = False) -> None:
        """Have the actor woken at ``timer.at``; one of the same name is replaced.

        Args:
            timer: what to add.
            quiet: send no wake for it, because it will hardly ever be due: it is there in case a
                process dies, and then the sweeper finds it.
        """
        self._added[timer.key] = timer
        if quiet:
            self._quiet.add(timer.key)

    def know(self, front: Front) -> None:
        """Take over what was read shortly before, if the turn runs on what was known then.

        Timers move the version, so whatever has changed since is found out by the commit.
        """
        turn, base = self.turn, front.base
        same = base is not None and (base.epoch, base.seq) == (turn.base.epoch, turn.base.seq)
        if same and self._front is None and turn.creation is None:
            turn.read_records = max(turn.read_records, front.read)
            self._front, self._all_read = list(front.timers), front.all

    def remove(self, timer: Timer) -> None:
        """Forget a timer, be it stored or only added."""
        self._added.pop(timer.key, None)
        self._removed.add(timer.key)

    async def take(self, timer: Timer) -> bool:
        """Remove a timer if it is still there; say whether it was."""
        if not await self.holds(timer):
            return False
        self.remove(timer)
        return True

    async def holds(self, timer: Timer) -> bool:
        """Whether a timer is there, as this turn sees it."""
        key = timer.key
        if key in self._added:
            return True
        if key in self._removed:
            return False
        front = await self._read_front(FRONT)
        if any(known.key == key for known in front):
            return True
        if self._all_read or (front and key < front[-1].key):
            return False
        return bool(await self.between(key, key + b"\0", limit=1))

    async def between(self, start: bytes, end: bytes | None, *, limit: int | None) -> list[Timer]:
        """Read timers by key, this turn's own included, in their order."""
        asked = None if limit is None else limit + len(self._removed)
        found = {timer.key: timer for timer in await self._stored(start, end, asked)}
        for key in self._removed:
            found.pop(key, None)
        for key, timer in self._added.items():
            if start <= key and (end is None or key < end):
                found[key] = timer
        return [found[key] for key in sorted(found)][:limit]

    async def _read_front(self, count: int) -> list[Timer]:
        if self._front is None or (len(self._front) < count and not self._all_read):
            self._front = await self._stored(b"", None, count)
            self._all_read = len(self._front) < count
        return self._front

    async def _stored(self, start: bytes, end: bytes | None, limit: int | None) -> list[Timer]:
        records = await self.stored(Collection.SCHEDULE, start=start, end=end, limit=limit)
        return [read_timer(record) for record in records]

    # -- the commit -------------------------------------------------------------------------------

    @property
    def _alarm(self) -> float | None:
        turn = self.turn
        return None if turn.creation is not None else turn.cell.alarm

    async def prepare(self) -> None:
        """Find out which timer is the first when those that were removed are gone."""
        if self._removed and self._uncovers():
            await self._read_front(max(FRONT, len(self._removed) + 1))

    def _uncovers(self) -> bool:
        """Whether what is removed may have been the first, so that another one is now."""
        alarm = self._alarm
        return alarm is not None and min(self._removed) < due_until(alarm)

    def contribute(self, changes: Changes) -> Changes:
        if not (self._added or self._removed):
            return changes
        earliest = self._alarm
        if self._removed and self._uncovers():
            assert self._front is not None, "a timer was removed after the turn was prepared"
            left = (timer.at for timer in self._front if timer.key not in self._removed)
            earliest = next(left, None)
        added = min((timer.at for timer in self._added.values()), default=None)
        if added is not None and (earliest is None or added < earliest):
            earliest = added
        return replace(
            self._rearm(changes, earliest),
            puts=(
                *changes.puts,
                *(Record(Collection.SCHEDULE, t.key, t.data) for t in self._added.values()),
            ),
            deletes=(
                *changes.deletes,
                *(
                    RecordKey(Collection.SCHEDULE, key)
                    for key in sorted(self._removed.difference(self._added))
                ),
            ),
        )

    def _rearm(self, changes: Changes, alarm: float | None) -> Changes:
        """Set the alarm; note that a wake will be sent for it, unless an earlier one is on its way.

        Timers always move the version: whoever works out which is the first must know of them all.
        """
        turn = self.turn
        self._behind = alarm == self._alarm
        if self._behind:
            return replace(changes, touch=True)
        armed = None if turn.creation is not None else turn.cell.armed_until
        first = min(self._added, default=b"")
        if first in self._quiet and self._added[first].at == alarm:
            return replace(changes, alarm=alarm)
        if alarm is None or covers(armed, alarm, turn.runtime.clock.now()):
            return replace(changes, alarm=alarm)
        return replace(changes, alarm=alarm, armed_until=alarm)

    def savepoint(self) -> Callable[[], None]:
        added, removed = dict(self._added), set(self._removed)

        def undo() -> None:
            self._added, self._removed = added, removed

        return undo

    def released(self) -> None:
        """Ring for what was added behind a timer that is due and being worked on.

        The alarm is that one's until it is removed, so that no commit has armed another.
        """
        runtime, turn = self.turn.runtime, self.turn
        now, alarm = runtime.clock.now(), self._alarm
        if not (self._added and self._behind) or alarm is None or alarm > now:
            return
        at = min(timer.at for timer in self._added.values())
        hops = int(turn.job.hops) + 1 if at - now < SOON else 0
        runtime.alarms.ring(Ring(turn.actor_id, at if at > now else None, hops))

    def committed(self) -> None:
        self.released()
        self._added, self._removed, self._quiet = {}, set(), set()
        self._front, self._all_read = None, False


def covers(armed_until: float | None, alarm: float, now: float) -> bool:
    """Whether a wake that was sent for ``armed_until`` is still to come, and early enough."""
    return armed_until is not None and now < armed_until <= alarm
