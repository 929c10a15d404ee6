"""What helpers of a workflow are given and give back."""

from __future__ import annotations

from typing import Any, Generic, Literal

from typing_extensions import TypeVar

from rivetless.frozen import frozen
from rivetless.workflow.errors import ErrorInfo, FailureKind

T = TypeVar("T", default=None)

Source = Literal["step", "join", "race", "block"]


class Break(Generic[T]):
    """Ends a loop: ``return Break(result)``.

    Attributes:
        value: what ``ctx.loop`` returns.
    """

    __slots__ = ("value",)

    def __init__(self, value: T = None) -> None:  # type: ignore[assignment]
        self.value: T = value

    def __repr__(self) -> str:
        return f"Break({self.value!r})"


class Continue(Generic[T]):
    """Goes on with the next iteration: ``return Continue(state)``.

    Attributes:
        state: what the next iteration gets.
    """

    __slots__ = ("state",)

    def __init__(self, state: T = None) -> None:  # type: ignore[assignment]
        self.state: T = state

    def __repr__(self) -> str:
        return f"Continue({self.state!r})"


def as_break(value: object) -> Break[Any] | None:
    """Return ``value`` if it ends a loop."""
    return value if isinstance(value, Break) else None  # pyright: ignore[reportUnknownVariableType]


def as_continue(value: object) -> Continue[Any] | None:
    """Return ``value`` if it goes on with a loop."""
    return value if isinstance(value, Continue) else None  # pyright: ignore[reportUnknownVariableType]


class Ok(Generic[T]):
    """It went well.

    Attributes:
        ok: always true.
        value: the result.
    """

    __slots__ = ("value",)

    ok: Literal[True] = True

    def __init__(self, value: T) -> None:
        self.value: T = value

    def __repr__(self) -> str:
        return f"Ok({self.value!r})"


class Failed:
    """It failed, and the workflow goes on.

    Attributes:
        ok: always false.
        source: what failed: a step, a join, a race, or the block itself.
        name: of what failed.
        kind: of a step: why it is not tried again.
        attempts: of a step.
        error: what was raised.
    """

    __slots__ = ("attempts", "error", "kind", "name", "source")

    ok: Literal[False] = False

    def __init__(
        self,
        source: Source,
        name: str,
        error: ErrorInfo,
        *,
        kind: FailureKind | None = None,
        attempts: int = 0,
    ) -> None:
        self.source: Source = source
        self.name = name
        self.error = error
        self.kind: FailureKind | None = kind
        self.attempts = attempts

    def __repr__(self) -> str:
        return f"Failed({self.source} {self.name!r}: {self.error})"


@frozen
class Won(Generic[T]):
    """The outcome of a race.

    Attributes:
        winner: the name of the branch that was first.
        value: what it returned.
    """

    winner: str
    value: T


@frozen
class WorkflowEvent:
    """What ``on_error`` is told.

    Attributes:
        what: ``"step"``, ``"rollback"`` or ``"workflow"``: what has failed.
        name: the step's; empty for the workflow itself.
        error: what was raised.
        attempt: which attempt failed.
        will_retry: whether it is tried again.
        retry_at: when, in Unix seconds.
    """

    what: Literal["step", "rollback", "workflow"]
    name: str
    error: ErrorInfo
    attempt: int = 0
    will_retry: bool = False
    retry_at: float | None = None
