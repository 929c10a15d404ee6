"""``Simulation``: what a simulated test has in hand."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rivetless.client.client import Client
from rivetless.client.local import LocalTransport
from rivetless.client.retry import RetryPolicy
from rivetless.errors import ActorError
from rivetless.frozen import frozen
from rivetless.gateway.outbox import Tasks
from rivetless.testing.simulation.bells import BellQueue
from rivetless.testing.simulation.checkers.liveness import drained
from rivetless.testing.simulation.choices import Choices, Draw, Plan
from rivetless.testing.simulation.clients import CLIENT, Entrance, SimDispatcher
from rivetless.testing.simulation.clock import DRIFT, SKEW, SimClock
from rivetless.testing.simulation.front import Front, Holder
from rivetless.testing.simulation.history import History, Ok, Outcome, Refused
from rivetless.testing.simulation.loop import SimLoop
from rivetless.testing.simulation.network import Network
from rivetless.testing.simulation.outcomes import is_fault, outcome_of
from rivetless.testing.simulation.outside import Outside
from rivetless.testing.simulation.process import Process
from rivetless.testing.simulation.recorder import Recorder
from rivetless.testing.simulation.remains import Remains
from rivetless.testing.simulation.stores import StoreKind, open_backend
from rivetless.testing.simulation.trace import Trace
from rivetless.testing.simulation.weather import RATES, Fault, Weather
from rivetless.testing.simulation.world import World

if TYPE_CHECKING:
    from rivetless.actor.base import Actor
    from rivetless.actor.definition import ActorDefinition
    from rivetless.client.calls import FetchResponse

__all__ = ["Deployment", "Simulation"]

T = TypeVar("T")

SETTLING: Final = 40.0
"""Virtual seconds that pass after the faults have stopped, before it is looked whether all drained.

