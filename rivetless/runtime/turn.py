"""One run of a turn: a snapshot, the changes made to it, and the effects that wait for the commit.

``ActorTurn`` is what stands behind ``self`` in an actor. It does no scheduling of its own:
``execution`` decides when a turn runs, runs again, or gives up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivetless import errors
from rivetless.actor.abort import AbortSignal
from rivetless.actor.context import Conn, RawWebSocket
from rivetless.actor.turn import ConnInfo, RequestInfo
from rivetless.protocol.codec import require_sendable
from rivetless.runtime import replies
from rivetless.runtime.background import keep_awake
from rivetless.runtime.cron import Crons
from rivetless.runtime.dead import Letters
from rivetless.runtime.driving import Drive, PortCall
from rivetless.runtime.effects import Broadcast, Effect, Send
from rivetless.runtime.kv import TurnKV
from rivetless.runtime.logs import ActorLogger
from rivetless.runtime.messages import MARK, mark
from rivetless.runtime.parts import Part
from rivetless.runtime.ports import ClosePush, EventPush, RawPush
from rivetless.runtime.presence import Presence
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.records import LISTENED
from rivetless.runtime.schedules import Schedules
from rivetless.runtime.steps import Snapshot, Step, Superseded, tick
from rivetless.store.base import KEEP, Changes, Collection, Creation, Keep, Record, RecordKey
from rivetless.workflow.declare import workflow_of

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.clock import Timer
    from rivetless.keys import Address
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.job import Job
    from rivetless.runtime.runtime import Runtime

T = TypeVar("T")
PartT = TypeVar("PartT", bound=Part)

UNREAD: Final = object()
"""Stands for a state that the handler has not looked at."""


class ActorTurn:
    """Implements ``actor.turn.Turn`` for one run.

    Attributes:
        actor: the instance whose handlers run.
        base: what the turn saw when it began (or after its last checkpoint).
        puts, deletes: records that join the commit.
        touch: whether the commit moves the version although it changes no state.
        effects: what leaves once the commit is durable.
        creation: set on the turn that begins a life.
        reply: the encoded answer to remember for calls with a key.
        later: work that begins after the commit.
        sleeping, destroying: what the handler asked for.
        read_records: tick of when it last read records, which ``base`` does not cover; 0 if never.
        presence: the connections, as this run sees them.
        port: the future of our own that the handler waits for, if it does.
        renewal: the timer that renews the turn's lease.
        refused: why a checkpoint cannot be made, now or in another run; the turn can only fail.
    """

    __slots__ = (
        "_abort",
        "_calls",
        "_client",
        "_log",
        "_parts",
        "_state",
        "_state_locked",
        "actor",
        "actor_id",
        "base",
        "cell",
        "creation",
        "deletes",
        "destroying",
        "effects",
        "ended",
        "job",
        "later",
        "port",
        "presence",
        "puts",
        "read_records",
        "refused",
        "renewal",
        "reply",
        "runtime",
        "sleeping",
        "tenure",
        "touch",
    )

    def __init__(
        self, runtime: Runtime, cell: Cell, job: Job, actor_id: str, base: Snapshot | None = None
    ) -> None:
        self.runtime = runtime
        self.cell = cell
        self.job = job
        self.tenure = cell.tenure
        self.actor_id = actor_id
        self.base = base or cell.snapshot()
        self.puts: list[Record] = []
        self.deletes: list[RecordKey] = []
        self.effects: list[Effect] = []
        self.later: list[Coroutine[Any, Any, object]] = []
        self.creation: Creation | None = None
        self.reply: bytes | None = None
        self.sleeping = False
        self.destroying = False
        self.read_records = 0
        self.touch = False
        self.presence = Presence(self)
        self.ended = False
        self.renewal: Timer | None = None
        self.refused: errors.ActorError | None = None
        self.port: object = None
        self._state: Any = UNREAD
        self._state_locked = False
        self._abort: AbortSignal | None = None
        self._client: Any = None
        self._calls: dict[str, int] | None = None
        self._parts: dict[type[Part], Part] = {}
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self.actor = job.definition.new(self)

    # -- who and where ----------------------------------------------------------------------------

    @property
    def definition(self) -> ActorDefinition:
        return self.job.definition

    @property
    def address(self) -> Address:
        return self.cell.address

    @property
    def turn_id(self) -> str:
        return self.hold_id

    @property
    def hold_id(self) -> str:
        """Under which name the turn holds the actor, and stands in chains of calls."""
        return self.job.turn_id(self.runtime.fresh_id)

    @property
    def durable_cause(self) -> bool:
        """Whether a later turn, perhaps in another process, may have the same id."""
        return self.job.durable_cause

    @property
    def region(self) -> str:
        return self.runtime.region

    @property
    def conn(self) -> ConnInfo | None:
        return self.job.conn

    @property
    def request(self) -> RequestInfo | None:
        return self.job.request

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._log is None:
            self._log = ActorLogger(self)
        return self._log

    @property
    def abort(self) -> AbortSignal:
        if self._abort is None:
            self._abort = signal = AbortSignal()
            if self.ended or self.tenure.stopped:
                signal.fire(self.tenure.stopped or "ended")
            else:
                self.tenure.stopping.append(signal.fire)
        return self._abort

    @property
    def client(self) -> Any:
        self.check_open()
        if self._client is None:
            # Not before somebody asks: a client is more to import than a turn.
            from rivetless.runtime.local import client_for

            self._client = client_for(self.runtime, self)
        return self._client

    def face(self, info: ConnInfo) -> Conn[Any, Any]:
        """Return what the actor sees of a connection."""
        return Conn(self, info)

    def raw_face(self, info: ConnInfo) -> RawWebSocket[Any, Any]:
        """Return what the actor sees of a raw WebSocket."""
        return RawWebSocket(self, info)

    def adopt(self, earlier: ActorTurn) -> None:
        """Put this turn behind the actor instance of an earlier one, for work it left behind."""
        object.__setattr__(earlier.actor, "_turn", self)

    def part(self, kind: type[PartT]) -> PartT:
        """Return what a feature keeps for this run."""
        self.check_open()
        part = self._parts.get(kind)
        if part is None:
            part = self._parts[kind] = kind(self)
        assert isinstance(part, kind)
        return part

    def no_changes(self) -> Changes:
        """Return changes that write nothing, for a step that has only effects."""
        return Changes(self.runtime.fresh_commit_id())

    def end(self, reason: str) -> None:
        """The run is over: what the handler left behind can do nothing any more."""
        self.ended = True
        for part in self._parts.values():
            part.ended()
        if self.renewal is not None:
            self.renewal.cancel()
        for work in self.later:  # what the commit has begun is not among it any more
            work.close()
        self.later.clear()
        signal = self._abort
        if signal is not None:
            signal.fire(reason)
            if signal.fire in self.tenure.stopping:
                self.tenure.stopping.remove(signal.fire)

    def check_open(self) -> None:
        """Refuse what a handler left behind.

        Raises:
            ActorError: ``actor.invalid_operation``: the turn has ended.
        """
        if self.ended:
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                "The turn has ended. Await what you start in a handler, or hand it to "
                "`self.wait_until(...)`, which gives it a turn of its own.",
            )

    # -- state ------------------------------------------------------------------------------------

    def get_state(self) -> Any:
        state = self._state
        if state is UNREAD:
            self.check_open()
            schema = self.job.definition.state
            if schema is None:
                raise errors.make("actor.state_not_enabled")
            data = self.base.state
            if data is None:
                raise errors.ActorError(
                    "actor", "invalid_operation", "There is no state before `create_state` ended."
                )
            self._state = state = schema.load(data)
        return state

    def set_state(self, value: object) -> None:
        self.check_open()
        if self.job.definition.state is None:
            raise errors.make("actor.state_not_enabled")
        if self._state_locked:
            raise errors.make("actor.state_mutation_reentrant")
        self._state = value

    def get_vars(self) -> Any:
        return self.tenure.vars

    def set_vars(self, value: object) -> None:
        self.tenure.vars = value

    # -- connections ------------------------------------------------------------------------------

    def get_conn_state(self, conn: ConnInfo) -> Any:
        return self.presence.get_state(conn)

    def set_conn_state(self, conn: ConnInfo, value: object) -> None:
        self.check_open()
        self.presence.set_state(conn, value)

    async def conns(self) -> AsyncIterator[ConnInfo]:
        for info in await self.port_call(self.presence.all()):
            yield info

    async def find_conn(self, conn_id: str) -> ConnInfo | None:
        return await self.port_call(self.presence.find(conn_id))

    # -- records ----------------------------------------------------------------------------------

    @property
    def kv(self) -> TurnKV:
        return self.part(TurnKV)

    async def read_stored(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read records as part of the run's snapshot.

        Raises:
            Superseded: the actor has changed since the snapshot was taken.
        """
        self.check_open()
        self.read_records = tick()
        # What earlier turns of the chain have written may not be in the store yet.
        await self.port_call(self.cell.durable(self.base))
        found = await self.port_call(read())
        self.read_records = tick()
        if (moved := self.cell.moved(self.base)) is not None:
            raise moved
        return found

    @property
    def schedules(self) -> Schedules:
        self.check_open()
        return Schedules(self)

    @property
    def crons(self) -> Crons:
        return self.part(Crons)

    @property
    def dead_letters(self) -> Letters:
        return self.part(Letters)

    def check_may_read_later(self, what: str) -> None:
        """Refuse what has to read before the commit where there is no time left for it.

        Raises:
            ActorError: ``actor.invalid_operation``: this is ``on_state_change``.
        """
        self.check_open()
        if self._state_locked:
            raise errors.ActorError(
                "actor", "invalid_operation", f"`self.{what}` does not work in `on_state_change`."
            )

    # -- effects ----------------------------------------------------------------------------------

    def broadcast(self, event: str, args: Sequence[object]) -> None:
        self.check_open()
        for arg in args:
            require_sendable(arg)
        self.effects.append(Broadcast(EventPush(event, args), self._echo(event)))

    def _echo(self, event: str) -> ConnInfo | None:
        """Return the turn's own connection if it gets an event that it may yet have subscribed to.

        What needs a permission waits for the subscription that was given one.
        """
        if not self.job.echoes:
            return None
        declared = self.definition.find_event(event)
        if declared is not None and declared.can_subscribe is not None:
            return None
        return self.job.conn

    def send(self, conn: ConnInfo, event: str, args: Sequence[object]) -> None:
        self.check_open()
        for arg in args:
            require_sendable(arg)
        if conn.host is not None and conn.kind == "events":
            self.effects.append(Send(conn.id, conn.host, EventPush(event, args)))

    def send_raw(self, conn: ConnInfo, data: str | bytes) -> None:
        self.check_open()
        if conn.host is not None:
            self.effects.append(Send(conn.id, conn.host, RawPush(data)))

    def disconnect(self, conn: ConnInfo, code: int, reason: str) -> None:
        self.check_open()
        if conn.host is not None:
            self.effects.append(Send(conn.id, conn.host, ClosePush(code, reason)))

    def keep_awake(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        self.check_open()
        return keep_awake(self.runtime, self.cell, work)

    def wait_until(self, work: Coroutine[Any, Any, object]) -> None:
        self.check_open()
        self.later.append(work)

    def sleep(self) -> None:
        self.check_open()
        self.sleeping = True

    def destroy(self) -> None:
        self.check_open()
        self.check_not_beginning("destroy")
        if self.destroying:
            raise errors.make("actor.stopping")
        self.destroying = True

    # -- calls to others --------------------------------------------------------------------------

    def call_key(self, callee: str, action: str, args: bytes) -> str:
        """Name a call to another actor, the same in every re-run of this turn.

        Args:
            callee: the target, as text.
            action: the action's name.
            args: the encoded arguments.
        """
        if self._calls is None:
            self._calls = {}
        what = replies.check(callee, action, args)
        nth = self._calls.get(what, 0)
        self._calls[what] = nth + 1
        self.job.calls = max(self.job.calls, sum(self._calls.values()))
        return f"a:{self.turn_id}:{what}:{nth}"

    def chain(self) -> tuple[str, ...]:
        """Name the calls that lead to a call this turn makes, itself last."""
        return (*self.job.origin.chain, self.job.link(self.cell.address, self.hold_id))

    async def reach_out(self) -> None:
        """Called before the turn's first act that others can see: its base must be durable."""
        self.check_open()
        self.job.outside = True
        await self.cell.durable(self.base)

    # -- driving the handler ----------------------------------------------------------------------

    def port_call(self, work: Awaitable[T]) -> PortCall[T]:
        """Mark the wait for one of our own ports, so that it is not taken for an outside effect."""
        return PortCall(self, work)

    def drive(self, work: Coroutine[Any, Any, T]) -> Drive[T]:
        """Run a handler, noticing when it first waits for something that is not ours."""
        return Drive(self, work)

    # -- the commit -------------------------------------------------------------------------------

    def new_state(self) -> bytes | Keep | None:
        """Encode the state if the handler changed it; tell ``on_state_change``."""
        state = self._state
        schema = self.job.definition.state
        if state is UNREAD or schema is None:
            return KEEP
        data = schema.dump(state)
        before = self.base.state
        if before is not None and (data == before or schema.same(before, data)):
            return KEEP
        limit = self.runtime.store.capabilities.max_state_bytes
        if len(data) > limit:
            raise errors.state_too_large(len(data), limit)
        if "on_state_change" in self.job.definition.hooks and before is not None:
            self._state_locked = True
            try:
                self.actor.on_state_change(state)
            finally:
                self._state_locked = False
            if schema.dump(state) != data:
                raise errors.make("actor.state_mutation_reentrant")
        return data

    @property
    def queue(self) -> TurnQueue:
        return self.part(TurnQueue)

    async def prepare(self) -> None:
        """Let the parts read what their writes depend on; to be called before ``changes``."""
        for part in list(self._parts.values()):
            await part.prepare()

    def changes(self, *, last: bool = True) -> Changes | None:
        """Collect everything the run wants to write; ``None`` if that is nothing.

        Args:
            last: whether the run is over; if not, it is a checkpoint, and destroys nothing yet.

        Raises:
            ActorError: the state is too large, or ``on_state_change`` changed it.
            UnstorableError: the state does not fit its type.
        """
        state = self.new_state()
        conn_states = self.presence.changed()
        opened = {r.key for r in self.puts if r.collection is Collection.CONNECTION}
        subscribes = any(r.collection is Collection.SUBSCRIPTION for r in self.puts)
        first_listens = subscribes and not self.cell.counter(LISTENED)
        touch = self.touch or first_listens or any(r.key not in opened for r in conn_states)
        puts = (*self.puts, *conn_states) if conn_states else tuple(self.puts)
        destroying = last and self.destroying
        wrote = state is not KEEP or touch or destroying or self.creation is not None
        # After a checkpoint there is a note that the turn has begun; the answer ends it.
        remember = self.reply is not None and bool(self.effects or self.job.checkpoints)
        if not (wrote or puts or self.deletes or remember or self._parts):
            return None
        changes = Changes(
            commit_id=self.runtime.fresh_commit_id(),
            create=self.creation,
            state=state,
            destroyed_at=self.runtime.clock.now() if destroying else None,
            touch=touch,
            puts=puts,
            deletes=tuple(self.deletes),
            counters={LISTENED: 1} if first_listens else {},
        )
        if self.creation is not None and workflow_of(self.definition.cls) is not None:
            # Should this process die, the sweeper begins the workflow.
            changes = replace(changes, outbox_add=(mark(self.runtime.clock.now()),))
        for part in self._parts.values():
            changes = part.contribute(changes)
        if changes.empty and not remember:
            return None
        if destroying and "run" in self.definition.hooks:
            changes = replace(changes, outbox_clear=(*changes.outbox_clear, MARK))
        if self.reply is not None:
            changes = replies.remember(changes, self.runtime.clock, self.cell, self.job, self.reply)
        return changes

    @property
    def _collected(self) -> bool:
        """Whether a part has something to write."""
        nothing = self.no_changes()
        return any(not part.contribute(nothing).empty for part in self._parts.values())

    @property
    def has_read(self) -> bool:
        """Whether the outcome may depend on something that another turn could have changed."""
        return self._state is not UNREAD or self.presence.has_read or self.read_records > 0

    def check_base(self) -> None:
        """Make sure that the turn may write on top of the chain.

        Raises:
            Superseded: it may not; somebody was faster.
        """
        moved = self.cell.moved(self.base)
        if moved is not None:
            raise moved
        holder = self.cell.holder
        if holder is None:
            return
        job = self.job.cause or self.job
        if holder != job.turn_id(self.runtime.fresh_id) and not job.descends_from(holder):
            raise Superseded(elsewhere=False)

    def go_on_from(self, base: Snapshot) -> None:
        """After a checkpoint: what was committed is the new base."""
        self.base = base
        self.puts, self.deletes, self.effects = [], [], []
        self.read_records = 0
        for part in self._parts.values():
            part.committed()

    def rebase(self) -> None:
        """Move to the end of the chain, if what the run has read is the same there."""
        if self.read_records or self.presence.has_read:
            return
        end = self.cell.snapshot()
        if end.epoch == self.base.epoch and (self._state is UNREAD or end.state == self.base.state):
            self.base = end

    def sent(self, step: Step) -> None:
        """What the run wants to write is on its way."""
        for part in self._parts.values():
            part.sent(step)

    def released(self) -> None:
        """What the run has written is durable."""
        for part in self._parts.values():
            part.released()

    def savepoint(self) -> Callable[[], None]:
        """Remember what the turn has done so far; the function returned undoes what came after.

        Raises:
            UnstorableError: the state does not fit its type.
        """
        schema, state = self.job.definition.state, self._state
        data = schema.dump(state) if schema is not None and state is not UNREAD else None
        undo_presence = self.presence.savepoint()
        lists: tuple[list[Any], ...] = (self.puts, self.deletes, self.effects, self.later)
        lengths = [len(items) for items in lists]
        asked = self.sleeping, self.destroying
        parts = {kind: part.savepoint() for kind, part in self._parts.items()}

        def undo() -> None:
            for kind in [kind for kind in self._parts if kind not in parts]:
                del self._parts[kind]
            for undo_part in parts.values():
                undo_part()
            self._state = UNREAD
            if data is not None and schema is not None:
                self._state = schema.load(data)
            undo_presence()
            for work in self.later[lengths[-1] :]:
                work.close()
            for items, length in zip(lists, lengths, strict=True):
                del items[length:]
            self.sleeping, self.destroying = asked

        return undo

    def check_not_beginning(self, what: str) -> None:
        """Refuse what cannot be done before a tenure has begun.

        Raises:
            ActorError: ``actor.invalid_operation``: this is a hook that creates or wakes an actor.
        """
        if self.job.cause is not None:
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                f"`self.{what}` does not work in hooks that create or wake an actor: what they "
                "write is committed together with the turn that follows.",
            )

    async def refresh(self) -> None:
        self.check_open()
        self.check_not_beginning("refresh")
        await self.port_call(self.prepare())
        held = TurnQueue in self._parts and self.queue.held
        changed = self.puts or self.new_state() is not KEEP or self.presence.changed()
        if held or changed or self._collected:
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                "`refresh` would lose the changes made so far. Call it before changing anything or "
                "receiving a message, or `await self.save_state()` first.",
            )
        await self.port_call(self.runtime.execution.refresh(self))
        self._state = UNREAD
        self._parts.clear()
        self.presence.refresh()
        own = self.job.conn
        if own is not None and own.host is not None:
            await self.port_call(self.runtime.connections.prepare(self, own))

    async def save_state(self) -> None:
        self.check_open()
        self.check_not_beginning("save_state")
        await self.port_call(self.runtime.execution.checkpoint(self))

    async def once(self, name: str, fn: Callable[[], Awaitable[T]]) -> T:
        self.check_open()
        self.check_not_beginning("once")
        result: T = await self.runtime.execution.once(self, name, fn)
        return result
