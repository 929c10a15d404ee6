"""The bare commits of late: one that is sent again counts once."""

from __future__ import annotations

from typing import Final

from rivetless.store.base import REPEATS, Changes


class Repeats:
    """Remembers the bare commits that a store has made, for a store on which none is late."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: Final[dict[str, None]] = {}

    def __contains__(self, changes: Changes) -> bool:
        return changes.commit_id in self._made and changes.bare

    def note(self, changes: Changes) -> None:
        """Remember a commit that was made, if it is bare."""
        if not changes.bare:
            return
        self._made[changes.commit_id] = None
        if len(self._made) > REPEATS:
            del self._made[next(iter(self._made))]
