"""A process is frozen (SIGSTOP) and wakes when its deadline and its lease are long over.

``--real-faults 200`` freezes servers two hundred times under load, on each store.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.behaviour.world import NO_TLS
from tests.figures import Figures
from tests.ministack import make_table
from tests.processes.bank import Bank
from tests.processes.vault import ACTION_TIMEOUT
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = pytest.mark.timeout(1800)

QUERY = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=v"
SPEED = 10.0
"""How many times faster the servers' clocks run: a lease is over in a second."""


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.aws)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where actors last."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'actors.db'}"
    endpoint = request.getfixturevalue("ministack")
    return f"dynamodb:{make_table(endpoint)}?endpoint={endpoint}"


@dataclass
class Pair:
    """Two servers on one store.

    Attributes:
        victim: is frozen.
        doors: of the victim and of the other one.
        folder: for the doors that actions wait at.
    """

    victim: ForkedServer
    doors: list[httpx.AsyncClient]
    folder: Path

    async def call(self, server: int, action: str, *args: object, key: str = "") -> Any:
        """Call the vault at one of the servers; return the result, or the error's name."""
        headers = {"idempotency-key": key} if key else {}
        url = f"/gateway/vault/action/{action}?{QUERY}"
        answer = await self.doors[server].post(url, json={"args": args}, headers=headers)
        said = answer.json()
        return said["output"] if answer.status_code == 200 else f"{said['group']}.{said['code']}"

    async def freeze_in(self, action: str, *, key: str = "") -> tuple["asyncio.Task[Any]", Path]:
        """Freeze the victim while it runs an action; return the call and the action's door."""
        door = self.folder / "door"
        door.touch()
        call = asyncio.create_task(self.call(0, action, "late", str(door), key=key))
        while not door.with_suffix(".knocked").exists():
            assert not call.done(), call.result()
            await asyncio.sleep(0.01)
        self.victim.freeze()
        return call, door

    async def outlast(self) -> None:
        """Wait until the action's time is over, and its lease with it."""
        await asyncio.sleep(ACTION_TIMEOUT / SPEED + 0.3)


def servers(
    stack: AsyncExitStack, app: str, where: str, folder: Path, count: int
) -> list[ForkedServer]:
    """Start servers; they end with the stack."""
    started = [
        ForkedServer(app, where, folder / f"{number}.txt", speed=SPEED) for number in range(count)
    ]
    zygote = stack.enter_context(Zygote())
    for server in started:
        server.zygote = zygote
        stack.enter_context(server)
    return started


async def doors_of(stack: AsyncExitStack, started: list[ForkedServer]) -> list[httpx.AsyncClient]:
    """Make a client of each."""
    return [
        await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.endpoint, timeout=60, verify=NO_TLS)
        )
        for server in started
    ]


@pytest.fixture
async def pair(where: str, tmp_path: Path) -> AsyncIterator[Pair]:
    """Both servers."""
    async with AsyncExitStack() as stack:
        started = servers(stack, "tests.processes.vault:registry", where, tmp_path, 2)
        yield Pair(started[0], await doors_of(stack, started), tmp_path)


@pytest.mark.parametrize("action", ["plain", "alone", "saved", "once_only"])
async def test_a_late_commit_is_refused(pair: Pair, action: str) -> None:
    assert await pair.call(1, "add", "early") == ["early"]
    call, door = await pair.freeze_in(action)
    begun = ["late, begun"] if action == "saved" else []
    # Nobody waits for a process that may be dead for longer than its lease.
    assert await pair.call(1, "add", "meanwhile") == ["early", *begun, "meanwhile"]
    await pair.outlast()
    door.unlink()
    pair.victim.thaw()
    told = await call
    lines = ["early", *begun, "meanwhile"]
    if told not in ("actor.action_timed_out", "actor.conflict", "actor.interrupted"):
        # It was in time to begin again, on what the other has made.
        lines.append("late")
        assert told == lines
    # What it has saved stays, so it cannot begin again.
    assert action != "saved" or told in ("actor.action_timed_out", "actor.interrupted")
    for server in (0, 1):
        assert await pair.call(server, "read") == lines
    assert await pair.call(0, "add", "after") == [*lines, "after"]


@pytest.mark.parametrize("action", ["plain", "alone", "once_only"])
async def test_a_call_that_is_repeated_elsewhere_happens_once(pair: Pair, action: str) -> None:
    call, door = await pair.freeze_in(action, key="k")
    door.unlink()
    again = await pair.call(1, action, "late", str(door), key="k")
    assert again == ["late"]
    await pair.outlast()
    pair.victim.thaw()
    told = await call
    assert told in (["late"], "actor.action_timed_out", "actor.conflict")
    for server in (0, 1):
        assert await pair.call(server, "read") == ["late"]


async def test_servers_that_freeze_under_load_lose_and_double_nothing(
    where: str, tmp_path: Path, figures: Figures
) -> None:
    rng = random.Random(7)
    freezes = figures.at_least(8)
    async with AsyncExitStack() as stack:
        started = servers(stack, "tests.processes.bank:registry", where, tmp_path, 3)
        bank = Bank(await doors_of(stack, started), 6, 7)
        work = asyncio.create_task(bank.carry_out(bank.endless(), 9))
        for number in range(freezes):
            await asyncio.sleep(rng.uniform(0.05, 0.3))
            victim = started[number % 3]
            victim.freeze()
            # Every other one is longer than its lease, some longer than any deadline.
            await asyncio.sleep(rng.choice((0.1, 0.3, 1.2, 2.0)))
            victim.thaw()
        bank.end()
        await work
        await bank.check()
    figures.tell(
        f"freezes of servers on {'one SQLite file' if where.startswith('sqlite') else 'DynamoDB'}",
        freezes=freezes,
        acknowledged_transfers=len(bank.done),
        lost=0,
        doubled=0,
    )
