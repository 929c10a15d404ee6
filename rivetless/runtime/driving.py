"""How a turn's handler is awaited, so that the turn notices what the handler waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rivetless.waits import each_wait

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn

T = TypeVar("T")


class PortCall(Generic[T]):
    """Awaits something of ours; the turn can tell its futures from others."""

    __slots__ = ("_turn", "_work")

    def __init__(self, turn: ActorTurn, work: Awaitable[T]) -> None:
        self._turn = turn
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        return each_wait(self._work.__await__(), self._before)

    def _before(self, waited: object) -> Iterable[Any]:
        self._turn.port = waited
        return ()


class Drive(Generic[T]):
    """Awaits a handler and watches what it waits for.

    What a handler reads is not durable yet when turns commit in groups. Before it goes on from its
    first wait for the outside world (the answer of another service, say), the base it saw is made
    durable, so that nothing it does because of it can be undone by a crash. What the handler does
    before it waits nobody can hold up: it has been done when the wait is seen.
    """

    __slots__ = ("_turn", "_work")

    def __init__(self, turn: ActorTurn, work: Coroutine[Any, Any, T]) -> None:
        self._turn = turn
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        return each_wait(self._work.__await__(), self._before)

    def _before(self, waited: object) -> Iterable[Any]:
        turn = self._turn
        # ``asyncio.sleep(0)`` waits for nothing (``None``) and reaches nobody.
        if waited is None or waited is turn.port or turn.job.outside:
            return ()
        turn.job.outside = True
        return () if turn.base.step is None else turn.cell.durable(turn.base).__await__()
