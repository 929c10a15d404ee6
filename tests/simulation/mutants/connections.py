"""Mistakes with connections: their records, their hooks, the order of their frames."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from rivetless import errors
from rivetless.gateway.outbox import Outbox
from rivetless.runtime import records
from rivetless.runtime.chain import Chain
from rivetless.runtime.commands import ABNORMAL, ById, CloseConnection, Subscribe
from rivetless.runtime.connections import Connections
from rivetless.runtime.job import Job
from rivetless.runtime.sweeper import BATCH, Sweeper
from rivetless.runtime.tenure import CachedConn
from rivetless.store.base import Changes, Collection, Host, RecordKey, StoreError
from tests.simulation.mutants.mutant import mutant, replaced

if TYPE_CHECKING:
    from rivetless.runtime.turn import ActorTurn

Plant = AbstractContextManager[None]


@mutant("The end of a connection leaves its subscriptions.", features=("connections",))
def close_keeps_subscriptions() -> Plant:
    right = records.connection_keys

    def wrong(conn_id: str, events: Iterable[str]) -> tuple[RecordKey, ...]:
        return right(conn_id, ())

    return replaced(records, "connection_keys", wrong)


@mutant(
    "The hook of a connection's end does not ask whether somebody else has run it.",
    features=("connections", "deaths"),
)
def close_hook_runs_twice() -> Plant:
    right = Connections._is_open

    async def wrong(self: Connections, turn: ActorTurn, conn_id: str) -> bool:
        return turn.job.label == "disconnect" or await right(self, turn, conn_id)

    return replaced(Connections, "_is_open", wrong)


@mutant(
    "A connection's records go before the hook of its end has run.",
    features=("connections", "deaths"),
)
def close_hook_after_removal() -> Plant:
    right = Connections._close

    async def wrong(self: Connections, command: CloseConnection) -> None:
        runtime, actor_id, conn_id = self._runtime, command.actor_id, command.conn_id
        target = ById(None, actor_id)
        record = await records.find_record(
            runtime.store, actor_id, Collection.CONNECTION, conn_id.encode()
        )
        try:
            definition = await runtime.cells.definition_of(target)
        except errors.ActorError:
            record = None
        conn = None if record is None else records.read_connection(record)
        if conn is None or conn.kind != "events" or "on_disconnect" not in definition.hooks:
            await right(self, command)
            return
        events = await records.events_of(runtime.store, actor_id, conn_id)
        deletes = records.connection_keys(conn_id, events)
        own, deadline = conn, runtime.deadline(definition)
        state = await records.find_record(
            runtime.store, actor_id, Collection.CONN_STATE, conn_id.encode()
        )
        await runtime.commit_loose(actor_id, Changes(runtime.fresh_commit_id(), deletes=deletes))

        async def body(turn: ActorTurn) -> None:
            if state is not None:
                turn.cell.conns[conn_id] = CachedConn(own, state.data)
                turn.presence.read(conn_id)
            await self.disconnect(turn, own)

        job = Job(definition, body, label="disconnect", deadline=deadline, conn=conn)
        await runtime.execution.run(target, job)

    return replaced(Connections, "_close", wrong)


@mutant("A subscription is acknowledged while it is being written.", features=("events",))
def subscription_not_awaited() -> Plant:
    right = Connections.subscribe

    async def wrong(self: Connections, command: Subscribe) -> None:
        async def write() -> None:
            try:
                await right(self, command)
            except (errors.ActorError, StoreError):
                self._runtime.log.warning("a subscription was not written", exc_info=True)

        self._runtime.begin(write())

    return replaced(Connections, "subscribe", wrong)


@mutant("Frames that wait for a connection's `Init` go out before it.", features=("connections",))
def frames_before_init() -> Plant:
    def wrong(self: Outbox, *first: str | bytes) -> None:
        self._queue.extend(first)
        self._opened = True

    return replaced(Outbox, "open", wrong)


@mutant(
    "A dead host is forgotten before its connections are closed.",
    features=("connections", "deaths"),
)
def host_forgotten_first() -> Plant:
    async def wrong(self: Sweeper) -> None:
        runtime = self._runtime
        now = runtime.clock.now()
        for host in await runtime.store.hosts():
            if host.expires_at > now:
                continue
            await runtime.store.announce(Host(host.id, host.url, expires_at=0.0))
            for actor_id, record in await runtime.store.hosted(host.id, limit=BATCH):
                command = CloseConnection(actor_id, record.key.decode(), ABNORMAL)
                await runtime.connections.close(command)

    return replaced(Sweeper, "_reap", wrong)


@mutant(
    "What a cell knows of connections outlives the chain that it was read in.",
    features=("connections", "connection state", "processes"),
)
def connections_outlive_the_chain() -> Plant:
    right = Chain._rewind

    def wrong(self: Chain) -> None:
        kept = dict(self.conns)
        right(self)
        self.conns.update(kept)

    return replaced(Chain, "_rewind", wrong)
