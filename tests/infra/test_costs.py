"""The units that costs are computed from are those that functions consume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rivetless import Actor, action
from rivetless.cli import costs
from rivetless.cli.costs import Functions, Work, cost, total
from rivetless.store.dynamodb import DynamoDBStore, table
from rivetless.testing.clock import FakeClock
from tests.infra.deployment import service
from tests.infra.recording import Stack, connect, deliver, frame
from tests.infra.template import read
from tests.unit.hosts.aws_lambda.functions import Counter, Function, recorded

pytestmark = pytest.mark.aws

Make = Callable[[], Function]


class Alarm(Actor[int]):
    """Has a timer now and then."""

    initial_state = 0

    @action
    async def arm(self) -> None:
        self.schedule.after(60, self.ring)

    @action
    async def ring(self) -> None:
        self.state += 1


@pytest.fixture
def make(ministack: str, new_table: Callable[[], str]) -> Iterator[Make]:
    """Return what makes functions that share a table."""
    name, clock, made = new_table(), FakeClock(), list[Function]()
    service("dynamodb", ministack).create_table(**table.definition(name))

    def function() -> Function:
        store = DynamoDBStore(name, endpoint=ministack, clock=clock)
        made.append(Function(Counter, Alarm, store=store, clock=clock))
        return made[-1]

    yield function
    for each in made:
        each.close()


def used(function: Function, event: dict[str, Any]) -> tuple[float, float]:
    """Return the read and write units of an event, as the function's own metrics tell them."""
    answer = function(event)
    assert "error" not in (answer or {})
    measures = function.metrics
    return measures.get("ReadUnits", 0), measures.get("WriteUnits", 0)


def units(work: Work) -> tuple[float, float]:
    return work.read_units, work.write_units


def test_a_change_costs_what_is_told(make: Make) -> None:
    warm, event = make(), recorded("function_url")
    for _ in range(3):
        warm(event)
    assert used(warm, event) == units(costs.WARM_WRITE)
    assert used(make(), event) == units(costs.COLD_WRITE)


def test_a_read_costs_what_is_told(make: Make) -> None:
    function, event = make(), recorded("function_url")
    function(event)
    reading = event | {"body": '{"args":[0]}'}
    assert used(function, reading) == units(costs.WARM_READ)


def test_a_timer_costs_what_is_told(make: Make) -> None:
    function = make()
    call = {"rivetless": "call", "name": "alarm", "key": ["a"], "create": True}
    actor = function(call | {"action": "ring"})["actor"]
    armed = used(function, call | {"action": "arm"})
    clock = function.clock
    assert isinstance(clock, FakeClock)
    clock.jump(61)
    fired = used(function, {"rivetless": "wake", "actor": actor})
    assert (armed[0] + fired[0], armed[1] + fired[1]) == units(costs.TIMER)


def test_a_frame_costs_what_is_told(stack: Stack) -> None:
    worker = stack.function()
    connect(stack, worker)

    def say(number: int) -> dict[str, float]:
        call = {"id": number, "name": "increment", "args": []}
        deliver(worker, frame(stack, "ActionRequest", call, number=number))
        return stack.hosts[0]._process.counts()

    before, after = say(1), say(2)
    reads, writes = (after[name] - before[name] for name in ("ReadUnits", "WriteUnits"))
    assert (reads, writes) == units(costs.FRAME)


def test_a_warm_action_behind_a_function_url_is_within_a_dollar() -> None:
    parts = cost(costs.WARM_WRITE, Functions())
    assert parts.keys() == {"DynamoDB", "Lambda"}
    assert total(parts) <= 1.00
    assert parts["DynamoDB"] == pytest.approx(0.625)
    assert parts["Lambda"] == pytest.approx(0.20 + 0.5 * 0.015 * 13.3334)


def test_every_unit_has_a_price_and_a_group() -> None:
    everything = {name: 1.0 for name in costs.PRICES}
    assert set(cost(Work(**everything), Functions())) == {
        "CloudFront",
        "DynamoDB",
        "HTTP API",
        "Lambda",
        "SQS",
        "Scheduler",
        "WebSocket API",
    }
    logged = cost(Work(log_bytes=1000), Functions())
    assert logged == {"Logs": pytest.approx(0.5)}
    assert costs.kept_warm(Functions(), 2) == pytest.approx(8.64, abs=0.01)


def test_what_is_assumed_of_functions_is_the_templates_default() -> None:
    parameters = read()["Parameters"]
    assert Functions().memory == parameters["Memory"]["Default"]
    assert Functions().architecture == parameters["Architecture"]["Default"]


def test_only_the_ways_that_there_are_are_told() -> None:
    told = costs.ways({"Edge": "none", "OrderedFrames": "false"})
    assert not any("CloudFront" in way or ", ordered" in way for way in told)
    assert costs.ways({}).keys() | told.keys() == costs.WAYS.keys()
