"""Calls that are repeated with one idempotency key: each takes effect once, all answers are one."""

import asyncio
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, action
from rivetless.testing.simulation.checkers import linearizability
from rivetless.testing.simulation.checkers.models import Log
from rivetless.testing.simulation.history import Ok, Refused
from tests.simulation.workloads.base import Program, Workload

MISMATCH = Refused("actor.idempotency_mismatch")

QUESTIONS = (
    ("one", "sell", "x", Ok(1)),
    ("one", "sell", "x", Ok(1)),
    ("one", "sell", "y", MISMATCH),
    ("one", "sell_slowly", "x", MISMATCH),
    ("other", "sell", "x", Ok(2)),
)
"""Who asks for what under one key, and the answer."""


class Tickets(BaseModel):
    sold: list[str] = []


class BoxOffice(Actor[Tickets]):
    """Sells numbered tickets."""

    @action
    async def sell(self, name: str) -> int:
        """Sell one; return its number."""
        self.state.sold.append(name)
        return len(self.state.sold)

    @action
    async def sell_slowly(self, name: str) -> int:
        """Sell one, after a wait."""
        number = len(self.state.sold) + 1
        await asyncio.sleep(0.02)
        self.state.sold.append(name)
        return number

    @action
    async def sold(self) -> list[str]:
        """Return the names."""
        return self.state.sold


class Repeats(Workload):
    """Each ticket is bought by calls with one key, one after the other and at the same time."""

    name = "repeats"
    actors = (BoxOffice,)

    def programs(self) -> Iterable[Program]:
        for n in range(self.between(2, 3)):
            yield self.client(f"c{n}", f"c{n}")
            if self.dice(f"twin {n}").random() < 0.5:
                yield self.client(f"c{n}", f"twin-of-c{n}")

    async def client(self, buyer: str, client: str) -> None:
        dice = self.dice(buyer)
        await self.pause(self.dice(client).random() * 0.05)
        for turn in range(dice.randint(1, 3)):
            name = f"{buyer}.{turn}"
            way = dice.choice(("sell", "sell", "sell_slowly"))
            pause = dice.random() * 0.3
            await self.call(client, BoxOffice, "a", way, name, idempotency_key=name, tries=3)
            await self.pause(pause)

    async def check(self) -> None:
        await self.check_twins()
        if self.dice("others").random() < 0.2:
            await self.check_others()

    async def check_others(self) -> None:
        """Use one key for another call, and as somebody else: neither gets the answer."""
        for who, way, name, answer in QUESTIONS:
            handle = self.sim.client.get_or_create(BoxOffice, "b", params={"who": who})
            handle = self.sim.client.with_options(handle, idempotency_key="k")
            outcome = await self.sim.attempt(getattr(handle, way)(name))
            self.must(outcome == answer, f"{who} was told {outcome} of {way}({name!r})")
        sold = await self.read(BoxOffice, "b", "sold")
        self.must(sold == ["x", "x"], f"{sold} were sold to two who have one key each")

    async def check_twins(self) -> None:
        """Look at what was bought by repeated calls."""
        sold = await self.read(BoxOffice, "a", "sold")
        self.must(len(set(sold)) == len(sold), f"sold twice: {sold}")
        answers: dict[str, object] = {}
        for operation in self.of(BoxOffice, "a"):
            if operation.call == "sold":
                continue
            name = str(operation.args[0])
            if operation.ok:
                self.must(
                    answers.setdefault(name, operation.value) == operation.value,
                    f"another answer to one key: {operation}, {answers[name]}",
                )
                self.must(
                    name in sold and sold.index(name) + 1 == operation.value,
                    f"sold, and not there: {operation}, {sold}",
                )
        refused = {
            str(one.args[0])
            for one in self.of(BoxOffice, "a")
            if one.call != "sold" and isinstance(one.outcome, Refused)
        }
        for name in refused - set(answers):
            twins = [one for one in self.of(BoxOffice, "a") if one.args == (name,)]
            if all(isinstance(one.outcome, Refused) for one in twins):
                self.must(name not in sold, f"refused and sold: {name}, {sold}")
        first: dict[str, object] = {}
        alone = [
            one
            for one in self.of(BoxOffice, "a")
            if one.call == "sold" or first.setdefault(str(one.args[0]), one) is one
        ]
        if len(first) == sum(one.call != "sold" for one in self.of(BoxOffice, "a")):
            # Nobody had a twin, so each key was one call.
            linearizability.check(
                alone, Log({"sell": "append", "sell_slowly": "append", "sold": "read"})
            )
