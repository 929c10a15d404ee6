"""Patience with services: what may be sent again, when, and for how long."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final

from rivetless.aws.client import AnswerLost, CallError, NotSent, Payload, ServiceError
from rivetless.clock import Clock, sleep

PATIENCE: Final = 5.0
"""Seconds in which a request is sent again, by default."""

_FIRST_PAUSE: Final = 0.025
_LONGEST_PAUSE: Final = 1.0

THROTTLES: Final = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Names of refusals for want of capacity."""


def is_throttle(error: ServiceError) -> bool:
    """Say whether a refusal is for want of capacity: nothing was done, and later it may be."""
    return error.status == 429 or error.code in THROTTLES


class Retries:
    """Sends again while that can do no harm and there is time.

    Args:
        clock: where the time comes from.
        patience: seconds after the first attempt in which others are made.
        throttled: says which refusals are for want of capacity.
        rng: draws the pauses.
    """

    def __init__(
        self,
        clock: Clock,
        patience: float = PATIENCE,
        *,
        throttled: Callable[[ServiceError], bool] = is_throttle,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._throttled = throttled
        self._random = rng or random.Random()

    async def run(
        self,
        send: Callable[[], Awaitable[Payload]],
        *,
        repeatable: bool,
        deadline: float | None = None,
    ) -> Payload:
        """Send, again and again if need be, and return the answer.

        Args:
            send: makes one attempt.
            repeatable: whether a second time would do no harm if the first was heeded.
            deadline: Unix seconds after which no attempt is made, however patient we are.

        Raises:
            ServiceError: the service said no. With status 500 and above it may yet have done it.
            NotSent: it has not got the request.
            AnswerLost: one of the attempts may have been heeded.
        """
        until = self._clock.now() + self._patience
        if deadline is not None:
            until = min(until, deadline)
        # Once an answer was lost, no later refusal says that nothing was done.
        lost = False
        for attempt in range(10_000):
            try:
                return await send()
            except NotSent as error:
                reason: CallError = error
            except AnswerLost as error:
                reason, lost = error, True
                if not repeatable:
                    raise
            except ServiceError as error:
                reason = error
                if error.status >= 500:
                    lost = True
                    if not repeatable:
                        raise
                elif not self._throttled(error):
                    raise
            pause = self.pause(attempt)
            if self._clock.now() + pause > until:
                if lost and not isinstance(reason, AnswerLost):
                    raise AnswerLost(str(reason)) from reason
                raise reason
            await sleep(self._clock, pause)
        raise NotSent("the clock stands still")

    def pause(self, attempt: int) -> float:
        """Return a pause before the next attempt: random, of a range that doubles."""
        return self._random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10)))
