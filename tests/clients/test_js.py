"""The unmodified npm client against the behaviour suite's actors, under Node.js.

Each test here runs one file of ``js/`` in one encoding; Node's own summary is shown when it fails.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.clients.node import run_node
from tests.servers import ServerProcess

pytestmark = [pytest.mark.node, pytest.mark.timeout(120)]

APP: Final = "tests.behaviour.actors:registry"
ENCODINGS: Final = ("json", "cbor", "bare")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for the tests that leave it alone."""
    folder = tmp_path_factory.mktemp("js")
    with ServerProcess(APP, f"sqlite:{folder / 'actors.db'}", folder / "log.txt") as running:
        yield running


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("file", ["calls", "connections", "queues", "raw"])
def test_features(server: ServerProcess, file: str, encoding: str) -> None:
    run_node(file, server.endpoint, encoding, server.output)


def test_gateway(server: ServerProcess) -> None:
    run_node("gateway", server.endpoint, "bare", server.output)


@contextmanager
def remote_control(verbs: dict[str, Callable[[], object]]) -> Iterator[str]:
    """Let another process call functions of this one, by ``POST /name``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                verbs[self.path.strip("/")]()
            except Exception as error:
                self.send_response(500)
                self.end_headers()
                self.wfile.write(str(error).encode())
            else:
                self.send_response(204)
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_restarts(tmp_path: Path, encoding: str) -> None:
    where = f"sqlite:{tmp_path / 'actors.db'}"
    with ServerProcess(APP, where, tmp_path / "log.txt") as server:

        def kill() -> None:
            server.kill()
            server.start()

        with remote_control({"restart": server.restart, "kill": kill}) as control:
            run_node("restart", server.endpoint, encoding, server.output, RIVETLESS_CONTROL=control)
