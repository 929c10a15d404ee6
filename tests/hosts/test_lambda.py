"""The Lambda host in real processes: what AWS's own runtime makes of its answers and lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rivetless.testing.lambda_lab import LambdaLab

ROOT = Path(__file__).parents[2]
CALL = {"rivetless": "call", "name": "counter", "key": ["k"], "action": "increment", "create": True}


@pytest.fixture
async def lab() -> AsyncIterator[LambdaLab]:
    app = "examples.quickstart.app:registry"
    async with LambdaLab(app, folder=ROOT, environments=1, visibility=1.0, max_receives=3) as lab:
        yield lab


def lines(lab: LambdaLab) -> list[dict[str, Any]]:
    """Return what the processes have written; every line is an object."""
    return [json.loads(line) for entry in lab.function.log for line in str(entry).splitlines()]


async def test_a_poison_message_ends_among_the_dead_letters(lab: LambdaLab) -> None:
    # Warm, so that a message is done before it comes again.
    assert (await lab.invoke(CALL)).failed is False
    lab.wakes.send("poison")
    lab.wakes.send(json.dumps(CALL))
    async with asyncio.timeout(15):
        await lab.dead_wakes.wait()
    assert [message.body for message in lab.dead_wakes.messages] == ["poison"]
    assert lab.wakes.messages == []
    told = [line for line in lines(lab) if line.get("level") == "WARNING"]
    assert len([line for line in told if "is no JSON" in line["message"]]) == 3
    outcome = await lab.invoke(CALL)
    assert json.loads(outcome.payload)["output"] == 3


async def test_every_line_says_which_invocation_it_is_from(lab: LambdaLab) -> None:
    told = asyncio.Event()
    # What a process writes may be read after its answer.
    lab.function.on_line = lambda line: told.set() if '"EventKind":"call"' in line else None
    outcomes = [await lab.invoke({"nobody": "knows this"}), await lab.invoke(CALL)]
    assert [outcome.failed for outcome in outcomes] == [False, False]
    async with asyncio.timeout(15):
        await told.wait()
    written = lines(lab)
    metrics = [line for line in written if "_aws" in line]
    assert [line["EventKind"] for line in metrics] == ["unknown", "call"]
    ids = {line["aws_request_id"] for line in metrics}
    assert {line["aws_request_id"] for line in written} == ids
    assert len(ids) == 2


@pytest.mark.parametrize("action", ["add", "add_later"])
async def test_a_loop_runs_in_slices_that_end(action: str) -> None:
    app = "tests.hosts.lambda_actors:registry"
    call = CALL | {"name": "worker", "action": action, "args": [5]}
    woken = asyncio.Event()

    def written(line: str) -> None:
        if '"EventKind":"queue"' in line:
            woken.set()

    async with LambdaLab(app, folder=ROOT, environments=2, timeout=10.0) as lab:
        lab.function.on_line = written
        for _ in range(2):
            assert not (await lab.invoke(call)).failed
        total = 0
        async with asyncio.timeout(15):
            while total < 10:
                await woken.wait()
                woken.clear()
                outcome = await lab.invoke({**call, "action": "total", "args": []})
                total = json.loads(outcome.payload)["output"]
        kinds = [line["EventKind"] for line in lines(lab) if "_aws" in line]
    assert total == 10
    # A slice that ended because the queue was empty is not continued.
    assert kinds.count("queue") <= 8
