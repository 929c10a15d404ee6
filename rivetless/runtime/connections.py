"""Connections: opened, listened on, spoken over, closed.

A connection is what the store says it is; the socket is somewhere else. So its hooks are turns like
any other, and nothing here remembers a socket.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rivetless import errors
from rivetless.actor.turn import ConnInfo, RequestInfo
from rivetless.runtime import records, replies
from rivetless.runtime.commands import (
    ABNORMAL,
    NOWHERE,
    ActorInfo,
    ById,
    CloseConnection,
    OpenConnection,
    Origin,
    RawMessage,
    Subscribe,
)
from rivetless.runtime.execution import says_nothing
from rivetless.runtime.job import Body, Job, digest
from rivetless.runtime.tenure import CachedConn
from rivetless.store.base import Changes, Collection, Duplicate, Record, RecordKey, StoreError

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn

CONNECT_HOOKS = frozenset({"on_before_connect", "create_conn_state", "on_connect", "on_disconnect"})
MAX_EVENT_NAME = 256
MOST_KNOWN = 100_000
"""How many connections a process remembers the unchanging part of."""


class Connections:
    """Handles the commands of sockets, and the connection of each stateless call."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, ConnInfo] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    # -- hooks ------------------------------------------------------------------------------------

    def ephemeral(self, origin: Origin) -> ConnInfo:
        """Make the connection of one stateless call; it exists for the call alone."""
        bits = f"{self._runtime.random_bits(128):032x}"
        # A UUID of version 4, without the detour through ``uuid.UUID``: every HTTP call has one.
        conn_id = f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"
        return ConnInfo(conn_id, "call", origin.params, None, origin.request)

    def briefly(self, definition: ActorDefinition, conn: ConnInfo, body: Body) -> Body:
        """Return the body of a job that has a connection, with its hooks, as long as it runs."""
        if (
            definition.conn_state is None
            and definition.params is None
            and not definition.hooks & CONNECT_HOOKS
        ):
            return body

        async def connected(turn: ActorTurn) -> Any:
            await self.connect(turn, conn)
            result = await body(turn)
            await self.disconnect(turn, conn)
            return result

        return connected

    async def connect(self, turn: ActorTurn, conn: ConnInfo) -> None:
        """Run the hooks that let a connection in, within the turn."""
        definition, actor = turn.definition, turn.actor
        options, hooks = definition.options, definition.hooks
        hook = self._runtime.lifecycle.hook
        params = definition.check_params(conn.params)
        if "on_before_connect" in hooks:
            await hook(
                "on_before_connect",
                options.on_before_connect_timeout,
                actor.on_before_connect(params),
            )
        if definition.conn_state is not None:
            turn.set_conn_state(
                conn,
                await hook(
                    "create_conn_state",
                    options.create_conn_state_timeout,
                    definition.create_conn_state(actor, params),
                ),
            )
        turn.presence.visible = True
        if "on_connect" in hooks:
            await hook("on_connect", options.on_connect_timeout, actor.on_connect(turn.face(conn)))

    async def disconnect(self, turn: ActorTurn, conn: ConnInfo) -> None:
        """Run the hook that ends a connection, within the turn; if it fails, it did nothing."""
        turn.presence.visible = False
        if "on_disconnect" not in turn.definition.hooks:
            return
        undo = turn.savepoint()
        try:
            await self._runtime.lifecycle.hook(
                "on_disconnect",
                turn.definition.options.on_connect_timeout,
                turn.actor.on_disconnect(turn.face(conn)),
            )
        except Exception:
            undo()
            turn.log.warning("on_disconnect failed", exc_info=True)

    async def prepare(self, turn: ActorTurn, conn: ConnInfo) -> None:
        """Load what a turn may ask of its connection without waiting."""
        if turn.cell.conns.get(conn.id) is None:
            state: bytes | None = None
            if turn.definition.conn_state is not None:
                name = RecordKey(Collection.CONN_STATE, conn.id.encode())
                record = await self._read(turn, name)
                if record is None:
                    raise _no_connection()
                state = record.data
                if (moved := turn.cell.moved(turn.base)) is not None:
                    raise moved  # it may be older than what the cell knows by now
            turn.cell.conns[conn.id] = CachedConn(conn, state)
        turn.presence.read(conn.id)

    async def _read(self, turn: ActorTurn, name: RecordKey) -> Record | None:
        """Read a record within a turn."""
        return await turn.read_stored(
            lambda: records.find_record(
                self._runtime.store, turn.actor_id, name.collection, name.key
            )
        )

    async def _is_open(self, turn: ActorTurn, conn_id: str) -> bool:
        name = RecordKey(Collection.CONNECTION, conn_id.encode())
        return await self._read(turn, name) is not None

    async def _admit(self, turn: ActorTurn, conn_id: str) -> bool:
        """Say whether a connection is to be let in, which is done once, whoever else is at it.

        Raises:
            ActorError: ``connection.not_found``: it was let in before, and is gone.
        """
        name = records.admission_key(conn_id)
        if not turn.job.created:
            if await self._is_open(turn, conn_id):
                return False
            if await self._read(turn, name) is not None:
                raise _no_connection()
        # Before the hooks: what they commit in the middle is not to be done a second time either.
        now, fresh = self._runtime.clock.now(), self._runtime.fresh_id()
        turn.puts.append(records.admission_record(conn_id, fresh, now))
        turn.absent.append(name)
        return True

    async def find(self, actor_id: str, conn_id: str) -> ConnInfo:
        """Return a connection's unchanging part.

        Raises:
            ActorError: ``connection.not_found``.
        """
        info = self._known.get(actor_id + conn_id)
        if info is None:
            record = await records.find_record(
                self._runtime.store, actor_id, Collection.CONNECTION, conn_id.encode()
            )
            if record is None:
                raise _no_connection()
            info = records.read_connection(record)
            self._remember(actor_id, info)
        return info

    def _remember(self, actor_id: str, info: ConnInfo) -> None:
        """Keep a connection's unchanging part while its socket is here."""
        if len(self._known) > MOST_KNOWN:
            # Where sockets are elsewhere, this process may not hear of their end.
            del self._known[next(iter(self._known))]
        self._known[actor_id + info.id] = info

    def _forget(self, actor_id: str, conn_id: str) -> None:
        """The connection's socket is gone."""
        self._known.pop(actor_id + conn_id, None)
        cell = self._runtime.cells.known(actor_id)
        if cell is not None:
            cell.conns.pop(conn_id, None)

    # -- commands ---------------------------------------------------------------------------------

    async def open(self, command: OpenConnection) -> ActorInfo:
        """Let a socket in: run the hooks and write the connection down.

        Raises:
            ActorError: the hooks refuse it; ``connection.not_found``: the command has come
                ``again``, and the connection was let in and is gone.
        """
        try:
            return await self._open(command)
        except Duplicate:
            # Somebody else was faster, without moving the version. What that one did is there now.
            return await self._open(command)

    async def _open(self, command: OpenConnection) -> ActorInfo:
        runtime, target = self._runtime, command.target
        definition = await runtime.cells.definition_of(target)
        conn = ConnInfo(
            command.conn_id,
            command.kind,
            command.origin.params,
            command.host,
            _without_body(command.origin.request),
        )

        async def body(turn: ActorTurn) -> ActorInfo:
            info = ActorInfo(turn.actor_id, turn.address, 0.0, created=turn.job.created)
            turn.presence.visible = False
            if command.again and not await self._admit(turn, conn.id):
                return info
            await self.connect(turn, conn)
            turn.puts.append(records.connection_record(conn))
            if conn.kind == "raw" and "on_websocket" in definition.hooks:
                await turn.actor.on_websocket(turn.raw_face(conn))
            return info

        timeout = (
            definition.options.action_timeout
            if conn.kind == "raw"
            else definition.options.on_connect_timeout
        )
        job = Job(
            definition,
            body,
            label="connect",
            deadline=runtime.deadline(definition, command.origin.deadline, timeout),
            origin=command.origin,
            conn=conn,
            request=conn.request,
            timeout=timeout,
            hook="on_websocket" if conn.kind == "raw" else "on_connect",
            turn_id=digest("connect", conn.id),
        )
        info: ActorInfo = await runtime.execution.run(target, job)
        self._remember(info.actor_id, conn)
        return info

    def _has_listened(self, actor_id: str) -> bool:
        """Whether it is known that somebody has subscribed to an event of this life."""
        cell = self._runtime.cells.known(actor_id)
        head = None if cell is None else cell.head
        if head is None or head.actor_id != actor_id:
            return False
        return bool(head.counters.get(records.LISTENED))

    async def subscribe(self, command: Subscribe) -> None:
        """Begin or cease to listen to an event.

        Raises:
            ActorError: ``auth.forbidden`` when ``can_subscribe`` says no.
        """
        event = command.event
        if not event or "\0" in event or len(event.encode()) > MAX_EVENT_NAME:
            raise errors.invalid_request(
                f"An event's name has 1 to {MAX_EVENT_NAME} bytes and no NUL."
            )
        runtime, actor_id, conn_id = self._runtime, command.actor_id, command.conn_id
        definition = await runtime.cells.definition_of(ById(None, actor_id))
        conn = await self.find(actor_id, conn_id)
        declared = definition.find_event(event)
        if declared is not None:
            event = declared.name
        commit_id = runtime.fresh_commit_id()
        if not command.subscribe:
            changes = Changes(commit_id, deletes=records.subscription_keys(event, conn_id))
            await runtime.commit_loose(actor_id, changes)
            return
        assert conn.host is not None, "only calls have connections without a host"
        written = records.subscription_records(event, conn_id, conn.host)
        guarded = declared is not None and declared.can_subscribe is not None
        if not guarded and self._has_listened(actor_id):
            await runtime.commit_loose(actor_id, Changes(commit_id, puts=written))
            return

        async def body(turn: ActorTurn) -> None:
            if declared is not None and guarded:
                await self.prepare(turn, conn)
                if not await declared.allows(turn.actor):
                    raise errors.forbidden()
            turn.puts.extend(written)

        timeout = definition.options.on_before_connect_timeout
        job = Job(
            definition,
            body,
            label=f"subscribe to {event}",
            deadline=runtime.deadline(definition, None, timeout),
            conn=conn,
            request=conn.request,
            timeout=timeout,
            hook="can_subscribe",
        )
        await runtime.execution.run(ById(None, actor_id), job)

    async def raw_message(self, command: RawMessage) -> None:
        """Give a raw WebSocket's message to the actor."""
        runtime, origin = self._runtime, command.origin
        target = ById(None, command.actor_id)
        definition = await runtime.cells.definition_of(target)
        if "on_websocket_message" not in definition.hooks:
            return
        conn = await self.find(command.actor_id, command.conn_id)

        async def body(turn: ActorTurn) -> None:
            await self.prepare(turn, conn)
            await turn.actor.on_websocket_message(turn.raw_face(conn), command.data)
            if origin.call_key is not None:
                turn.reply = replies.encode(None)

        timeout = definition.options.action_timeout
        job = Job(
            definition,
            body,
            label="on_websocket_message",
            deadline=runtime.deadline(definition, origin.deadline, timeout),
            origin=origin,
            conn=conn,
            request=conn.request,
            timeout=timeout,
            turn_id=digest("message", conn.id, str(command.index)),
        )
        await runtime.execution.run(target, job)

    async def close(self, command: CloseConnection) -> None:
        """Forget a connection; its hook runs once, in the same commit."""
        which = command.actor_id + command.conn_id
        closing = self._closing.get(which)
        if closing is None or closing.done():
            closing = self._closing[which] = self._runtime.spawn(self._close(command))
            closing.add_done_callback(lambda closed: self._closed(command, closed))
        # Several may tell of it; none may think that it is done before it is.
        await asyncio.shield(closing)

    def _closed(self, command: CloseConnection, closed: asyncio.Task[None]) -> None:
        which = command.actor_id + command.conn_id
        if self._closing.get(which) is closed:
            del self._closing[which]
        self._forget(command.actor_id, command.conn_id)

    async def lose(self, actor_id: str, conn_id: str) -> None:
        """Close a connection that a push has not found; if that fails, the next one tries again."""
        if actor_id + conn_id in self._closing:
            return  # whoever closes it may wait for this push
        try:
            await self.close(CloseConnection(actor_id, conn_id, ABNORMAL))
        except (errors.ActorError, StoreError) as error:
            self._runtime.log.warning("connection %s was not forgotten: %s", conn_id, error)

    async def _close(self, command: CloseConnection) -> None:
        runtime, actor_id, conn_id = self._runtime, command.actor_id, command.conn_id
        record = await records.find_record(
            runtime.store, actor_id, Collection.CONNECTION, conn_id.encode()
        )
        deletes = records.connection_keys(
            conn_id, await records.events_of(runtime.store, actor_id, conn_id)
        )
        most = runtime.store.capabilities.max_commit_records // 2
        while len(deletes) > most:  # more than one commit takes; the connection itself comes last
            await self._drop(actor_id, deletes[-most:])
            deletes = deletes[:-most]
        if record is None:
            if len(deletes) > 2:  # it subscribed while it was forgotten
                await self._drop(actor_id, deletes)
            return
        conn = records.read_connection(record)
        target = ById(None, actor_id)
        try:
            definition = await runtime.cells.definition_of(target)
        except errors.ActorError:
            # The actor was destroyed (then this does nothing), or its class is no longer served.
            await self._drop(actor_id, deletes)
            return
        hook = "on_websocket_close" if conn.kind == "raw" else "on_disconnect"
        hooked = bool(definition.hooks & {hook, "on_disconnect"})
        if not hooked and definition.conn_state is None:
            changes = Changes(runtime.fresh_commit_id(), deletes=deletes)
            await runtime.commit_loose(actor_id, changes)
            return
        try:
            await self._end(definition, conn, target, deletes, command.code if hooked else None)
        except StoreError:
            raise
        except errors.ActorError as error:
            if says_nothing(error):
                raise  # the hook may not have run yet
            # The hook failed; the connection is gone all the same.
            if error.name == "actor.not_found":
                return
            runtime.log.warning("on_disconnect of %s failed: %s", definition.name, error)
        except Exception:
            runtime.log.exception("on_disconnect of %s failed", definition.name)
        else:
            return
        if definition.conn_state is not None:
            try:
                return await self._end(definition, conn, target, deletes, None)
            except Exception:
                runtime.log.warning("%s cannot be woken", definition.name, exc_info=True)
        await self._drop(actor_id, deletes)

    async def _end(
        self,
        definition: ActorDefinition,
        conn: ConnInfo,
        target: ById,
        deletes: tuple[RecordKey, ...],
        code: int | None,
    ) -> None:
        """Remove a connection in a turn, and with a close code run its hooks in it."""
        runtime = self._runtime

        async def body(turn: ActorTurn) -> None:
            if not await self._is_open(turn, conn.id):
                return  # somebody else was faster, and ran the hooks
            # Whoever has read its state, and may write it, is to learn that it is gone.
            turn.touch = definition.conn_state is not None
            turn.deletes.extend(deletes)
            turn.presence.visible = False
            if code is None:
                return
            await self.prepare(turn, conn)
            if conn.kind == "raw" and "on_websocket_close" in definition.hooks:
                closed = turn.actor.on_websocket_close(turn.raw_face(conn), code)
                await runtime.lifecycle.hook("on_websocket_close", timeout, closed)
            await self.disconnect(turn, conn)
            # Two processes may get here at once. What others see of it goes out once.
            turn.touch = turn.touch or bool(turn.effects)

        timeout = definition.options.on_connect_timeout
        job = Job(
            definition,
            body,
            label="disconnect",
            # The hooks have time of their own: what comes before them may be late, and cost none.
            deadline=runtime.deadline(definition, None, timeout),
            origin=NOWHERE,
            conn=conn,
            request=conn.request,
            turn_id=digest("forget" if code is None else "disconnect", conn.id),
        )
        await runtime.execution.run(target, job)

    async def _drop(self, actor_id: str, deletes: tuple[RecordKey, ...]) -> None:
        try:
            await self._runtime.commit_loose(
                actor_id,
                Changes(self._runtime.fresh_commit_id(), deletes=deletes),
            )
        except (errors.ActorError, StoreError):
            self._runtime.log.warning("a connection of %s was not forgotten", actor_id)


def _no_connection() -> errors.ActorError:
    return errors.ActorError("connection", "not_found", "The connection does not exist any more.")


def _without_body(request: RequestInfo | None) -> RequestInfo | None:
    if request is None or not request.body:
        return request
    return RequestInfo(request.method, request.url, request.headers)
