"""Many calls at once to few actors: turns that commit together, of which some are refused."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from pydantic import BaseModel

from rivetless import Actor, Queue, action
from rivetless.testing.simulation.checkers import queues
from rivetless.testing.simulation.history import Operation
from tests.simulation.workloads.base import Program, Workload

BRANCHES = ("east", "west")


class Ledger(BaseModel):
    paid: list[str] = []
    credited: list[str] = []


class Branch(Actor[Ledger]):
    """Pays to the other branch, and is paid to."""

    credits = Queue[str]()

    async def run(self) -> None:
        async for message in self.queue.iter():
            self.state.credited.append(str(message.body))

    @action
    async def pay(self, payment: str) -> int:
        """Pay to the other branch, with this commit."""
        (other,) = (name for name in BRANCHES if name != self.key[0])
        await self.client.send(self.client.get_or_create(Branch, other), Branch.credits, payment)
        self.state.paid.append(payment)
        return len(self.state.paid)

    @action
    async def look_again(self) -> int:
        """Read what is newest."""
        await self.refresh()
        return len(self.state.paid)

    @action
    async def ledger(self) -> Ledger:
        """Return everything."""
        return self.state


class Branches(Workload):
    """Bursts of payments and of messages that arrive twice."""

    name = "branches"
    actors = (Branch,)
    processes = 2
    share = 0.05

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 4)):
            branch = dice.choice((*BRANCHES, BRANCHES[0]))
            burst: list[Program] = []
            for number in range(dice.randint(2, 5)):
                payment = f"{client}.{turn}.{number}"
                way = dice.choices(("pay", "send", "look_again", "ledger"), (5, 4, 1, 1))[0]
                if way == "pay":
                    key = payment if dice.random() < 0.5 else None
                    tries = 3 if key else 1
                    burst.append(
                        self.call(
                            client, Branch, branch, way, payment, idempotency_key=key, tries=tries
                        )
                    )
                elif way == "send":
                    # As whoever has not heard of an answer does, here without waiting for long.
                    burst += [self._sends(client, branch, payment, wait) for wait in (0.0, 0.004)]
                else:
                    burst.append(self.call(client, Branch, branch, way))
            await asyncio.gather(*burst)
            await self.pause(dice.random() * 0.05)

    async def _sends(self, client: str, branch: str, payment: str, wait: float) -> None:
        await self.pause(wait)
        key = f"k{payment}"
        await self.send(
            client, Branch, branch, Branch.credits, payment, idempotency_key=key, tries=3
        )

    async def check(self) -> None:
        ledgers: dict[str, Ledger] = {
            name: await self.read(Branch, name, "ledger") for name in BRANCHES
        }
        for name, ledger in ledgers.items():
            (other,) = (each for each in BRANCHES if each != name)
            pays = [one for one in self.of(Branch, name) if one.call == "pay"]
            queues.conserved(pays, ledger.paid)
            sends = [one for one in self.of(Branch, name) if one.call == "enqueue"]
            paid = [
                replace(one, call="enqueue", args=(Branch.credits.name, *one.args))
                for one in self.of(Branch, other)
                if one.call == "pay"
            ]
            queues.conserved([*sends, *paid], ledger.credited, message=_body)
            sent = [one for one in ledgers[other].paid if one not in ledger.credited]
            self.must(not sent, f"paid and not credited: {sent}")
            expected = {*ledgers[other].paid, *map(_body, sends)}
            self.must(set(ledger.credited) <= expected, f"credited and not paid: {ledger}")


def _body(operation: Operation) -> str:
    return str(operation.args[1])
