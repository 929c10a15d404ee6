"""``Flight``: the turns of a workflow that are on their way to the store while it goes on.

The next step runs on what the last one did, before that is durable. Nothing of it can be seen
outside meanwhile: effects wait with their step, and who reaches outside waits for the base first.
When the store refuses one, all that were built on it are gone; the workflow begins at its top again
and goes on from what is stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from rivetless.workflow.errors import HistoryMoved

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.steps import Step
    from rivetless.runtime.turn import ActorTurn

WINDOW: Final = 64
"""How many turns may be on their way to the store at once."""

BREATH: Final = 8
"""Turns after which others in this process get their chance, if none had to wait."""


class Flight:
    """The turns that one run of a workflow's function has sent.

    Args:
        runtime: the process.
        careful: how many turns are to be durable before the next begins, because some were lost.

    Attributes:
        careful: how many are left of them.
        commits: how many turns have become durable.
        lost: how many never will.
    """

    __slots__ = ("_ahead", "_breath", "_letting_out", "_runtime", "careful", "commits", "lost")

    def __init__(self, runtime: Runtime, careful: int = 0) -> None:
        self._runtime = runtime
        self._ahead: deque[Step] = deque()
        self._letting_out: deque[asyncio.Future[None]] = deque()
        self._breath = 0
        self.careful = careful
        self.commits = 0
        self.lost = 0

    # -- for the turn that is sent ----------------------------------------------------------------

    def carry(self, turn: ActorTurn, step: Step) -> bool:
        """See a turn to its end, whoever waits; say whether its job waits until it is durable.

        What has reached outside must not be undone by a conflict without being done again by the
        same job, under the lease; and who ends the tenure leaves nothing to go on with.
        """
        waits = self._waits(turn)
        if not waits:
            self._ahead.append(step)
            if step.effects:
                self._letting_out.append(step.done)
        turn.ended = True  # what it has left behind can do nothing any more

        def end(done: asyncio.Future[None]) -> None:
            durable = not done.cancelled() and done.exception() is None
            if durable:
                self.commits += 1
                self._runtime.after_commit(turn)
            turn.end("ended" if durable else "restarted")

        step.done.add_done_callback(end)
        return waits

    def _waits(self, turn: ActorTurn) -> bool:
        job = turn.job
        if self.careful:
            self.careful -= 1
            return True
        return job.outside or job.leased or turn.destroying or turn.sleeping

    # -- for the workflow -------------------------------------------------------------------------

    def check(self) -> None:
        """Make sure that nothing that was built on is lost.

        Raises:
            HistoryMoved: something is.
        """
        ahead = self._ahead
        while ahead and ahead[0].landed.done():
            self.lost += not ahead.popleft().landed.result()
        if self.lost:
            self.lost += len(ahead)
            ahead.clear()
            raise HistoryMoved

    async def go_on(self) -> None:
        """Return when the next turn may begin: soon, as long as not too many are on their way."""
        self.check()
        if len(self._ahead) > WINDOW:
            await asyncio.wait((self._ahead[0].landed,))
            self.check()
        out = self._letting_out
        while out and out[0].done():
            del out[0]
        if len(out) > WINDOW:
            await asyncio.wait((out[0],))
        self._breath += 1
        if self._breath >= BREATH:
            self._breath = 0
            await asyncio.sleep(0)

    async def durable(self) -> None:
        """Return when everything so far is durable and its effects are out.

        Raises:
            HistoryMoved: some of it never will be.
        """
        if self._ahead:
            await asyncio.wait((self._ahead[-1].landed,))
            self.check()
        if self._letting_out:
            await asyncio.wait((self._letting_out[-1],))
