"""What invocations consume of DynamoDB, as the metrics tell: what the costs are computed from."""

import asyncio
from collections.abc import Callable

import pytest

from rivetless.clock import SystemClock
from rivetless.store.dynamodb import DynamoDBStore
from tests.unit.hosts.aws_lambda.functions import Function, MakeFunction

pytestmark = pytest.mark.aws


@pytest.fixture
def table(ministack: str, new_table: Callable[[], str]) -> str:
    """Return the URL of a store whose table is there."""
    name = new_table()

    async def create() -> None:
        async with DynamoDBStore(name, endpoint=ministack) as store:
            await store.create_table()

    asyncio.run(create())
    return f"dynamodb:{name}?endpoint={ministack}"


def used(function: Function) -> tuple[float, ...]:
    """Return requests, read units and write units of the last invocation."""
    found = function.metrics
    return tuple(found.get(name, 0.0) for name in ("StoreRequests", "ReadUnits", "WriteUnits"))


def test_a_warm_action_is_one_write_and_a_cold_one_a_read_more(
    table: str, make_function: MakeFunction
) -> None:
    warm, cold = (make_function(store=table, clock=SystemClock()) for _ in range(2))
    warm.call("increment")
    warm.call("increment")
    assert used(warm) == (1, 0, 1)
    cold.call("increment")
    assert used(cold) == (2, 1, 1)
    assert "Conflicts" not in cold.metrics


def test_an_action_that_lost_to_another_environment_needs_no_read(
    table: str, make_function: MakeFunction
) -> None:
    first, second = (make_function(store=table, clock=SystemClock()) for _ in range(2))
    first.call("increment")
    second.call("increment")
    assert first.call("increment")["output"] == 3
    assert first.metrics["Conflicts"] == 1
    requests, reads, _ = used(first)
    assert requests <= 3
    assert reads <= 1


def test_an_action_that_changes_nothing_is_one_read(
    table: str, make_function: MakeFunction
) -> None:
    function = make_function(store=table, clock=SystemClock())
    function.call("increment")
    function.call("refuse")
    assert used(function) == (1, 1, 0)
