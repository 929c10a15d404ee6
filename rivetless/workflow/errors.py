"""What a workflow raises, and what its author raises to end one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rivetless.frozen import frozen

FailureKind = Literal["critical", "timeout", "exhausted", "rollback"]


@frozen
class ErrorInfo:
    """What is kept of an error.

    Attributes:
        name: the error's class.
        message: what it said.
        metadata: of an ``ActorError``.
    """

    name: str
    message: str
    metadata: object = None

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


class WorkflowError(Exception):
    """The base of what workflows raise."""


class StepError(WorkflowError):
    """A step has failed for good.

    Attributes:
        step: its name.
        attempts: how often it was tried.
        error: what it raised last.
        kind: why it is not tried again.
    """

    kind: FailureKind = "exhausted"

    def __init__(
        self, message: str, *, step: str = "", attempts: int = 0, error: ErrorInfo | None = None
    ) -> None:
        super().__init__(message)
        self.step = step
        self.attempts = attempts
        self.error = error or ErrorInfo(type(self).__name__, message)


class CriticalError(StepError):
    """Raise it in a step to say that trying again is no use."""

    kind: FailureKind = "critical"


class StepTimeoutError(CriticalError):
    """A step took longer than its ``timeout``."""

    kind = "timeout"


class RollbackError(StepError):
    """Raise it in a step to end the workflow and roll it back; ``try_step`` lets it pass."""

    kind = "rollback"


class StepExhaustedError(StepError):
    """A step has failed as often as it may."""

    kind = "exhausted"


class JoinError(WorkflowError):
    """Branches of a join have failed.

    Attributes:
        errors: by the branches' names.
    """

    def __init__(self, name: str, errors: Mapping[str, Exception]) -> None:
        super().__init__(f"{len(errors)} of the branches of `{name}` failed: {_list(errors)}")
        self.name = name
        self.errors = errors


class RaceError(WorkflowError):
    """All branches of a race have failed.

    Attributes:
        errors: by the branches' names.
    """

    def __init__(self, name: str, errors: Mapping[str, Exception]) -> None:
        super().__init__(f"no branch of `{name}` succeeded: {_list(errors)}")
        self.name = name
        self.errors = errors


class MisuseError(WorkflowError):
    """The workflow is written wrong; nothing is rolled back, since history may be right."""


class HistoryDivergedError(MisuseError):
    """What the code does and what history has recorded are not the same workflow."""


class EntryInProgressError(MisuseError):
    """Something began while something else was not awaited."""


class RollbackCheckpointError(MisuseError):
    """A step has a ``rollback``, and no ``rollback_checkpoint`` came before it."""


class StepTooLongError(MisuseError):
    """A step may take longer than a function of this host runs."""


class EarlierError(WorkflowError):
    """What a workflow had failed with when its rollback was interrupted.

    Attributes:
        info: what is kept of it.
    """

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(str(info))
        self.info = info


class Suspended(BaseException):
    """The workflow waits and is left. Not an ``Exception``, so that user code lets it pass."""


class Unrecorded(BaseException):
    """Replay has come to the end of what is recorded."""


class HistoryMoved(BaseException):
    """Another process has written history: load it anew. Never leaves the runtime."""


def info_of(error: BaseException) -> ErrorInfo:
    """Return what is kept of an error."""
    if isinstance(error, EarlierError):
        return error.info
    message = getattr(error, "message", None)
    text = message if isinstance(message, str) else str(error)
    return ErrorInfo(type(error).__name__, text, getattr(error, "metadata", None))


def _list(errors: Mapping[str, Exception]) -> str:
    return "; ".join(f"{name}: {error}" for name, error in errors.items())
