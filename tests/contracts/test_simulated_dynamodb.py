"""The contract of stores, kept by the production store over the simulated DynamoDB."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import StoreContract
from rivetless.testing.contracts.model import compare_with_memory
from rivetless.testing.simulation.dynamodb import SimulatedDynamoDB, deploy


class TestSimulatedDynamoDB(StoreContract):
    @pytest.fixture
    def service(self, clock: FakeClock) -> SimulatedDynamoDB:
        service = SimulatedDynamoDB(clock)
        deploy(service)
        return service

    @pytest.fixture
    async def store(
        self, service: SimulatedDynamoDB, clock: FakeClock
    ) -> AsyncIterator[DynamoDBStore]:
        async with DynamoDBStore("actors", client=service, clock=clock) as store:
            yield store

    @pytest.fixture
    async def other(
        self, service: SimulatedDynamoDB, clock: FakeClock
    ) -> AsyncIterator[DynamoDBStore]:
        async with DynamoDBStore("actors", client=service, clock=clock) as other:
            yield other


@pytest.mark.timeout(120)
def test_it_agrees_with_memory() -> None:
    def open_store(clock: Clock) -> Store:
        service = SimulatedDynamoDB(clock)
        deploy(service)
        return DynamoDBStore("actors", client=service, clock=clock)

    compare_with_memory(open_store, settings(max_examples=40, stateful_step_count=25))
