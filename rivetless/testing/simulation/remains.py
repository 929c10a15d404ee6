"""What a store still holds after everything should have drained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rivetless.store.base import Collection, Head
from rivetless.testing.simulation.checkers.liveness import Rest
from rivetless.testing.simulation.history import Subject
from rivetless.testing.simulation.stores import Backend

if TYPE_CHECKING:
    from rivetless.actor.base import Actor

__all__ = ["Remains"]

_MANY = 1000


class Remains:
    """Looks into the store, past everything that goes wrong.

    Args:
        backend: the store.
        actors: whose remains are looked for.
        namespace: of theirs.
    """

    def __init__(
        self, backend: Backend, actors: Sequence[type[Actor[Any, Any, Any]]], namespace: str
    ) -> None:
        self._backend = backend
        self._definitions = [actor.__definition__ for actor in actors]
        self._namespace = namespace

    async def due(self, now: float) -> bool:
        """Whether a sweeper would find anything to do."""
        return bool(await self._backend.plain.due(now, limit=1))

    async def rests(self, now: float) -> list[Rest]:
        """Return what there is of each actor."""
        store = self._backend.plain
        found: list[Rest] = []
        for definition in self._definitions:
            heads = await store.list(
                self._namespace, definition.name, limit=_MANY, include_destroyed=True
            )
            for listed in heads:
                head = await store.load(listed.actor_id)
                if head is not None:
                    found.append(await self._rest(head, now, runs="run" in definition.hooks))
        return found

    async def _rest(self, head: Head, now: float, *, runs: bool) -> Rest:
        lease = head.lease
        messages = 0
        if runs and head.destroyed_at is None:
            store = self._backend.plain
            messages = len(await store.records(head.actor_id, Collection.MESSAGE, limit=_MANY))
        return Rest(
            actor=Subject(head.address.name, head.address.key),
            outbox=tuple(head.outbox),
            alarm=head.alarm,
            messages=messages,
            tombstone=head.destroyed_at is not None,
            lease=lease.holder if lease is not None and lease.expires_at > now else None,
        )
