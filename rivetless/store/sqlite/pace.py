"""Whether the disk is so quick that waiting for it beats handing the wait to a thread."""

from __future__ import annotations

from typing import Final

QUICK: Final = 0.000_5
"""Seconds that a sync may take on average where the event loop waits for it itself."""

SHARE: Final = 1 / 16
"""Weight of the latest sync in the average, once there were as many as it stands for."""


class Pace:
    """Decides where commits are synced, by how long that has taken lately.

    A thread costs two changes of threads and the interpreter's lock twice: on a disk that syncs in
    a tenth of a millisecond several times what it spares. On any other disk, and as soon as one
    that was quick is not, waiting is the thread's. The average bounds which share of the time the
    event loop can be held up.
    """

    def __init__(self) -> None:
        self._usual = 2 * QUICK
        self._count = 0

    @property
    def quick(self) -> bool:
        """Whether the event loop may wait for the next sync itself."""
        return self._usual < QUICK

    def note(self, seconds: float) -> None:
        """A sync has taken so long, wherever; in the thread what held that up is included."""
        self._count += 1
        self._usual += (seconds - self._usual) * max(SHARE, 1 / self._count)
