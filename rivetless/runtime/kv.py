"""``self.kv`` within a turn: what was written lies over what is stored, until it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rivetless.actor.kv import KVPort
from rivetless.runtime.parts import Part
from rivetless.runtime.records import find_record
from rivetless.store.base import Changes, Collection, Record, RecordKey

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn


class TurnKV(Part, KVPort):
    """The pairs that one run has written."""

    __slots__ = ("_written",)

    def __init__(self, turn: ActorTurn) -> None:
        super().__init__(turn)
        self._written: dict[bytes, bytes | None] = {}

    @property
    def max_key_bytes(self) -> int:
        return self.turn.runtime.store.capabilities.max_key_bytes

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        unknown = [key for key in dict.fromkeys(keys) if key not in self._written]
        stored: dict[bytes, bytes] = {}
        if unknown and not self.turn.creation:
            stored = await self.turn.read_stored(lambda: self._read(unknown))
        return [self._written[k] if k in self._written else stored.get(k) for k in keys]

    async def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        store, actor_id = self.turn.runtime.store, self.turn.actor_id
        found = await asyncio.gather(
            *(find_record(store, actor_id, Collection.KV, key) for key in keys)
        )
        return {record.key: record.data for record in found if record is not None}

    async def range(
        self, start: bytes, end: bytes | None, *, limit: int | None, reverse: bool
    ) -> list[tuple[bytes, bytes]]:
        own = {
            key: value
            for key, value in self._written.items()
            if key >= start and (end is None or key < end)
        }
        # Each pair written here may stand for a stored one, which is then not shown.
        wanted = None if limit is None else limit + len(own)
        stored = await self.stored(
            Collection.KV, start=start, end=end, limit=wanted, reverse=reverse
        )
        pairs = {record.key: record.data for record in stored if record.key not in own}
        pairs.update((key, value) for key, value in own.items() if value is not None)
        found = sorted(pairs.items(), reverse=reverse)
        return found if limit is None else found[:limit]

    def write(self, pairs: Mapping[bytes, bytes | None]) -> None:
        self.turn.check_open()
        self._written.update(pairs)

    def contribute(self, changes: Changes) -> Changes:
        if not self._written:
            return changes
        kind, pairs = Collection.KV, self._written.items()
        return replace(
            changes,
            # Who has read a pair must not write on the strength of it once it has changed.
            touch=True,
            puts=(*changes.puts, *(Record(kind, k, v) for k, v in pairs if v is not None)),
            deletes=(*changes.deletes, *(RecordKey(kind, k) for k, v in pairs if v is None)),
        )

    def savepoint(self) -> Callable[[], None]:
        written = dict(self._written)

        def undo() -> None:
            self._written = written

        return undo

    def committed(self) -> None:
        self._written = {}
