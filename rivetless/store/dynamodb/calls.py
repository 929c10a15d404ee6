"""Calls with patience, and the boundary at which AWS's errors become a store's.

A ``Caller`` sends a request again while that can do no harm and its budget lasts, counts what the
service says it consumed, and turns whatever is left into a ``StoreError``. Two answers are not
errors but facts, and pass through: a condition that did not hold, and a transaction's reasons.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from rivetless.aws.client import AnswerLost, Client, NotSent, Payload, ServiceError
from rivetless.aws.retries import THROTTLES, Retries, is_throttle
from rivetless.clock import Clock, deadline, sleep
from rivetless.store.base import OutcomeUnknown, StoreError, TooLarge, Unavailable

ITEM_LIMIT: Final = 400 * 1024
"""Bytes of the largest item."""

READS: Final = frozenset({"GetItem", "Query", "BatchGetItem", "DescribeTable"})
"""Operations that may be sent as often as one likes."""

_THROTTLES: Final = THROTTLES | frozenset(
    {
        # Another transaction has the item just now. Nothing was written.
        "ReplicatedWriteConflictException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_TOO_LARGE: Final = frozenset({"ItemCollectionSizeLimitExceeded", "RequestEntityTooLarge"})


class ConditionFailed(Exception):
    """A condition did not hold; nothing was written.

    Attributes:
        place: which of a transaction's requests it was; 0 for a request of its own.
        item: that item as it is; ``None`` if there is none.
        doubtful: whether the answer to an earlier attempt was lost, which may arrive yet, when the
            condition holds again.
    """

    def __init__(self, place: int, item: Mapping[str, Any] | None) -> None:
        super().__init__(f"condition {place}")
        self.place: Final = place
        self.item: Final = item
        self.doubtful = False


@dataclass(slots=True)
class Consumed:
    """What the service says it consumed since the store was made.

    Attributes:
        requests: how many were sent, by operation; those that failed too.
        read_units: read capacity units.
        write_units: write capacity units, those of the indexes included.
    """

    requests: Counter[str] = field(default_factory=Counter[str])
    read_units: float = 0.0
    write_units: float = 0.0

    def clear(self) -> None:
        """Begin again at nothing."""
        self.requests.clear()
        self.read_units = self.write_units = 0.0

    def add(self, operation: str, answer: Payload) -> None:
        """Count an answer."""
        found = cast("list[Payload] | Payload | None", answer.get("ConsumedCapacity"))
        if not found:
            return
        units = sum(
            float(part.get("CapacityUnits", 0.0))
            for part in (found if isinstance(found, list) else [found])
        )
        if operation in READS:
            self.read_units += units
        else:
            self.write_units += units


class Caller:
    """Calls the service on behalf of a store.

    Args:
        client: sends.
        clock: where the time comes from.
        patience: seconds in which a request that was refused for want of capacity, or could not
            be sent, is sent again; fewer where the caller's deadline comes first.
        rng: draws the pauses between attempts.
    """

    def __init__(
        self, client: Client, clock: Clock, patience: float, rng: random.Random | None = None
    ) -> None:
        self._client = client
        self._clock = clock
        self._retries = Retries(clock, patience, throttled=_is_throttle, rng=rng)
        self.consumed: Final = Consumed()

    async def call(self, operation: str, payload: Payload, *, repeatable: bool = False) -> Payload:
        """Make a call; again and again if need be.

        Args:
            operation: as the service calls it.
            payload: of the request.
            repeatable: whether a second time would do no harm although it is a write.

        Raises:
            ConditionFailed: a condition did not hold.
            StoreError: what a store may raise.
        """
        reads = operation in READS
        lost = False

        async def send() -> Payload:
            nonlocal lost
            self.consumed.requests[operation] += 1
            try:
                return await self._client.call(operation, payload)
            except AnswerLost:
                lost = True
                raise
            except ServiceError as error:
                lost = lost or error.status >= 500
                raise

        try:
            answer = await self._retries.run(
                send, repeatable=repeatable or reads, deadline=deadline()
            )
        except NotSent as error:
            raise Unavailable(f"DynamoDB: {error}") from error
        except AnswerLost as error:
            raise (Unavailable if reads else OutcomeUnknown)(f"DynamoDB: {error}") from error
        except ServiceError as error:
            if error.status >= 500 and not reads:
                raise OutcomeUnknown(f"DynamoDB: {error}") from error
            refusal = _refusal(error)
            if isinstance(refusal, ConditionFailed):
                refusal.doubtful = lost
            raise refusal from error
        self.consumed.add(operation, answer)
        return answer

    async def rest(self, attempt: int) -> None:
        """Wait a moment before the next attempt: random, of a range that doubles.

        Raises:
            Unavailable: nobody waits so long for what the attempts are for.
        """
        pause, end = self._retries.pause(attempt), deadline()
        if end is not None and self._clock.now() + pause > end:
            raise Unavailable("DynamoDB: the time is over, and so often it has not worked")
        await sleep(self._clock, pause)


def _is_throttle(error: ServiceError) -> bool:
    if error.code == "TransactionCanceledException":
        codes = {code for code in _reason_codes(error) if code != "None"}
        # A condition that fails as well would only fail again.
        return bool(codes) and codes <= _THROTTLES
    return error.code in _THROTTLES or is_throttle(error)


def _refusal(error: ServiceError) -> Exception:
    """Return what an answer means that is final."""
    if error.code == "ConditionalCheckFailedException":
        return ConditionFailed(0, cast("Mapping[str, Any] | None", error.body.get("Item")))
    if error.code == "TransactionCanceledException":
        for place, reason in enumerate(_reasons(error)):
            if reason.get("Code") == "ConditionalCheckFailed":
                return ConditionFailed(place, reason.get("Item"))
        for reason in _reasons(error):
            if _says_too_large(str(reason.get("Code")), str(reason.get("Message", ""))):
                return _too_large()
    if _says_too_large(error.code, error.message):
        return _too_large()
    return _unavailable(error)


def _unavailable(error: ServiceError) -> StoreError:
    match error.code:
        case "ResourceNotFoundException":
            return Unavailable("DynamoDB: there is no such table, or it is being made")
        case "AccessDeniedException" | "UnrecognizedClientException":
            return Unavailable(f"DynamoDB lets us not do this: {error.message}")
        case _:
            return Unavailable(f"DynamoDB: {error}")


def _says_too_large(code: str, message: str) -> bool:
    return code in _TOO_LARGE or (
        code in ("ValidationException", "ValidationError")
        and ("maximum allowed size" in message or "aggregate size" in message.lower())
        and "xpression" not in message
    )


def _too_large() -> TooLarge:
    return TooLarge("head", ITEM_LIMIT + 1, ITEM_LIMIT)


def _reasons(error: ServiceError) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", error.body.get("CancellationReasons") or ())


def _reason_codes(error: ServiceError) -> list[str]:
    return [str(reason.get("Code", "None")) for reason in _reasons(error)]
