"""What tests of the deployment share."""

from collections.abc import Callable, Iterator

import pytest

from tests.infra.recording import Stack, management


@pytest.fixture
def stack(
    ministack: str, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """Return a stack whose functions end with the test."""
    with management() as api:
        made = Stack(ministack, new_table(), api, monkeypatch)
        yield made
        for host in made.hosts:
            host.close()
