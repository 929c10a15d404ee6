"""Many calls, several processes, a store that fails at random: what was acknowledged has happened.

Each seed is one schedule: callers go away, actors are put to sleep, processes are replaced, and
the store fails, answers late or not at all. The state of the ledger is the log of the calls that
took effect, so that every answer and every event can be compared with it afterwards. A phoenix is
destroyed and begins again; what is said of one of its lives must fit that life.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from pydantic import BaseModel

from rivetless import Actor, ActorError, Event, action
from rivetless.clock import Clock, sleep
from rivetless.keys import Address
from rivetless.runtime.commands import (
    ById,
    ByKey,
    ConnectionAction,
    OpenConnection,
    Origin,
    SleepActor,
    Subscribe,
)
from rivetless.runtime.ports import EventPush
from rivetless.store.base import Changes, Gone
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import settle
from rivetless.testing.stores import Fault
from tests.unit.runtime.worlds import Process, World

FAULTS = tuple(Fault)
RELEASED = {Fault.LATE, Fault.HELD, Fault.HELD_AFTER, Fault.HELD_LOST}
REFUSALS = ("guard.service_unavailable", "actor.conflict")
"""What a caller may be told when nothing has happened."""

PAUSES: set[asyncio.Future[None]] = set()
PAID: list[str] = []


class Log(BaseModel):
    calls: list[str] = []


class Seen(BaseModel):
    seen: list[str] = []


class Ledger(Actor[Log, Seen]):
    """Writes down which calls took effect, in order."""

    noted = Event[list[Any]]()

    async def create_conn_state(self, params: Any) -> Seen:
        return Seen()

    async def on_sleep(self) -> None:
        assert self.state.calls is not None

    def _note(self, call: str) -> int:
        self.state.calls.append(call)
        self.broadcast(self.noted, [call, len(self.state.calls)])
        return len(self.state.calls)

    @action
    async def note(self, call: str, pause: bool = False) -> int:
        self._note(call)
        if pause:
            await _pause()
        return len(self.state.calls)

    @action
    async def note_in_parts(self, call: str, pause: bool = False) -> int:
        self._note(f"{call}-begun")
        await self.save_state()
        if pause:
            await _pause()
        return self._note(call)

    @action
    async def note_paid(self, call: str, pause: bool = False) -> int:
        async def pay() -> str:
            PAID.append(call)
            if pause:
                await _pause()
            return call

        return self._note(await self.once("pay", pay))

    @action
    async def see(self, call: str, pause: bool = False) -> int:
        self.conn.state.seen.append(call)
        if pause:
            await _pause()
        return len(self.conn.state.seen)

    @action
    async def seen(self) -> list[str]:
        return self.conn.state.seen

    @action(exclusive=True)
    async def note_alone(self, call: str, pause: bool = False) -> int:
        self.state.calls.append(call)
        if pause:
            await _pause()
        return len(self.state.calls)

    @action
    async def forward(self, call: str, pause: bool = False) -> int:
        other = self.client.get_or_create(Ledger, "other")
        await other.note(call)
        if pause:
            await _pause()
        self.state.calls.append(call)
        return len(self.state.calls)

    @action
    async def calls(self) -> list[str]:
        return self.state.calls


class Phoenix(Actor[Log]):
    """Says in which life a call took effect."""

    @action
    async def note(self, call: str, pause: bool = False) -> list[Any]:
        self.state.calls.append(call)
        if pause:
            await _pause()
        return [self.actor_id, len(self.state.calls)]

    @action
    async def end(self, pause: bool = False) -> list[Any]:
        self.destroy()
        if pause:
            await _pause()
        return [self.actor_id, len(self.state.calls)]


class NoGhosts(MemoryStore):
    """Refuses a creation that arrives after the end of the very life it begins.

    Open: a creation whose answer is lost is sent twice. If one of the two arrives only when the
    life was destroyed and its tombstone drained, the life begins again. Tombstones would have to
    stay for as long as a write can be late.
    """

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.drained: set[str] = set()

    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        if actor_id in self.drained:
            raise Gone(actor_id)
        return await super().commit(actor_id, changes, expected=expected)

    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        drained = await super().drain(actor_id, limit=limit)
        if drained:
            self.drained.add(actor_id)
        return drained


async def _pause() -> None:
    """Wait for something outside."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    PAUSES.add(future)
    try:
        await future
    finally:
        PAUSES.discard(future)


