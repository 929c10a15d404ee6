"""Calls that are repeated under one idempotency key are one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Operation, Refused, Subject

__all__ = ["as_one"]


def as_one(operations: Iterable[Operation]) -> list[Operation]:
    """Put the calls of each idempotency key together, for checkers that know calls only.

    What has one key takes effect once, at some instant from the beginning of its first call on. It
    has been answered when one of its calls has; it was refused if all of them were.

    Args:
        operations: the calls of one run.

    Returns:
        The calls without a key, and one for each key, in the order of their beginnings.

    Raises:
        Violation: a key has two answers.
    """
    alone: list[Operation] = []
    keyed: dict[tuple[Subject, str], list[Operation]] = {}
    for operation in operations:
        if operation.key is None:
            alone.append(operation)
        else:
            keyed.setdefault((operation.actor, operation.key), []).append(operation)
    together = [_together(calls) for calls in keyed.values()]
    return sorted([*alone, *together], key=lambda one: one.order)


def _together(calls: list[Operation]) -> Operation:
    first = calls[0]
    answered = sorted((one for one in calls if one.ok), key=lambda one: one.order_ended or 0)
    for one in answered:
        if one.value != answered[0].value:
            raise Violation("One key has two answers:", [answered[0], one])
    if answered:
        last = answered[0]
    elif all(isinstance(one.outcome, Refused) for one in calls):
        last = calls[-1]
    else:
        last = next(one for one in calls if not isinstance(one.outcome, Refused))
    return replace(first, outcome=last.outcome, ended=last.ended, order_ended=last.order_ended)
