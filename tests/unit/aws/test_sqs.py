"""Queues: what is asked of SQS, and what becomes of its answers."""

import json
from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import AnswerLost, NotSent, Payload, ServiceError
from rivetless.aws.services import SQS
from rivetless.aws.sqs import Message, Queue
from tests.unit.aws.clients import MakeClient, make_client
from tests.unit.aws.scripted import Answer, QuickClock, ScriptedClient
from tests.unit.aws.servers import Server, answer, server

__all__ = ["make_client", "server"]

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/wakes"


@pytest.fixture
def client() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture
async def queue(client: ScriptedClient) -> AsyncIterator[Queue]:
    async with Queue(URL, client=client, clock=QuickClock()) as queue:
        yield queue


def entries(call: tuple[str, Payload]) -> list[str]:
    """Return the bodies or receipts of a batch."""
    found = call[1]["Entries"]
    return [entry.get("MessageBody") or entry["ReceiptHandle"] for entry in found]


async def test_send(queue: Queue, client: ScriptedClient) -> None:
    client.answers = [{"MessageId": "m1"}]
    assert await queue.send(Message("hello", delay=7)) == "m1"
    await queue.send(Message("in order", group="g", deduplication="d"))
    assert client.calls == [
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "hello", "DelaySeconds": 7}),
        (
            "SendMessage",
            {
                "QueueUrl": URL,
                "MessageBody": "in order",
                "MessageGroupId": "g",
                "MessageDeduplicationId": "d",
            },
        ),
    ]


async def test_what_failed_for_the_time_being_is_sent_again(
    queue: Queue, client: ScriptedClient
) -> None:
    client.answers = [
        NotSent("no"),
        AnswerLost("no"),
        ServiceError("InternalError", 500, "", {}),
        ServiceError("RequestThrottled", 403, "", {}),
        {"MessageId": "m1"},
    ]
    assert await queue.send(Message("x")) == "m1"
    assert client.operations == ["SendMessage"] * 5


async def test_refusals_are_final(queue: Queue, client: ScriptedClient) -> None:
    client.answers = [ServiceError("AccessDenied", 403, "no", {})]
    with pytest.raises(ServiceError, match="AccessDenied"):
        await queue.send(Message("x"))
    assert client.operations == ["SendMessage"]


async def test_once_an_answer_was_lost_it_may_have_been_sent(
    queue: Queue, client: ScriptedClient
) -> None:
    def throttle(operation: str, payload: Payload) -> Payload:
        client.answers.append(throttle)
        raise ServiceError("Throttling", 400, "slowly", {})

    client.answers = [AnswerLost("no"), throttle]
    with pytest.raises(AnswerLost, match="slowly"):
        await queue.send(Message("x"))


async def test_batches_are_of_ten(queue: Queue, client: ScriptedClient) -> None:
    await queue.send_all([Message(str(number)) for number in range(21)])
    assert client.operations == ["SendMessageBatch", "SendMessageBatch", "SendMessage"]
    assert entries(client.calls[1]) == [str(number) for number in range(10, 20)]
    await queue.send_all([])
    assert len(client.calls) == 3


async def test_batches_are_of_a_megabyte(queue: Queue, client: ScriptedClient) -> None:
    large = "é" * 200_000  # 400 kB
    await queue.send_all([Message(large)] * 5)
    sizes = [len(call[1].get("Entries", "1")) for call in client.calls]
    assert sizes == [2, 2, 1]


def refusing(*bodies: str, fault: bool = False) -> Answer:
    """Return an answer that refuses some entries of a batch."""

    def answer(operation: str, payload: Payload) -> Payload:
        return {
            "Failed": [
                {"Id": entry["Id"], "SenderFault": fault, "Code": "Oops", "Message": "no"}
                for entry in payload["Entries"]
                if entry["MessageBody"] in bodies
            ]
        }

    return answer