class Run:
    """One seed's schedule, and what its callers were told."""

    def __init__(self, seed: int, world: World) -> None:
        self.rng = random.Random(seed)
        self.world = world
        self.processes = [world.process() for _ in range(3)]
        self.everyone = list(self.processes)
        self.actor_id = ""
        self.late: list[Any] = []
        self.unkeyed: set[str] = set()
        self.sights: dict[str, int] = {}
        self.maybe_seen: set[str] = set()
        self.lives: list[tuple[str, str, int]] = []
        self.ends: dict[str, int] = {}
        self.answers: dict[str, tuple[str, int]] = {}
        self.refused: set[str] = set()
        self.unknown: set[str] = set()

    async def connect(self) -> None:
        """Open the connection that listens to the ledger."""
        runtime = self.processes[0].runtime
        target = ByKey(Address("default", "ledger", ("a",)), create=True)
        info = await runtime.dispatch(OpenConnection(target, "c1", "events", "h1"))
        self.actor_id = info.actor_id
        await runtime.dispatch(Subscribe(self.actor_id, "c1", "noted", subscribe=True))

    async def call(self, number: int) -> None:
        rng = self.rng
        await sleep(self.world.clock, rng.random() * 3)
        kind = rng.random()
        if kind < 0.2:
            await self.look(rng.choice(self.processes))
        elif kind < 0.3:
            await self.see(rng.choice(self.processes), number)
        elif kind < 0.4:
            await self.live(rng.choice(self.processes), number)
        elif kind < 0.45:
            process = rng.choice(self.processes)
            try:
                await process.runtime.dispatch(SleepActor(ById(None, self.actor_id)))
            except ActorError as error:
                if error.name not in REFUSALS:
                    raise
        else:
            await self.note(number)

    async def see(self, process: Process, number: int) -> None:
        """Change the connection's state."""
        call = f"see-{number}"
        command = ConnectionAction(self.actor_id, "c1", number, "see", [call, number % 2 == 0])
        self.maybe_seen.add(call)
        try:
            self.sights[call] = (await process.runtime.dispatch(command)).output  # type: ignore[assignment]
        except ActorError as error:
            if error.name in REFUSALS:
                self.maybe_seen.discard(call)
            elif error.name not in ("actor.outcome_unknown", "actor.interrupted"):
                raise

    async def live(self, process: Process, number: int) -> None:
        """Call the phoenix, or destroy it."""
        pause = number % 3 == 0
        try:
            if number % 4 == 0:
                life, length = await process.call("phoenix", "end", pause)
                assert life not in self.ends, "a life ended twice"
                self.ends[life] = length
            else:
                call = f"live-{number}"
                life, position = await process.call("phoenix", "note", call, pause)
                self.lives.append((life, call, position))
        except ActorError as error:
            allowed = (*REFUSALS, "actor.outcome_unknown", "actor.interrupted")
            if error.name not in allowed:
                raise

    async def note(self, number: int) -> None:
        rng = self.rng
        name = rng.choice(
            ["note", "note", "note", "note_alone", "forward", "note_in_parts", "note_paid"]
        )
        call = f"{name}-{number}"
        keyed = rng.random() < 0.4
        if not keyed:
            self.unkeyed.add(call)
        origin = Origin(call_key=f"i:{call}") if keyed else Origin()
        process: Process = rng.choice(self.processes)
        pause = rng.random() < 0.3
        for _ in range(8 if keyed else 1):
            try:
                # Impatient callers with a key ask twice.
                asked = [
                    process.call("ledger", name, call, pause, origin=origin)
                    for _ in range(2 if keyed and rng.random() < 0.3 else 1)
                ]
                answers: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
                for answer in answers:
                    if isinstance(answer, BaseException):
                        if len(asked) == 2:
                            self.unknown.add(call)  # the other one may have done it
                        raise answer
                assert len(set(answers)) == 1, "a repeat was answered differently"
                result = answers[0]
            except asyncio.CancelledError:
                self.unknown.add(call)
                raise
            except ActorError as error:
                if error.name in ("actor.outcome_unknown", "actor.interrupted"):
                    self.unknown.add(call)
                elif error.name not in REFUSALS:
                    raise
                else:
                    if name == "forward":
                        self.unknown.add(call)  # the other actor may have been told
                    self.refused.add(call)
                process = rng.choice(self.processes)
            else:
                self.answers[call] = (name, result)
                self.unknown.discard(call)
                self.refused.discard(call)
                return
            if rng.random() < 0.1:
                return  # the caller gives up

    async def look(self, process: Process) -> None:
        """Read; whatever was acknowledged before must be seen."""
        least = max((position for _, position in self.answers.values()), default=0)
        try:
            seen = await process.call("ledger", "calls")
        except ActorError as error:
            if error.name not in REFUSALS:
                raise
        else:
            assert len(seen) >= least, "a read was stale"

    async def drive(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let time pass, inject faults, and let late things arrive, until every call has ended."""
        rng = self.rng
        for _ in range(3000):
            if all(task.done() for task in tasks):
                break
            if rng.random() < 0.25 and self.world.faults.planned < 3:
                fault = rng.choice(FAULTS)
                injection = self.world.faults.inject(fault, skip=rng.randrange(3))
                if fault in RELEASED:
                    self.late.append(injection)
            if rng.random() < 0.02:
                verb = rng.choice(["load", "current", "records"])
                self.world.faults.inject(Fault.BEFORE, verb=verb)
            if rng.random() < 0.05:
                rng.choice(tasks).cancel()
            if self.late and rng.random() < 0.3:
                self.late.pop(rng.randrange(len(self.late))).release()
            for future in list(PAUSES):
                if rng.random() < 0.5 and not future.done():
                    future.set_result(None)
            if rng.random() < 0.03:
                victim = rng.randrange(3)
                self.processes[victim] = self.world.process()
                self.everyone.append(self.processes[victim])
            await self.world.clock.advance(rng.choice([0, 0.001, 0.02, 0.3]))
        self.world.faults.clear()
        for injection in self.late:
            injection.release()
        for _ in range(200):
            for future in PAUSES:
                if not future.done():
                    future.set_result(None)
            await self.world.clock.advance(1)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def check_events(self, log: list[str]) -> None:
        """What was pushed has happened, and each process pushed it in order."""
        for process in self.everyone:
            last = (0, -1)
            for _, push in process.mailbox.pushes:
                if push.actor_id != self.actor_id or not isinstance(push.content, EventPush):
                    continue
                told: Any = push.content.args[0]
                call, position = told
                assert log[position - 1] == call, "an event tells what did not happen"
                assert (push.version, push.index) > last, "events are out of order"
                last = (push.version, push.index)

    def check_leaks(self) -> None:
        """Nothing is left of what has ended."""
        for process in self.everyone:
            runtime = process.runtime
            assert not runtime.effects._pending
            assert not runtime._tasks
            for cell in runtime.cells:
                assert cell.idle, "a cell is still in use"
                assert not cell.lock.locked()

    def check_lives(self) -> None:
        """What is said of a life fits together."""
        places = [(life, position) for life, _, position in self.lives]
        assert len(places) == len(set(places)), "two calls took one place"
        for life, position in places:
            assert position <= self.ends.get(life, position), "a life went on after its end"


@pytest.mark.parametrize("seed", range(60))
async def test_what_was_acknowledged_has_happened_once(seed: int) -> None:
    PAUSES.clear()
    PAID.clear()
    world = World(Ledger, Phoenix)
    world.faults.inner = NoGhosts(clock=world.clock)
    await world.store.__aenter__()
    run = Run(seed, world)
    await run.connect()
    tasks = [asyncio.create_task(run.call(n)) for n in range(40)]
    await run.drive(tasks)
    world.faults.clear()
    reader = asyncio.create_task(world.process().call("ledger", "calls"))
    other = asyncio.create_task(world.process().call("ledger", "calls", key="other"))
    command = ConnectionAction(run.actor_id, "c1", -1, "seen", [])
    viewer = asyncio.create_task(world.process().runtime.dispatch(command))
    while not (reader.done() and other.done() and viewer.done()):
        await world.clock.advance(1)
    await settle()
    log: list[str] = reader.result()
    assert len(log) == len(set(log)), "a call took effect twice"
    for call, (_, position) in run.answers.items():
        assert log[position - 1] == call, "an answer does not fit the state"
    for call in run.refused - run.unknown:
        assert call not in log, "a call that was refused took effect"
    for call in log:
        whole = call.removesuffix("-begun")
        assert whole in run.answers or whole in run.unknown
    for call, (name, position) in run.answers.items():
        assert name != "note_in_parts" or log[position - 2] == f"{call}-begun"
    seen: Any = viewer.result().output
    assert len(seen) == len(set(seen)), "a change of a connection took effect twice"
    assert set(run.sights) <= set(seen) <= run.maybe_seen
    assert all(seen[position - 1] == call for call, position in run.sights.items())
    # With a key, a store that fails between the payment and its record looks like a crash.
    for call in run.unkeyed:
        assert PAID.count(call) <= 1, "what is done once was done twice"
    run.check_events(log)
    run.check_lives()
    run.check_leaks()
    forwarded: list[str] = other.result()
    assert len(forwarded) == len(set(forwarded)), "a call between actors took effect twice"
    assert {c for c in run.answers if c.startswith("forward")} <= set(forwarded)
