"""Code that calls actors, tested without them."""

import pytest

from examples.quickstart.app import Counter
from rivetless import ActorError, Client, UserError
from rivetless.client import MockTransport
from rivetless.client.calls import ActionCall


# --8<-- [start:mock]
async def count_visit(client: Client, page: str) -> str:
    """The code under test."""
    count = await client.get_or_create(Counter, page).increment()
    return f"{page} was seen {count} times"


async def test_visits_are_counted() -> None:
    def answer(call: ActionCall) -> int:
        assert call.action == "increment"
        return 42

    async with Client(transport=MockTransport(answer)) as client:
        assert await count_visit(client, "index") == "index was seen 42 times"


# --8<-- [end:mock]


async def test_errors_pass() -> None:
    def answer(call: object) -> object:
        raise UserError("Not today.", code="closed")

    async with Client(transport=MockTransport(answer)) as client:
        with pytest.raises(ActorError) as refused:
            await count_visit(client, "index")
    assert refused.value.code == "closed"
