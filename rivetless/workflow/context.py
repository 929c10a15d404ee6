"""``WorkflowContext``: what a workflow's function works with."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, TypeVarTuple, Unpack, overload

from rivetless.actor.abort import AbortSignal
from rivetless.waits import each_wait
from rivetless.workflow import branches, loops, steps
from rivetless.workflow.errors import (
    EntryInProgressError,
    FailureKind,
    HistoryDivergedError,
    RollbackCheckpointError,
)
from rivetless.workflow.journal import Entry, plain_json, quote, unquote, whole
from rivetless.workflow.queue import WorkflowQueue
from rivetless.workflow.results import Break, Continue, Failed, Ok, Source, Won
from rivetless.workflow.steps import Retrying

if TYPE_CHECKING:
    import logging

    from rivetless.workflow.engine import Engine

T = TypeVar("T")
S = TypeVar("S")
Ts = TypeVarTuple("Ts")

Time = float | timedelta
"""Seconds, or a ``timedelta``."""

SHORT: Final = 0.1
"""Seconds up to which a wait is made in memory."""

PRUNE: Final = 20
"""Iterations after which those of a loop that are over are forgotten."""

NAME: Final = 128
"""The longest name."""


class Helper(Generic[T]):
    """Something that a workflow has begun; it has to be awaited before anything else begins.

    There is no coroutine before: Python complains of those that are collected and never awaited.
    """

    __slots__ = ("_begin", "_ctx", "_label", "_work")

    def __init__(
        self, ctx: WorkflowContext, label: str, begin: Callable[[], Coroutine[Any, Any, T]]
    ) -> None:
        self._ctx = ctx
        self._label = label
        self._begin = begin
        self._work: Coroutine[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        if self._work is None:
            self._work = self._begin()
        try:
            return (yield from each_wait(self._work.__await__(), self._before))
        finally:
            self._ctx.ended(self._label)

    def _before(self, waited: object) -> tuple[()]:
        self._ctx.engine.waited = waited
        return ()


class WorkflowContext:
    """What a workflow may do outside of steps. Each loop iteration, branch and block has its own.

    Names are unique in each of them; they are what history is found by. Code outside of steps is
    run again and again, and has to do the same each time: take the time, random numbers and ids
    from here.

    Attributes:
        queue: the actor's queues.
        location: where it is in the workflow; empty for ``run`` itself.
        abort_signal: fires when this branch has lost a race, or the workflow is left.
    """

    __slots__ = (
        "_open",
        "_rng",
        "_time",
        "_visited",
        "abort_signal",
        "engine",
        "location",
        "queue",
    )

    def __init__(
        self,
        engine: Engine,
        location: str = "",
        time: float | None = None,
        signal: AbortSignal | None = None,
    ) -> None:
        self.engine = engine
        self.location = location
        self.abort_signal = signal or engine.port.abort
        self.queue = WorkflowQueue(self)
        self._visited: set[str] = set()
        self._open: str | None = None
        self._rng: random.Random | None = None
        self._time = engine.port.created_at if time is None else time

    # -- who and when -----------------------------------------------------------------------------

    @property
    def workflow_id(self) -> str:
        """The actor's id: an actor has one workflow."""
        return self.engine.port.actor_id

    @property
    def actor_id(self) -> str:
        """The id of this life of the actor."""
        return self.engine.port.actor_id

    @property
    def name(self) -> str:
        """The actor's name on the wire."""
        return self.engine.port.name

    @property
    def key(self) -> tuple[str, ...]:
        """The parts of the actor's key."""
        return self.engine.port.key

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows the actor's name, key and id."""
        return self.engine.port.log

    def is_evicted(self) -> bool:
        """Whether the workflow is to stop here, to be gone on with later."""
        return self.engine.port.abort.aborted

    def now(self) -> datetime:
        """Return when the last thing before has ended; the same in every replay."""
        return datetime.fromtimestamp(self._time, UTC)

    @property
    def random(self) -> random.Random:
        """Random numbers that are the same in every replay."""
        if self._rng is None:
            self._rng = random.Random(f"{self.actor_id}/{self.location}")
        return self._rng

    def uuid(self) -> uuid.UUID:
        """Return an id that is the same in every replay."""
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    # -- steps ------------------------------------------------------------------------------------

    def step(
        self,
        name: str,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        /,
        *args: *Ts,
        retries: int = 3,
        backoff: Time = 0.1,
        max_backoff: Time = 30.0,
        jitter: bool = False,
        timeout: Time | None = steps.TIMEOUT,
        retry_on_timeout: bool = False,
        rollback: Callable[[T], Awaitable[None]] | None = None,
    ) -> Awaitable[T]:
        """Run a method of the actor as one turn, once; its result is remembered.

        What it changes, sends and returns is committed together, or not at all.

        Args:
            name: unique in this context.
            fn: an ``async`` method of the actor, and its arguments.
            *args: its arguments.
            retries: how often it is tried again when it fails.
            backoff: the base of the pause before attempt *n* + 1: ``backoff * 2**n``.
            max_backoff: the longest pause.
            jitter: take a random part of each pause, so that many do not try again together.
            timeout: for one attempt; 0 or ``None`` for no limit but the host's.
            retry_on_timeout: whether an attempt whose time was over is tried again.
            rollback: a method that undoes it, given the result, should the workflow fail later.

        Raises:
            StepExhaustedError: it has failed as often as it may.
            CriticalError: it has raised one, or its time was over (``StepTimeoutError``).
            RollbackError: it has raised one.
            StepTooLongError: ``timeout`` is more than a function of this host has.
        """
        how = Retrying.read(retries, backoff, max_backoff, jitter, timeout, retry_on_timeout)
        label = self.begin(name, "step")
        if rollback is not None and not self.engine.checkpointed:
            raise self.misuse(
                RollbackCheckpointError(
                    f"{label} has a `rollback`, and no `ctx.rollback_checkpoint` came before it."
                )
            )
        return self._helper(label, partial(steps.run, self, name, fn, args, how, rollback))

    def try_step(
        self,
        name: str,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        /,
        *args: *Ts,
        catch: Collection[FailureKind] = ("critical", "timeout", "exhausted"),
        retries: int = 3,
        backoff: Time = 0.1,
        max_backoff: Time = 30.0,
        jitter: bool = False,
        timeout: Time | None = steps.TIMEOUT,
        retry_on_timeout: bool = False,
        rollback: Callable[[T], Awaitable[None]] | None = None,
    ) -> Awaitable[Ok[T] | Failed]:
        """As ``step``; a failure is returned.

        Args:
            name: unique in this context.
            fn: an ``async`` method of the actor.
            *args: its arguments.
            catch: which failures are returned; others are raised.
            retries: as of ``step``.
            backoff: as of ``step``.
            max_backoff: as of ``step``.
            jitter: as of ``step``.
            timeout: as of ``step``.
            retry_on_timeout: as of ``step``.
            rollback: as of ``step``.
        """
        work = self.step(
            name,
            fn,
            *args,
            retries=retries,
            backoff=backoff,
            max_backoff=max_backoff,
            jitter=jitter,
            timeout=timeout,
            retry_on_timeout=retry_on_timeout,
            rollback=rollback,
        )
        return self._helper(f"step `{self.place(name)}`", partial(steps.caught, work, catch))

    def try_(
        self,
        name: str,
        block: Callable[[WorkflowContext], Awaitable[T]],
        /,
        *,
        catch: Collection[Source] = ("step", "join", "race"),
        rollbacks: bool = False,
    ) -> Awaitable[Ok[T] | Failed]:
        """Run a part of the workflow; a failure in it is returned.

        Args:
            name: unique in this context.
            block: a function that gets a context of its own.
            catch: which failures are returned; ``"block"`` is any other error that it raises.
            rollbacks: whether ``RollbackError`` is returned too.
        """
        label = self.begin(name, "try")
        return self._helper(label, partial(branches.attempt, self, name, block, catch, rollbacks))

    # -- loops ------------------------------------------------------------------------------------

    @overload
    def loop(
        self,
        name: str,
        fn: Callable[[WorkflowContext], Awaitable[Break[T] | Continue[Any] | None]],
        /,
        *,
        history_prune_interval: int = PRUNE,
        history_size: int | None = None,
    ) -> Awaitable[T]: ...
    @overload
    def loop(
        self,
        name: str,
        fn: Callable[[WorkflowContext, S], Awaitable[Break[T] | Continue[S]]],
        /,
        *,
        state: S,
        history_prune_interval: int = PRUNE,
        history_size: int | None = None,
    ) -> Awaitable[T]: ...
    def loop(
        self,
        name: str,
        fn: Callable[..., Awaitable[Any]],
        /,
        *,
        state: Any = loops.STATELESS,
        history_prune_interval: int = PRUNE,
        history_size: int | None = None,
    ) -> Awaitable[Any]:
        """Call ``fn`` again and again until it returns ``Break(value)``; return that value.

        Each iteration gets a context of its own. A loop with a state gets that too, and returns
        ``Continue(state)``. History of old iterations is forgotten.

        Args:
            name: unique in this context.
            fn: one iteration.
            state: what the first iteration gets.
            history_prune_interval: after how many iterations old ones are forgotten.
            history_size: how many are kept; as many by default.
        """
        size = history_prune_interval if history_size is None else history_size
        if history_prune_interval < 1 or size < 1:
            raise ValueError("`history_prune_interval` and `history_size` are above zero.")
        label = self.begin(name, "loop")
        begin = partial(loops.run, self, name, fn, state, history_prune_interval, size)
        return self._helper(label, begin)

    # -- waiting ----------------------------------------------------------------------------------

    def sleep(self, name: str, duration: Time, /) -> Awaitable[None]:
        """Wait: nothing runs until then, and any process goes on.

        Args:
            name: unique in this context.
            duration: seconds or a ``timedelta``.
        """
        label = self.begin(name, "sleep")
        return self._helper(label, partial(self._sleep, name, None, in_seconds(duration)))

    def sleep_until(self, name: str, instant: datetime, /) -> Awaitable[None]:
        """Wait until an instant.

        Args:
            name: unique in this context.
            instant: an aware ``datetime``.
        """
        if instant.tzinfo is None:
            raise ValueError("`sleep_until` takes an aware datetime.")
        label = self.begin(name, "sleep")
        return self._helper(label, partial(self._sleep, name, instant.timestamp(), 0.0))

    async def _sleep(self, name: str, until: float | None, seconds: float) -> None:
        engine, port = self.engine, self.engine.port
        location = self.place(name)
        entry = engine.journal.get(location)
        if entry is not None and entry.status == "completed":
            self.passed(entry)
            return
        engine.go_on()
        if entry is None:
            now = port.now()
            at = now + seconds if until is None else until
            if at - now < SHORT:
                await port.pause(max(at - now, 0.0))
            else:
                at = whole(at)
                entry = engine.new_entry(location, "sleep", "pending", at=at)
                engine.journal.mark(entry)
                await engine.write_dirty()
        if entry is not None and entry.at is not None and not engine.over(entry.at):
            raise engine.suspend(entry.at)
        done = entry or engine.new_entry(location, "sleep", "completed")
        done = replace(done, status="completed", completed_at=port.now(), at=None)
        engine.journal.mark(done)
        self.passed(done)

    # -- at the same time -------------------------------------------------------------------------

    def join(
        self, name: str, branches_: Mapping[str, Callable[[WorkflowContext], Awaitable[T]]], /
    ) -> Awaitable[dict[str, T]]:
        """Run branches at the same time, and wait for all of them.

        Args:
            name: unique in this context.
            branches_: functions by name; each gets a context of its own.

        Returns:
            Their results by name.

        Raises:
            JoinError: some have failed, when all have ended.
        """
        label = self.begin(name, "join")
        return self._helper(label, partial(branches.join, self, name, branches_))

    def race(
        self, name: str, branches_: Mapping[str, Callable[[WorkflowContext], Awaitable[T]]], /
    ) -> Awaitable[Won[T]]:
        """Run branches at the same time until one succeeds; the others are stopped and forgotten.

        Args:
            name: unique in this context.
            branches_: functions by name; each gets a context of its own.

        Raises:
            RaceError: all have failed.
        """
        label = self.begin(name, "race")
        return self._helper(label, partial(branches.race, self, name, branches_))

    # -- rollback and versions --------------------------------------------------------------------

    def rollback_checkpoint(self, name: str, /) -> None:
        """Say that steps from here on may have a ``rollback``.

        Args:
            name: unique in this context.
        """
        self.begin(name, "rollback_checkpoint")
        self._note(name, "rollback_checkpoint", None)
        self.engine.checkpointed = True

    def removed(self, name: str, kind: str, /) -> None:
        """Say that something is not in the code any more, which old histories have.

        Args:
            name: what it was called.
            kind: what it was: ``step``, ``loop``, ``sleep``, ``message``, ``join``, ``race``,
                ``rollback_checkpoint``, ``version_check``, or ``try``.
        """
        self.begin(name, kind)
        self._open = None

    def get_version(self, name: str, latest: int, /) -> int:
        """Return which version of the code this workflow has begun with; it stays the same.

        Args:
            name: of the change.
            latest: the version of the code as it is; what began before the change has 1.
        """
        if isinstance(latest, bool) or latest < 1:
            raise ValueError("`latest` is a whole number above zero.")
        before = bool(self._unvisited())
        self.begin(name, "version_check")
        entry = self._note(name, "version_check", 1 if before else latest)
        return int(entry.value)

    def _note(self, name: str, kind: str, value: object) -> Entry:
        """Record something that needs no turn; it is written with the next commit."""
        self._open = None
        location = self.place(name)
        entry = self.engine.journal.get(location)
        if entry is None:
            if kind != "version_check":
                self.engine.go_on()
            entry = self.engine.new_entry(location, kind, "completed", value=plain_json(value))
            if not self.engine.collecting:
                self.engine.journal.mark(entry)
        self.passed(entry)
        return entry

    # -- for the other modules of this package ----------------------------------------------------

    def place(self, name: str) -> str:
        """Return where something of this name lies."""
        return f"{self.location}/{quote(name)}" if self.location else quote(name)

    def child(self, part: str, signal: AbortSignal | None = None) -> WorkflowContext:
        """Return a context for what lies within this one."""
        location = f"{self.location}/{part}" if self.location else part
        return WorkflowContext(self.engine, location, self._time, signal or self.abort_signal)

    def passed(self, entry: Entry) -> None:
        """Something has ended: time goes on."""
        if entry.completed_at is not None and entry.completed_at > self._time:
            self._time = entry.completed_at

    def catch_up(self, child: WorkflowContext) -> None:
        """What lies within this context has ended."""
        self._time = max(self._time, child._time)

    def begin(self, name: str, kind: str) -> str:
        """Check that something new may begin here; return what it is called in messages.

        Raises:
            EntryInProgressError: something else was not awaited.
            HistoryDivergedError: the name is taken, or history has something else there.
        """
        if not name or len(name) > NAME:
            raise ValueError(f"A name is text of 1 to {NAME} characters, not {name!r}.")
        location = self.place(name)
        label = f"{kind} `{location}`"
        if self.engine.misuse is not None:
            raise self.engine.misuse
        if self._open is not None:
            raise self.misuse(
                EntryInProgressError(
                    f"{label} began before {self._open} was awaited. Await it first; for things at "
                    "the same time there are `ctx.join` and `ctx.race`."
                )
            )
        if location in self._visited:
            raise self.misuse(
                HistoryDivergedError(
                    f"The code has two things called `{location}`: the second is a {kind}. Names "
                    "are unique in each context."
                )
            )
        self._visited.add(location)
        self.engine.visited.add(location)
        entry = self.engine.journal.get(location)
        if entry is not None and entry.kind != kind:
            raise self.misuse(
                HistoryDivergedError(
                    f"The code has a {kind} `{location}` where history has a {entry.kind}."
                )
            )
        self._open = label
        return label

    def ended(self, label: str) -> None:
        """Let the next thing begin."""
        if self._open == label:
            self._open = None

    def misuse(self, error: Any) -> Any:
        """Remember a mistake, so that ``except Exception`` does not hide it."""
        if self.engine.misuse is None:
            self.engine.misuse = error
        return error

    def helper(self, name: str, kind: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Helper[T]:
        """Begin something: it is done when it is awaited."""
        return self._helper(self.begin(name, kind), work)

    def _helper(self, label: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> Helper[T]:
        return Helper(self, label, begin)

    def _unvisited(self) -> list[str]:
        children = self.engine.journal.children(self.location)
        return [child for child in children if child not in self._visited]

    def close(self) -> None:
        """Check at the end that nothing was forgotten, in the code or by it.

        Raises:
            EntryInProgressError: something was not awaited.
            HistoryDivergedError: history has something that the code did not come by.
        """
        if self._open is not None:
            raise self.misuse(
                EntryInProgressError(f"{self._open} was never awaited. Write `await ctx....`.")
            )
        if not self.location:
            return
        if left := self._unvisited():
            journal = self.engine.journal
            entry = journal.get(left[0])
            what = entry.kind if entry is not None else "try"
            name = unquote(left[0].rpartition("/")[2])
            raise self.misuse(
                HistoryDivergedError(
                    f"History has a {what} `{left[0]}` where the code has nothing of this name. "
                    f'If it was removed, say so: `ctx.removed("{name}", "{what}")`.'
                )
            )


def in_seconds(time: Time) -> float:
    """Return a time in seconds.

    Raises:
        ValueError: it is below zero.
    """
    seconds = time.total_seconds() if isinstance(time, timedelta) else float(time)
    if seconds < 0:
        raise ValueError("A time is not below zero.")
    return seconds
