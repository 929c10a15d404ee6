"""Hints: what processes on one store tell each other, so that nobody has to wait for a poll.

Each of them is about something that is durable already and that would be found by looking. One that
is lost costs time, one that is doubled or wrong costs a look, and nothing is ever believed because
a hint says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rivetless.runtime.alarms import LOOK_AHEAD
from rivetless.runtime.ports import Hint, Neighbours, Topic

if TYPE_CHECKING:
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.runtime import Runtime


class Hints:
    """Gives hints to the other processes, and takes theirs. One for each runtime.

    Args:
        runtime: this process.
        neighbours: the others.
    """

    def __init__(self, runtime: Runtime, neighbours: Neighbours) -> None:
        self._runtime = runtime
        self.neighbours = neighbours

    # -- telling ----------------------------------------------------------------------------------

    def messages(self, cell: Cell, actor_id: str) -> None:
        """An actor has been sent something: tell whoever runs its loop, if it is not run here."""
        pump = cell.pump
        if pump is not None and pump.undecided:
            pump.has_mail = True  # it tells them, should another process have the claim
        elif pump is None or pump.rival is not None:
            self._tell(Hint(Topic.MESSAGES, actor_id))

    def replies(self, actor_id: str, waiters: Iterable[str]) -> None:
        """Messages have been answered whose senders do not wait here."""
        self._tell(*(Hint(Topic.REPLY, actor_id, waiter) for waiter in waiters))

    def runner(self, actor_id: str) -> None:
        """The claim to run an actor's loop is free."""
        self._tell(Hint(Topic.RUNNER, actor_id))

    def alarm(self, actor_id: str, at: float) -> None:
        """This process has set itself a timer, which would be lost with it."""
        if at <= self._runtime.clock.now() + LOOK_AHEAD:
            self._tell(Hint(Topic.ALARM, actor_id, at=at))

    def _tell(self, *hints: Hint) -> None:
        if hints and not self._runtime.store.capabilities.single_writer:
            self.neighbours.tell(hints)

    # -- hearing ----------------------------------------------------------------------------------

    def hear(self, hints: Iterable[Hint]) -> None:
        """Take hints from another process."""
        for hint in hints:
            self._hear(hint)

    def _hear(self, hint: Hint) -> None:
        runtime = self._runtime
        cell = runtime.cells.known(hint.actor_id)
        match hint.topic:
            case Topic.MESSAGES:
                if cell is not None and cell.inbox is not None:
                    cell.inbox.poke()
            case Topic.REPLY:
                runtime.queues.replies.look(hint.waiter)
            case Topic.RUNNER:
                if cell is not None:
                    runtime.pumps.retry(cell)
            case Topic.ALARM:
                if hint.at is not None:
                    runtime.alarms.stand_in(hint.actor_id, hint.at)
