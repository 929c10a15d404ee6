"""Calls between actors, circles among them: a re-run repeats no call."""

import asyncio
from collections.abc import Iterable

from pydantic import BaseModel

from rivetless import Actor, UserError, action
from rivetless.testing.simulation.history import Refused
from tests.simulation.workloads.base import Program, Workload

BANK = "bank"


class Book(BaseModel):
    entries: list[tuple[str, int]] = []
    heard: list[list[str]] = []


class Vault(Actor[Book]):
    """Books what is put in and taken out."""

    @action
    async def book(self, transfer: str, amount: int) -> int:
        """Book an amount."""
        self.state.entries.append((transfer, amount))
        return sum(amount for _, amount in self.state.entries)

    @action
    async def book_through(self, transfer: str, amount: int, teller: str) -> int:
        """Book an amount, and tell the teller: a circle, as the teller is calling."""
        await self.client.get_or_create(Teller, teller).note(transfer)
        return await self.book(transfer, amount)

    @action
    async def entries(self) -> list[tuple[str, int]]:
        """Return all."""
        return self.state.entries

    @action
    async def hear(self, opened: list[str]) -> int:
        """Remember what a teller says of itself."""
        self.state.heard.append(opened)
        return len(self.state.heard)

    @action
    async def heard(self) -> list[list[str]]:
        """Return what tellers have said."""
        return self.state.heard


class Desk(BaseModel):
    done: list[str] = []
    noted: list[str] = []
    opened: list[str] = []


class Teller(Actor[Desk]):
    """Moves amounts from vault to vault."""

    @action
    async def transfer(self, transfer: str, amount: int, circle: bool, fails: bool) -> list[int]:
        """Take from one, put into the other, remember."""
        left = self.client.get_or_create(Vault, "left")
        right = self.client.get_or_create(Vault, "right")
        self.state.done.append(transfer)
        taken = await left.book(transfer, -amount)
        await asyncio.sleep(0.003)
        if circle:
            put = await right.book_through(transfer, amount, self.key[0])
        else:
            put = await right.book(transfer, amount)
        if fails:
            raise UserError("Changed my mind.", code="no")
        return [taken, put]

    @action
    async def note(self, transfer: str) -> None:
        """Note something: called by those whom a transfer calls."""
        self.state.noted.append(transfer)

    @action
    async def open(self, account: str) -> int:
        """Open an account."""
        self.state.opened.append(account)
        return len(self.state.opened)

    @action
    async def report(self) -> int:
        """Tell a vault which accounts there are."""
        opened = list(self.state.opened)
        return await self.client.get_or_create(Vault, "reports").hear(opened)

    @action
    async def desk(self) -> Desk:
        """Return what was done."""
        return self.state


class Banks(Workload):
    """Transfers by two tellers between two vaults, some of them in circles."""

    name = "banks"
    actors = (Vault, Teller)

    def programs(self) -> Iterable[Program]:
        if self.dice("reports").random() < 0.12:
            return [self.reporter(f"r{n}") for n in range(6)]
        return [self.client(f"c{n}") for n in range(self.between(2, 3))]

    async def reporter(self, client: str) -> None:
        """Have accounts opened and reported, while others do so."""
        for turn in range(3):
            await self.call(client, Teller, "u", "open", f"{client}.{turn}")
            await self.call(client, Teller, "u", "report")

    async def client(self, client: str) -> None:
        dice = self.dice(client)
        for turn in range(dice.randint(1, 3)):
            transfer, teller = f"{client}.{turn}", dice.choice("st")
            circle, fails = dice.random() < 0.4, dice.random() < 0.15
            await self.call(client, Teller, teller, "transfer", transfer, 2**turn, circle, fails)
            await self.pause(dice.random() * 0.4)

    async def check(self) -> None:
        if self.calls("report"):
            opened = (await self.read(Teller, "u", "desk")).opened
            for heard in await self.read(Vault, "reports", "heard"):
                # What a call carries was durable before it left.
                self.must(heard == opened[: len(heard)], f"{heard} were reported of {opened}")
        left = await self.read(Vault, "left", "entries")
        right = await self.read(Vault, "right", "entries")
        desks = {key: await self.read(Teller, key, "desk") for key in "st"}
        for operation in self.calls("transfer"):
            transfer, amount, circle, fails = operation.args
            desk = desks[operation.actor.key[0]]
            where = f"{operation}: left {left}, right {right}, desk {desk}"
            taken = left.count((transfer, -int(str(amount))))
            put = right.count((transfer, int(str(amount))))
            done, noted = desk.done.count(transfer), desk.noted.count(transfer)
            self.must(max(taken, put, done, noted) <= 1, f"done twice: {where}")
            self.must(put <= taken, f"put and not taken: {where}")
            if operation.ok:
                self.must(taken == put == done == 1, f"not done: {where}")
                self.must(noted == int(bool(circle)), f"not noted: {where}")
            elif isinstance(operation.outcome, Refused) and not fails:
                self.must(done == 0, f"refused and done: {where}")
            if fails:
                self.must(done == 0, f"failed and kept: {where}")
        known = {operation.args[0] for operation in self.calls("transfer")}
        self.must({one for one, _ in [*left, *right]} <= known, "nobody asked for that")
