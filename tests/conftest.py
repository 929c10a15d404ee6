"""What every test has: one event loop backend, no blocking of it, no deadlines of hypothesis."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

# A deadline measures the machine, and ours is shared.
settings.register_profile("rivetless", deadline=None)
settings.load_profile("rivetless")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what the hosts run on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test in which rivetless blocks the event loop."""
    with blockbuster_ctx("rivetless") as detector:
        yield detector
