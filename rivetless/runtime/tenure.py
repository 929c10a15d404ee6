"""``Tenure``: what an actor has in one process beside its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivetless.actor.turn import ConnInfo
    from rivetless.runtime.workflows import Memory


class Tenure:
    """What an actor has in this process until it sleeps, is destroyed or is forgotten.

    Attributes:
        vars: what ``create_vars`` made.
        stopping: what to call, with the reason, when it ends: abort signals.
        stopped: the reason, once it ends.
        afterwards: what to call when it has ended.
        workflow: what is kept of the actor's workflow, once it was gone on with here.
    """

    __slots__ = ("afterwards", "stopped", "stopping", "vars", "workflow")

    def __init__(self) -> None:
        self.vars: object = None
        self.stopping: list[Callable[[str], None]] = []
        self.stopped: str | None = None
        self.afterwards: list[Callable[[], None]] = []
        self.workflow: Memory | None = None

    def stop(self, reason: str) -> None:
        """Tell those who listen that the tenure ends."""
        self.stopped = self.stopped or reason
        stopping, self.stopping = self.stopping, []
        for fire in stopping:
            fire(reason)


@dataclass(slots=True)
class CachedConn:
    """A connection this process has read: the unchanging part, and its encoded state."""

    info: ConnInfo
    state: bytes | None
