"""Subscriptions that come and go: in the end those listen who wish to, and nobody else."""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from rivetless import Actor, ActorError, Event, action
from rivetless.testing.simulation.simulation import Deployment
from rivetless.testing.simulation.weather import RATES, Fault
from tests.simulation.workloads.base import Program, Workload

LAST = "the end"

# What a process does that is late to learn that others took it for dead is told elsewhere.
LEFT_OUT = {Fault.DEPLOYED, Fault.FROZE_BEFORE, Fault.FROZE_AFTER}


class Hall(Actor[None]):
    """Tells those who listen."""

    said = Event[str]()

    @action
    async def say(self, text: str) -> None:
        """Say something."""
        self.broadcast(self.said, text)


class Listeners(Workload):
    """Clients that begin to listen and cease to, over and over, on connections that stay."""

    name = "listeners"
    actors = (Hall,)
    share = 0.25

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        # Where processes do not stay, frames may overtake each other; that is told elsewhere.
        faults = {fault: rate for fault, rate in RATES.items() if fault not in LEFT_OUT}
        return replace(super().deployment(resident=True), faults=faults)

    def programs(self) -> Iterable[Program]:
        self.stack = AsyncExitStack()
        self.wishes: dict[str, bool] = {}
        self.open: dict[str, Any] = {}
        for n in range(1, self.between(2, 4) + 1):
            yield self.listener(f"c{n}")

    async def listener(self, client: str) -> None:
        dice = self.dice(client)
        hall = self.sim.client.get_or_create(Hall, "a")
        conn = await self.stack.enter_async_context(self.sim.client.connect(hall))
        self.open[client] = conn
        stop: Callable[[], None] | None = None
        for _ in range(dice.randint(4, 9)):
            if stop is None:
                stop = conn.on(Hall.said, lambda text: None)
            else:
                stop()
                stop = None
            self.wishes[client] = stop is not None
            if dice.random() < 0.3:
                with suppress(ActorError):
                    await conn.actor.say(client)
            await self.pause(dice.random() ** 3 * 4.0)

    async def check(self) -> None:
        for conn in self.open.values():
            await conn.ready()
        begun = self.sim.now
        await self.read(Hall, "a", "say", LAST)
        await self.pause(5.0)
        hearing = {
            event.client
            for event in self.sim.history.events
            if event.at >= begun and event.args == (LAST,)
        }
        wishing = {client for client, wish in self.wishes.items() if wish}
        self.must(hearing == wishing, f"{wishing} wish to hear, and {hearing} do")
