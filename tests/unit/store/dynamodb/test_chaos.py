"""Whole actors over a DynamoDB that fails at random, in all the ways that a network has.

Faults are injected between the store and ministack: requests that never leave, refusals for want of
capacity, transactions that meet others, errors before and after the work, answers that are lost,
requests that arrive after their sender has given up, or twice.
"""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from typing import cast

import pytest

from rivetless import Actor, ActorError, action
from rivetless.aws.choice import choose_client
from rivetless.aws.client import AnswerLost, CallError, Client, NotSent, Payload, ServiceError
from rivetless.aws.services import DYNAMODB
from rivetless.clock import SystemClock
from rivetless.keys import Address
from rivetless.runtime.commands import ByKey, CallAction, Origin
from rivetless.runtime.runtime import Runtime
from rivetless.store.dynamodb import DynamoDBStore
from tests.ministack import make_table
from tests.processes.zygote import FastClock
from tests.unit.aws.scripted import ScriptedClient

pytestmark = [pytest.mark.aws, pytest.mark.timeout(120)]

SPEED = 20.0
PROCESSES, CALLERS, CALLS = 3, 4, 5
FAULTS = 0.5


class Book(Actor[list[str]]):
    """Keeps what it is given, in its state and beside it."""

    async def create_state(self) -> list[str]:
        return []

    @action
    async def note(self, line: str) -> int:
        self.state.append(line)
        return len(self.state)

    @action
    async def note_twice(self, line: str) -> int:
        self.state.append(line)
        await self.kv.put(line, "x")
        return len(self.state)

    @action
    async def read(self) -> tuple[list[str], list[str]]:
        return self.state, [key for key, _ in await self.kv.list()]


def service(code: str, status: int = 400) -> ServiceError:
    return ServiceError(code, status, "injected", {})


class Chaos(ScriptedClient):
    """Fails half of all calls.

    Args:
        behind: who really answers.
        rng: decides.
    """

    def __init__(self, behind: Client, rng: random.Random) -> None:
        super().__init__(behind=behind)
        self._behind = behind
        self._rng = rng
        self._late: set[asyncio.Task[None]] = set()
        self.faults = 0

    async def call(self, operation: str, payload: Payload) -> Payload:
        if self._rng.random() >= FAULTS:
            return await self._behind.call(operation, payload)
        self.faults += 1
        match self._rng.randrange(8):
            case 0:
                raise NotSent("injected")
            case 1:
                raise service("ProvisionedThroughputExceededException")
            case 2 if operation == "TransactWriteItems":
                reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
                body = {"CancellationReasons": reasons}
                raise ServiceError("TransactionCanceledException", 400, "injected", body)
            case 2:
                raise service("TransactionConflictException")
            case 3:
                raise service("InternalServerError", 500)
            case 4:
                await self._behind.call(operation, payload)
                raise service("ServiceUnavailable", 503)
            case 5:
                await self._behind.call(operation, payload)
                raise AnswerLost("injected")
            case 6:
                self._arrive_later(operation, payload)
                raise AnswerLost("injected")
            case _:
                first = await self._behind.call(operation, payload)
                self._arrive_later(operation, payload)
                return first

    def _arrive_later(self, operation: str, payload: Payload) -> None:
        async def arrive() -> None:
            await asyncio.wait({asyncio.ensure_future(self.pause())})
            try:
                await self._behind.call(operation, payload)
            except CallError:
                return  # refused, mostly: nobody hears of it

        task = asyncio.ensure_future(arrive())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def pause(self) -> None:
        """Let others go first: make some requests that change nothing."""
        for _ in range(self._rng.randrange(6)):
            await self._behind.call("ListTables", {})

    async def settle(self) -> None:
        """Wait for what is still on its way."""
        while self._late:
            await asyncio.wait(self._late)


@pytest.mark.parametrize("seed", range(int(os.environ.get("RIVETLESS_CHAOS_SEEDS", "4"))))
async def test_what_was_acknowledged_has_happened_once(ministack: str, seed: int) -> None:
    rng = random.Random(seed)
    table, clock = make_table(ministack), FastClock(SPEED)
    target = ByKey(Address("default", "book", ("a",)), create=True)
    acknowledged: dict[str, int] = {}
    denied: set[str] = set()
    chaos: list[Chaos] = []
    async with AsyncExitStack() as stack:

        async def start(client: Client) -> Runtime:
            store = DynamoDBStore(table, client=client, clock=clock, patience=4)
            await stack.enter_async_context(store)
            definitions = {"book": Book.__definition__}
            return Runtime(definitions, store, clock=clock, rng=random.Random(rng.random()))

        def real() -> Client:
            return choose_client(DYNAMODB, endpoint=ministack, clock=SystemClock(), environ={})

        for _ in range(PROCESSES):
            chaos.append(Chaos(real(), random.Random(rng.random())))
        runtimes = [await start(client) for client in chaos]

        async def call(runtime: Runtime, name: str, line: str) -> None:
            command = CallAction(target, name, [line], Origin())
            try:
                acknowledged[line] = cast("int", (await runtime.dispatch(command)).output)
            except ActorError as error:
                # The official client repeats these by itself, so nothing may have been done.
                if error.name in ("guard.service_unavailable", "actor.conflict"):
                    denied.add(line)

        async def caller(number: int) -> None:
            for turn in range(CALLS):
                name = ("note", "note_twice")[(number + turn) % 2]
                await call(runtimes[number % PROCESSES], name, f"{name}-{number}-{turn}")

        await asyncio.gather(*(caller(number) for number in range(PROCESSES * CALLERS)))
        for runtime in runtimes:
            await runtime.settle()
        for client in chaos:
            await client.settle()

        honest = await start(real())
        answer = await honest.dispatch(CallAction(target, "read", [], Origin()))
        lines, keys = cast("tuple[list[str], list[str]]", answer.output)
        assert len(set(lines)) == len(lines), "something happened twice"
        assert acknowledged.keys() <= set(lines), "something acknowledged was lost"
        assert denied.isdisjoint(lines), "something happened that was said not to have"
        for line, place in acknowledged.items():
            assert lines[place - 1] == line
        assert sorted(keys) == sorted(line for line in lines if line.startswith("note_twice"))
        assert len(acknowledged) > PROCESSES * CALLERS * CALLS * 0.8
        assert sum(client.faults for client in chaos) > 20
        await honest.settle()
