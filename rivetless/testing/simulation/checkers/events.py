"""Events reach each connection in order, at most once, and only if what they tell was committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import EventSeen, Operation, Subject

__all__ = ["at_most_once", "before_reply", "committed", "in_order"]

Streams = dict[tuple[str, Subject], list[EventSeen]]


def _streams(events: Iterable[EventSeen]) -> Streams:
    streams: defaultdict[tuple[str, Subject], list[EventSeen]] = defaultdict(list)
    for event in sorted(events, key=lambda one: one.order):
        streams[event.connection, event.actor].append(event)
    return streams


def in_order(
    events: Iterable[EventSeen],
    number: Callable[[EventSeen], Any],
    *,
    excused: Callable[[EventSeen, EventSeen], bool] = lambda earlier, later: False,
) -> None:
    """Check that the numbers of the events of each connection rise; some may be missing.

    Args:
        events: what connections got.
        number: what rises with each event an actor sends.
        excused: whether an event may have come behind one with a higher number: it was kept by the
            network longer than hosts wait for it.

    Raises:
        Violation: an event came behind a later one, or twice.
    """
    at_most_once(events, number)
    for stream in _streams(events).values():
        last: EventSeen | None = None
        for event in stream:
            if last is not None and number(event) < number(last) and not excused(event, last):
                raise Violation("An event came behind one that was sent later:", [last, event])
            if last is None or number(event) > number(last):
                last = event


def at_most_once(events: Iterable[EventSeen], number: Callable[[EventSeen], Any]) -> None:
    """Check that no connection got an event twice.

    Args:
        events: what connections got.
        number: tells an actor's events apart.

    Raises:
        Violation: one came twice.
    """
    for stream in _streams(events).values():
        first: dict[Any, EventSeen] = {}
        for event in stream:
            before = first.setdefault(number(event), event)
            if before is not event:
                raise Violation("An event came twice over one connection:", [before, event])


def committed(events: Iterable[EventSeen], told: Callable[[EventSeen], bool]) -> None:
    """Check that no event tells of a state that was never committed.

    Args:
        events: what connections got.
        told: whether what an event tells is in what was committed.

    Raises:
        Violation: it is not.
    """
    phantoms = [event for event in events if not told(event)]
    if phantoms:
        raise Violation("An event tells of something that was never committed:", phantoms)


def before_reply(
    events: Iterable[EventSeen],
    operations: Iterable[Operation],
    caused: Callable[[EventSeen, Operation], bool],
) -> None:
    """Check that an action's events reach the caller's own connection before its reply.

    Args:
        events: what connections got.
        operations: calls that were made over a connection.
        caused: whether an event is one of a call's own, on the connection of the call.

    Raises:
        Violation: one came behind the reply.
    """
    seen = list(events)
    for operation in operations:
        if not operation.ok or operation.order_ended is None:
            continue
        for event in seen:
            if event.order > operation.order_ended and caused(event, operation):
                raise Violation("An event came behind the reply of its call:", [operation, event])
