"""Steps: attempts, pauses between them, and what is remembered of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivetless.frozen import frozen
from rivetless.workflow import values
from rivetless.workflow.engine import Compensation, unwrapped
from rivetless.workflow.errors import (
    CriticalError,
    ErrorInfo,
    FailureKind,
    RollbackError,
    StepError,
    StepExhaustedError,
    StepTimeoutError,
    StepTooLongError,
    info_of,
)
from rivetless.workflow.journal import Entry, Writing, whole
from rivetless.workflow.results import Failed, Ok, WorkflowEvent

if TYPE_CHECKING:
    from rivetless.workflow.context import WorkflowContext
    from rivetless.workflow.port import Outcome

T = TypeVar("T")

TIMEOUT: Final = 30.0
"""Seconds that an attempt at a step may take by default."""

SHORT: Final = 0.1
"""Seconds up to which a pause is made in memory."""

_ERRORS: Final[dict[str, type[StepError]]] = {
    "critical": CriticalError,
    "timeout": StepTimeoutError,
    "rollback": RollbackError,
    "exhausted": StepExhaustedError,
}


@frozen
class Retrying:
    """How often a step is tried, and for how long.

    Attributes:
        retries: attempts after the first.
        backoff, max_backoff: seconds.
        jitter: whether pauses are random parts of what they would be.
        timeout: seconds for one attempt.
        on_timeout: whether one whose time was over is tried again.
    """

    retries: int
    backoff: float
    max_backoff: float
    jitter: bool
    timeout: float | None
    on_timeout: bool

    @classmethod
    @lru_cache(maxsize=256)
    def read(
        cls,
        retries: int,
        backoff: float | timedelta,
        max_backoff: float | timedelta,
        jitter: bool,
        timeout: float | timedelta | None,
        on_timeout: bool,
    ) -> Retrying:
        """Check what a step was given.

        Raises:
            ValueError: something is below zero.
        """
        seconds = [
            x.total_seconds() if isinstance(x, timedelta) else float(x)
            for x in (backoff, max_backoff, timeout or 0.0)
        ]
        if retries < 0 or min(seconds) < 0:
            raise ValueError("`retries`, `backoff`, `max_backoff` and `timeout` are not below 0.")
        return cls(retries, seconds[0], seconds[1], jitter, seconds[2] or None, on_timeout)

    def pause(self, attempt: int, part: float) -> float:
        """Return the seconds after an attempt that has failed, or a part of them."""
        return part * min(self.max_backoff, self.backoff * 2.0 ** min(attempt, 64))


async def run(
    ctx: WorkflowContext,
    name: str,
    fn: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    how: Retrying,
    rollback: Callable[[Any], Awaitable[None]] | None,
) -> Any:
    """Answer a step from history, or do it."""
    engine, port = ctx.engine, ctx.engine.port
    location = ctx.place(name)
    schema = values.schema_of_result(fn)
    entry = engine.journal.get(location)
    while True:
        if entry is not None:
            if entry.status == "completed":
                ctx.passed(entry)
                result = values.decode(schema, entry.value)
                if rollback is not None:
                    undo = method_of(rollback, "rollback")
                    engine.compensations.append(Compensation(entry, _undo(undo, result)))
                return result
            if entry.status == "failed":
                ctx.passed(entry)
                raise failure_of(name, entry)
            engine.go_on()
            if entry.at is not None and not engine.over(entry.at):
                if entry.at - port.now() > SHORT:
                    raise engine.suspend(entry.at)
                await port.pause(entry.at - port.now())
        engine.go_on()
        _check_fits(ctx, location, how)
        entry = await _attempt(ctx, name, location, entry, fn, args, how)


def _check_fits(ctx: WorkflowContext, location: str, how: Retrying) -> None:
    """Refuse a step that was given more time than any process of this host has.

    The default is no such wish: a step that has it may be quick.
    """
    longest, timeout = ctx.engine.port.longest, how.timeout
    if longest is None or timeout is None or timeout <= max(longest, TIMEOUT):
        return
    raise ctx.misuse(
        StepTooLongError(
            f"The step `{location}` has a `timeout` of {timeout:g} s, and a function here has "
            f"{longest:g} s for it. Give the function more time, the step less, or split it."
        )
    )


async def _attempt(
    ctx: WorkflowContext,
    name: str,
    location: str,
    old: Entry | None,
    fn: Callable[..., Awaitable[Any]],
    args: tuple[Any, ...],
    how: Retrying,
) -> Entry:
    engine, port = ctx.engine, ctx.engine.port
    method = method_of(fn, f"the step `{name}`")
    schema = values.schema_of_result(fn)

    async def work(actor: object) -> object:
        result = await unwrapped(method(actor, *args))
        return values.encode(schema, result, f"What the step `{name}` returns")

    begun = old or engine.new_entry(location, "step", "pending")
    part = port.jitter() if how.jitter else 1.0

    def finish(outcome: Outcome) -> Writing:
        return Writing().put(_outcome(begun, outcome, how, port.now(), part), old)

    await port.turn(f"step {name}", location, work, finish, how.timeout)
    entry = engine.journal.get(location)
    assert entry is not None
    if entry.error is not None:
        again = entry.status == "pending"
        event = WorkflowEvent("step", name, entry.error, entry.attempts, again, entry.at)
        await engine.report(event)
    return entry


def _outcome(begun: Entry, outcome: Outcome, how: Retrying, now: float, part: float) -> Entry:
    """Return what is remembered of one more attempt."""
    attempts = begun.attempts + 1
    if outcome.error is None and not outcome.timed_out:
        value = values.stored(outcome.value)
        where, seq, since = begun.location, begun.seq, begun.created_at
        return Entry(where, "step", "completed", seq, since, now, attempts, value=value)
    begun = replace(begun, attempts=attempts, completed_at=None, at=None)
    kind: FailureKind | None = None
    if outcome.timed_out:
        text = f"no result within {how.timeout} s"
        if outcome.limit is not None:
            text = f"no result within {outcome.limit:g} s, which is all that a function here has"
        error = ErrorInfo("StepTimeoutError", text)
        kind = None if how.on_timeout else "timeout"
    else:
        assert outcome.error is not None
        error = info_of(outcome.error)
        if isinstance(outcome.error, RollbackError):
            kind = "rollback"
        elif isinstance(outcome.error, CriticalError):
            kind = "critical"
    if kind is None and attempts > how.retries:
        kind = "exhausted"
    if kind is not None:
        return replace(begun, status="failed", completed_at=now, error=error, failure=kind)
    at = whole(now + how.pause(attempts, part))
    return replace(begun, status="pending", error=error, at=at)


def failure_of(name: str, entry: Entry) -> StepError:
    """Return what a step that has failed raises, now and in every replay."""
    kind = _ERRORS.get(entry.failure or "", StepExhaustedError)
    error = entry.error or ErrorInfo("Exception", "")
    if kind is StepExhaustedError:
        text = f"the step `{name}` failed {entry.attempts} times: {error}"
    elif kind is StepTimeoutError:
        text = f"the step `{name}` gave {error.message}"
    else:
        text = error.message
    return kind(text, step=name, attempts=entry.attempts, error=error)


def failed(error: StepError) -> Failed:
    """Return a step's failure as a value."""
    return Failed("step", error.step, error.error, kind=error.kind, attempts=error.attempts)


async def caught(work: Awaitable[T], catch: Collection[FailureKind]) -> Ok[T] | Failed:
    """Await a step; return its failure."""
    try:
        return Ok(await work)
    except StepError as error:
        if error.kind not in catch:
            raise
        return failed(error)


def method_of(fn: Any, what: str) -> Callable[..., Awaitable[Any]]:
    """Return the function behind a bound method of the actor.

    Raises:
        TypeError: it is none; its actor would be that of no turn.
    """
    if not isinstance(fn, MethodType):
        raise TypeError(
            f"{what}: a step is a method of the actor, `ctx.step(name, self.method, ...)`. What it "
            "needs is given as arguments."
        )
    function: Callable[..., Awaitable[Any]] = fn.__func__
    return function


def _undo(
    function: Callable[..., Awaitable[Any]], result: object
) -> Callable[[Any], Awaitable[object]]:
    async def undo(actor: object) -> object:
        await function(actor, result)
        return None

    return undo
