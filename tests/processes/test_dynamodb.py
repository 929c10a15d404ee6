"""Many servers on one DynamoDB table, which nobody owns."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.behaviour.world import NO_TLS
from tests.ministack import make_table
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = [pytest.mark.aws, pytest.mark.timeout(120)]

APP = "tests.behaviour.actors:registry"
PROCESSES = 8
CALLS = 100
URL = (
    "/gateway/counter/action/{action}?rvt-namespace=default&rvt-method=getOrCreate"
    "&rvt-runner=default&rvt-key=hot"
)


async def test_eight_processes_add_up_on_one_actor(ministack: str, tmp_path: Path) -> None:
    where = f"dynamodb:{make_table(ministack)}?endpoint={ministack}"
    servers = [ForkedServer(APP, where, tmp_path / f"{n}.txt") for n in range(PROCESSES)]
    async with AsyncExitStack() as stack:
        zygote = stack.enter_context(Zygote())
        for server in servers:
            server.zygote = zygote
            stack.enter_context(server)
        doors = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=server.endpoint, timeout=60, verify=NO_TLS)
            )
            for server in servers
        ]

        async def call(door: httpx.AsyncClient, action: str, *args: int) -> int:
            # Without retries: whoever calls must not see any of it.
            answer = await door.post(URL.format(action=action), json={"args": args})
            assert answer.status_code == 200, answer.text
            output: int = answer.json()["output"]
            return output

        async def add(door: httpx.AsyncClient) -> list[int]:
            return [await call(door, "increment", 1) for _ in range(CALLS)]

        seen = [count for counts in await asyncio.gather(*map(add, doors)) for count in counts]
        assert sorted(seen) == list(range(1, PROCESSES * CALLS + 1))
        for door in doors:
            assert await call(door, "get") == PROCESSES * CALLS
