"""One value a key, changed in every way a turn can change it; a log beside it: linearizable."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel

from rivetless import Actor, UserError, action
from rivetless.testing.simulation.checkers import linearizability
from rivetless.testing.simulation.checkers.models import Counter, Log
from rivetless.testing.simulation.history import Ok, Operation
from tests.simulation.workloads.base import Program, Workload


class Sum(BaseModel):
    value: int = 0


class Account(Actor[Sum]):
    """A number that is never below zero."""

    @action
    async def add(self, amount: int) -> int:
        """Read, change and commit at once."""
        if self.state.value + amount < 0:
            raise UserError("Not so much.", code="too_little")
        self.state.value += amount
        return self.state.value

    @action
    async def add_slowly(self, amount: int) -> int:
        """Read, wait for something else, write what was read."""
        before = self.state.value
        await asyncio.sleep(0.02)
        if before + amount < 0:
            raise UserError("Not so much.", code="too_little")
        self.state.value = before + amount
        return before + amount

    @action(exclusive=True)
    async def add_alone(self, amount: int) -> int:
        """The same, with the lease."""
        return await self.add_slowly(amount)

    @action
    async def add_afresh(self, amount: int) -> int:
        """Look again before changing anything."""
        await asyncio.sleep(0.005)
        await self.refresh()
        return await self.add(amount)

    @action
    async def get(self) -> int:
        """Answer the sum."""
        return self.state.value

    @action
    async def get_slowly(self) -> int:
        """Answer the sum after a while."""
        value = self.state.value
        await asyncio.sleep(0.1)
        return value


class Registers(Workload):
    """Adding, with waits in between, alone, and afresh."""

    name = "registers"
    share = 0.75
    actors = (Account,)
    ways: ClassVar = ("add", "add_slowly", "add_alone", "add_afresh")

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 4))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for _ in range(dice.randint(2, 5)):
            key = dice.choice("aab")
            if dice.random() < 0.3:
                await self.call(client, Account, key, dice.choice(("get", "get", "get_slowly")))
            else:
                amount = dice.choice((1, 2, 5, -1, -3))
                await self.call(client, Account, key, dice.choice(self.ways), amount)
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        for key in "ab":
            await self.call("end", Account, key, "get")
            linearizability.check(
                self.of(Account, key),
                Counter(
                    {**dict.fromkeys(self.ways, "add"), "get_slowly": "get"},
                    least=0,
                    refusal="user.too_little",
                ),
            )


class Entries(BaseModel):
    items: list[str] = []


class Ledger(Actor[Entries]):
    """A log of entries."""

    @action
    async def append(self, item: str) -> int:
        """Append one."""
        self.state.items.append(item)
        return len(self.state.items)

    @action
    async def append_twice(self, item: str) -> list[int]:
        """Append one, save, append another: two commits."""
        self.state.items.append(item)
        first = len(self.state.items)
        await self.save_state()
        self.state.items.append(f"{item}!")
        return [first, len(self.state.items)]

    @action
    async def read(self) -> list[str]:
        """Return all."""
        return self.state.items


class Ledgers(Workload):
    """Appending, in one commit or in two."""

    name = "ledgers"
    share = 0.75
    actors = (Ledger,)

    def programs(self) -> Iterable[Program]:
        return [self.client(f"c{n}") for n in range(self.between(2, 4))]

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(2, 4)):
            chance = dice.random()
            if chance < 0.25:
                await self.call(client, Ledger, "a", "read")
            elif chance < 0.7:
                await self.call(client, Ledger, "a", "append", f"{client}.{turn}")
            else:
                await self.call(client, Ledger, "a", "append_twice", f"{client}.{turn}")
            await self.pause(dice.random() * 0.3)

    async def check(self) -> None:
        items: list[str] = await self.read(Ledger, "a", "read")
        operations: list[Operation] = []
        for operation in self.of(Ledger, "a"):
            operations += _halves(operation)
        linearizability.check(operations, Log(final=items))
        for index, item in enumerate(items):
            if item.endswith("!"):
                self.must(item[:-1] in items[:index], f"{item} is there without what came before")


def _halves(operation: Operation) -> list[Operation]:
    """Take a call that commits twice for two calls, of which either may be the only one."""
    if operation.call != "append_twice":
        return [operation]
    (item,) = operation.args
    outcomes: list[Any] = [operation.outcome, operation.outcome]
    if isinstance(operation.outcome, Ok):
        outcomes = [Ok(number) for number in operation.value]  # type: ignore[attr-defined]
    return [
        replace(operation, call="append", args=(item,), outcome=outcomes[0]),
        replace(
            operation,
            number=operation.number + 1000,
            call="append",
            args=(f"{item}!",),
            outcome=outcomes[1],
        ),
    ]
