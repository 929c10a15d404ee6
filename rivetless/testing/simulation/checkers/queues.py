"""Queue messages are conserved: each one acknowledged is applied once, or is a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Operation, Refused

__all__ = ["conserved", "first_in_first_out"]


def _first(operation: Operation) -> Any:
    return operation.args[0] if operation.args else operation.number


def conserved(
    sends: Iterable[Operation],
    applied: Sequence[Hashable],
    dead: Sequence[Hashable] = (),
    *,
    message: Callable[[Operation], Hashable] = _first,
    waiting: Sequence[Hashable] = (),
) -> None:
    """Check that no message was lost and none was applied twice.

    Args:
        sends: the calls that sent messages.
        applied: the messages whose effect is in the state, in order.
        dead: those that became dead letters.
        message: what a call sent, the same value as in ``applied``; its first argument by default.
        waiting: those that are still in the queue; none after calm.

    Raises:
        Violation: a message was acknowledged and is nowhere, is somewhere twice, was refused and is
            there, or nobody sent it.
    """
    counts = Counter(applied) + Counter(dead) + Counter(waiting)
    for send in sends:
        body = message(send)
        count = counts.pop(body, 0)
        where = f"  applied: {list(applied)!r}; dead letters: {list(dead)!r}"
        if send.ok and not count:
            raise Violation("A message was acknowledged and is lost:", [send], more=where)
        if count and isinstance(send.outcome, Refused):
            raise Violation("A message was refused and is there:", [send], more=where)
        if count > 1:
            raise Violation(f"A message had its effect {count} times:", [send], more=where)
    if counts:
        raise Violation("There are messages that nobody sent:", [repr(one) for one in counts])


def first_in_first_out(
    sends: Iterable[Operation],
    applied: Sequence[Hashable],
    *,
    message: Callable[[Operation], Hashable] = _first,
) -> None:
    """Check that a message sent when another had been acknowledged was applied after it.

    Args:
        sends: the calls that sent messages.
        applied: the messages whose effect is in the state, in order.
        message: what a call sent; its first argument by default.

    Raises:
        Violation: it was applied before it.
    """
    place = {body: index for index, body in enumerate(applied)}
    placed = [(send, place[message(send)]) for send in sends if message(send) in place]
    for earlier, first in placed:
        if earlier.order_ended is None or not earlier.ok:
            continue
        for later, second in placed:
            if later.order > earlier.order_ended and second < first:
                raise Violation(
                    "A message overtook one that had been acknowledged before it was sent:",
                    [earlier, later],
                    more=f"  applied: {list(applied)!r}",
                )