The sweeper passes by in it, and hosts that died count as dead.
"""

PATIENCE: Final = 900.0
"""Virtual seconds after which what has not drained never will."""

_RUNNING: Final[ContextVar[Simulation | None]] = ContextVar("rivetless simulation", default=None)


@frozen(kw_only=True)
class Deployment:
    """What is simulated.

    Attributes:
        actors: the actor classes that are served.
        older: the classes that the version before had, where deploys mix two versions.
        processes: how many processes there are.
        resident: whether they stay between commands, as servers do, or are like functions; None
            for a choice of each seed.
        faults: how often what goes wrong, in a seed that has the fault at all.
        namespace: of ``Simulation.client``.
        api_gateway: whether the sockets of functions are held by API Gateway, with all that comes
            between the two of them, instead of by something simpler.
    """

    actors: Sequence[type[Actor[Any, Any, Any]]]
    older: Sequence[type[Actor[Any, Any, Any]]] = ()
    processes: int = 3
    resident: bool | None = None
    faults: Mapping[Fault, float] = field(default_factory=lambda: RATES)
    namespace: str = "default"
    api_gateway: bool = False


class Simulation:
    """Some processes on one store, clients that call them, and everything that can go wrong.

    Nothing goes wrong until ``run`` or ``start`` is called, and after ``calm`` nothing does any
    more. Tests do not make one: ``simulate`` gives it to them.

    Args:
        plan: the seed.
        deployment: what is simulated.
        store: on what kind of store.
        loop: in whose time.

    Attributes:
        client: calls the actors. It never tries again by itself, so that its errors say what the
            deployment answered.
        outside: what actors call that is not ours.
        history: what has happened, for checkers.
        random: chance for the test itself, the same in every run of the seed.
        seed: which schedule this is.
        front: who holds the sockets of processes that do not stay.
    """

    client: Client

    def __init__(self, plan: Plan, deployment: Deployment, store: StoreKind, loop: SimLoop) -> None:
        choices = Choices(plan)
        clock = SimClock(loop)
        trace = Trace(loop.time)
        history = History(loop.time)
        weather = Weather.of(choices, deployment.faults)
        weather.calm = True
        network = Network(loop, choices, weather, trace)
        self.world: Final = World(
            loop=loop,
            clock=clock,
            choices=choices,
            weather=weather,
            trace=trace,
            history=history,
            network=network,
            backend=open_backend(store, clock, choices, weather, network, Recorder(history, trace)),
            processes=[],
            tasks=Tasks(),
        )
        self.deployment: Final = deployment
        self.seed: Final = plan.seed
        self.history: Final = history
        self.outside: Final = Outside(self.world)
        self.random: Final[random.Random] = choices.random("test")
        self._entrance = Entrance(self.world)
        self.front: Final = self._choose_front()
        self._queue = BellQueue(self.world, self._entrance)
        self._remains = Remains(self.world.backend, deployment.actors, deployment.namespace)
        self._resident = self._choose_resident(store)
        self._started: list[asyncio.Task[Outcome]] = []
        self._playing: dict[str, asyncio.Task[Outcome]] = {}
        self._replacing: set[asyncio.Task[None]] = set()
        self._clients = 0
        self._closing = False
        loop.blocked = self.waiting

    @staticmethod
    def current() -> Simulation:
        """Return the simulation in which the calling code runs, be it a test's or an actor's.

        Raises:
            LookupError: it runs in none.
        """
        running = _RUNNING.get()
        if running is None:
            raise LookupError("no simulation is running here")
        return running

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.world.loop.time()

    # -- calling ----------------------------------------------------------------------------------

    def new_client(self, *, retries: RetryPolicy | None = None) -> Client:
        """Return another client.

        Args:
            retries: when it tries again by itself; never by default.
        """
        world = self.world
        front = None if self._resident else self.front
        dispatcher = SimDispatcher(self._entrance, world, front, self.deployment.namespace)
        return Client(
            transport=LocalTransport(dispatcher),
            retries=retries,
            clock=world.clock,
            rng=world.choices.random(f"client {world.choices.next('clients')}"),
        )

    async def request(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> FetchResponse:
        """Make any HTTP request to a server, as somebody does who has no client of ours.

        It is not written down in the history.

        Args:
            method: HTTP method.
            url: path and query, percent-encoded.
            headers: of the request.
            body: of the request.

        Raises:
            ActorError: ``client.connection_failed``, ``client.answer_lost``.
        """
        return await self._entrance.fetch(method, url, headers, body)

    async def attempt(self, call: Awaitable[object]) -> Outcome:
        """Wait for a call and return what its caller may conclude, instead of an error."""
        try:
            return Ok(await call)
        except ActorError as error:
            return outcome_of(error)

    def start(self, program: Coroutine[Any, Any, object]) -> asyncio.Task[Outcome]:
        """Begin what one client does, with faults from now on; ``calm`` waits for its end.

        A program that ends in an error that faults lead to has just ended: clients give up.
        """
        self.world.weather.calm = False
        self._clients += 1
        name = f"c{self._clients}"
        context = contextvars.copy_context()
        context.run(CLIENT.set, name)
        task = self.world.loop.create_task(self._play(name, program), context=context)
        self._started.append(task)
        self._playing[name] = task
        return task

    async def _play(self, name: str, program: Coroutine[Any, Any, object]) -> Outcome:
        if name in self.world.choices.plan.skipped:
            program.close()
            return Refused("skipped")
        try:
            return Ok(await program)
        except ActorError as error:
            if not is_fault(error):
                raise
            return outcome_of(error)

    async def run(self, *programs: Coroutine[Any, Any, object]) -> list[Outcome]:
        """Run what several clients do at once, with faults; return how each has ended.

        A program that ends in an error that faults lead to has just ended: clients give up. Any
        other error fails the test.
        """
        return list(await asyncio.gather(*map(self.start, programs)))

    def waiting(self) -> str:
        """Say which clients have not come to their end."""
        names = [name for name, task in self._playing.items() if not task.done()]
        return f"These clients have not ended: {', '.join(names)}." if names else ""

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    # -- the end of all faults --------------------------------------------------------------------

    async def calm(self, seconds: float = SETTLING) -> None:
        """Stop all faults, and wait until everything is done that somebody is owed.

        Args:
            seconds: virtual time that passes at least.

        Raises:
            Violation: something is left that never drains.
        """
        world = self.world
        world.weather.calm = True
        for process in world.processes:
            process.vitality.thaw()
        while self._replacing:
            await asyncio.wait(list(self._replacing))
        started, self._started = self._started, []
        await asyncio.gather(*started)
        await asyncio.sleep(seconds)
        end = self.now + PATIENCE
        pause = 1.0
        while await self._remains.due(world.clock.now()) or world.network.under_way:
            if self.now > end:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)
        drained(await self._remains.rests(world.clock.now()), world.clock.now())

    # -- processes --------------------------------------------------------------------------------

    def _choose_resident(self, store: StoreKind) -> bool:
        chosen = self.deployment.resident
        if chosen is not None:
            return chosen
        # Functions on a file there are none; elsewhere both are worth as much.
        return store == "sqlite" or self.world.choices.draw("resident").whether < 0.5

    def _choose_front(self) -> Holder:
        if not self.deployment.api_gateway:
            return Front(self.world, self._entrance)
        from rivetless.testing.simulation.api import ApiGateway

        return ApiGateway(self.world, self._entrance)

    async def open(self) -> None:
        """Begin: open the store, start the processes."""
        _RUNNING.set(self)
        await self.world.backend.open()
        for slot in range(self.deployment.processes):
            self.world.processes.append(await self._launch(slot, 0))
        if not self._resident:
            self._queue.start()
        self.world.begin(self._fail_store())
        self.client = self.new_client()

    async def _fail_store(self) -> None:
        """Have an outage of the store, if this seed has one."""
        world = self.world
        draw = world.choices.draw("store outage")
        rate = world.weather.rates.get(Fault.OUTAGE, 0.0)
        if draw.whether < rate and world.choices.allows(draw.id):
            await asyncio.sleep(0.005 * 200.0**draw.first)
            if not world.weather.calm:
                world.network.fail(draw.id, 0.02 * 200.0**draw.second)

    async def _launch(self, slot: int, generation: int) -> Process:
        """Start a process."""
        world = self.world
        name = f"p{slot + 1}" if not generation else f"p{slot + 1}.{generation}"
        draw = world.choices.draw(f"{name} start")
        skew = 0.0
        rate = world.weather.rates.get(Fault.SKEWED, 0.0)
        if draw.whether < rate and world.choices.allows(draw.id):
            skew = (2 * draw.first - 1) * SKEW
            world.network.note(Fault.SKEWED, draw.id, name, f"by {skew:+.3f} s")
        drift = 0.0
        drifts = world.choices.draw(f"{name} drift")
        rate = world.weather.rates.get(Fault.DRIFTED, 0.0)
        if drifts.whether < rate and world.choices.allows(drifts.id):
            drift = (2 * drifts.first - 1) * DRIFT
            world.network.note(Fault.DRIFTED, drifts.id, name, f"by {1000 * drift:+.2f} ms a s")
        process = Process(
            name,
            world,
            self._definitions(name, draw.second),
            queue=None if self._resident else self._queue,
            front=self.front,
            skew=skew,
            drift=drift,
        )
        await process.start()
        process.vitality.at_death(lambda: self._died(slot, generation, process))
        rate = world.weather.rates.get(Fault.DEPLOYED, 0.0)
        draw = world.choices.draw(f"{name} deploy")
        if draw.whether < rate and world.choices.allows(draw.id):
            world.begin(self._deploy(process, draw))
        world.begin(self._set_clock(process))
        return process

    async def _set_clock(self, process: Process) -> None:
        """Put a process's clock forward and back, now and then, if this seed has that."""
        world = self.world
        rate = world.weather.rates.get(Fault.JUMPED, 0.0)
        while True:
            draw = world.choices.draw(f"{process.name} jump")
            if draw.whether >= rate:
                return
            await asyncio.sleep(0.02 * 300.0**draw.first)
            if world.weather.calm or not process.alive:
                return
            if world.choices.allows(draw.id):
                ahead = (2 * draw.second - 1) * SKEW
                by = ahead - process.clock.ahead
                world.network.note(Fault.JUMPED, draw.id, process.name, f"by {by:+.3f} s")
                process.clock.jump(ahead)

    async def _deploy(self, process: Process, draw: Draw) -> None:
        """End a process after a while, as a deploy does, and have it replaced."""
        world = self.world
        await asyncio.sleep(0.02 * 100.0**draw.first)
        if world.weather.calm or not process.alive:
            return
        world.network.note(Fault.DEPLOYED, draw.id, process.name, "")
        await process.stop()
        process.vitality.die()

    def _definitions(self, name: str, chance: float) -> dict[str, ActorDefinition]:
        served = self.deployment.actors
        if self.deployment.older:
            version = "older" if chance < 0.5 else "newer"
            self.world.trace.add(name, "has the %s version", version)
            served = self.deployment.older if version == "older" else served
        return {actor.__definition__.name: actor.__definition__ for actor in served}

    def _died(self, slot: int, generation: int, process: Process) -> None:
        """Have a process that died replaced after a while."""
        if self._closing:
            return
        self.world.trace.add(process.name, "dies" if process.open else "ends")
        task = self.world.loop.create_task(self._replace(slot, generation + 1))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, slot: int, generation: int) -> None:
        draw = self.world.choices.draw(f"p{slot + 1} replacement")
        await asyncio.sleep(0.05 * 100.0**draw.first)
        process = await self._launch(slot, generation)
        self.world.processes[slot] = process
        self.world.trace.add(process.name, "starts")

    async def close(self) -> None:
        """End: nothing that is still under way has any effect."""
        self._closing = True
        self.world.network.ended = True
        for process in self.world.processes:
            process.vitality.die()
        await self.world.backend.close()
