"""What the examples' tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import ServerProcess


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], ServerProcess]]:
    """Run `rivetless dev` in a process of its own: ``serve("examples.chat.app:registry")``."""
    running: list[ServerProcess] = []

    def start(app: str) -> ServerProcess:
        server = ServerProcess(app, f"sqlite:{tmp_path / 'actors.db'}", tmp_path / "log.txt")
        running.append(server)
        return server.start()

    yield start
    for server in running:
        server.stop()
