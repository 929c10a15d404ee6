"""The simulated DynamoDB and a local AWS answer alike, whatever they are asked."""

import os
from typing import Final

import pytest
from hypothesis import settings

from rivetless.clock import Clock
from rivetless.store.base import Store
from rivetless.testing.clock import FakeClock
from rivetless.testing.contracts.model import compare_with_memory
from tests.contracts.dynamodb_twins import Twins
from tests.ministack import OwnTable

pytestmark = [pytest.mark.aws, pytest.mark.timeout(300)]

EXAMPLES: Final = int(os.environ.get("RIVETLESS_TWIN_EXAMPLES", "5"))


def test_what_the_store_asks(ministack: str) -> None:
    def open_store(clock: Clock) -> Store:
        assert isinstance(clock, FakeClock)
        return OwnTable(Twins(ministack, clock), clock)

    compare_with_memory(open_store, settings(max_examples=EXAMPLES, stateful_step_count=15))
