"""Functions of the lab: real processes, cold starts, freezes, time-outs, crashes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from rivetless.testing.clock import settle
from rivetless.testing.lambda_lab.environment import EnvironmentState
from rivetless.testing.lambda_lab.function import Function
from rivetless.testing.lambda_lab.runtime_api import Outcome

HERE = "tests.unit.testing.lambda_lab"
ROOT = Path(__file__).parents[4]

New: TypeAlias = Callable[..., Function]


@pytest.fixture
async def new() -> AsyncIterator[New]:
    async with AsyncExitStack() as stack:

        def make(handler: str = f"{HERE}.handlers.echo", **options: Any) -> Function:
            function = Function(handler, folder=ROOT, **options)
            stack.push_async_callback(function.close)
            return function

        yield make


def value(outcome: Outcome) -> Any:
    return outcome.value


def state(pid: int) -> str:
    """Return how the system sees a process: T is stopped, S asleep, R running."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def is_stopped(pid: int) -> bool:
    """Tell whether the system stops a process; it takes its time to."""
    for _ in range(50):
        if state(pid) == "T":
            return True
        await asyncio.sleep(0.01)
    return False


async def test_an_event_is_handled_by_a_process(new: New) -> None:
    function = new(variables={"LAB_TEST": "yes"}, timeout=5)
    outcome = await function.invoke({"n": 1})
    answer = value(outcome)
    assert not outcome.failed
    assert (answer["event"], answer["set"], answer["arn"]) == ({"n": 1}, "yes", function.arn)
    assert 0 < answer["left"] <= 5000
    again = value(await function.invoke({}))
    assert again["pid"] == answer["pid"] == function.environments[0].pid
    assert again["request"] != answer["request"]
    assert function.cold_starts == 1


async def test_between_invocations_a_process_is_frozen(new: New) -> None:
    function = new()
    pid = value(await function.invoke({}))["pid"]
    assert function.environments[0].state is EnvironmentState.IDLE
    assert await is_stopped(pid)
    assert value(await function.invoke({}))["pid"] == pid


async def test_it_can_be_left_running(new: New) -> None:
    function = new(freeze=False)
    pid = value(await function.invoke({}))["pid"]
    assert function.environments[0].state is EnvironmentState.IDLE
    assert not await is_stopped(pid)


async def test_it_scales_out_and_no_further_than_it_may(new: New) -> None:
    function = new(environments=2)
    outcomes = await asyncio.gather(*(function.invoke({"seconds": 0.1}) for _ in range(5)))
    assert len({value(outcome)["pid"] for outcome in outcomes}) == 2
    assert function.cold_starts == len(function.environments) == 2


async def test_errors_of_the_handler_are_described_as_aws_does(new: New) -> None:
    function = new()
    outcome = await function.invoke({"fail": "no"})
    assert outcome.failed
    assert (value(outcome)["errorType"], value(outcome)["errorMessage"]) == ("ValueError", "no")
    assert value(outcome)["stackTrace"]
    assert not (await function.invoke({})).failed
    assert function.cold_starts == 1


async def test_a_process_that_ends_is_replaced(new: New) -> None:
    function = new(environments=1)
    outcome = await function.invoke({"exit": 3})
    assert value(outcome)["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in value(outcome)["errorMessage"]
    assert not (await function.invoke({})).failed
    assert function.cold_starts == 2


async def test_time_is_limited(new: New) -> None:
    function = new(timeout=0.5, environments=1)
    first = value(await function.invoke({}))["pid"]
    outcome = await function.invoke({"seconds": 60})
    assert outcome.failed
    assert "Task timed out after 0.50 seconds" in value(outcome)["errorMessage"]
    assert value(await function.invoke({}))["pid"] != first


async def test_a_frozen_process_can_miss_its_deadline(new: New) -> None:
    function = new(timeout=0.3)
    await function.invoke({})
    call = asyncio.ensure_future(function.invoke({"seconds": 0.1}))
    await settle()
    assert function.environments[0].state is EnvironmentState.BUSY
    function.environments[0].freeze()
    assert "timed out" in value(await call)["errorMessage"]


async def test_killing(new: New) -> None:
    function = new()
    await function.invoke({})
    call = asyncio.ensure_future(function.invoke({"seconds": 60}))
    await settle()
    assert function.environments[0].state is EnvironmentState.BUSY
    function.environments[0].kill()
    assert "SIGKILL" in value(await call)["errorMessage"]


async def test_a_module_that_cannot_be_imported_is_an_error_each_time(new: New) -> None:
    function = new(f"{HERE}.broken.handler")
    for _ in range(2):
        outcome = await function.invoke({})
        assert outcome.failed
        assert "no such luck" in value(outcome)["errorMessage"]


async def test_answers_are_limited(new: New) -> None:
    outcome = await new().invoke({"size": 6_300_000})
    assert value(outcome)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_recycling_makes_the_next_start_cold(new: New) -> None:
    function = new(environments=2)
    first = value(await function.invoke({}))["pid"]
    busy = asyncio.ensure_future(function.invoke({"seconds": 0.1}))
    await settle()
    assert function.environments[0].state is EnvironmentState.BUSY
    function.recycle()
    assert value(await busy)["pid"] == first
    assert value(await function.invoke({}))["pid"] != first


async def test_recycling_fails_nobody(new: New) -> None:
    function = new(environments=2)
    calls = [asyncio.ensure_future(function.invoke({})) for _ in range(4)]
    for _ in range(3):
        await settle()
        function.recycle()
    assert not any(outcome.failed for outcome in await asyncio.gather(*calls))
    call = asyncio.ensure_future(function.invoke({}))
    await asyncio.sleep(0)
    function.recycle()
    assert not (await call).failed


async def test_what_processes_write_is_kept(new: New) -> None:
    function = new()
    said = asyncio.Event()
    function.on_line = lambda line: said.set() if line == "hello" else None
    await function.invoke({"print": "hello"})
    await said.wait()
    assert "hello" in function.log


async def test_who_waits_when_it_closes_is_told(new: New) -> None:
    function = new(environments=1)
    await function.invoke({})
    calls = [asyncio.ensure_future(function.invoke({"seconds": 60})) for _ in range(2)]
    await settle()
    await function.close()
    assert [(await call).failed for call in calls] == [True, True]
