"""A cold start is imports: what an adapter loads, and what its first events load."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

HEAVY = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "httpx",
    "mangum",
    "sqlite3",
    "starlette",
    "uvicorn",
    "websockets",
}
"""What no event but HTTP may load, and HTTP only Mangum of."""

ADAPTER = """
from examples.quickstart.app import registry
from rivetless.hosts.aws_lambda import aws_lambda

handler = aws_lambda(registry)
"""

WAKE = """
class Context:
    aws_request_id, function_name = "1", "f"

    def get_remaining_time_in_millis(self):
        return 30_000

assert handler({"rivetless": "wake", "actor": "0" * 29 + "1"}, Context()) is None
"""

HTTP = """
request = {"method": "GET", "path": "/health", "sourceIp": "::1"}
event = {"version": "2.0", "rawPath": "/health", "headers": {}, "requestContext": {"http": request}}
assert handler(event, Context())["statusCode"] == 200
"""

REPORT = """
import sys

names = {name.partition(".")[0] for name in sys.modules}
print(*names, *["gateway"] * ("rivetless.gateway.app" in sys.modules))
"""


class Nothing(BaseHTTPRequestHandler):
    """A DynamoDB in which there is nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Return the URL of a DynamoDB in which there is nothing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def loaded(code: str, endpoint: str) -> set[str]:
    """Run code as a function would; return what it has loaded."""
    environ = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "b",
        "RIVETLESS_STORE": "dynamodb:actors",
        "RIVETLESS_WAKE_QUEUE_URL": f"{endpoint}/123456789012/wakes",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + REPORT],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environ,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return set(done.stdout.splitlines()[-1].split())


def test_an_adapter_and_a_first_wake_load_nothing_heavy(endpoint: str) -> None:
    found = loaded(ADAPTER + WAKE, endpoint)
    assert not found & HEAVY
    assert "gateway" not in found
    assert "pydantic" in found


def test_a_first_request_loads_mangum_and_nothing_else_that_is_heavy(endpoint: str) -> None:
    found = loaded(ADAPTER + WAKE + HTTP, endpoint)
    assert found & HEAVY == {"mangum"}
    assert "gateway" in found