async def test_what_failed_of_a_batch_is_sent_again(queue: Queue, client: ScriptedClient) -> None:
    client.answers = [refusing("b", "c"), AnswerLost("no"), refusing("c")]
    await queue.send_all([Message("a"), Message("b"), Message("c")])
    assert [entries(call) for call in client.calls] == [
        ["a", "b", "c"],
        ["b", "c"],
        ["b", "c"],
        ["c"],
    ]


async def test_what_can_never_be_sent_is_told(queue: Queue, client: ScriptedClient) -> None:
    def both(operation: str, payload: Payload) -> Payload:
        faults = {"a": True, "b": False}
        return {
            "Failed": [
                {"Id": entry["Id"], "SenderFault": faults[entry["MessageBody"]], "Code": "Oops"}
                for entry in payload["Entries"]
            ]
        }

    client.answers = [both, refusing("a", fault=True)]
    with pytest.raises(ServiceError) as raised:
        await queue.send_all([Message("a"), Message("b")])
    assert (raised.value.code, raised.value.status) == ("Oops", 400)
    # The other one was sent again all the same.
    assert [entries(call) for call in client.calls] == [["a", "b"], ["a", "b"]]


async def test_receive(queue: Queue, client: ScriptedClient) -> None:
    found = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "Attributes": {"A": "1"}}
    client.answers = [{"Messages": [found]}]
    (message,) = await queue.receive(most=3, wait=2, visibility=30)
    assert (message.id, message.receipt, message.body, message.attributes) == (
        *("m", "r", "b"),
        {"A": "1"},
    )
    assert client.calls[0][1] == {
        "QueueUrl": URL,
        "MaxNumberOfMessages": 3,
        "WaitTimeSeconds": 2,
        "VisibilityTimeout": 30,
        "MessageSystemAttributeNames": ["All"],
    }
    assert await queue.receive() == []


async def test_delete(queue: Queue, client: ScriptedClient) -> None:
    await queue.delete([str(number) for number in range(11)])
    assert client.operations == ["DeleteMessageBatch", "DeleteMessage"]
    assert client.calls[1][1] == {"QueueUrl": URL, "ReceiptHandle": "10"}


# -- over HTTP ------------------------------------------------------------------------------------


async def test_a_request_is_signed_json(server: Server, make_client: MakeClient) -> None:
    server.reply = lambda body: answer(
        b'{"MessageId":"m1","MD5OfMessageBody":"' + b"0" * 32 + b'"}'
    )
    async with Queue(URL, client=make_client(SQS, server.url)) as queue:
        assert await queue.send(Message("é", delay=1)) == "m1"
    headers, body = server.requests[0]
    assert json.loads(body) == {"QueueUrl": URL, "MessageBody": "é", "DelaySeconds": 1}
    assert headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amzn-query-mode"] == "true"
    assert "/us-east-1/sqs/aws4_request" in headers["authorization"]


async def test_errors_have_the_names_they_always_had(
    server: Server, make_client: MakeClient
) -> None:
    old = "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender"
    body = b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no queue"}'
    server.reply = lambda _: answer(body, "400 Bad Request", old)
    async with Queue(URL, client=make_client(SQS, server.url)) as queue:
        with pytest.raises(ServiceError, match="no queue") as raised:
            await queue.receive()
    assert raised.value.code == "AWS.SimpleQueueService.NonExistentQueue"
    server.reply = lambda _: answer(body, "400 Bad Request")
    async with Queue(URL, client=make_client(SQS, server.url)) as queue:
        with pytest.raises(ServiceError) as raised:
            await queue.receive()
    assert raised.value.code == "QueueDoesNotExist"


async def test_a_lost_answer_is_asked_for_again(server: Server, make_client: MakeClient) -> None:
    whole = b'{"Attributes":{"A":"1"}}'
    answers = [
        None,
        answer(b"<html>", "502 Bad Gateway"),
        answer(whole),
    ]
    server.reply = lambda _: answers.pop(0)
    async with Queue(URL, client=make_client(SQS, server.url), patience=15) as queue:
        assert await queue.attributes("A") == {"A": "1"}
    assert len(server.requests) == 3
