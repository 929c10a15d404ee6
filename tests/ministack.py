"""A local AWS for tests marked `aws`: one ministack process per pytest process, on loopback."""

import asyncio
import itertools
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest

from rivetless.aws.choice import choose_client
from rivetless.aws.client import Client
from rivetless.aws.services import DYNAMODB
from rivetless.clock import Clock, SystemClock
from rivetless.store.dynamodb import DynamoDBStore

ROOT: Final = Path(__file__).parent.parent
PROGRAM: Final = ROOT / ".ministack-venv" / "bin" / "ministack"
START_SECONDS: Final = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    # Asked for tables, it loads its DynamoDB too, which takes longer than any later request.
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request",
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.ListTables",
    }
    while time.monotonic() < until and process.poll() is None:
        try:
            request = urllib.request.Request(endpoint, b"{}", headers)
            with urllib.request.urlopen(request, timeout=START_SECONDS):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise RuntimeError(f"ministack does not answer:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def serving(folder: Path, port: int) -> Iterator[str]:
    """Run ministack at a port of loopback, with its files in a folder; give its endpoint."""
    settings = {
        # Its defaults are every interface and more ports.
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "LOG_LEVEL": "WARNING",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM],
            cwd=folder,
            env=own | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(process, endpoint, log)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_names: Final = map("actors-{}".format, itertools.count(1))


def real_client(endpoint: str) -> Client:
    """Return a client of a local AWS, on real time."""
    return choose_client(DYNAMODB, endpoint=endpoint, clock=SystemClock(), environ={})


class OwnTable(DynamoDBStore):
    """A store that makes its table, a new one, as it is opened.

    Args:
        service: the endpoint of a local AWS, or a client of a simulated one.
        clock: the actors'; requests to an endpoint take real time.
    """

    def __init__(self, service: str | Client, clock: Clock) -> None:
        client = service if not isinstance(service, str) else real_client(service)
        super().__init__(next(_names), client=client, clock=clock)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.create_table()
        return self


def make_table(endpoint: str) -> str:
    """Make a table; return its name."""

    async def make() -> str:
        async with OwnTable(endpoint, SystemClock()) as store:
            return store.table

    # In a thread, because whoever needs it may be in an event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, make()).result()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on a local AWS time to start it, which the first one in each process does."""
    for item in items:
        if item.get_closest_marker("aws") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_SECONDS + 30))


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run ministack; give its endpoint."""
    with serving(tmp_path_factory.mktemp("ministack"), free_port()) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def new_table() -> Callable[[], str]:
    """Return a function that gives names nobody has had for a table."""
    return _names.__next__
