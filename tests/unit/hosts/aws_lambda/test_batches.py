"""SQS batches: what fails is named, what is named is what failed, nothing loops."""

import json
from typing import Any

import pytest

from rivetless.hosts.aws_lambda.handler import MESSAGES
from rivetless.hosts.aws_lambda.invocation import Invocation
from tests.unit.hosts.aws_lambda.functions import Function, MakeFunction, recorded
from tests.unit.hosts.aws_lambda.uploads import Bucket, Uploads


class Heard:
    """A message handler that notes what it gets, and fails where it is told to."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def __call__(self, message: Any, invocation: Invocation) -> None:
        self.names.append(message["name"])
        if message.get("fail"):
            raise RuntimeError("told to")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def listening(make_function: MakeFunction, heard: Heard) -> Function:
    """Return a function that knows the message ``note``, too."""
    return make_function(messages={**MESSAGES, "note": heard})


def batch(*messages: tuple[str, str | None, bool]) -> dict[str, Any]:
    """Return a batch of (name, FIFO group, whether it fails)."""
    template = recorded("sqs")["Records"][0]
    records = []
    for name, group, fail in messages:
        body = json.dumps({"rivetless": "note", "name": name, "fail": fail})
        attributes = dict(template["attributes"])
        if group is not None:
            attributes |= {"MessageGroupId": group, "SequenceNumber": "1"}
        records.append({**template, "messageId": name, "body": body, "attributes": attributes})
    return {"Records": records}


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_batch_of_wakes_succeeds(function: Function) -> None:
    assert function(recorded("sqs")) == {"batchItemFailures": []}
    assert function(recorded("sqs_fifo")) == {"batchItemFailures": []}
    assert (function.metrics["EventKind"], function.metrics["Messages"]) == ("queue", 4)


def test_one_message_fails_and_the_others_are_done(listening: Function, heard: Heard) -> None:
    event = batch(("a", None, False), ("b", None, True), ("c", None, False))
    assert failed(listening(event)) == ["b"]
    assert sorted(heard.names) == ["a", "b", "c"]


def test_a_fifo_group_stops_at_its_first_failure(listening: Function, heard: Heard) -> None:
    event = batch(
        ("a1", "a", False), ("b1", "b", False), ("a2", "a", True), ("a3", "a", False),
        ("b2", "b", False),
    )  # fmt: skip
    assert sorted(failed(listening(event))) == ["a2", "a3"]
    assert [name for name in heard.names if name[0] == "a"] == ["a1", "a2"]
    assert [name for name in heard.names if name[0] == "b"] == ["b1", "b2"]


def test_groups_of_a_standard_queue_have_no_order(listening: Function, heard: Heard) -> None:
    event = batch(("a1", "a", True), ("a2", "a", False))
    for record in event["Records"]:
        del record["attributes"]["SequenceNumber"]
    assert failed(listening(event)) == ["a1"]
    assert sorted(heard.names) == ["a1", "a2"]


def test_what_is_not_begun_in_time_comes_back(listening: Function, heard: Heard) -> None:
    event = batch(("a", None, False), ("b", None, False))
    assert sorted(failed(listening(event, seconds=0))) == ["a", "b"]
    assert heard.names == []


MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("no JSON", {"body": "{"}),
    ("no object", {"body": "[]"}),
    ("somebody else's", {"body": '{"detail": 1}'}),
    ("an unknown message", {"body": '{"rivetless": "dance"}'}),
    ("a wake without an actor", {"body": '{"rivetless": "wake"}'}),
    ("a wake for no id", {"body": '{"rivetless": "wake", "actor": "x"}'}),
    ("no body", {"body": None}),
    ("a body that is no text", {"body": {"rivetless": "wake"}}),
    ("a body that nests without end", {"body": "[" * 100_000}),
    ("attributes that are none", {"body": "{}", "attributes": None}),
    ("attributes that are a list", {"body": "{}", "attributes": []}),
    ("a number for a message", {"body": '{"rivetless": 1}'}),
]


@pytest.mark.parametrize("change", [c for _, c in MALFORMED], ids=[name for name, _ in MALFORMED])
def test_a_poison_message_fails_alone_until_the_dead_letter_queue_has_it(
    change: dict[str, Any], function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    event = recorded("sqs")
    event["Records"][0] |= change
    for _ in range(3):
        assert failed(function(event)) == [event["Records"][0]["messageId"]]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert event["Records"][0]["messageId"] in caplog.text


@pytest.mark.parametrize("name", [None, 5, ...], ids=["null", "number", "missing"])
def test_a_message_that_cannot_be_named_fails_its_batch(name: object, function: Function) -> None:
    event = recorded("sqs")
    event["Records"][0] |= {"messageId": name, "body": "{"}
    if name is ...:
        del event["Records"][0]["messageId"]
    assert failed(function(event)) == [""]


def test_a_record_that_is_no_object_fails_its_batch(function: Function) -> None:
    event = recorded("sqs")
    event["Records"].append("nothing")
    assert failed(function(event)) == [""]


def test_an_application_s_own_event_is_asked_first(make_function: MakeFunction) -> None:
    function = make_function(Bucket, events=[Uploads])
    assert [function(recorded("s3"))["output"] for _ in range(2)] == [1, 2]
    assert function.metrics["EventKind"] == "uploads"
    assert function(recorded("sqs")) == {"batchItemFailures": []}


def test_an_application_s_own_event_may_fail(make_function: MakeFunction) -> None:
    function = make_function(Bucket, events=[Uploads])
    event = recorded("s3")
    del event["Records"][0]["s3"]
    assert function(event)["error"]["code"] == "internal_error"
    assert function.metrics["Failures"] == 1
