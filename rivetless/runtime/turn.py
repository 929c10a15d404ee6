"""``ActorTurn``: what stands behind ``self`` in an actor, for one run of a turn.

What the handler does joins the run's ``transaction``, and its effects wait for the commit. It does
no scheduling of its own: ``execution`` decides when a turn runs, runs again, or gives up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

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
from rivetless.runtime.effects import Broadcast, Send
from rivetless.runtime.kv import TurnKV
from rivetless.runtime.logs import ActorLogger
from rivetless.runtime.parts import Part
from rivetless.runtime.ports import ClosePush, EventPush, RawPush
from rivetless.runtime.queueing import TurnQueue
from rivetless.runtime.schedules import Schedules
from rivetless.runtime.steps import Snapshot, tick
from rivetless.runtime.transaction import UNREAD, Transaction
from rivetless.store.base import KEEP

if TYPE_CHECKING:
    from rivetless.clock import Timer
    from rivetless.keys import Address
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.job import Job
    from rivetless.runtime.runtime import Runtime

T = TypeVar("T")
PartT = TypeVar("PartT", bound=Part)


class ActorTurn(Transaction):
    """Implements ``actor.turn.Turn`` for one run.

    Attributes:
        tenure: the process's tenure of the actor that the run belongs to.
        port: the future of our own that the handler has waited for last.
        renewal: the timer that renews the turn's lease.
        refused: why a checkpoint cannot be made, now or in another run; the turn can only fail.
    """

    __slots__ = ("_abort", "_calls", "_client", "_log", "port", "refused", "renewal", "tenure")

    def __init__(
        self, runtime: Runtime, cell: Cell, job: Job, actor_id: str, base: Snapshot | None = None
    ) -> None:
        super().__init__(runtime, cell, job, actor_id, base)
        self.tenure = cell.tenure
        self.renewal: Timer | None = None
        self.refused: errors.ActorError | None = None
        self.port: object = None
        self._abort: AbortSignal | None = None
        self._client: Any = None
        self._calls: dict[str, int] | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self.actor = job.definition.new(self)

    # -- who and where ----------------------------------------------------------------------------

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

    # -- vars -------------------------------------------------------------------------------------

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
    def queue(self) -> TurnQueue:
        return self.part(TurnQueue)

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

    # -- the actor's life -------------------------------------------------------------------------

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

    # -- going on ---------------------------------------------------------------------------------

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
        if held or changed or self._collected():
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                "`refresh` would lose the changes made so far. Call it before changing anything or "
                "receiving a message, or `await self.save_state()` first.",
            )
        await self.port_call(self.runtime.checkpoints.refresh(self))
        self._state = UNREAD
        self._parts.clear()
        self.presence.refresh()
        own = self.job.conn
        if own is not None and own.host is not None:
            await self.port_call(self.runtime.connections.prepare(self, own))

    async def save_state(self) -> None:
        self.check_open()
        self.check_not_beginning("save_state")
        await self.port_call(self.runtime.checkpoints.commit(self))

    async def once(self, name: str, fn: Callable[[], Awaitable[T]]) -> T:
        self.check_open()
        self.check_not_beginning("once")
        result: T = await self.runtime.checkpoints.once(self, name, fn)
        return result
