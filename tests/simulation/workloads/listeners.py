"""Subscriptions that come and go: in the end those listen who wish to, and nobody else."""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from rivetless import Actor, ActorError, Event, action
from rivetless.testing.simulation.simulation import Deployment
from tests.simulation.workloads.base import Program, Workload

LAST = "the end"


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
        return super().deployment(resident=True)

    def programs(self) -> Iterable[Program]:
        self.stack = AsyncExitStack()
        self.wishes: dict[str, bool] = {}
        self.open: dict[str, Any] = {}
        self.hearing: set[str] = set()
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
                stop = conn.on(Hall.said, partial(self._hear, client))
            else:
                stop()
                stop = None
            self.wishes[client] = stop is not None
            if dice.random() < 0.3:
                with suppress(ActorError):
                    await conn.actor.say(client)
            await self.pause(dice.random() ** 3 * 4.0)

    def _hear(self, client: str, text: str) -> None:
        if text == LAST:
            self.hearing.add(client)

    async def check(self) -> None:
        for conn in self.open.values():
            await conn.ready()
        # Whoever was only let in now says what it listens to, which takes a moment.
        await self.pause(5.0)
        await self.read(Hall, "a", "say", LAST)
        await self.pause(5.0)
        wishing = {client for client, wish in self.wishes.items() if wish}
        self.must(self.hearing == wishing, f"{wishing} wish to hear, and {self.hearing} do")
