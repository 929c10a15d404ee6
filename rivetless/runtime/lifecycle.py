"""How a life begins and ends, and how a process's tenure of an actor does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from rivetless import errors
from rivetless.clock import within
from rivetless.keys import actor_id, new_life
from rivetless.runtime.cell import Cell
from rivetless.runtime.commands import ById, DestroyActor, Origin, SleepActor, Target
from rivetless.runtime.effects import Send
from rivetless.runtime.job import Job
from rivetless.runtime.ports import ClosePush
from rivetless.runtime.steps import Step
from rivetless.runtime.turn import ActorTurn
from rivetless.serde import UnstorableError
from rivetless.store.base import Changes, Creation, Head

if TYPE_CHECKING:
    from rivetless.runtime.runtime import Runtime

T = TypeVar("T")


class Lifecycle:
    """Creates, wakes, puts to sleep and destroys. One for each runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def hook(self, name: str, seconds: float, work: Awaitable[T]) -> T:
        """Run one hook within its time.

        Raises:
            ActorError: ``actor.callback_timed_out``.
        """
        try:
            return await within(self._runtime.clock, seconds, work)
        except TimeoutError as error:
            metadata = {"callback": name, "timeout": round(seconds * 1000)}
            raise errors.make("actor.callback_timed_out", metadata) from error

    # -- beginning --------------------------------------------------------------------------------

    async def load(self, cell: Cell) -> None:
        """Read the head unless somebody just did."""
        async with cell.lock:
            if not cell.known:
                await cell.load()

    async def begin(self, cell: Cell, target: Target, job: Job) -> None:
        """Load the actor; create it if there is none and the target says so.

        Raises:
            ActorError: ``actor.not_found``, or what a hook raised.
        """
        self._check_circle(cell, job)
        async with cell.lock:
            left = None if cell.known else await cell.load()
            if not cell.known:
                if isinstance(target, ById) or not target.create:
                    raise errors.not_found()
                await self._create(cell, target.input, job, left)
                job.created = True
                self._runtime.pumps.start(cell)

    async def wake(self, cell: Cell, job: Job) -> None:
        """Begin the process's tenure, unless somebody just did.

        Raises:
            ActorError: what a hook raised.
            Superseded: another turn changed or holds the actor since the hooks began.
        """
        self._check_circle(cell, job)
        async with cell.lock:
            if cell.known and not cell.awake:
                await self._wake(cell, job)
                self._runtime.pumps.start(cell)

    def _check_circle(self, cell: Cell, job: Job) -> None:
        """Hooks that begin an actor may not wait for it.

        Raises:
            ActorError: ``actor.deadlock``.
        """
        if cell.beginning is not None and job.descends_from(cell.beginning):
            link = job.link(cell.address, job.turn_id(self._runtime.fresh_id))
            raise errors.deadlock((*job.origin.chain, link))

    async def _create(self, cell: Cell, plain_input: object, job: Job, left: Head | None) -> None:
        definition = cell.definition
        given = definition.check_input(plain_input)
        runtime = self._runtime
        await self._drain_old(cell, left)
        newborn = actor_id(cell.address, new_life(runtime.random_bytes(7)))
        turn = ActorTurn(runtime, cell, self._job(cell, job, "creation"), newborn)
        # Whole milliseconds, as everybody outside sees it: a page of actors may end there.
        turn.creation = Creation(cell.address, round(runtime.clock.now(), 3))
        options, hooks = definition.options, definition.hooks
        cell.beginning = turn.turn_id
        try:
            actor = turn.actor
            if "on_migrate" in hooks:
                await self._run(
                    turn, "on_migrate", options.on_migrate_timeout, actor.on_migrate(True)
                )
            if definition.state is not None:
                turn.set_state(
                    await self._run(
                        turn,
                        "create_state",
                        options.create_state_timeout,
                        definition.create_state(actor, given),
                    )
                )
            if "on_create" in hooks:
                await self._run(
                    turn, "on_create", options.on_create_timeout, definition.on_create(actor, given)
                )
            await self._begin_tenure(turn)
            await turn.prepare()
            changes = turn.changes()
            assert changes is not None, "a creation always writes"
            self._stage(turn, changes, newborn)
        except UnstorableError as error:
            raise errors.ActorError("actor", "invalid_operation", str(error)) from error
        finally:
            cell.beginning = None
            turn.end("ended")
        cell.awake = True

    def _stage(self, turn: ActorTurn, changes: Changes | None, newborn: str | None = None) -> None:
        """Add what hooks did to the chain. The turn that made them necessary joins the commit."""
        if changes is None and not turn.effects:
            self._runtime.after_commit(turn)
            return
        changes = changes or turn.no_changes()
        hops = turn.job.hops
        step = Step(changes, tuple(turn.effects), begins_tenure=True, hops=hops)
        later, turn.later = turn.later, []

        def landed(done: asyncio.Future[bool]) -> None:
            turn.later = later
            if done.result():
                self._runtime.after_commit(turn)
            else:
                turn.end("restarted")

        step.landed.add_done_callback(landed)
        turn.cell.stage(step, newborn=newborn, hold_back=True)
        turn.presence.remember(changes)

    async def _drain_old(self, cell: Cell, old: Head | None) -> None:
        """Clear away what is left of an earlier life at the address."""
        store = self._runtime.store
        while old is not None and old.destroyed_at is not None:
            if await store.drain(old.actor_id):
                return
            if old.outbox:
                raise errors.make("guard.service_unavailable")
            old = await store.load(cell.address)

    async def _wake(self, cell: Cell, job: Job) -> None:
        definition = cell.definition
        hooks = definition.hooks
        if not hooks & {"on_migrate", "create_vars", "on_wake"}:
            cell.awake = True
            return
        turn = ActorTurn(self._runtime, cell, self._job(cell, job, "wake"), cell.actor_id)
        cell.beginning = turn.turn_id
        try:
            if "on_migrate" in hooks:
                await self._run(
                    turn,
                    "on_migrate",
                    definition.options.on_migrate_timeout,
                    turn.actor.on_migrate(False),
                )
            await self._begin_tenure(turn)
            await turn.prepare()
            changes = turn.changes()
            turn.check_base()
            self._stage(turn, changes)
        except UnstorableError as error:
            raise errors.ActorError("actor", "invalid_operation", str(error)) from error
        finally:
            cell.beginning = None
            turn.end("ended")
        cell.awake = True

    async def _begin_tenure(self, turn: ActorTurn) -> None:
        hooks, options = turn.definition.hooks, turn.definition.options
        actor: Any = turn.actor
        turn.tenure.vars = None
        if "create_vars" in hooks:
            turn.tenure.vars = await self._run(
                turn, "create_vars", options.create_vars_timeout, actor.create_vars()
            )
        if "on_wake" in hooks:
            await self._run(turn, "on_wake", options.on_wake_timeout, actor.on_wake())

    async def _run(self, turn: ActorTurn, name: str, seconds: float, work: Awaitable[T]) -> T:
        return await self.hook(name, seconds, turn.drive(_coroutine(work)))

    def _job(self, cell: Cell, cause: Job, label: str) -> Job:
        """The job of a lifecycle turn that ``cause`` has made necessary."""
        return Job(
            cell.definition,
            _nothing,
            label=label,
            deadline=cause.deadline,
            origin=Origin(chain=cause.origin.chain),
            request=cause.request,
            cause=cause,
            hops=cause.hops,
        )

    # -- ending -----------------------------------------------------------------------------------

    async def destroy(self, command: DestroyActor) -> None:
        """Destroy an actor, if there is one."""
        runtime, target = self._runtime, command.target
        try:
            definition = await runtime.cells.definition_of(target)
            deadline = runtime.deadline(definition)
            job = Job(definition, _destroy, label="destroy", deadline=deadline)
            await runtime.execution.run(target, job)
        except errors.ActorError as error:
            if error.name != "actor.not_found":
                raise

    async def put_to_sleep(self, command: SleepActor) -> None:
        """End this process's tenure of an actor because somebody says so."""
        await self._runtime.cells.definition_of(command.target)
        await self.sleep(await self._runtime.cells.of(command.target))

    async def sleep(self, cell: Cell) -> None:
        """End this process's tenure: fire abort signals, run ``on_sleep``, forget ``vars``."""
        tenure = cell.tenure
        if not cell.awake or tenure.stopped is not None:
            return
        grace = cell.definition.options.sleep_grace_period
        tenure.stop("sleep")
        try:
            await within(self._runtime.clock, grace, self._until_quiet(cell))
        except TimeoutError:
            self._runtime.log.warning("%s sleeps although work goes on", cell.address)
            self._runtime.pumps.cancel(cell)
        if cell.tenure is tenure and "on_sleep" in cell.definition.hooks:
            job = Job(
                cell.definition,
                _on_sleep,
                label="on_sleep",
                deadline=self._runtime.clock.now() + grace,
                timeout=grace,
            )
            try:
                await self._runtime.execution.run(ById(None, cell.actor_id), job)
            except Exception:
                self._runtime.log.warning("on_sleep of %s failed", cell.address, exc_info=True)
        if cell.tenure is tenure:
            cell.end_tenure("sleep")

    async def _until_quiet(self, cell: Cell) -> None:
        await self._runtime.pumps.ended(cell)
        while cell.running:
            if cell.quiet is None:
                cell.quiet = asyncio.get_running_loop().create_future()
            await asyncio.shield(cell.quiet)

    async def run_destroy_hooks(self, turn: ActorTurn) -> None:
        """Run what an actor may still do before its last commit; its errors stop nothing.

        The records of its connections are left to the drain of the tombstone: there may be more
        than a commit can hold.
        """
        definition = turn.definition
        conns = [info async for info in turn.conns()]
        grace = definition.options.sleep_grace_period
        if "on_disconnect" in definition.hooks:
            for info in conns:
                await self._try(
                    turn, grace, "on_disconnect", turn.actor.on_disconnect(turn.face(info))
                )
        if "on_destroy" in definition.hooks:
            await self._try(turn, grace, "on_destroy", turn.actor.on_destroy())
        for info in conns:
            if info.host is not None:
                turn.effects.append(Send(info.id, info.host, ClosePush(1000, "", forget=True)))

    async def _try(self, turn: ActorTurn, seconds: float, name: str, work: Awaitable[Any]) -> None:
        try:
            await self._run(turn, name, seconds, work)
        except Exception:
            turn.log.warning("%s failed", name, exc_info=True)

    async def drain(self, life: str) -> None:
        """Delete what a destroyed life has left behind."""
        while not await self._runtime.store.drain(life):
            head = await self._runtime.store.load(life)
            if head is None or head.outbox:
                return


async def _coroutine(work: Awaitable[T]) -> T:
    return await work


async def _nothing(turn: ActorTurn) -> None:
    """The body of a turn whose hooks are run by hand."""


async def _on_sleep(turn: ActorTurn) -> None:
    await turn.actor.on_sleep()


async def _destroy(turn: ActorTurn) -> None:
    turn.destroy()
