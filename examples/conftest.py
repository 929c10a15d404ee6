"""What the examples' tests share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import anyio_backend, pytest_runtest_setup
from tests.dev_server import DevServer

__all__ = ["anyio_backend", "pytest_runtest_setup", "serve"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run ``rivetless dev`` and get its URL: ``serve("examples.chat.app:registry")``."""
    with ExitStack() as running:
        yield (
            lambda app: (
                running.enter_context(DevServer(app, f"sqlite:{tmp_path / 'actors.db'}")).endpoint
            )
        )
