"""A real server that bad input is thrown at, and an actor whose state no bad input may touch."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.behaviour.world import NO_TLS
from tests.servers import ServerProcess

APP = "tests.behaviour.actors:registry"
QUERY = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"


class Target:
    """One counter on a real server.

    Attributes:
        server: the server.
        http: a client of it.
        key: the counter's key.
        actor_id: its id.
    """

    def __init__(self, server: ServerProcess, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        self.key = uuid.uuid4().hex[:12]
        self.actor_id = ""
        self._log_start = 0

    def url(self, subpath: str, actor: str = "counter", query: str = "") -> str:
        """Return the counter's URL."""
        return f"/gateway/{actor}{subpath}?{query}{QUERY}&rvt-key={self.key}"

    def begin(self) -> None:
        """Count to three."""
        answer = self.http.post(self.url("/action/increment"), json={"args": [3]})
        assert answer.json() == {"output": 3}
        self.actor_id = answer.headers["x-rivet-actor"]
        self._log_start = len(self.server.output(None))

    def check(self) -> None:
        """See that the counter is as it was and the server has had no accident."""
        answer = self.http.post(self.url("/action/get"), json={})
        assert answer.json() == {"output": 3}
        log = self.server.output(None)[self._log_start :]
        assert "Traceback" not in log, log
        assert "ERROR" not in log, log


def check_error(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """Check that an answer is a clear, structured error, and return it."""
    assert 400 <= answer.status_code < 500 or answer.status_code in statuses, answer.text
    if statuses:
        assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/json", answer.text
    error: dict[str, Any] = answer.json()
    assert set(error) <= {"group", "code", "message", "metadata", "actor"}
    for part in ("group", "code", "message"):
        assert isinstance(error[part], str)
        assert error[part]
    assert answer.headers["x-rivet-error"] == f"{error['group']}.{error['code']}"
    assert answer.headers["x-rivet-ray-id"]
    return error


@pytest.fixture(scope="session")
def adversity_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all."""
    folder = tmp_path_factory.mktemp("adversity")
    with ServerProcess(APP, "memory:", folder / "log.txt") as server:
        yield server


@pytest.fixture(scope="session")
def adversity_http(adversity_server: ServerProcess) -> Iterator[httpx.Client]:
    """One client for all."""
    with httpx.Client(base_url=adversity_server.endpoint, timeout=20, verify=NO_TLS) as http:
        yield http


@pytest.fixture
def target(adversity_server: ServerProcess, adversity_http: httpx.Client) -> Iterator[Target]:
    """A counter that stands at three, before and after."""
    counter = Target(adversity_server, adversity_http)
    counter.begin()
    yield counter
    counter.check()
