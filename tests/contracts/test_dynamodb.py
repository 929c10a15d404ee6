"""The contract of stores, kept by DynamoDB through both clients."""

from collections.abc import AsyncIterator, Callable

import pytest

from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.dynamodb.boto import BotoClient
from rivetless.store.dynamodb.choice import choose_client
from rivetless.store.dynamodb.client import Client
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts import StoreContract

MakeClient = Callable[[], Client]


@pytest.mark.aws
class TestLeanClient(StoreContract):
    @pytest.fixture
    def make_client(self, ministack: str, clock: FakeClock) -> MakeClient:
        return lambda: choose_client(endpoint=ministack, clock=clock, environ={})

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
        return lambda: BotoClient(endpoint=ministack, region="us-east-1", read_timeout=15)
