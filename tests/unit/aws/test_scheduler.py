"""One-time schedules: what is asked of EventBridge Scheduler."""

import json
from collections.abc import AsyncIterator

import pytest

from rivetless.aws.client import AnswerLost, ServiceError
from rivetless.aws.scheduler import Schedules
from rivetless.aws.services import SCHEDULER
from rivetless.clock import SystemClock
from tests.unit.aws.clients import MakeClient, make_client
from tests.unit.aws.scripted import QuickClock, ScriptedClient
from tests.unit.aws.servers import Server, answer, server

__all__ = ["make_client", "server"]

QUEUE = "arn:aws:sqs:us-east-1:123456789012:wakes"
ROLE = "arn:aws:iam::123456789012:role/scheduler"
CONFLICT = ServiceError("ConflictException", 409, "there is one", {})


@pytest.fixture
def client() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture
async def schedules(client: ScriptedClient) -> AsyncIterator[Schedules]:
    made = Schedules("wakes", target=QUEUE, role=ROLE, client=client, clock=QuickClock())
    async with made as schedules:
        yield schedules


async def test_making_one_twice_makes_one(schedules: Schedules, client: ScriptedClient) -> None:
    client.answers = [{}, CONFLICT]
    assert await schedules.create("n", 1_700_000_000, "wake") is True
    assert await schedules.create("n", 1_700_000_000, "wake") is False


async def test_a_lost_answer_is_found_out_by_trying_again(
    schedules: Schedules, client: ScriptedClient
) -> None:
    client.answers = [AnswerLost("no"), CONFLICT]
    assert await schedules.create("n", 1_700_000_000, "wake") is False


async def test_no_more_than_the_account_may_have(
    schedules: Schedules, client: ScriptedClient
) -> None:
    client.answers = [ServiceError("ServiceQuotaExceededException", 402, "too many", {})]
    with pytest.raises(ServiceError, match="too many"):
        await schedules.create("n", 1_700_000_000, "wake")
    assert len(client.calls) == 1


async def test_one_that_is_not_there(schedules: Schedules, client: ScriptedClient) -> None:
    missing = ServiceError("ResourceNotFoundException", 404, "no", {})
    client.answers = [missing, missing, missing]
    assert await schedules.get("n") is None
    await schedules.delete("n")
    with pytest.raises(ServiceError):
        await schedules.create("n", 1_700_000_000, "wake")  # the group is not there


async def test_refusals_are_told(schedules: Schedules, client: ScriptedClient) -> None:
    denied = ServiceError("AccessDeniedException", 403, "no", {})
    client.answers = [denied, denied, denied]
    for call in (
        schedules.create("n", 1_700_000_000, "wake"),
        schedules.get("n"),
        schedules.delete("n"),
    ):
        with pytest.raises(ServiceError, match="AccessDenied"):
            await call


async def test_requests(server: Server, make_client: MakeClient) -> None:
    client = make_client(SCHEDULER, server.url)
    server.reply = lambda _: answer(b'{"ScheduleArn":"arn:x","Target":{"arn":"a"}}')
    made = Schedules("my.group", target=QUEUE, role=ROLE, client=client, clock=SystemClock())
    async with made as schedules:
        assert await schedules.create("rl-a-1", 1_700_000_000, '{"a":1}') is True
        await schedules.get("rl-a-1")
        await schedules.delete("rl-a-1")
    create, get, delete = server.lines
    assert create == "POST /schedules/rl-a-1"
    assert get == "GET /schedules/rl-a-1?groupName=my.group"
    # boto3 sends a token that it made up, too.
    assert delete.startswith("DELETE /schedules/rl-a-1?groupName=my.group")
    body = json.loads(server.requests[0][1])
    body.pop("ClientToken", None)
    assert body == {
        "GroupName": "my.group",
        "ScheduleExpression": "at(2023-11-14T22:13:20)",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {"Arn": QUEUE, "RoleArn": ROLE, "Input": '{"a":1}'},
    }


@pytest.mark.parametrize("named", [True, False])
async def test_conflicts_over_http(server: Server, make_client: MakeClient, named: bool) -> None:
    # The name of an error comes in a header or in the body.
    header = ["x-amzn-ErrorType: ConflictException"] if named else []
    body = b'{"Message":"no"}' if named else b'{"__type":"x#ConflictException","Message":"no"}'
    server.reply = lambda _: answer(body, "409 Conflict", *header)
    client = make_client(SCHEDULER, server.url)
    async with Schedules("g", target=QUEUE, role=ROLE, client=client) as schedules:
        assert await schedules.create("n", 1_700_000_000, "x") is False
