"""``Runtime``: the actors of one process, and the one door to them, ``dispatch``."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from rivetless import errors
from rivetless.actor.names import member_name
from rivetless.clock import Clock, SystemClock, Timeout, until
from rivetless.keys import is_reserved
from rivetless.runtime.actions import Actions
from rivetless.runtime.alarms import Alarms, LocalDoorbells
from rivetless.runtime.background import run_later
from rivetless.runtime.cell import Cell
from rivetless.runtime.cells import Cells
from rivetless.runtime.checkpoints import Checkpoints
from rivetless.runtime.claim import Rivals
from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    ByKey,
    CallAction,
    CloseConnection,
    Command,
    ConnectionAction,
    DestroyActor,
    GetActor,
    ListActors,
    ListLetters,
    OpenConnection,
    PurgeLetters,
    RawMessage,
    RawRequest,
    RawResponse,
    ReplayLetter,
    SendMessage,
    SendResult,
    SleepActor,
    Subscribe,
    Sweep,
    Wake,
)
from rivetless.runtime.connections import Connections
from rivetless.runtime.cron import CronRunner
from rivetless.runtime.dead import DeadOffice, Letter
from rivetless.runtime.effects import Effects
from rivetless.runtime.execution import Execution
from rivetless.runtime.hints import Hints
from rivetless.runtime.leases import Leases
from rivetless.runtime.lifecycle import Lifecycle
from rivetless.runtime.outgoings import Outgoings
from rivetless.runtime.ports import (
    Doorbells,
    Keeper,
    Neighbours,
    NoDoorbells,
    NoNeighbours,
    NoSockets,
    Pusher,
)
from rivetless.runtime.pumps import Pumps
from rivetless.runtime.queues import Queues
from rivetless.runtime.reconcile import reconcile
from rivetless.runtime.schedules import ScheduleRunner
from rivetless.runtime.sending import Sending
from rivetless.runtime.steps import Step, Superseded, told
from rivetless.runtime.sweeper import Sweeper
from rivetless.runtime.waking import Waking
from rivetless.runtime.workflows import Workflows
from rivetless.store.base import Changes, Duplicate, Gone, Head, OutcomeUnknown, Store, StoreError

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.turn import ActorTurn

T = TypeVar("T")

TARGETED: Final = (CallAction, OpenConnection, RawRequest, GetActor, SendMessage)
"""The commands that may name an actor by its key."""

CLOSING: Final = 30.0
"""Seconds that work under way has to end when the process ends; then it is cancelled."""

PATIENCE: Final = 15.0
"""Seconds beyond a handler's own time for which a turn is tried again."""


