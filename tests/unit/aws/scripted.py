"""A client that answers as it is told, and a clock that does not wait."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rivetless.aws.client import Client, Payload
from rivetless.clock import Clock

Answer = Payload | Exception | Callable[[str, Payload], Payload]


class ScriptedClient(Client):
    """Gives the answers it was given, one a call, and notes what was asked.

    Args:
        answers: payloads to return, errors to raise, functions to call.
        behind: who answers when there are no more; by default nothing is done, with success.
    """

    def __init__(self, *answers: Answer, behind: Client | None = None) -> None:
        self.answers = list(answers)
        self.behind = behind
        self.calls: list[tuple[str, Payload]] = []

    async def __aenter__(self) -> Self:
        if self.behind is not None:
            await self.behind.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.behind is not None:
            await self.behind.__aexit__(kind, error, trace)

    async def call(self, operation: str, payload: Payload) -> Payload:
        self.calls.append((operation, payload))
        answer: Answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(operation, payload)
        if answer or self.behind is None:
            return answer
        return await self.behind.call(operation, payload)

    @property
    def operations(self) -> list[str]:
        """What was called, in order."""
        return [operation for operation, _ in self.calls]


class QuickClock(Clock):
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, callback: Callable[[], None]) -> "QuickTimer":
        self.time += seconds
        self.waits.append(seconds)
        callback()
        return QuickTimer()


class QuickTimer:
    """A timer that has fired."""

    def cancel(self) -> None:
        """Do nothing: it is too late."""
