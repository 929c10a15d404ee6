"""What the service answers when it does not do something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from rivetless.aws.client import ServiceError


class NotSimulated(NotImplementedError):
    """A request that DynamoDB knows and the simulation does not."""


def check_known(what: str, given: Mapping[str, Any], known: Set[str]) -> None:
    """Refuse members of a request that are not simulated.

    Raises:
        NotSimulated: there are some.
    """
    if given.keys() - known:
        unknown = ", ".join(sorted(given.keys() - known))
        raise NotSimulated(f"the simulated DynamoDB knows no {unknown} of {what}")


def refusal(code: str, message: str, **body: object) -> ServiceError:
    """Return an error as the service words it."""
    return ServiceError(code, 400, message, {"__type": code, "message": message, **body})


def invalid(message: str) -> ServiceError:
    """Return what a request gets that makes no sense."""
    return refusal("ValidationException", message)


def invalid_parameter(message: str) -> ServiceError:
    """Return what a request gets whose values make no sense."""
    return invalid(f"One or more parameter values were invalid: {message}")


def condition_failed(item: Mapping[str, Any] | None) -> ServiceError:
    """Return what a write gets whose condition does not hold, with the item if it is to be seen."""
    shown = {} if item is None else {"Item": item}
    return refusal("ConditionalCheckFailedException", "The conditional request failed", **shown)


def cancelled(reasons: Sequence[Mapping[str, Any]]) -> ServiceError:
    """Return what a transaction gets, with a reason for each of its requests."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    return refusal("TransactionCanceledException", message, CancellationReasons=list(reasons))


def no_such_table() -> ServiceError:
    """Return what a request gets whose table is not there."""
    return refusal("ResourceNotFoundException", "Requested resource not found")
