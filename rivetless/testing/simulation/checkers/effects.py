"""Effects outside of the actors happen once for each call that was acknowledged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Effect, Operation, Refused

__all__ = ["exactly_once"]


def _key(effect: Effect) -> Hashable:
    return effect.key


def exactly_once(
    effects: Iterable[Effect],
    operations: Iterable[Operation],
    cause: Callable[[Operation], Hashable],
    *,
    subject: Callable[[Effect], Hashable] = _key,
    refused: int = 0,
) -> None:
    """Check that what was acknowledged was done once outside, and what was refused not at all.

    A call of unknown outcome may have been done once. What the outside system knew again by its key
    (``Effect.applied`` is False) counts for nothing.

    Args:
        effects: what was done outside.
        operations: the calls that cause it.
        cause: what the effect of a call is about, as an order's number.
        subject: the same of an effect; its key by default.
        refused: how often the effect of a call that was refused may be there.

    Raises:
        Violation: an effect is missing, is there twice, or nobody asked for it.
    """
    done: defaultdict[Hashable, list[Effect]] = defaultdict(list)
    for effect in effects:
        if effect.applied:
            done[subject(effect)].append(effect)
    for operation in operations:
        seen = done.pop(cause(operation), [])
        if operation.ok and not seen:
            raise Violation("A call was acknowledged and its effect is missing:", [operation])
        most = refused if isinstance(operation.outcome, Refused) else 1
        if len(seen) > most:
            what = "was refused and had an effect" if not most else f"had {len(seen)} effects"
            raise Violation(f"A call {what}:", [operation, *seen])
    for foreign in done.values():
        raise Violation("Something was done that no call asked for:", foreign)