class Runtime:
    """Runs actors on a store.

    Args:
        definitions: the actors, by wire name.
        store: where they last; opened by whoever made it.
        clock: all time comes from it.
        pusher: how sockets are reached.
        neighbours: how other processes on the store are told what is new.
        doorbells: how actors are woken; else the sweeper alone finds what is due.
        region: what ``self.region`` says.
        max_cells: how many actors the process keeps in memory.
        resident: whether the process stays between commands, so that ``run`` goes on in it; else
            each slice of it is a wake.
        rng: where randomness comes from; the simulator gives its own.

    Attributes:
        keepers: who looks after the heads in reserved namespaces, by namespace.
    """

    def __init__(
        self,
        definitions: Mapping[str, ActorDefinition],
        store: Store,
        *,
        clock: Clock | None = None,
        pusher: Pusher | None = None,
        neighbours: Neighbours | None = None,
        doorbells: Doorbells | None = None,
        region: str = "local",
        max_cells: int = 10_000,
        resident: bool = True,
        rng: random.Random | None = None,
    ) -> None:
        self.definitions = definitions
        self.store = store
        self.clock: Clock = clock or SystemClock()
        self.region = region
        self.log = logging.getLogger("rivetless")
        self._rng = rng or random.SystemRandom()
        self._commit_prefix = f"{self._rng.getrandbits(64):016x}."
        self._commits = itertools.count(1)
        self.cells = Cells(self, max_cells)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.effects = Effects(store, pusher or NoSockets(), self._conn_lost, self.begin, self.log)
        self.doorbells: Doorbells = doorbells or NoDoorbells()
        self.keepers: dict[str, Keeper] = {}
        self.hints = Hints(self, neighbours or NoNeighbours())
        self.rivals = Rivals(self)
        self.alarms = Alarms(self)
        self.dead = DeadOffice(self)
        self.outgoings = Outgoings(self)
        self.leases = Leases(store, self.clock, self._rng)
        self.lifecycle = Lifecycle(self)
        self.execution = Execution(self, self._rng)
        self.checkpoints = Checkpoints(self)
        self.connections = Connections(self)
        self.actions = Actions(self, self.connections)
        self.queues = Queues(self, self.connections)
        self.sweeper = Sweeper(self)
        self.waking = Waking(self)
        self.pumps = Pumps(self, resident=resident)
        self.workflows = Workflows(self)
        self.sending = Sending(self)
        if isinstance(self.doorbells, LocalDoorbells):
            self.doorbells.attach(lambda wake: self.begin(self._wake(wake)))
        ScheduleRunner(self)
        CronRunner(self)
        self._handlers: dict[type, Callable[[Any], Awaitable[Any]]] = {
            GetActor: self.actions.get_actor,
            CallAction: self.actions.call,
            ConnectionAction: self.actions.call_on_connection,
            RawRequest: self.actions.raw_request,
            SendMessage: self.queues.send,
            OpenConnection: self.connections.open,
            Subscribe: self.connections.subscribe,
            RawMessage: self.connections.raw_message,
            CloseConnection: self.connections.close,
            DestroyActor: self.lifecycle.destroy,
            SleepActor: self.lifecycle.put_to_sleep,
            ListActors: self._list,
            ListLetters: self.dead.list,
            ReplayLetter: self.dead.replay_one,
            PurgeLetters: self.dead.purge,
            Wake: self.waking.wake,
            Sweep: self.waking.sweep,
        }

    async def __aenter__(self) -> Self:
        self.sweeper.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every tenure (``on_sleep`` runs) and wait for what is under way, if it ends soon."""
        self._stop_waking()
        for cell in self.cells:
            self.begin(self.lifecycle.sleep(cell))
        if not await self.settle(self.clock.now() + CLOSING):
            self.log.warning("work that went on when the process ended was cancelled")
            self.abandon()
            await self._finish()

    def _stop_waking(self) -> None:
        """Begin nothing that nobody asks for any more; what is due is found in the store later."""
        self.sweeper.stop()
        self.pumps.stop()
        self.alarms.stop()
        if isinstance(self.doorbells, LocalDoorbells):
            self.doorbells.stop()

    async def settle(self, deadline: float | None = None) -> bool:
        """Wait until nothing is under way: no commit, no effect, no work left for afterwards.

        A host that is frozen between two events does so before it answers, so that nothing goes on
        when it is thawed.

        Args:
            deadline: Unix seconds until which it waits.

        Returns:
            Whether everything has ended.
        """
        left = None if deadline is None else deadline - self.clock.now()
        try:
            async with Timeout(self.clock, left):
                await self._finish()
        except TimeoutError:
            return False
        return True

    async def _finish(self) -> None:
        while under_way := self._under_way():
            # Not ``gather``, which would pass a time-out on to commits that are under way.
            await asyncio.wait(under_way)

    def _under_way(self) -> list[asyncio.Task[Any]]:
        """Return what must end before the store may be closed: commits let out effects."""
        return [*self._tasks, *self.flush()]

    def flush(self) -> list[asyncio.Task[None]]:
        """Begin to commit whatever is held back, and return the tasks that commit."""
        return [task for cell in self.cells if (task := cell.flush()) is not None]

    def abandon(self) -> None:
        """Stop as a process that dies does: nothing is ended, nobody is told."""
        self._stop_waking()
        for task in self._tasks:
            task.cancel()

    # -- the door ---------------------------------------------------------------------------------

    @overload
    async def dispatch(self, command: GetActor | OpenConnection) -> ActorInfo: ...
    @overload
    async def dispatch(self, command: CallAction | ConnectionAction) -> ActionResult: ...
    @overload
    async def dispatch(self, command: SendMessage) -> SendResult: ...
    @overload
    async def dispatch(self, command: RawRequest) -> RawResponse: ...
    @overload
    async def dispatch(self, command: ListActors) -> list[ActorInfo]: ...
    @overload
    async def dispatch(self, command: ListLetters) -> list[Letter]: ...
    @overload
    async def dispatch(self, command: ReplayLetter | PurgeLetters) -> int: ...
    @overload
    async def dispatch(
        self,
        command: Subscribe
        | RawMessage
        | CloseConnection
        | DestroyActor
        | SleepActor
        | Wake
        | Sweep,
    ) -> None: ...
    async def dispatch(self, command: Command) -> object:
        """Do what a host asks for.

        Raises:
            ActorError: the actor refused or failed; not masked yet (``errors.public_error``).
            Exception: whatever a handler raised.
        """
        if isinstance(command, TARGETED):
            target = command.target
            if isinstance(target, ByKey):
                _check_namespace(target.address.namespace)
                if target.address.name not in self.definitions:
                    command = replace(command, target=self._under_wire_name(target))
        try:
            return await self._handlers[type(command)](command)
        except StoreError as error:
            raise told(error) from error

    def _under_wire_name(self, target: ByKey) -> ByKey:
        """Accept an actor's Python name for its wire name.

        Raises:
            ActorError: ``actor.not_registered``.
        """
        name = member_name(target.address.name)
        if name not in self.definitions:
            raise errors.make("actor.not_registered", name=target.address.name)
        return replace(target, address=replace(target.address, name=name))

    async def _list(self, command: ListActors) -> list[ActorInfo]:
        _check_namespace(command.namespace)
        heads = await self.store.list(
            command.namespace,
            command.name,
            limit=command.limit,
            before=command.before,
            include_destroyed=command.include_destroyed,
        )
        return [info_of(head) for head in heads]

    async def find(self, actor_id: str) -> ActorInfo | None:
        """Look a life up by id, a destroyed one too, without waking it."""
        head = await self.store.load(actor_id)
        return None if head is None or is_reserved(head.address.namespace) else info_of(head)

    # -- what turns need --------------------------------------------------------------------------

    def deadline(
        self, definition: ActorDefinition, limit: float | None = None, timeout: float | None = None
    ) -> float:
        """Return until when a turn is tried: its time and patience, at most until ``limit``."""
        seconds = definition.options.action_timeout if timeout is None else timeout
        until = self.clock.now() + seconds + PATIENCE
        return until if limit is None else min(until, limit)

    def fresh_id(self) -> str:
        """Return an id for a turn without a durable cause."""
        return f"{self._rng.getrandbits(96):024x}"

    def fresh_commit_id(self) -> str:
        """Return an id for a commit, unique among all processes."""
        return f"{self._commit_prefix}{next(self._commits):x}"

    @property
    def process_id(self) -> str:
        """What tells this process from the others."""
        return self._commit_prefix

    def random_bytes(self, count: int) -> bytes:
        """Return random bytes."""
        return self._rng.getrandbits(8 * count).to_bytes(count, "big")

    def random_bits(self, count: int) -> int:
        """Return a random number of ``count`` bits."""
        return self._rng.getrandbits(count)

    def let_out(self, turn: ActorTurn) -> asyncio.Future[None]:
        """Let out the effects of a turn that wrote nothing; done when they are out."""
        head = turn.cell.head
        version = head.version if head is not None else 0
        return self.effects.let_out(
            turn.cell, turn.actor_id, version, 0, tuple(turn.effects), turn.cell.listened
        )

    async def commit_loose(self, actor_id: str, changes: Changes, cell: Cell | None = None) -> None:
        """Commit changes that depend on nothing but the life.

        They join the actor's commit under way where there is one.

        Args:
            actor_id: the life.
            changes: what to write; nothing versioned.
            cell: the actor's, where the caller has it.

        Raises:
            ActorError: ``actor.not_found``, ``actor.outcome_unknown``.
            Duplicate: what was to be absent is there.
        """
        cell = self.cells.known(actor_id) if cell is None else cell
        if cell is not None and cell.known and cell.actor_id == actor_id:
            step = Step(changes)
            cell.stage(step)
            try:
                await step.done
            except Superseded:
                pass  # the commit it had joined failed; alone it need not
            else:
                return
        try:
            await self.store.commit(actor_id, changes, expected=None)
        except Gone:
            raise errors.not_found() from None
        except OutcomeUnknown:
            verdict = await reconcile(self.store, actor_id, changes, 0)
            if verdict.applied is False:
                raise Duplicate("another has made what was to be absent") from None
            if not verdict.applied:
                raise errors.make("actor.outcome_unknown") from None
        self.committed(actor_id, changes, 0.0, None)

    def committed(self, actor_id: str, changes: Changes, hops: float, head: Head | None) -> None:
        """Do for others what a commit has promised: wakes, and what is in the outbox."""
        self.alarms.committed(actor_id, changes, hops)
        self.outgoings.committed(actor_id, changes, head)

    async def _wake(self, wake: Wake) -> None:
        try:
            await self.waking.wake(wake)
        except Exception:
            self.log.warning("actor %s could not be woken", wake.actor_id, exc_info=True)

    def after_commit(self, turn: ActorTurn) -> None:
        """Begin what a turn has left for afterwards."""
        cell = turn.cell
        turn.released()
        later, turn.later = turn.later, []
        for work in later:
            self.begin(run_later(self, cell, turn, work))
        if turn.destroying:
            self.cells.ended(turn.actor_id)
            self.begin(self.lifecycle.drain(turn.actor_id))
        elif turn.sleeping:
            self.begin(self.lifecycle.sleep(cell))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a background task that the runtime waits for when it closes."""
        with until(None):  # whoever waits for the turn that begins it does not wait for this
            task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a background task that nobody waits for but the runtime's end."""
        task = self.spawn(work)
        del task

    def _conn_lost(self, actor_id: str, conn_id: str) -> None:
        self.begin(self.connections.lose(actor_id, conn_id))


def _check_namespace(namespace: str) -> None:
    """Keep everybody out of what hosts keep in the store.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    if is_reserved(namespace):
        raise errors.invalid_request("Namespaces that begin with `$` are rivetless's own.")


def info_of(head: Head) -> ActorInfo:
    """Return what management tells of a head."""
    return ActorInfo(head.actor_id, head.address, head.created_at, head.destroyed_at)
