"""Patience: which failures are tried again, and when it ends."""

import pytest

from rivetless.aws.client import AnswerLost, NotSent, Payload, ServiceError
from rivetless.aws.retries import Retries, is_throttle
from rivetless.clock import Clock
from tests.unit.aws.scripted import QuickClock

THROTTLE = ServiceError("ThrottlingException", 400, "slowly", {})
BROKEN = ServiceError("InternalFailure", 500, "oops", {})


class Sending:
    """Fails as it is told, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts = 0

    async def __call__(self) -> Payload:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return {"done": True}


@pytest.mark.parametrize("repeatable", [True, False])
async def test_what_was_surely_not_done_is_tried_again(repeatable: bool) -> None:
    send = Sending(NotSent("no"), THROTTLE, ServiceError("Whatever", 429, "", {}))
    assert await Retries(QuickClock()).run(send, repeatable=repeatable) == {"done": True}
    assert send.attempts == 4


@pytest.mark.parametrize("error", [AnswerLost("no"), BROKEN])
async def test_what_may_have_been_done_is_not(error: Exception) -> None:
    send = Sending(error)
    with pytest.raises(type(error)):
        await Retries(QuickClock()).run(send, repeatable=False)
    assert send.attempts == 1
    send = Sending(error)
    assert await Retries(QuickClock()).run(send, repeatable=True) == {"done": True}


async def test_patience_ends() -> None:
    clock = QuickClock()
    send = Sending(*[THROTTLE] * 1000)
    with pytest.raises(ServiceError, match="slowly"):
        await Retries(clock, 5).run(send, repeatable=True)
    assert 5 <= send.attempts < 1000
    assert sum(clock.waits) <= 5
    assert all(0 <= wait <= 1 for wait in clock.waits)


async def test_deadlines_end_it_sooner() -> None:
    clock = QuickClock()
    begun = clock.now()
    with pytest.raises(NotSent):
        await Retries(clock, 5).run(
            Sending(*[NotSent("no")] * 1000), repeatable=True, deadline=begun + 0.5
        )
    assert clock.now() <= begun + 0.5


@pytest.mark.parametrize("last", [NotSent("at last"), THROTTLE, BROKEN])
async def test_a_lost_answer_is_not_forgotten(last: Exception) -> None:
    send = Sending(AnswerLost("no"), *[last] * 1000)
    with pytest.raises(AnswerLost, match=r"at last|slowly|oops"):
        await Retries(QuickClock()).run(send, repeatable=True)


async def test_mistakes_are_not_tried_again() -> None:
    send = Sending(KeyError("x"))
    with pytest.raises(KeyError):
        await Retries(QuickClock()).run(send, repeatable=True)
    assert send.attempts == 1


async def test_a_clock_that_stands_still_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Clock = QuickClock()
    monkeypatch.setattr(clock, "now", lambda: 0.0)
    with pytest.raises(NotSent, match="stands still"):
        await Retries(clock).run(Sending(*[NotSent("no")] * 20_000), repeatable=True)


@pytest.mark.parametrize(
    ("code", "status", "throttle"),
    [
        ("ThrottlingException", 400, True),
        ("RequestThrottled", 403, True),
        ("Anything", 429, True),
        ("AccessDenied", 403, False),
        ("ServiceQuotaExceededException", 402, False),
    ],
)
def test_throttles(code: str, status: int, throttle: bool) -> None:
    assert is_throttle(ServiceError(code, status, "", {})) is throttle
