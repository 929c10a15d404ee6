"""What runs at the same time, joins and races, and blocks whose failures are caught."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from rivetless.actor.abort import AbortSignal
from rivetless.workflow import steps
from rivetless.workflow.engine import Part, in_order, unwrapped
from rivetless.workflow.errors import (
    HistoryDivergedError,
    JoinError,
    MisuseError,
    RaceError,
    RollbackError,
    StepError,
    Suspended,
    Unrecorded,
    info_of,
)
from rivetless.workflow.journal import quote
from rivetless.workflow.results import Failed, Ok, Source, Won

if TYPE_CHECKING:
    from rivetless.workflow.context import WorkflowContext
    from rivetless.workflow.journal import Entry

T = TypeVar("T")

Branch = Callable[["WorkflowContext"], Awaitable[T]]


async def attempt(
    ctx: WorkflowContext,
    name: str,
    block: Branch[T],
    catch: Collection[Source],
    rollbacks: bool,
) -> Ok[T] | Failed:
    """Run a block; return its failure."""
    child = ctx.child(quote(name))
    try:
        value = await unwrapped(Part(ctx.engine, block(child)))
    except MisuseError:
        raise
    except Exception as error:
        failure = _failure(name, error)
        caught = rollbacks if isinstance(error, RollbackError) else failure.source in catch
        if not caught:
            raise
        child.close()
        ctx.catch_up(child)
        return failure
    child.close()
    ctx.catch_up(child)
    return Ok(value)


def _failure(name: str, error: Exception) -> Failed:
    if isinstance(error, StepError) and error.step:
        return steps.failed(error)
    if isinstance(error, JoinError):
        return Failed("join", error.name, info_of(error))
    if isinstance(error, RaceError):
        return Failed("race", error.name, info_of(error))
    return Failed("block", name, info_of(error))


async def _run(child: WorkflowContext, branch: Branch[T]) -> T:
    value: T = await unwrapped(Part(child.engine, branch(child)))
    child.close()
    return value


def _opened(ctx: WorkflowContext, name: str, kind: str, names: list[str]) -> Entry:
    """Return the group's entry, and make sure that it has the branches it had."""
    engine, location = ctx.engine, ctx.place(name)
    entry = engine.journal.get(location)
    if entry is None:
        engine.go_on()
        entry = engine.new_entry(location, kind, "running", value={"branches": names})
        engine.journal.mark(entry)
    recorded: list[str] = entry.value["branches"]
    if recorded != names:
        raise ctx.misuse(
            HistoryDivergedError(
                f"The code's {kind} `{location}` has the branches {', '.join(names)}, where "
                f"history has {', '.join(recorded)}."
            )
        )
    return entry


async def _stopped(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel what is still running, and return when it has ended."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    for task in tasks:
        _error(task)  # looked at, so that nobody is warned of it


def _raise_passing(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Raise what ends the run of the workflow, if a branch has come to that."""
    errors = [e for task in tasks if task.done() and (e := _error(task)) is not None]
    first = in_order([e for e in errors if not isinstance(e, Suspended | Unrecorded)])
    if first is not None:
        raise first


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def join(ctx: WorkflowContext, name: str, branches: Mapping[str, Branch[T]]) -> dict[str, T]:
    """Run branches to their ends."""
    entry = _opened(ctx, name, "join", list(branches))
    children = {one: ctx.child(f"{quote(name)}/{quote(one)}") for one in branches}
    tasks: dict[str, asyncio.Task[T]] = {
        one: asyncio.ensure_future(_run(children[one], branch)) for one, branch in branches.items()
    }
    try:
        pending: set[asyncio.Task[T]] = set(tasks.values())
        while pending:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            _raise_passing(tasks.values())
    finally:
        await _stopped(tasks.values())
    found = {one: _error(task) for one, task in tasks.items()}
    left = in_order([error for error in found.values() if error is not None])
    if left is not None:
        raise left
    for child in children.values():
        ctx.catch_up(child)
    errors = {one: error for one, error in found.items() if isinstance(error, Exception)}
    if entry.status == "running":
        done = replace(entry, status="completed", completed_at=ctx.engine.port.now())
        ctx.engine.journal.mark(done)
        entry = done
    ctx.passed(entry)
    if errors:
        raise JoinError(name, errors)
    return {one: task.result() for one, task in tasks.items()}


async def race(ctx: WorkflowContext, name: str, branches: Mapping[str, Branch[T]]) -> Won[T]:
    """Run branches until one succeeds."""
    entry = _opened(ctx, name, "race", list(branches))
    winner: str | None = entry.value.get("winner")
    running = {winner: branches[winner]} if winner is not None else dict(branches)
    signals = {one: AbortSignal() for one in running}
    children = {one: ctx.child(f"{quote(name)}/{quote(one)}", signals[one]) for one in running}
    for signal in signals.values():
        ctx.abort_signal.add_callback(lambda signal=signal: signal.fire("aborted"))  # type: ignore[misc]
    tasks: dict[str, asyncio.Task[T]] = {
        one: asyncio.ensure_future(_run(children[one], branch)) for one, branch in running.items()
    }
    try:
        pending: set[asyncio.Task[T]] = set(tasks.values())
        won: str | None = None
        while pending and won is None:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            _raise_passing(tasks.values())
            won = next((one for one, task in tasks.items() if _succeeded(task)), None)
    finally:
        for one, task in tasks.items():
            if not task.done():
                signals[one].fire("lost")
        await _stopped(tasks.values())
    errors = {one: _error(task) for one, task in tasks.items()}
    if won is None:
        passing = in_order([error for error in errors.values() if error is not None])
        if passing is not None:
            raise passing
        raise RaceError(
            name, {one: error for one, error in errors.items() if isinstance(error, Exception)}
        )
    ctx.catch_up(children[won])
    if entry.status == "running":
        entry = _decide(ctx, entry, won, [one for one in branches if one != won])
    ctx.passed(entry)
    return Won(won, tasks[won].result())


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _decide(ctx: WorkflowContext, entry: Entry, won: str, lost: list[str]) -> Entry:
    """Remember who has won, and forget what the others have done."""
    engine = ctx.engine
    for one in lost:
        engine.journal.discard(engine.journal.within(f"{entry.location}/{quote(one)}"))
    done = replace(
        entry,
        status="completed",
        completed_at=engine.port.now(),
        value={**entry.value, "winner": won},
    )
    engine.journal.mark(done)
    return done
