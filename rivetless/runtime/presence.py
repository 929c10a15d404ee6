"""The actor's connections, as one run of a turn sees them: who is there, and their states."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rivetless import errors
from rivetless.runtime import records
from rivetless.runtime.steps import tick
from rivetless.runtime.tenure import CachedConn
from rivetless.store.base import Changes, Collection, Record

if TYPE_CHECKING:
    from rivetless.actor.turn import ConnInfo
    from rivetless.runtime.transaction import Transaction


class Presence:
    """What a run has read of connections, and what it did to their states.

    Args:
        turn: the run.

    Attributes:
        visible: whether the turn's own connection is among ``self.conns`` already.
    """

    __slots__ = ("_data", "_states", "_turn", "visible")

    def __init__(self, turn: Transaction) -> None:
        self._turn = turn
        own = turn.job.conn
        self.visible = own is not None and own.host is not None
        self._states: dict[str, Any] = {}
        self._data: dict[str, bytes | None] = {}

    @property
    def has_read(self) -> bool:
        """Whether the run has looked at a connection's state."""
        return bool(self._states)

    # -- states -----------------------------------------------------------------------------------

    def get_state(self, conn: ConnInfo) -> Any:
        """Return the run's own copy of a connection's state."""
        schema = self._turn.definition.conn_state
        if schema is None:
            return None
        states = self._states
        if conn.id not in states:
            self._turn.check_open()
            if conn.id not in self._data:
                self.read(conn.id)
            data = self._data.get(conn.id)
            if data is None:
                raise errors.ActorError(
                    "actor",
                    "invalid_operation",
                    "The connection has no state yet: `create_conn_state` has not ended.",
                )
            states[conn.id] = schema.load(data)
        return states[conn.id]

    def set_state(self, conn: ConnInfo, value: object) -> None:
        """Replace the run's copy of a connection's state."""
        if self._turn.definition.conn_state is None:
            raise errors.make("actor.state_not_enabled")
        self._states[conn.id] = value

    def read(self, conn_id: str) -> None:
        """Take what the cell knows of a connection into the run's snapshot.

        Raises:
            Superseded: the cell has moved on, so it may know more than the snapshot.
        """
        cell = self._turn.cell
        if (moved := cell.moved(self._turn.base)) is not None:
            raise moved
        cached = cell.conns.get(conn_id)
        if cached is not None:
            self._data.setdefault(conn_id, cached.state)

    # -- who is there -----------------------------------------------------------------------------

    async def all(self) -> list[ConnInfo]:
        """Read all connections, the turn's own included, in the order of their ids."""
        turn = self._turn
        turn.check_open()
        turn.read_records = tick()
        # What earlier turns of the chain did to connections may not be in the store yet.
        await turn.cell.durable(turn.base)
        found = {} if turn.creation else await self._stored()
        turn.read_records = tick()
        for conn_id in found:
            self.read(conn_id)
        own = turn.job.conn
        if own is not None and self.visible:
            found[own.id] = own
        gone = {d.key for d in turn.deletes if d.collection is Collection.CONNECTION}
        return [found[conn_id] for conn_id in sorted(found) if conn_id.encode() not in gone]

    async def _stored(self) -> dict[str, ConnInfo]:
        turn = self._turn
        store, cached = turn.runtime.store, turn.cell.conns
        states: dict[str, bytes] = {}
        if turn.definition.conn_state is not None:
            for record in await store.records(turn.actor_id, Collection.CONN_STATE):
                states[record.key.decode()] = record.data
        found: dict[str, ConnInfo] = {}
        stored = await store.records(turn.actor_id, Collection.CONNECTION)
        if (moved := turn.cell.moved(turn.base)) is not None:
            raise moved  # what was read may be older than what the cell knows
        for record in stored:
            conn_id = record.key.decode()
            entry = cached.get(conn_id)
            info = records.read_connection(record) if entry is None else entry.info
            found[conn_id] = info
            if entry is None:
                cached[conn_id] = CachedConn(info, states.get(conn_id))
        return found

    async def find(self, conn_id: str) -> ConnInfo | None:
        """Read one connection."""
        cached = self._turn.cell.conns.get(conn_id)
        if cached is not None:
            self.read(conn_id)
            return cached.info
        return next((conn for conn in await self.all() if conn.id == conn_id), None)

    # -- the commit -------------------------------------------------------------------------------

    def changed(self) -> list[Record]:
        """Return the records of the states that the run has changed.

        Raises:
            UnstorableError: a state does not fit its type.
        """
        schema = self._turn.definition.conn_state
        if schema is None or not self._states:
            return []
        own = self._turn.job.conn
        changed: list[Record] = []
        for conn_id, state in self._states.items():
            if own is not None and own.host is None and own.id == conn_id:
                continue  # it lives as long as the call
            data = schema.dump(state)
            if self._data.get(conn_id) != data:
                changed.append(records.conn_state_record(conn_id, data))
        return changed

    def remember(self, changes: Changes) -> None:
        """Put what a staged step says of connections into the cell's cache and the snapshot."""
        cached, own = self._turn.cell.conns, self._turn.job.conn
        for record in changes.puts:
            if record.collection is Collection.CONNECTION and own is not None:
                cached[own.id] = CachedConn(own, None)  # it has just been opened
            elif record.collection is Collection.CONN_STATE:
                conn_id = record.key.decode()
                entry = cached.get(conn_id)
                if entry is not None:
                    entry.state = record.data
                self._data[conn_id] = record.data
        for key in changes.deletes:
            if key.collection is Collection.CONNECTION:
                cached.pop(key.key.decode(), None)

    def savepoint(self) -> Callable[[], None]:
        """Remember the states as they are; the function returned brings them back.

        Raises:
            UnstorableError: a state does not fit its type.
        """
        schema = self._turn.definition.conn_state
        if schema is None:
            return _nothing
        kept = {conn_id: schema.dump(value) for conn_id, value in self._states.items()}

        def undo() -> None:
            self._states.clear()
            self._states.update((conn_id, schema.load(data)) for conn_id, data in kept.items())

        return undo

    def refresh(self) -> None:
        """Forget what was read. The connection of a stateless call is nowhere to be read again."""
        own = self._turn.job.conn
        kept = own is not None and own.host is None and own.id in self._states
        self._states = {own.id: self._states[own.id]} if own is not None and kept else {}
        self._data = {}


def _nothing() -> None:
    """Undo nothing."""
