"""When faults stop, everything drains: nothing that somebody is owed is left lying."""

from __future__ import annotations

from collections.abc import Iterable

from rivetless.frozen import frozen
from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Subject

__all__ = ["Rest", "drained"]


@frozen(kw_only=True)
class Rest:
    """What the store still holds of one actor after calm.

    Attributes:
        actor: which.
        outbox: ids of effects that were not dispatched.
        alarm: when it wants to be woken, if at all.
        messages: how many messages wait; 0 for an actor whose class receives none.
        tombstone: whether it was destroyed and its remains are still there.
        lease: who holds it, if the lease has not expired.
    """

    actor: Subject
    outbox: tuple[str, ...] = ()
    alarm: float | None = None
    messages: int = 0
    tombstone: bool = False
    lease: str | None = None


def drained(rests: Iterable[Rest], now: float) -> None:
    """Check that nothing is left that should have been done.

    Args:
        rests: what the store holds of each actor.
        now: the virtual time; alarms after it are not due.

    Raises:
        Violation: something is.
    """
    left: list[str] = []
    for rest in rests:
        if rest.outbox:
            left.append(f"{rest.actor}: effects never dispatched: {', '.join(rest.outbox)}")
        if rest.alarm is not None and rest.alarm <= now:
            left.append(f"{rest.actor}: an alarm due since {now - rest.alarm:.3f} s")
        if rest.messages:
            left.append(f"{rest.actor}: {rest.messages} messages that nobody took")
        if rest.tombstone:
            left.append(f"{rest.actor}: was destroyed, and its remains are still there")
        if rest.lease is not None:
            left.append(f"{rest.actor}: the lease of {rest.lease}")
    if left:
        raise Violation("After all faults had stopped, this was left:", left)
