"""What a caller may conclude from an error."""

from __future__ import annotations

from typing import Final

from rivetless.errors import ActorError, status_of
from rivetless.testing.simulation.history import Outcome, Refused, Unknown

__all__ = ["NOT_REACHED", "UNANSWERED", "is_fault", "lost", "outcome_of", "refused"]

NOT_REACHED: Final = "connection_failed"
UNANSWERED: Final = "answer_lost"

_OPEN: Final = frozenset(
    {f"client.{UNANSWERED}", "actor.interrupted", "actor.action_timed_out", "actor.outcome_unknown"}
)
_FAULTS: Final = frozenset(
    {
        f"client.{NOT_REACHED}",
        "actor.conflict",
        "actor.deadlock",
        "actor.restarting",
        "guard.service_unavailable",
        *_OPEN,
    }
)
_GATEWAY_TIMEOUT: Final = 504


def refused() -> ActorError:
    """Return the error of a client that could not reach a server."""
    return ActorError("client", NOT_REACHED, "The server was not reached.")


def lost() -> ActorError:
    """Return the error of a client that was not answered."""
    return ActorError("client", UNANSWERED, "The answer did not come.")


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error says of the call that ended in it."""
    if not isinstance(error, ActorError):
        return Unknown(type(error).__name__)
    if error.name in _OPEN or status_of(error) == _GATEWAY_TIMEOUT:
        return Unknown(error.name)
    return Refused(error.name)


def is_fault(error: ActorError) -> bool:
    """Whether an error is what faults lead to, and not the actor's own answer."""
    return error.name in _FAULTS or status_of(error) == _GATEWAY_TIMEOUT
