"""Making a table: there already, slow to get ready, not to be had."""

import pytest

from rivetless.aws.client import NotSent, Payload, ServiceError
from rivetless.store.base import Unavailable
from rivetless.store.dynamodb.calls import Caller
from rivetless.store.dynamodb.setup import create_table
from tests.unit.aws.scripted import Answer, QuickClock, ScriptedClient

MADE: Payload = {"TableDescription": {}}
ACTIVE: Payload = {"Table": {"TableStatus": "ACTIVE"}}
CREATING: Payload = {"Table": {"TableStatus": "CREATING"}}


def refused(code: str) -> ServiceError:
    """Return a refusal."""
    return ServiceError(code, 400, "no", {})


async def make(*answers: Answer) -> list[str]:
    """Make a table of a service that answers so; return what it was asked."""
    client, clock = ScriptedClient(*answers), QuickClock()
    await create_table(Caller(client, clock, 1.0), clock, "t")
    return client.operations


async def test_a_table_is_made_and_waited_for() -> None:
    asked = await make(MADE, CREATING, CREATING, ACTIVE, {})
    assert asked == ["CreateTable", *["DescribeTable"] * 3, "UpdateTimeToLive"]


async def test_one_that_is_there_is_fine() -> None:
    there, expires = refused("ResourceInUseException"), refused("ValidationException")
    assert await make(there, ACTIVE, expires) == [
        "CreateTable",
        "DescribeTable",
        "UpdateTimeToLive",
    ]


@pytest.mark.parametrize(
    "answers",
    [
        (refused("AccessDeniedException"),),
        (MADE, ACTIVE, refused("AccessDeniedException")),
        (MADE, *[CREATING] * 150),
        (NotSent("no network"),) * 500,
    ],
)
async def test_one_that_cannot_be_had_is_unavailable(answers: tuple[Answer, ...]) -> None:
    with pytest.raises(Unavailable):
        await make(*answers)
