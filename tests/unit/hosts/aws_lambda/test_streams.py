"""Batches of the table's stream: actors with an outbox are woken, once each."""

from typing import Any

import pytest

from rivetless.hosts.aws_lambda.batches import StreamBatch
from rivetless.runtime.commands import Wake
from rivetless.store.memory import MemoryStore
from rivetless.testing.stores import CountingStore, Fault, FaultyStore
from tests.unit.hosts.aws_lambda.functions import ACTOR_ID, Function, MakeFunction, recorded


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_an_actor_with_an_outbox_is_woken_once(make_function: MakeFunction) -> None:
    store = CountingStore(MemoryStore())
    function = make_function(store=store)
    assert function(recorded("dynamodb_stream")) == {"batchItemFailures": []}
    assert store.calls == {"load": 1}
    assert (function.metrics["EventKind"], function.metrics["Messages"]) == ("stream", 5)


def test_the_actor_is_the_one_whose_head_it_is(function: Function) -> None:
    woken = []

    class Seen(StreamBatch):
        async def handle(self, invocation: Any) -> Any:
            class Listening:
                def __getattr__(self, name: str) -> Any:
                    return getattr(invocation, name)

                async def dispatch(self, command: Wake) -> None:
                    woken.append(command.actor_id)

            return await super().handle(Listening())  # type: ignore[arg-type] # by its shape

    function.handler._sources = (Seen,)
    function(recorded("dynamodb_stream"))
    assert woken == [ACTOR_ID]


def test_aws_begins_again_at_the_first_record_of_an_actor_that_was_not_woken(
    make_function: MakeFunction,
) -> None:
    store = FaultyStore(MemoryStore())
    store.inject(Fault.BEFORE, verb="load")
    function = make_function(store=store)
    event = recorded("dynamodb_stream")
    assert failed(function(event)) == [event["Records"][1]["dynamodb"]["SequenceNumber"]]
    assert failed(function(event)) == []


MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("no change", {"dynamodb": None}),
    ("a change that is a list", {"dynamodb": []}),
    ("no keys", {"dynamodb": {"NewImage": {}}}),
    ("keys of another table", {"dynamodb": {"Keys": {"id": {"S": "1"}}}}),
    ("a sort key that is text", {"dynamodb": {"Keys": {"pk": {"S": "1"}, "sk": {"S": "HEAD"}}}}),
    ("a sort key that is no base64", {"dynamodb": {"Keys": {"pk": {"S": "1"}, "sk": {"B": "%"}}}}),
    ("keys alone", {"dynamodb": {"Keys": {"pk": {"S": "1"}, "sk": {"B": "SEVBRA=="}}}}),
    (
        "no life",
        {
            "dynamodb": {
                "Keys": {"pk": {"S": "0a"}, "sk": {"B": "SEVBRA=="}},
                "NewImage": {"outbox_at": {"N": "1"}},
            }
        },
    ),
    (
        "a partition that is no hash",
        {
            "dynamodb": {
                "Keys": {"pk": {"S": "hosts"}, "sk": {"B": "SEVBRA=="}},
                "NewImage": {"outbox_at": {"N": "1"}, "life": {"B": "AQ=="}},
            }
        },
    ),
    (
        "a partition that is too long",
        {
            "dynamodb": {
                "Keys": {"pk": {"S": "f" * 40}, "sk": {"B": "SEVBRA=="}},
                "NewImage": {"outbox_at": {"N": "1"}, "life": {"B": "AQ=="}},
            }
        },
    ),
    (
        "a life that is nought",
        {
            "dynamodb": {
                "Keys": {"pk": {"S": "0a"}, "sk": {"B": "SEVBRA=="}},
                "NewImage": {"outbox_at": {"N": "1"}, "life": {"B": "AA=="}},
            }
        },
    ),
]


@pytest.mark.parametrize("change", [c for _, c in MALFORMED], ids=[name for name, _ in MALFORMED])
def test_a_record_that_cannot_be_read_is_logged_and_holds_nothing_up(
    change: dict[str, Any], make_function: MakeFunction, caplog: pytest.LogCaptureFixture
) -> None:
    store = CountingStore(MemoryStore())
    event = recorded("dynamodb_stream")
    event["Records"][0] |= change
    assert failed(make_function(store=store)(event)) == []
    assert caplog.text.count("cannot be read") == 1
    assert store.calls == {"load": 1}


def test_a_removal_says_nothing(function: Function) -> None:
    event = recorded("dynamodb_stream")
    event["Records"] = event["Records"][-1:]
    assert failed(function(event)) == []
