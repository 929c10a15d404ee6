"""Our own messages, as direct invocations, rules and schedules bring them."""

import json
import logging
from typing import Any

import pytest

from rivetless import Actor, WorkflowContext, action, workflow
from rivetless.hosts.aws_lambda.doorbells import AwsDoorbells
from rivetless.hosts.aws_lambda.handler import LambdaHost, aws_lambda
from rivetless.hosts.aws_lambda.process import LambdaProcess
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.registry import setup
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.stores import CountingStore
from tests.unit.hosts.aws_lambda.functions import (
    ACTOR_ID,
    Context,
    Counter,
    Function,
    MakeFunction,
    recorded,
)


def test_a_call_is_answered_with_the_output(function: Function) -> None:
    answer = function(recorded("direct_call"))
    assert answer["output"] == 2
    assert answer["key"] == ["k"]
    assert len(answer["actor"]) == 30


def test_calls_of_one_environment_meet_the_same_actor(function: Function) -> None:
    first, second = function.call("increment", 2), function.call("increment", 3)
    assert (second["output"], second["actor"]) == (5, first["actor"])


def test_an_actor_is_called_by_its_id(function: Function) -> None:
    actor_id = function.call("increment")["actor"]
    answer = function({"rivetless": "call", "actor": actor_id, "action": "increment", "args": [4]})
    assert answer["output"] == 5


def test_a_call_is_made_once_for_each_idempotency_key(function: Function) -> None:
    answers = [function.call("increment", idempotency_key="once")["output"] for _ in range(2)]
    assert answers == [1, 1]
    assert function.call("increment")["output"] == 2


def test_values_have_the_tags_they_have_on_the_wire(function: Function) -> None:
    event = recorded("direct_call") | {"args": [["$BigInt", str(2**60)]]}
    assert function(event)["output"] == ["$BigInt", str(2**60)]
    assert event["args"] == [["$BigInt", str(2**60)]]


def test_an_actor_that_is_not_there_is_an_error_unless_it_is_to_be_created(
    function: Function,
) -> None:
    event = recorded("direct_call")
    del event["create"]
    assert function(event)["error"]["code"] == "not_found"


def test_what_an_action_refuses_with_is_the_answer(function: Function) -> None:
    error = function.call("refuse")["error"]
    assert error["group"], error["code"] == ("user", "refused")
    assert (error["message"], error["metadata"]) == ("No.", {"why": "so"})


def test_what_breaks_in_an_action_is_masked(function: Function) -> None:
    answer = function.call("break_down")
    assert answer["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(answer)


class Patient(Actor, name="counter"):
    """Has a step that may take ten minutes."""

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        await ctx.step("long", self.take_long, timeout=600)

    async def take_long(self) -> None:
        """Be quick."""

    @action
    async def increment(self) -> None:
        """Do nothing."""


def test_a_step_may_not_want_more_time_than_the_function_has(
    make_function: MakeFunction, caplog: pytest.LogCaptureFixture
) -> None:
    function = make_function(Patient)
    actor_id = function.call("increment")["actor"]
    function({"rivetless": "wake", "actor": actor_id}, seconds=60)
    assert "`long` has a `timeout` of 600 s, and a function here has 57 s for it" in caplog.text
    caplog.clear()
    function({"rivetless": "wake", "actor": actor_id}, seconds=900)
    assert "timeout" not in caplog.text


MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("no such message", {"rivetless": "dance"}),
    ("no text", {"rivetless": None}),
    ("an object", {"rivetless": {}}),
    ("no actor", {"rivetless": "wake"}),
    ("no id", {"rivetless": "wake", "actor": "nobody"}),
    ("a number for an id", {"rivetless": "wake", "actor": 5}),
    ("hops that are no number", {"rivetless": "wake", "actor": ACTOR_ID, "hops": "1"}),
    ("hops below nought", {"rivetless": "wake", "actor": ACTOR_ID, "hops": -1}),
    ("hops that are a truth", {"rivetless": "wake", "actor": ACTOR_ID, "hops": True}),
    ("no action", {"rivetless": "call", "name": "counter"}),
    ("no name", {"rivetless": "call", "action": "increment"}),
    ("args that are no list", {"rivetless": "call", "name": "counter", "action": "a", "args": 1}),
    ("a field nobody knows", {"rivetless": "call", "name": "counter", "action": "a", "arg": []}),
    ("a key that is no text", {"rivetless": "call", "name": "c", "action": "a", "key": [None]}),
    ("a key that is an object", {"rivetless": "call", "name": "c", "action": "a", "key": {}}),
    ("id and name", {"rivetless": "call", "actor": ACTOR_ID, "name": "counter", "action": "a"}),
    ("input for nothing", {"rivetless": "call", "name": "counter", "action": "a", "input": 1}),
    ("create that is no truth", {"rivetless": "call", "name": "c", "action": "a", "create": 1}),
    ("an empty namespace", {"rivetless": "call", "name": "c", "action": "a", "namespace": ""}),
    ("a tag nobody knows", {"rivetless": "call", "name": "c", "action": "a", "args": [["$X", 1]]}),
    ("a long key", {"rivetless": "call", "name": "c", "action": "a", "idempotency_key": "x" * 300}),
    ("an actor class nobody has", {"rivetless": "call", "name": "nothing", "action": "a"}),
]


