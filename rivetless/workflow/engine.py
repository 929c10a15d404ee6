"""The engine: runs a workflow's function over its journal, once from its top.

What the journal has is answered from it; what it does not have is done, and written there with one
commit each. Where the function has to wait it is left: ``Suspended`` unwinds it, and somebody runs
it again when what it waits for may be there.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rivetless.errors import ActorAborted
from rivetless.waits import each_wait
from rivetless.workflow.errors import (
    EarlierError,
    ErrorInfo,
    HistoryMoved,
    MisuseError,
    Suspended,
    Unrecorded,
    info_of,
)
from rivetless.workflow.journal import ROOT, Entry, Journal, Writing
from rivetless.workflow.results import WorkflowEvent

if TYPE_CHECKING:
    from rivetless.workflow.declare import Workflow
    from rivetless.workflow.port import Outcome, Port

T = TypeVar("T")

HAIR: Final = 0.0005

PASSING: Final = (Suspended, Unrecorded, HistoryMoved, ActorAborted)
"""What goes through user code to the engine; ``BaseException`` all of them."""


class End(enum.Enum):
    """How a run of the function has ended."""

    COMPLETED = "completed"
    SUSPENDED = "suspended"
    FAILED = "failed"


class Waits:
    """What a suspended workflow waits for.

    Attributes:
        until: the earliest instant, in Unix seconds.
        messages: whether a message may resume it.
    """

    __slots__ = ("messages", "until")

    def __init__(self) -> None:
        self.until: float | None = None
        self.messages = False

    def add(self, until: float | None, *, messages: bool = False) -> None:
        """Note one more thing."""
        if until is not None:
            self.until = until if self.until is None else min(self.until, until)
        self.messages = self.messages or messages


class Compensation:
    """A step that can be rolled back."""

    __slots__ = ("entry", "undo")

    def __init__(self, entry: Entry, undo: Callable[[Any], Awaitable[object]]) -> None:
        self.entry = entry
        self.undo = undo


class Engine:
    """One run of a workflow's function.

    Args:
        port: runs turns.
        recorded_only: do nothing that is not recorded (the check of replays).

    Attributes:
        port, journal: as given.
        waits: what it waits for, once it is suspended.
        checkpointed: whether a rollback checkpoint has come.
        collecting: whether it is replayed to learn what is to be rolled back.
        compensations: the completed steps with a ``rollback``.
        visited: the places that the function has come to.
        misuse: a mistake that user code must not hide.
        error: what a failed workflow has failed with.
        waited: what a helper waits for; anything else is waited for by the function itself.
    """

    def __init__(self, port: Port, *, recorded_only: bool = False) -> None:
        self.port = port
        self.journal: Journal = port.journal
        self.waits = Waits()
        self.checkpointed = False
        self.collecting = False
        self.compensations: list[Compensation] = []
        self.visited: set[str] = set()
        self.misuse: MisuseError | None = None
        self.error: Exception | None = None
        self.waited: object = None
        self._recorded_only = recorded_only

    # -- one run ----------------------------------------------------------------------------------

    async def run(self, workflow: Workflow, actor: object) -> End:
        """Run the function; what is left to be written when it ends is.

        Raises:
            HistoryMoved: somebody else has written history.
            ActorAborted: it was told to stop.
        """
        from rivetless.workflow.context import WorkflowContext

        root = self.journal.get(ROOT)
        self.collecting = root is not None and root.status == "rolling_back"
        ctx = WorkflowContext(self)
        try:
            try:
                await unwrapped(Part(self, workflow.body(actor, ctx)))
                ctx.close()
            except Exception:
                if self.misuse is not None:
                    raise self.misuse from None
                raise
            if self.misuse is not None:
                raise self.misuse
        except Suspended:
            await self.write_dirty()
            return End.SUSPENDED
        except Unrecorded:
            if not self.collecting:
                raise
            return await self._roll_back(_recorded(root))
        except MisuseError as error:
            return await self._fail(error)
        except Exception as error:
            return await self._roll_back(error)
        if self.collecting:
            return await self._roll_back(_recorded(root))
        if not self._recorded_only and (root is None or root.status != "completed"):
            self.journal.mark(self._root("completed"))
        await self.write_dirty()
        return End.COMPLETED

    def _root(self, status: str, error: ErrorInfo | None = None) -> Entry:
        now = self.port.now()
        old = self.journal.get(ROOT)
        seq = self.journal.next_seq() if old is None else old.seq
        began = self.port.created_at
        done = None if status == "rolling_back" else now
        return Entry(ROOT, "workflow", status, seq, began, done, error=error)

    # -- what helpers ask for ---------------------------------------------------------------------

    def new_entry(self, location: str, kind: str, status: str, **fields: Any) -> Entry:
        """Make an entry that begins now."""
        now = self.port.now()
        done = now if status == "completed" else None
        return Entry(location, kind, status, self.journal.next_seq(), now, done, **fields)

    def go_on(self) -> None:
        """Make sure that something new may be done.

        Raises:
            Unrecorded: only what is recorded is to be replayed.
            ActorAborted: the workflow is to stop.
        """
        if self.collecting or self._recorded_only:
            raise Unrecorded
        if self.port.abort.aborted:
            raise ActorAborted

    def over(self, at: float) -> bool:
        """Whether an instant has come; timers are a hair early."""
        return self.port.now() + HAIR >= at

    def suspend(self, until: float | None, *, messages: bool = False) -> Suspended:
        """Return what unwinds the function until something has happened."""
        self.waits.add(until, messages=messages)
        return Suspended()

    async def write_dirty(self) -> None:
        """Write what was put off, if anything."""
        if self.journal.dirty and not self._recorded_only:
            await self.write("history")

    async def write(self, label: str) -> None:
        """Write what was put off now."""
        await self.port.turn(label, ROOT, None, lambda outcome: Writing(), None)

    async def report(self, event: WorkflowEvent) -> None:
        """Tell ``on_error``."""
        await self.port.report(event)

    # -- failing ----------------------------------------------------------------------------------

    async def _roll_back(self, error: Exception) -> End:
        """Undo what can be undone, newest first; then the workflow has failed."""
        if self._recorded_only:
            self.error = error
            return End.FAILED
        undone = sorted(self.compensations, key=lambda each: each.entry.seq, reverse=True)
        left = [each for each in undone if not each.entry.rolled_back]
        if left and not self.collecting:
            self.journal.mark(self._root("rolling_back", info_of(error)))
            await self.write("a rollback")
        for each in left:
            if self.port.abort.aborted:
                raise ActorAborted
            outcome = await self.port.turn(
                f"rollback of {each.entry.name}",
                f"{each.entry.location}:rollback",
                each.undo,
                lambda outcome, each=each: _rolled_back(each, outcome),  # type: ignore[misc]
                None,
            )
            if outcome.error is not None:
                info = info_of(outcome.error)
                await self.report(WorkflowEvent("rollback", each.entry.name, info))
                return await self._fail(outcome.error)
        return await self._fail(error)

    async def _fail(self, error: Exception) -> End:
        """Write that the workflow has failed, and tell ``on_error``, once."""
        self.error = error
        if self._recorded_only:
            return End.FAILED
        info, root = info_of(error), self.journal.get(ROOT)
        known = root is not None and root.status == "failed" and root.error == info
        if not isinstance(error, MisuseError):
            # What is waited for no more would wake the actor for nothing.
            self.journal.discard(entry for entry in self.journal if entry.waiting)
        if not known:
            self.journal.mark(self._root("failed", info))
        await self.write_dirty()
        if not known:
            await self.report(WorkflowEvent("workflow", "", info))
        return End.FAILED


def _recorded(root: Entry | None) -> Exception:
    info = None if root is None else root.error
    return EarlierError(info or ErrorInfo("WorkflowError", "the workflow was rolled back"))


def _rolled_back(each: Compensation, outcome: Outcome) -> Writing:
    if outcome.error is not None:
        return Writing()
    return Writing().put(replace(each.entry, rolled_back=True), each.entry)


class Part(Generic[T]):
    """Awaits a part of a workflow's function.

    Steps that it has seen may not be durable yet. Before it waits for anything but helpers, which
    may be something outside, they are.
    """

    __slots__ = ("_engine", "_work")

    def __init__(self, engine: Engine, work: Awaitable[T]) -> None:
        self._engine = engine
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        return (yield from each_wait(self._work.__await__(), self._before))

    def _before(self, waited: object) -> Iterable[Any]:
        if waited is None or waited is self._engine.waited:
            return ()
        return self._engine.port.durable().__await__()


async def unwrapped(work: Awaitable[Any]) -> Any:
    """Await user code; what passes through it may come in a group where it has tasks of its own."""
    try:
        return await work
    except BaseExceptionGroup as group:
        passing = first_passing(group)
        if passing is None:
            raise
        raise passing from None


def first_passing(group: BaseExceptionGroup[Any]) -> BaseException | None:
    """Return what is to go on in the place of a group that holds nothing else."""
    rest = group.subgroup(lambda error: not isinstance(error, (*PASSING, BaseExceptionGroup)))
    if rest is not None:
        return None
    for kind in (HistoryMoved, ActorAborted, Unrecorded, Suspended):
        if group.subgroup(kind) is not None:
            return kind()
    return None


def in_order(errors: Sequence[BaseException]) -> BaseException | None:
    """Return the error of several branches that counts most, of those that pass through."""
    for kind in (HistoryMoved, ActorAborted, MisuseError, Unrecorded, Suspended):
        for error in errors:
            if isinstance(error, kind):
                return error
    return None
