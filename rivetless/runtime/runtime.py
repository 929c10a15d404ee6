"""``Runtime``: the actors of one process, and the one door to them, ``dispatch``."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from rivetless import errors
from rivetless.actor.names import member_name
from rivetless.clock import Clock, SystemClock, Timeout, until
from rivetless.keys import Address, is_reserved, serialise
from rivetless.runtime.actions import Actions
from rivetless.runtime.alarms import Alarms, LocalDoorbells
from rivetless.runtime.background import run_later
from rivetless.runtime.cell import Cell
from rivetless.runtime.claim import Rivals
from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    ById,
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
    Target,
    Wake,
)
from rivetless.runtime.connections import Connections
from rivetless.runtime.cron import CronRunner
from rivetless.runtime.dead import DeadOffice, Letter
from rivetless.runtime.effects import Effects
from rivetless.runtime.execution import Execution
from rivetless.runtime.hints import Hints
from rivetless.runtime.job import Job
from rivetless.runtime.leases import Leases
from rivetless.runtime.lifecycle import Lifecycle
from rivetless.runtime.logs import ActorLogger
from rivetless.runtime.outbox import Outgoings
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
from rivetless.runtime.records import LISTENED
from rivetless.runtime.responses import read_response
from rivetless.runtime.schedules import ScheduleRunner
from rivetless.runtime.sending import Sending
from rivetless.runtime.steps import Step, Superseded, tick, told
from rivetless.runtime.sweeper import Sweeper
from rivetless.runtime.waking import Waking
from rivetless.runtime.workflows import Workflows
from rivetless.store.base import Changes, Duplicate, Gone, Head, OutcomeUnknown, Store, StoreError

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.actor.turn import ConnInfo
    from rivetless.runtime.turn import ActorTurn

T = TypeVar("T")

TARGETED: Final = (CallAction, OpenConnection, RawRequest, GetActor, SendMessage)
"""The commands that may name an actor by its key."""

MOST_CONNS: Final = 100_000
"""How many connections a process remembers the unchanging part of."""

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
        self._max_cells = max_cells
        self._cells: OrderedDict[Address, Cell] = OrderedDict()
        self._addresses: dict[str, Address] = {}
        self._conns: dict[str, ConnInfo] = {}
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
            DestroyActor: self._destroy,
            SleepActor: self._sleep,
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
        for cell in list(self._cells.values()):
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
        return [task for cell in self._cells.values() if (task := cell.flush()) is not None]

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

    async def _destroy(self, command: DestroyActor) -> None:
        target = command.target
        try:
            definition = await self.definition_of(target)
            job = Job(definition, _destroy, label="destroy", deadline=self.deadline(definition))
            await self.execution.run(target, job)
        except errors.ActorError as error:
            if error.name != "actor.not_found":
                raise

    async def _sleep(self, command: SleepActor) -> None:
        await self.definition_of(command.target)
        await self.lifecycle.sleep(await self.cell_for(command.target))

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

    # -- actors -----------------------------------------------------------------------------------

    async def definition_of(self, target: Target) -> ActorDefinition:
        """Return the definition of the actor a command is for.

        Raises:
            ActorError: there is no such life, or no class of that name.
        """
        if isinstance(target, ByKey):
            name = target.address.name
        else:
            name = (await self._address_of(target)).name
        definition = self.definitions.get(name)
        if definition is None:
            raise errors.make("actor.not_registered", name=name)
        return definition

    async def _address_of(self, target: ById) -> Address:
        address = self._addresses.get(target.actor_id)
        if address is None:
            try:
                head = await self.store.load(target.actor_id)
            except ValueError:
                head = None
            if head is None or head.destroyed_at is not None:
                raise errors.not_found()
            address = head.address
            if is_reserved(address.namespace):
                raise errors.not_found()
            self._remember(target.actor_id, address)
        if target.namespace is not None and address.namespace != target.namespace:
            raise errors.not_found()
        return address

    async def cell_for(self, target: Target) -> Cell:
        """Return the cell of an actor, an empty one if the process has not met it."""
        if isinstance(target, ByKey):
            address = target.address
        else:
            address = await self._address_of(target)
        cell = self._cells.get(address)
        if cell is not None:
            self._cells.move_to_end(address)
            return cell
        cell = Cell(
            self.definitions[address.name],
            address,
            self.store,
            self.effects.let_out,
            self._committed,
        )
        self._cells[address] = cell
        if len(self._cells) > self._max_cells:
            self._evict()
        return cell

    def _remember(self, actor_id: str, address: Address) -> None:
        if len(self._addresses) > 2 * self._max_cells:
            # Ids of lives that ended elsewhere are noticed by nobody.
            del self._addresses[next(iter(self._addresses))]
        self._addresses[actor_id] = address

    def listens(self, cell: Cell) -> None:
        """Hints about an actor matter here from now on: make sure that its id leads to it."""
        if cell.met:
            self._remember(cell.actor_id, cell.address)

    def cell_of(self, actor_id: str) -> Cell | None:
        """Return the cell of a life that this process has met and remembers."""
        address = self._addresses.get(actor_id)
        cell = None if address is None else self._cells.get(address)
        return cell if cell is not None and cell.met and cell.actor_id == actor_id else None

    async def met(self, head: Head, began: int) -> Cell:
        """Return the cell of an actor whose head was read, ``began`` being a tick before that."""
        self._addresses[head.actor_id] = head.address
        cell = await self.cell_for(ByKey(head.address))
        cell.offer(head, began)
        return cell

    def _evict(self) -> None:
        """Forget the actor that was used longest ago, if nothing is under way there."""
        for cell in self._cells.values():
            if not cell.idle or cell.lock.locked() or cell.tenure.stopped is not None:
                continue
            if cell.awake and cell.definition.sleeps:
                self.begin(self._sleep_and_forget(cell))
            else:
                self._forget(cell)
            return

    async def _sleep_and_forget(self, cell: Cell) -> None:
        await self.lifecycle.sleep(cell)
        if cell.idle and not cell.awake and not cell.lock.locked():
            self._forget(cell)

    def _forget(self, cell: Cell) -> None:
        if self._cells.pop(cell.address, None) is not None and cell.met:
            self._addresses.pop(cell.actor_id, None)

    def used(self, cell: Cell) -> None:
        """Note that a turn on the cell has ended; arm the sleep of actors that care."""
        cell.used = tick()
        if cell.quiet is not None and not cell.running:
            cell.quiet.set_result(None)
            cell.quiet = None
        if cell.idle_timer is None and cell.awake and cell.definition.sleeps:
            self._arm_sleep(cell)

    def _arm_sleep(self, cell: Cell) -> None:
        used = cell.used

        def fire() -> None:
            cell.idle_timer = None
            if cell.used != used or not cell.idle:
                if cell.awake:
                    self._arm_sleep(cell)
            elif cell.awake:
                self.begin(self.lifecycle.sleep(cell))

        cell.idle_timer = self.clock.call_later(cell.definition.options.sleep_timeout, fire)

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

    def key_text(self, address: Address) -> str:
        """Return an address's key as text."""
        return serialise(address.key)

    def logger_for(self, turn: ActorTurn) -> logging.LoggerAdapter[logging.Logger]:
        """Return a logger that says which actor speaks."""
        return ActorLogger(turn)

    def client_for(self, turn: ActorTurn) -> Any:
        """Return a client whose calls belong to the turn."""
        from rivetless.runtime.local import client_for

        return client_for(self, turn)

    async def read_response(self, turn: ActorTurn, response: object) -> RawResponse:
        """Read a Starlette response."""
        return await read_response(turn, response)

    def let_out(self, turn: ActorTurn) -> asyncio.Future[None]:
        """Let out the effects of a turn that wrote nothing; done when they are out."""
        head = turn.cell.head
        version = head.version if head is not None else 0
        return self.effects.let_out(
            turn.cell, turn.actor_id, version, 0, tuple(turn.effects), turn.cell.listened
        )

    def has_listened(self, actor_id: str) -> bool:
        """Whether it is known that somebody has subscribed to an event of this life."""
        cell = self.cell_of(actor_id)
        head = None if cell is None else cell.head
        return head is not None and head.actor_id == actor_id and bool(head.counters.get(LISTENED))

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
        cell = self.cell_of(actor_id) if cell is None else cell
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
        self._committed(actor_id, changes, 0.0, None)

    def _committed(self, actor_id: str, changes: Changes, hops: float, head: Head | None) -> None:
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
            self._addresses.pop(turn.actor_id, None)
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

    # -- connections ------------------------------------------------------------------------------

    def known_conn(self, actor_id: str, conn_id: str) -> ConnInfo | None:
        """Return a connection that this process has opened or read."""
        return self._conns.get(actor_id + conn_id)

    def remember_conn(self, actor_id: str, info: ConnInfo) -> None:
        """Keep a connection's unchanging part while its socket is here."""
        if len(self._conns) > MOST_CONNS:
            # Where sockets are elsewhere, this process may not hear of their end.
            del self._conns[next(iter(self._conns))]
        self._conns[actor_id + info.id] = info

    def forget_conn(self, actor_id: str, conn_id: str) -> None:
        """The connection's socket is gone."""
        self._conns.pop(actor_id + conn_id, None)
        cell = self.cell_of(actor_id)
        if cell is not None:
            cell.conns.pop(conn_id, None)

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


async def _destroy(turn: ActorTurn) -> None:
    turn.destroy()
