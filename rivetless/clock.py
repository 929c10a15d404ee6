"""Time as a port: everything in rivetless that waits or reads the time asks a ``Clock``.

Tests and the simulator inject a clock of their own, so no code here may call ``time.time``,
``asyncio.sleep`` or ``loop.call_later`` by itself.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Final, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class Timer(Protocol):
    """A pending call that can be taken back."""

    @abstractmethod
    def cancel(self) -> None:
        """Take the call back; without effect once it has been made."""


@runtime_checkable
class Clock(Protocol):
    """Reads the time and calls back at a later one. Instants are Unix seconds."""

    @abstractmethod
    def now(self) -> float:
        """Return the current instant, in Unix seconds."""

    @abstractmethod
    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, ``seconds`` from now, in the running event loop."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait for ``seconds`` of the clock's time."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, partial(_wake, woken))
    try:
        await woken
    finally:
        timer.cancel()


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class Timeout:
    """``async with Timeout(clock, 5):`` cancels its body after 5 s and raises ``TimeoutError``.

    The same contract as ``asyncio.timeout``, on the clock that is given. ``None`` never expires.
    """

    __slots__ = ("_clock", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._timer: Timer | None = None
        self._task: asyncio.Task[object] | None = None
        self._expired = False

    async def __aenter__(self) -> Timeout:
        if self._seconds is not None:
            self._task = asyncio.current_task()
            self._timer = self._clock.call_later(max(self._seconds, 0.0), self._expire)
        return self

    @property
    def expired(self) -> bool:
        """Whether the time was over before the body was."""
        return self._expired

    def _expire(self) -> None:
        if self._task is not None:
            self._expired = True
            self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        # ``uncancel`` tells our own cancellation from one that came from outside: only when
        # nobody else asked for it does the body's end become a time-out.
        if (
            self._expired
            and task is not None
            and task.uncancel() <= 0
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error


async def within(clock: Clock, seconds: float | None, awaitable: Awaitable[T]) -> T:
    """Await, for at most ``seconds`` of the clock's time.

    Raises:
        TimeoutError: the time was over; the awaitable has been cancelled.
    """
    async with Timeout(clock, seconds):
        return await awaitable


_deadline: Final[ContextVar[float | None]] = ContextVar("rivetless deadline", default=None)


def deadline() -> float | None:
    """Return until when somebody waits for what is done here, in Unix seconds.

    Ports that try again do so no longer than that. ``None`` where nobody has said.
    """
    return _deadline.get()


class _Until:
    # A class, because every turn enters one or two, and a generator takes three times as long.

    __slots__ = ("_instant", "_token")

    def __init__(self, instant: float | None) -> None:
        self._instant = instant

    def __enter__(self) -> None:
        self._token = _deadline.set(self._instant)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _deadline.reset(self._token)


def until(instant: float | None) -> AbstractContextManager[None]:
    """Say until when somebody waits for what is done in the body, and in tasks begun there."""
    return _Until(instant)