@pytest.mark.parametrize("event", [event for _, event in MALFORMED], ids=[n for n, _ in MALFORMED])
def test_a_malformed_message_is_answered_and_logged(
    event: dict[str, Any], function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    error = function(event)["error"]
    assert (error["group"], error["code"]) in {
        ("actor", "invalid_request"),
        ("actor", "not_registered"),
    }
    assert error["message"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert function.call("increment")["output"] == 1


def test_a_wake_for_nobody_does_nothing(function: Function) -> None:
    assert function(recorded("scheduler")) is None


@pytest.mark.parametrize("name", ["eventbridge_rule", "eventbridge_scheduled"])
def test_a_rule_by_the_minute_sweeps(name: str, make_function: MakeFunction) -> None:
    store = CountingStore(MemoryStore())
    function = make_function(store=store)
    assert function(recorded(name)) is None
    assert function.metrics["EventKind"] == "sweep"
    assert store.calls["due"] == 1


def test_without_a_store_callers_are_told_to_try_again(
    make_function: MakeFunction, caplog: pytest.LogCaptureFixture
) -> None:
    function = make_function(store="dynamodb:", settings=Settings())
    assert function.call("increment")["error"]["code"] == "service_unavailable"
    assert "names no table" in caplog.text


def test_a_function_that_was_told_no_store_says_so(caplog: pytest.LogCaptureFixture) -> None:
    handler = aws_lambda(setup(use=[Counter]), settings=Settings(), json_logs=False, metrics=False)
    answer: Any = handler(recorded("direct_call"), Context())
    handler.close()
    assert answer["error"]["code"] == "service_unavailable"
    assert "Set RIVETLESS_STORE" in caplog.text


def test_doorbells_are_those_of_the_environment(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "RIVETLESS_STORE": "memory:",
        "RIVETLESS_WAKE_QUEUE_URL": "http://127.0.0.1:9/123456789012/wakes",
    }
    process = LambdaProcess(setup(use=[Counter]), Settings.read(environ), clock=FakeClock())
    handler = LambdaHost(process)
    assert handler(recorded("eventbridge_rule"), Context()) is None
    assert isinstance(process._doorbells, AwsDoorbells)
    assert caplog.records == []
    handler.close()


def test_half_of_what_schedules_need_is_told(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        "RIVETLESS_STORE": "memory:",
        "RIVETLESS_WAKE_QUEUE_URL": "http://127.0.0.1:9/123456789012/wakes",
        "RIVETLESS_SCHEDULE_GROUP": "actors",
    }
    handler = aws_lambda(
        setup(use=[Counter]), settings=Settings.read(environ), json_logs=False, metrics=False
    )
    answer: Any = handler(recorded("direct_call"), Context())
    handler.close()
    assert answer["error"]["code"] == "service_unavailable"
    assert "RIVETLESS_SCHEDULE_ROLE_ARN" in caplog.text


def test_an_event_that_nobody_knows_is_described_by_its_keys_alone(
    function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    answer = function({"source": "s3", "password": "hunter2"})
    assert "password, source" in answer["error"]["message"]
    assert "hunter2" not in caplog.text + json.dumps(answer)
    assert function.metrics["Failures"] == 1


ALMOST: list[object] = [
    None,
    [],
    "text",
    5,
    {},
    {"Records": None},
    {"Records": []},
    {"Records": [None]},
    {"Records": {"0": {"eventSource": "aws:sqs"}}},
    {"Records": [{"eventSource": "aws:sns"}]},
    {"Records": [{"eventSource": ["aws:sqs"]}]},
    {"requestContext": None},
    {"requestContext": []},
    {"requestContext": {}, "version": "2.0"},
    {"source": "aws.events"},
    {"source": "aws.events", "detail-type": "Something Else"},
    {"detail-type": "Scheduled Event"},
]


@pytest.mark.parametrize("event", ALMOST, ids=repr)
def test_an_event_of_no_kind_is_answered_and_logged(
    event: object, function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    assert function(event)["error"]["code"] == "invalid"
    assert caplog.records[0].levelno == logging.WARNING


def test_the_store_is_opened_by_the_first_event_that_needs_it(make_function: MakeFunction) -> None:
    function = make_function(store=MemoryStore())
    function({"unknown": 1})
    assert function.process.store is None
    function.call("increment")
    assert function.process.store is not None
