"""Linearizability of the calls of one actor, after Wing and Gong, with Lowe's memory.

A history is linearizable if its calls can be put in one order that explains every answer and in
which no call comes before one that had ended when it began. Calls of unknown outcome may come at
any place after their beginning, or nowhere. The search remembers which sets of calls led to which
state, so that it visits no such pair twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from rivetless.testing.simulation.checkers.violation import Violation
from rivetless.testing.simulation.history import Ok, Operation, Refused, Unknown

__all__ = ["Model", "Undecided", "check", "linearizable"]

S = TypeVar("S", bound=Hashable)

STEPS: Final = 2_000_000
"""How many pairs of calls and states a search looks at before it gives up."""


class Model(Protocol[S]):
    """What an actor would do if it took one call after the other."""

    def initial(self) -> S:
        """Return the state of an actor nobody has called."""
        ...

    def apply(self, state: S, operation: Operation, /) -> Iterable[tuple[S, object]]:
        """Return what may come of a call: the states after it, each with its answer.

        An answer that is a ``Refused`` stands for an error the actor itself raises in this state.
        Such errors have to be explained as answers are; a refusal that the model never gives is
        taken for what it says, a call that has not happened.
        """
        ...

    def refuses(self, code: str, /) -> bool:
        """Tell whether an error, as ``user.overdrawn``, is one that ``apply`` explains."""
        ...

    def part(self, operation: Operation, /) -> Hashable:
        """Return the part of the state that a call is about, where the parts are independent.

        Histories of different parts are checked apart, which is much faster. None for all of it.
        """
        ...


class Undecided(Exception):
    """The search was given up: too many calls at once, or too many of unknown outcome."""


def check(operations: Iterable[Operation], model: Model[Any], *, steps: int = STEPS) -> None:
    """Check that the calls of one actor are linearizable.

    Args:
        operations: its calls, those that were refused and those without an answer included.
        model: what they should have done.
        steps: where to give up.

    Raises:
        Violation: no order explains the answers.
        Undecided: it was given up.
    """
    for part in _parts(operations, model):
        search = _Search(part, model, steps)
        if not search.found():
            raise search.violation()


def linearizable(operations: Iterable[Operation], model: Model[Any]) -> bool:
    """Tell whether the calls of one actor are linearizable."""
    try:
        check(operations, model)
    except Violation:
        return False
    return True


def _parts(operations: Iterable[Operation], model: Model[Any]) -> list[list[Operation]]:
    parts: dict[Hashable, list[Operation]] = {}
    for operation in sorted(operations, key=lambda one: one.order):
        parts.setdefault(model.part(operation), []).append(operation)
    return list(parts.values())


class _Search:
    """Looks for an order of calls; ``operations`` are sorted by their beginnings."""

    def __init__(self, operations: Sequence[Operation], model: Model[Any], steps: int) -> None:
        self._all = operations
        self._operations = [one for one in operations if _may_have_happened(one, model)]
        self._model = model
        self._left = steps
        # Bit n of a set stands for the n-th operation.
        self._definite = sum(1 << n for n, one in enumerate(self._operations) if not _unknown(one))
        # Definite operations by their ends: what is first here and not yet placed bounds what may
        # come next.
        self._ends = sorted(
            (one.order_ended or 0, 1 << n)
            for n, one in enumerate(self._operations)
            if self._definite >> n & 1
        )
        self._best: list[tuple[Operation, Hashable]] = []

    def found(self) -> bool:
        """Tell whether there is an order."""
        initial = self._model.initial()
        if not self._definite:
            return True
        seen: set[tuple[int, Hashable]] = {(0, initial)}
        path: list[tuple[Operation, Hashable]] = []
        stack = [self._next(0, initial)]
        while stack:
            for operation, placed, state in stack[-1]:
                if (placed, state) in seen:
                    continue
                self._left -= 1
                if self._left < 0:
                    raise Undecided(f"{len(self._operations)} calls are too many to order")
                seen.add((placed, state))
                path.append((operation, state))
                if len(path) > len(self._best):
                    self._best = list(path)
                if placed & self._definite == self._definite:
                    return True
                stack.append(self._next(placed, state))
                break
            else:
                stack.pop()
                if path:
                    path.pop()
        return False

    def _next(self, placed: int, state: Any) -> Iterator[tuple[Operation, int, Any]]:
        """Yield what may come next: the call, the set with it, the state after it."""
        bound = next(end for end, bit in self._ends if not placed & bit)
        unknown: list[tuple[Operation, int]] = []
        for n, operation in enumerate(self._operations):
            if operation.order >= bound:
                break
            bit = 1 << n
            if placed & bit:
                continue
            if not self._definite & bit:
                unknown.append((operation, bit))
                continue
            for after, answer in self._model.apply(state, operation):
                if _fits(operation, answer):
                    yield operation, placed | bit, after
        # Those of unknown outcome last, and only where they change something: most never happened.
        for operation, bit in unknown:
            for after, _ in self._model.apply(state, operation):
                if after != state:
                    yield operation, placed | bit, after

    def violation(self) -> Violation:
        """Say what cannot be explained; call it after a search that found nothing."""
        state: Any = self._best[-1][1] if self._best else self._model.initial()
        done = {one.number for one, _ in self._best}
        stuck = [
            f"{one}{self._instead(state, one)}"
            for one in self._operations
            if one.number not in done and not _unknown(one)
        ]
        order = ", ".join(f"#{one.number}" for one, _ in self._best) or "none"
        unknown = [f"{one}" for one in self._operations if _unknown(one)]
        more = f"  longest order that fits: {order}; the state is then {state!r}"
        if unknown:
            more += "\n  of unknown outcome: " + "; ".join(unknown)
        subject = self._all[0].actor
        return Violation(f"No order of the calls of {subject} explains these:", stuck, more=more)

    def _instead(self, state: Any, operation: Operation) -> str:
        answers = " or ".join(f"{answer!r}" for _, answer in self._model.apply(state, operation))
        return f" (would be {answers})" if answers else ""


def _unknown(operation: Operation) -> bool:
    return isinstance(operation.outcome, Unknown) or operation.order_ended is None


def _may_have_happened(operation: Operation, model: Model[Any]) -> bool:
    """Leave out what was certainly not applied, unless the actor itself refused it."""
    if not isinstance(operation.outcome, Refused):
        return True
    return model.refuses(operation.outcome.code)


def _fits(operation: Operation, answer: object) -> bool:
    outcome = operation.outcome
    if isinstance(outcome, Ok):
        return not isinstance(answer, Refused) and bool(answer == outcome.value)
    return answer == outcome
