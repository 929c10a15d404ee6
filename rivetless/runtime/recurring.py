"""How recurring jobs and their runs are written down."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Literal, cast

from rivetless.actor.cadence import Cadence, CronCadence, IntervalCadence
from rivetless.actor.cron import CronJob, CronRun, RunError
from rivetless.actor.schedule import instant
from rivetless.frozen import frozen
from rivetless.protocol.values import JSON, tag, untag
from rivetless.runtime.dead import Failure
from rivetless.runtime.timers import Timer, milliseconds
from rivetless.store.base import Collection, Record

KIND: Final = "c"
"""The timers of recurring jobs."""

_SEQ: Final = 8

_CLOSE: Final = 60.0
"""Seconds in which no cadence has many runs."""

Result = Literal["running", "ok", "error", "skipped"]


@frozen
class Running:
    """A run that has begun.

    Attributes:
        seq: number of its row in the history.
        scheduled_at: when it was due, in Unix seconds.
        fired_at: when it began.
        until: from when on it counts as dead.
    """

    seq: int
    scheduled_at: float
    fired_at: float
    until: float


@frozen
class Run:
    """A row of a job's history. Times are Unix seconds."""

    result: Result
    scheduled_at: float
    fired_at: float
    ended_at: float | None = None
    failure: Failure | None = None

    def record(self, uid: str, seq: int) -> Record:
        """Write it down."""
        failure = self.failure
        data = [
            self.result,
            milliseconds(self.scheduled_at),
            milliseconds(self.fired_at),
            None if self.ended_at is None else milliseconds(self.ended_at),
            failure and [failure.group, failure.code, failure.message],
        ]
        encoded = json.dumps(data, separators=(",", ":")).encode()
        return Record(Collection.HISTORY, row_key(uid, seq), encoded)

    @classmethod
    def read(cls, record: Record) -> Run:
        """Read it back."""
        result, scheduled_at, fired_at, ended_at, failure = json.loads(record.data)
        return cls(
            result,
            scheduled_at / 1000,
            fired_at / 1000,
            None if ended_at is None else ended_at / 1000,
            failure and Failure(*failure),
        )

    def shown(self) -> CronRun:
        """Return what actors see of it."""
        failure = self.failure
        return CronRun(
            self.result,
            instant(self.scheduled_at),
            instant(self.fired_at),
            None if self.ended_at is None else instant(self.ended_at),
            None if failure is None else RunError(failure.group, failure.code, failure.message),
        )


def row_key(uid: str, seq: int) -> bytes:
    """Name a row: those of one job lie together, in the order of their runs."""
    return uid.encode() + seq.to_bytes(_SEQ, "big")


def rows_end(uid: str) -> bytes:
    """Return the key after a job's last row."""
    return uid.encode() + b"\xff" * (_SEQ + 1)


@frozen
class Recurring:
    """A job.

    Attributes:
        name: as given.
        uid: tells a job from an earlier one of the same name.
        cadence: when it runs.
        action: the action's name on the wire.
        args: its arguments, as plain values.
        max_history: how many runs are remembered.
        next_at: when it runs next, in Unix seconds.
        last_at: when it last began.
        seq: the number of the last row of its history.
        oldest: the number of the first row that is still there.
        running: the run that is under way.
    """

    name: str
    uid: str
    cadence: Cadence
    action: str
    args: list[object]
    max_history: int
    next_at: float
    last_at: float | None = None
    seq: int = 0
    oldest: int = 1
    running: Running | None = None

    @property
    def timer(self) -> Timer:
        """The job's one timer: for its next run, or for the death of the present one."""
        at = self.next_at if self.running is None else self.running.until
        return Timer(at, KIND, self.name)

    def missed(self, now: float, most: int) -> list[float]:
        """Return the times that have passed since ``next_at``, itself included; the last ones.

        However many there are, no more than a few hundred are looked at.
        """
        found = self._runs(self.next_at, now, most + 1)
        if len(found) <= most:
            return found
        # The latest instant that has so many behind it is between these two.
        early, late = found[0], now
        while late - early > _CLOSE:
            middle = (early + late) / 2
            later = self._runs(self.cadence.after(middle), now, most + 1)
            if len(later) > most:
                early, found = middle, later
            else:
                late = middle
        while (at := self.cadence.after(found[-1])) <= now:
            found.append(at)
        return found[-most:]

    def _runs(self, at: float, now: float, most: int) -> list[float]:
        """Return the first times from a run on, at most so many."""
        found: list[float] = []
        while at <= now and len(found) < most:
            found.append(at)
            at = self.cadence.after(at)
        return found

    def record(self) -> Record:
        """Write it down."""
        cadence, running = self.cadence, self.running
        times: list[object]
        if isinstance(cadence, CronCadence):
            times = ["cron", cadence.expression, cadence.timezone]
        else:
            times = ["every", milliseconds(cadence.interval), milliseconds(cadence.anchor)]
        data = {
            "uid": self.uid,
            "times": times,
            "action": self.action,
            "args": tag(self.args, JSON),
            "history": self.max_history,
            "next": milliseconds(self.next_at),
            "last": None if self.last_at is None else milliseconds(self.last_at),
            "rows": [self.oldest, self.seq],
            "running": running
            and [
                running.seq,
                milliseconds(running.scheduled_at),
                milliseconds(running.fired_at),
                milliseconds(running.until),
            ],
        }
        encoded = json.dumps(data, separators=(",", ":")).encode()
        return Record(Collection.CRON, self.name.encode(), encoded)

    @classmethod
    def read(cls, record: Record) -> Recurring:
        """Read it back."""
        data: dict[str, Any] = json.loads(record.data)
        kind, first, second = data["times"]
        running = data["running"]
        last = data["last"]
        return cls(
            name=record.key.decode(),
            uid=data["uid"],
            cadence=CronCadence(first, second)
            if kind == "cron"
            else IntervalCadence(first / 1000, second / 1000),
            action=data["action"],
            args=cast("list[object]", untag(data["args"])),
            max_history=data["history"],
            next_at=data["next"] / 1000,
            last_at=None if last is None else last / 1000,
            seq=data["rows"][1],
            oldest=data["rows"][0],
            running=running and Running(running[0], *(at / 1000 for at in running[1:])),
        )

    def shown(self) -> CronJob:
        """Return what actors see of it."""
        cadence = self.cadence
        job = CronJob(
            name=self.name,
            kind="every",
            action=self.action,
            args=tuple(self.args),
            next_run_at=instant(self.next_at),
            last_run_at=None if self.last_at is None else instant(self.last_at),
            max_history=self.max_history,
        )
        if isinstance(cadence, CronCadence):
            return replace(
                job, kind="cron", expression=cadence.expression, timezone=cadence.timezone
            )
        return replace(job, interval=timedelta(seconds=cadence.interval))
