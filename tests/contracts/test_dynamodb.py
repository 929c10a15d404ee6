"""The contract of stores, kept by DynamoDB through both clients."""

import os
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import settings

from rivetless.aws.boto import BotoClient
from rivetless.aws.choice import choose_client
from rivetless.aws.client import Client
from rivetless.aws.services import DYNAMODB
from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import StoreContract
from rivetless.testing.contracts.model import compare_with_memory
from tests.ministack import OwnTable

MakeClient = Callable[[], Client]


@pytest.mark.aws
class TestLeanClient(StoreContract):
    @pytest.fixture
    def make_client(self, ministack: str, clock: FakeClock) -> MakeClient:
        return lambda: choose_client(DYNAMODB, endpoint=ministack, clock=clock, environ={})

    @pytest.fixture
    def table(self, new_table: Callable[[], str]) -> str:
        return new_table()

    @pytest.fixture
    async def store(
        self, make_client: MakeClient, clock: FakeClock, table: str
    ) -> AsyncIterator[DynamoDBStore]:
        async with DynamoDBStore(table, client=make_client(), clock=clock) as store:
            await store.create_table()
            yield store

    @pytest.fixture
    async def other(
        self, make_client: MakeClient, clock: FakeClock, store: DynamoDBStore, table: str
    ) -> AsyncIterator[DynamoDBStore]:
        async with DynamoDBStore(table, client=make_client(), clock=clock) as other:
            yield other


class TestBoto(TestLeanClient):
    @pytest.fixture
    def make_client(self, ministack: str, monkeypatch: pytest.MonkeyPatch) -> MakeClient:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        return lambda: BotoClient(DYNAMODB, endpoint=ministack, region="us-east-1", read_timeout=15)


@pytest.mark.aws
@pytest.mark.timeout(300)
def test_dynamodb_agrees_with_memory(ministack: str) -> None:
    def open_store(clock: Clock) -> Store:
        return OwnTable(ministack, clock)

    # Every step compares all there is, in some fifty requests; so few by default.
    examples = int(os.environ.get("RIVETLESS_MODEL_EXAMPLES", "6"))
    compare_with_memory(open_store, settings(max_examples=examples, stateful_step_count=15))
