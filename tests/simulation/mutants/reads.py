"""Mistakes in what turns see, and in what they may answer from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from rivetless import errors
from rivetless.runtime import replies
from rivetless.runtime.cell import Cell
from rivetless.runtime.checkpoints import Checkpoints
from rivetless.runtime.execution import Execution
from rivetless.runtime.job import digest
from rivetless.runtime.steps import Snapshot, tick
from rivetless.runtime.turn import ActorTurn
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.store.base import Head

Plant = AbstractContextManager[None]
T = TypeVar("T")


@mutant("A turn that wrote nothing is answered from the cache, without asking the store.")
def stale_cache_answered() -> Plant:
    right = Cell.validate

    async def wrong(self: Cell, base: Snapshot, started: int) -> None:
        if base.step is None and base.epoch == self._epoch and self.head is not None:
            return
        await right(self, base, started)

    return replaced(Cell, "validate", wrong)


@mutant("An error is told although what the turn had read may be out of date.")
def stale_error_told() -> Plant:
    async def wrong(self: Execution, turn: ActorTurn, error: Exception) -> None:
        turn.end("failed")
        if not isinstance(error, errors.ActorError):
            turn.log.error("unhandled error in %s", turn.job.label, exc_info=error)

    return replaced(Execution, "_failed", wrong)


@mutant("A cached head counts as checked when the answer comes, not when the question left.")
def checked_when_answered() -> Plant:
    right = Cell.validate

    async def wrong(self: Cell, base: Snapshot, started: int) -> None:
        before, head = self.checked, self.head
        await right(self, base, started)
        if self.head is head and self.checked != before:
            self.checked = tick()

    return replaced(Cell, "validate", wrong)


@mutant("A head that was read counts as checked when the answer came.")
def loaded_when_answered() -> Plant:
    right = Cell._adopt

    def wrong(self: Cell, head: Head | None, checked: int) -> None:
        right(self, head, tick())

    return replaced(Cell, "_adopt", wrong)


@mutant("A turn that wrote nothing is answered before what it has seen is durable.")
def read_of_what_may_never_be() -> Plant:
    right = Cell.validate

    async def wrong(self: Cell, base: Snapshot, started: int) -> None:
        if base.step is not None and base.epoch == self._epoch:
            return
        await right(self, base, started)

    return replaced(Cell, "validate", wrong)


@mutant("A commit on its way counts as a check, although it may have been made long before.")
def sent_before_counts() -> Plant:
    right = Cell.validate

    async def wrong(self: Cell, base: Snapshot, started: int) -> None:
        if base.step is not None:
            await self.durable(base)
            return
        await right(self, base, started)

    return replaced(Cell, "validate", wrong)


@mutant(
    "Records are read while what earlier turns have written to them is on its way.",
    features=("kv", "concurrency"),
)
def records_read_too_early() -> Plant:
    async def wrong(self: ActorTurn, read: Callable[[], Awaitable[T]]) -> T:
        self.check_open()
        self.read_records = True
        found = await self.port_call(read())
        if (moved := self.cell.moved(self.base)) is not None:
            raise moved
        return found

    return replaced(ActorTurn, "read_stored", wrong)


@mutant(
    "A call to another actor leaves before what its turn has seen is durable.",
    features=("calls between actors",),
)
def call_leaves_too_early() -> Plant:
    async def wrong(self: ActorTurn) -> None:
        self.check_open()
        self.job.outside = True

    return replaced(ActorTurn, "reach_out", wrong)


# -- stored replies ------------------------------------------------------------------------------


@mutant("A key is answered whatever was asked with it.", features=("retries",))
def reply_whatever_was_asked() -> Plant:
    def wrong(callee: str, action: str, args: bytes) -> str:
        return digest(callee, action)

    return replaced(replies, "check", wrong)


@mutant("A client's key is everybody's: who asks is left out of it.", features=("retries",))
def reply_to_whoever_asks() -> Plant:
    from rivetless.runtime import actions
    from rivetless.runtime.commands import Origin

    def wrong(origin: Origin) -> Origin:
        return origin

    return replaced(actions, "scoped", wrong)


@mutant(
    "A call to another actor has another key each time that its turn runs.",
    features=("calls between actors",),
)
def call_key_of_the_run() -> Plant:
    right = ActorTurn.call_key

    def wrong(self: ActorTurn, callee: str, action: str, args: bytes) -> str:
        return f"{right(self, callee, action, args)}:{self.job.conflicts}"

    return replaced(ActorTurn, "call_key", wrong)


# -- once ----------------------------------------------------------------------------------------


@mutant("The result of `once` is stored with the turn's commit.", features=("once", "retries"))
def once_stored_with_the_turn() -> Plant:
    right = Checkpoints.once

    async def wrong(
        self: Checkpoints, turn: ActorTurn, name: str, fn: Callable[[], Awaitable[Any]]
    ) -> Any:
        runtime = _Postponing(self._runtime, turn)
        return await right(_With(self, runtime), turn, name, fn)  # type: ignore[arg-type]

    return replaced(Checkpoints, "once", wrong)


class _Postponing:
    """A runtime whose loose commits wait for a turn's."""

    def __init__(self, runtime: Any, turn: ActorTurn) -> None:
        self._inner = runtime
        self._turn = turn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit_loose(self, actor_id: str, changes: Any, cell: Any = None) -> None:
        self._turn.puts.extend(changes.puts)


class _With:
    """Checkpoints with another runtime."""

    def __init__(self, checkpoints: Checkpoints, runtime: _Postponing) -> None:
        self._checkpoints = checkpoints
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoints, name)


@mutant(
    "What `once` has stored is not looked for by a later attempt.", features=("once", "retries")
)
def once_not_looked_for() -> Plant:
    def wrong(self: ActorTurn) -> bool:
        return False

    return replaced(ActorTurn, "durable_cause", property(wrong))
