"""Many senders in many processes: the numbers of messages are contended."""

from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.simulation.checkers import queues
from rivetless.testing.simulation.simulation import Deployment
from tests.simulation.workloads.base import Program, Workload


class Taken(BaseModel):
    bodies: list[str] = []


class Box(Actor[Taken]):
    """Has a queue, and nobody who works it off before he is asked to."""

    letters = Queue[str]()

    @action
    async def empty(self) -> list[str]:
        """Take what is there; return all that was taken so far."""
        found = await self.queue.try_next_batch(self.letters, count=100)
        self.state.bodies += [message.body for message in found]
        return self.state.bodies


class Crowds(Workload):
    """Everybody sends at once, as fast as they can."""

    name = "crowds"
    actors = (Box,)
    processes = 8
    share = 0.1

    @classmethod
    def deployment(cls, *, resident: bool | None = None) -> Deployment:
        # Functions, since many processes that stay have much to tell each other.
        return super().deployment(resident=False)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.processes)]

    async def client(self, client: str) -> None:
        for turn in range(3):
            await self.send(client, Box, "a", Box.letters, f"{client}.{turn}")

    async def check(self) -> None:
        taken: list[str] = await self.read(Box, "a", "empty")
        sends = self.calls("enqueue")
        queues.conserved(sends, taken, message=lambda one: str(one.args[1]))
        queues.first_in_first_out(sends, taken, message=lambda one: str(one.args[1]))
