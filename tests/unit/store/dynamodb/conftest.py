"""Where these tests' stores keep things: in the simulated service, and in a local AWS."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from rivetless.aws.client import Client, Payload
from rivetless.testing.clock import FakeClock
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB
from tests.ministack import real_client


class Interleaved(SimulatedDynamoDB):
    """Lets others go first, as a network does."""

    async def call(self, operation: str, payload: Payload) -> Payload:
        await asyncio.sleep(0)
        return await super().call(operation, payload)


@pytest.fixture(params=["simulated", pytest.param("ministack", marks=pytest.mark.aws)])
def make_client(request: pytest.FixtureRequest) -> Callable[[], Client]:
    """Return what makes clients of one and the same service."""
    if request.param == "simulated":
        service = Interleaved(FakeClock())
        return lambda: service
    endpoint = cast("str", request.getfixturevalue("ministack"))
    return lambda: real_client(endpoint)
