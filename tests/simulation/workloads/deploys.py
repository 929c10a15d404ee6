"""Two versions of the code at once: the newer writes what the older one must not forget."""

from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.simulation.checkers import linearizability, queues
from rivetless.testing.simulation.checkers.models import Counter
from rivetless.testing.simulation.history import Operation
from tests.simulation.workloads.base import Program, Workload


class OldStock(BaseModel):
    count: int = 0
    taken: list[str] = []


class Stock(BaseModel):
    count: int = 0
    taken: list[str] = []


class OldStore(Actor[OldStock], name="warehouse"):
    """Counts, as the version before did."""

    orders = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.orders):
            self.state.taken.append(message.body)

    @action
    async def add(self, amount: int) -> int:
        """Add."""
        self.state.count += amount
        return self.state.count

    @action
    async def get(self) -> int:
        """Answer the sum."""
        return self.state.count

    @action
    async def taken(self) -> list[str]:
        """Return the orders."""
        return self.state.taken


class Warehouse(Actor[Stock], name="warehouse"):
    """Counts, and can do more."""

    orders = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.orders):
            self.state.taken = [*self.state.taken, message.body]

    @action
    async def add(self, amount: int) -> int:
        """Add, in another way."""
        self.state = self.state.model_copy(update={"count": self.state.count + amount})
        return self.state.count

    @action
    async def get(self) -> int:
        """Answer the sum."""
        return self.state.count

    @action
    async def taken(self) -> list[str]:
        """Return the orders."""
        return self.state.taken


class Deploys(Workload):
    """Clients that know nothing of versions."""

    name = "deploys"
    actors = (Warehouse,)
    older = (OldStore,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 5)):
            way = dice.choices(("add", "get", "send"), (3, 1, 2))[0]
            if way == "send":
                order = f"{client}.{turn}"
                await self.send(client, Warehouse, "a", Warehouse.orders, order)
            elif way == "add":
                await self.call(client, Warehouse, "a", "add", dice.choice((1, 2, 5)))
            else:
                await self.call(client, Warehouse, "a", "get")
            await self.pause(dice.random() * 0.6)

    async def check(self) -> None:
        taken = await self.read(Warehouse, "a", "taken")
        operations = self.of(Warehouse, "a")
        sends = [one for one in operations if one.call == "enqueue"]
        queues.conserved(sends, taken, message=_body)
        queues.first_in_first_out(sends, taken, message=_body)
        linearizability.check([one for one in operations if one.call in ("add", "get")], Counter())


def _body(operation: Operation) -> str:
    return str(operation.args[1])
