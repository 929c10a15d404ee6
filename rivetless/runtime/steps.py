"""What turns add to an actor: steps of a chain, and where in the chain a turn began."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rivetless import errors
from rivetless.clock import deadline
from rivetless.frozen import frozen
from rivetless.store.base import Capabilities, Changes, NewerFormat, StoreError

if TYPE_CHECKING:
    from rivetless.runtime.effects import Effect

_ticks: Final = itertools.count(1)
"""Orders what happens in this process, without a clock."""


def tick() -> int:
    """Return a number greater than all before it."""
    return next(_ticks)


class Superseded(BaseException):
    """A turn's base is no longer the newest state: run it again. Never leaves the runtime.

    Not an ``Exception``, because it may pass through handlers on its way.

    Attributes:
        elsewhere: another process was faster, rather than a turn of this one.
    """

    def __init__(self, *, elsewhere: bool) -> None:
        super().__init__("the actor has changed")
        self.elsewhere = elsewhere


class Step:
    """What one turn adds to the chain.

    Attributes:
        changes: what it writes.
        effects: what it lets out once it is durable.
        hops: how many wakes that actors made themselves led to it, sends counted as parts of one.
        deadline: Unix seconds until which somebody waits for it; ``None`` if nobody has said.
        begins_tenure: it holds what ``on_wake`` did, so the actor wakes again if it is lost.
        unseen: no turn sees what it changes, such as a lease that is made longer, so none is built
            on it.
        sent: tick at which its commit was sent to the store.
        landed: done when it is durable (``True``) or never will be (``False``).
        done: done when its effects are out as well; fails with the reason if it never lands.
    """

    __slots__ = (
        "begins_tenure",
        "changes",
        "deadline",
        "done",
        "effects",
        "hops",
        "landed",
        "sent",
        "unseen",
    )

    def __init__(
        self,
        changes: Changes,
        effects: Sequence[Effect] = (),
        *,
        begins_tenure: bool = False,
        unseen: bool = False,
        hops: float = 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.changes = changes
        self.deadline = deadline()
        self.effects = effects
        self.begins_tenure = begins_tenure
        self.unseen = unseen
        self.hops = hops
        self.sent = 0
        self.landed: asyncio.Future[bool] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        # Nobody may be waiting any more when a step fails; that is not worth a warning.
        self.done.add_done_callback(_seen)


def cut(staged: list[Step], limits: Capabilities) -> tuple[list[Step], list[Step]]:
    """Split steps into as many from the front as one commit may hold, and the rest.

    Bare ones and others share only a commit that moves the version. Else what is known again when
    it is sent again, and what is not, would be one.
    """
    front, rest = _fitting(staged, limits)
    if len(front) > 1 and not any(step.changes.versioned for step in front):
        bare = front[0].changes.bare
        for count, step in enumerate(front):
            if step.changes.bare is not bare:
                return staged[:count], staged[count:]
    return front, rest


def _fitting(staged: list[Step], limits: Capabilities) -> tuple[list[Step], list[Step]]:
    records = size = 0
    for count, step in enumerate(staged):
        changes = step.changes
        if changes.puts or changes.deletes or changes.appends or changes.absent:
            records += len(changes.puts) + len(changes.deletes)
            records += len(changes.appends) + len(changes.absent)
            size += sum(len(r.data) for r in changes.appends)
            size += sum(len(r.key) + len(r.data) for r in changes.puts)
        # Half of the bytes are left to the state, the replies and the keys.
        if count and (records > limits.max_commit_records or size > limits.max_commit_bytes // 2):
            return staged[:count], staged[count:]
        if changes.destroyed_at is not None:
            return staged[: count + 1], staged[count + 1 :]
    return staged, []


def last_deadline(steps: Sequence[Step]) -> float | None:
    """Return until when anybody waits for some of the steps."""
    instants = [step.deadline for step in steps if step.deadline is not None]
    return max(instants) if len(instants) == len(steps) else None


def fail(step: Step, error: BaseException) -> None:
    """Tell those who wait for a step that it will never be durable."""
    step.landed.set_result(False)
    if not step.done.done():
        step.done.set_exception(error)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


@frozen
class Snapshot:
    """Where in the chain a turn began.

    Attributes:
        epoch: the chain's; moves when a chain is thrown away.
        seq: number of the last versioned step it saw.
        state: the encoded state there.
        step: that last step, where it was not durable yet.
    """

    epoch: int
    seq: int
    state: bytes | None
    step: Step | None


def finish(done: asyncio.Future[None], _: asyncio.Future[None]) -> None:
    """Tell those who wait for a step that its effects are out."""
    if not done.done():
        done.set_result(None)


def told(error: StoreError) -> errors.ActorError:
    """Return what a caller is told whom the store has refused, with nothing written."""
    # What newer code wrote is for newer code, which is being deployed: to try again finds it.
    newer = isinstance(error, NewerFormat)
    return errors.make("actor.restarting" if newer else "guard.service_unavailable")
