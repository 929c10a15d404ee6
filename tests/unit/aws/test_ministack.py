"""The services' clients, both of them, against a local AWS."""

import itertools
import time
from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import ServiceError
from rivetless.aws.management import ConnectionGone, Management
from rivetless.aws.scheduler import Schedules
from rivetless.aws.services import MANAGEMENT, SCHEDULER, SQS
from rivetless.aws.sqs import Message, Queue
from rivetless.hosts.aws_lambda.doorbells import AwsDoorbells, schedule_name
from rivetless.keys import actor_id
from rivetless.runtime.ports import Ring
from rivetless.testing.contracts.base import address
from tests.unit.aws.clients import MakeClient, make_client

__all__ = ["make_client"]

pytestmark = pytest.mark.aws

ACTOR = actor_id(address("ringing"), 1)
ROLE = "arn:aws:iam::000000000000:role/scheduler"

_numbers = itertools.count()


@pytest.fixture
async def queue(ministack: str, make_client: MakeClient) -> AsyncIterator[Queue]:
    async with make_client(SQS, ministack) as client:
        made = await client.call("CreateQueue", {"QueueName": f"wakes-{next(_numbers)}"})
        yield Queue(made["QueueUrl"], client=client)


@pytest.fixture
async def schedules(
    ministack: str, make_client: MakeClient, queue: Queue
) -> AsyncIterator[Schedules]:
    arn = (await queue.attributes("QueueArn"))["QueueArn"]
    client = make_client(SCHEDULER, ministack)
    async with Schedules("default", target=arn, role=ROLE, client=client) as schedules:
        yield schedules


async def receive(queue: Queue, count: int) -> list[str]:
    """Receive and delete messages until there are so many; return their bodies, sorted."""
    found: list[str] = []
    while len(found) < count:
        messages = await queue.receive(wait=5)
        found += [message.body for message in messages]
        await queue.delete([message.receipt for message in messages])
    return sorted(found)


async def test_messages_come_once_and_are_deleted(queue: Queue) -> None:
    assert await queue.send(Message("one"))
    await queue.send_all([Message(f"{number:02}") for number in range(12)])
    assert await receive(queue, 13) == [*(f"{number:02}" for number in range(12)), "one"]
    left = await queue.attributes("ApproximateNumberOfMessages")
    assert left == {"ApproximateNumberOfMessages": "0"}


async def test_text_comes_as_it_was_sent(queue: Queue) -> None:
    text = 'é "quoted" \\ 𝄞\n'
    await queue.send(Message(text))
    (message,) = await queue.receive(wait=5)
    assert message.body == text
    assert message.attributes["ApproximateReceiveCount"] == "1"


async def test_fifo_queues_know_what_they_have(ministack: str, make_client: MakeClient) -> None:
    async with make_client(SQS, ministack) as client:
        name = f"frames-{next(_numbers)}.fifo"
        made = await client.call(
            "CreateQueue", {"QueueName": name, "Attributes": {"FifoQueue": "true"}}
        )
        queue = Queue(made["QueueUrl"], client=client)
        for body, deduplication in (("a", "1"), ("b", "2"), ("b", "2")):
            await queue.send(Message(body, group="c", deduplication=deduplication))
        assert [message.body for message in await queue.receive(wait=5)] == ["a", "b"]


async def test_a_queue_that_is_not_there(ministack: str, make_client: MakeClient) -> None:
    async with make_client(SQS, ministack) as client:
        queue = Queue(f"{ministack}/000000000000/nothing", client=client)
        with pytest.raises(ServiceError) as raised:
            await queue.send(Message("x"))
    assert raised.value.status == 400
    assert raised.value.code == "AWS.SimpleQueueService.NonExistentQueue"


async def test_a_ring_comes_when_it_is_due(queue: Queue) -> None:
    doorbells = AwsDoorbells(queue)
    due = time.time() + 0.5
    await doorbells.ring([Ring(ACTOR, at=due, hops=2), Ring(ACTOR)])
    assert await receive(queue, 1) == [f'{{"rivetless":"wake","actor":"{ACTOR}","hops":0}}']
    assert await receive(queue, 1) == [f'{{"rivetless":"wake","actor":"{ACTOR}","hops":2}}']
    assert time.time() >= due


async def test_a_ring_that_is_far_is_one_schedule(queue: Queue, schedules: Schedules) -> None:
    due = int(time.time()) + 3600 + next(_numbers)
    for _ in range(2):
        # Each forgets what it has sent; the name does not.
        await AwsDoorbells(queue, schedules).ring([Ring(ACTOR, at=due)])
    found = await schedules.get(schedule_name(ACTOR, due))
    assert found is not None
    assert found["ActionAfterCompletion"] == "DELETE"
    assert found["ScheduleExpression"].startswith("at(20")
    assert found["Target"]["Input"] == f'{{"rivetless":"wake","actor":"{ACTOR}","hops":0}}'
    assert await schedules.create(schedule_name(ACTOR, due), due, "x") is False
    for _ in range(2):
        await schedules.delete(schedule_name(ACTOR, due))
    assert await schedules.get(schedule_name(ACTOR, due)) is None


@pytest.mark.timeout(60)
async def test_a_schedule_leads_to_the_queue(queue: Queue, schedules: Schedules) -> None:
    assert await schedules.create(f"soon-{next(_numbers)}", int(time.time()) + 1, '{"a": 1}')
    assert await receive(queue, 1) == ['{"a": 1}']


async def test_a_connection_that_is_not_there(ministack: str, make_client: MakeClient) -> None:
    client = make_client(MANAGEMENT, f"{ministack}/_aws/execute-api/abcdef/prod")
    async with Management(client=client) as management:
        for call in (
            management.post("L0SM9cOFvHcCIhw=", b"x"),
            management.get("L0SM9cOFvHcCIhw="),
            management.delete("L0SM9cOFvHcCIhw="),
        ):
            with pytest.raises(ConnectionGone) as raised:
                await call
            assert raised.value.status == 410
