"""Accounts between which money moves, by calls and by queues; and callers who move it."""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel

from rivetless import Actor, Queue, action, setup

QUERY = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key="
URL = f"/gateway/account/action/{{action}}?{QUERY}{{key}}"


class Transfer(BaseModel):
    """Money on its way.

    Attributes:
        name: of which there is one.
        amount: how much.
    """

    name: str
    amount: int


class Books(BaseModel):
    """What an account keeps.

    Attributes:
        balance: the sum of all that follows.
        paid: names of what went out, in order.
        got: names of what came in, in order.
    """

    balance: int = 0
    paid: list[str] = []
    got: list[str] = []


class Account(Actor[Books]):
    """Pays others."""

    incoming = Queue[Transfer]()

    @action
    async def pay(self, to: str, transfer: Transfer) -> None:
        """Pay by a call, which has happened when this returns."""
        self._pay(transfer)
        await self.client.get_or_create(Account, to).receive(transfer)

    @action
    async def post(self, to: str, transfer: Transfer) -> None:
        """Pay by a message, which arrives some time later."""
        self._pay(transfer)
        await self.client.send(self.client.get_or_create(Account, to), Account.incoming, transfer)

    @action
    async def receive(self, transfer: Transfer) -> None:
        """Take money."""
        self._receive(transfer)

    @action
    async def books(self) -> Books:
        """Show what is kept."""
        return self.state

    async def run(self) -> None:
        async for message in self.queue.iter(self.incoming):
            self._receive(message.body)

    def _pay(self, transfer: Transfer) -> None:
        self.state.balance -= transfer.amount
        self.state.paid.append(transfer.name)

    def _receive(self, transfer: Transfer) -> None:
        self.state.balance += transfer.amount
        self.state.got.append(transfer.name)


registry = setup([Account])


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants.

    Attributes:
        name: of the transfer.
        payer: account.
        payee: account.
        amount: how much.
        action: ``pay`` or ``post``.
    """

    name: str
    payer: int
    payee: int
    amount: int
    action: str


class Bank:
    """Callers that repeat each order, with its key, until it is acknowledged.

    Attributes:
        done: orders that were acknowledged.
        tries: how many requests that took.
        refusals: how often which error was the answer.
    """

    def __init__(self, doors: Sequence[httpx.AsyncClient], accounts: int, seed: int) -> None:
        self._doors = doors
        self._accounts = accounts
        self._random = random.Random(seed)
        self._ends = False
        self.done: list[Order] = []
        self.tries = 0
        self.refusals: Counter[str] = Counter()

    def orders(self, count: int) -> list[Order]:
        """Draw some orders."""
        return [self._order(f"t{number}") for number in range(count)]

    def endless(self) -> Iterator[Order]:
        """Draw orders until ``end`` is called."""
        numbers = itertools.count()
        while not self._ends:
            yield self._order(f"t{next(numbers)}")

    def end(self) -> None:
        """Let callers finish what they have begun."""
        self._ends = True

    def _order(self, name: str) -> Order:
        draw = self._random
        payer, payee = draw.sample(range(self._accounts), 2)
        # Two that call each other wait for each other: calls go one way, messages both ways.
        actions = ("pay", "post") if payer < payee else ("post",)
        return Order(name, payer, payee, draw.randrange(1, 100), draw.choice(actions))

    async def carry_out(self, orders: Iterable[Order], callers: int) -> None:
        """Carry orders out, some at a time."""
        waiting = iter(orders)

        async def call(number: int) -> None:
            for order in waiting:
                await self._insist(number, order)
                self.done.append(order)

        await asyncio.gather(*map(call, range(callers)))

    async def _insist(self, number: int, order: Order) -> None:
        args = [f"a{order.payee}", {"name": order.name, "amount": order.amount}]
        url = URL.format(action=order.action, key=f"a{order.payer}")
        for door in itertools.count(number):
            self.tries += 1
            with contextlib.suppress(httpx.TransportError):
                answer = await self._doors[door % len(self._doors)].post(
                    url, json={"args": args}, headers={"idempotency-key": order.name}
                )
                if answer.status_code == 200:
                    return
                self.refusals[answer.json()["code"]] += 1
                assert answer.status_code in (500, 503, 504), answer.text
        raise AssertionError("the doors are endless")

    async def books(self) -> list[Books]:
        """Read all accounts."""
        answers = await asyncio.gather(
            *(
                self._doors[number % len(self._doors)].post(
                    URL.format(action="books", key=f"a{number}"), json={"args": []}
                )
                for number in range(self._accounts)
            )
        )
        assert all(answer.status_code == 200 for answer in answers), answers[0].text
        return [Books.model_validate(answer.json()["output"]) for answer in answers]

    async def settled(self) -> list[Books]:
        """Wait until what was posted has arrived; return the books, right or not."""
        for _ in range(600):
            books = await self.books()
            if sum(len(book.got) for book in books) >= len(self.done):
                break
            await asyncio.sleep(0.1)
        return books

    async def check(self) -> None:
        """Fail unless every order was carried out exactly once, on both sides, and adds up."""
        books = await self.settled()
        for number, book in enumerate(books):
            paid = [order for order in self.done if order.payer == number]
            got = [order for order in self.done if order.payee == number]
            assert sorted(book.paid) == sorted(order.name for order in paid)
            assert sorted(book.got) == sorted(order.name for order in got)
            balance = sum(order.amount for order in got) - sum(order.amount for order in paid)
            assert book.balance == balance
        assert sum(book.balance for book in books) == 0
