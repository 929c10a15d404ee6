"""The lean client, against a server that does what it is told."""

import asyncio
import json
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rivetless.aws.client import AnswerLost, NotSent, ServiceError
from rivetless.aws.credentials import Provider
from rivetless.aws.lean import LeanClient
from rivetless.aws.services import DYNAMODB
from rivetless.aws.signing import Credentials
from rivetless.clock import SystemClock
from rivetless.hosts.certificates import LocalCertificate, local_certificate
from rivetless.testing.clock import FakeClock
from tests.unit.aws.servers import Server, answer, server

__all__ = ["server"]


@pytest.fixture
async def client(server: Server) -> AsyncIterator[LeanClient]:
    async with make(server.url) as client:
        yield client


def make(
    url: str,
    *,
    clock: SystemClock | FakeClock | None = None,
    ca_bundle: str | None = None,
    read_timeout: float = 0.2,
) -> LeanClient:
    clock = clock or SystemClock()
    provider = Provider(clock=clock, environ={}, fixed=Credentials("a", "b", "session"))
    return LeanClient(
        DYNAMODB,
        url,
        "us-east-1",
        provider,
        clock=clock,
        read_timeout=read_timeout,
        ca_bundle=ca_bundle,
    )


async def test_a_request_is_signed_json(server: Server, client: LeanClient) -> None:
    server.reply = lambda body: answer(b'{"Item":{"b":{"B":"AAE="},"B":{"S":"x"}}}')
    found = await client.call("GetItem", {"Key": {"b": {"B": b"\0\1"}}})
    assert found == {"Item": {"b": {"B": b"\0\1"}, "B": {"S": "x"}}}
    headers, body = server.requests[0]
    assert json.loads(body) == {"Key": {"b": {"B": "AAE="}}}
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert headers["x-amz-security-token"] == "session"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=a/")
    assert "x-amz-security-token" in headers["authorization"]
    assert headers["host"] == f"127.0.0.1:{server.port}"


async def test_connections_are_kept(server: Server, client: LeanClient) -> None:
    for _ in range(5):
        await client.call("GetItem", {})
    assert server.connections == 1
    await asyncio.gather(*(client.call("GetItem", {}) for _ in range(5)))
    assert server.connections <= 5


async def test_a_connection_that_was_closed_meanwhile_is_not_used(server: Server) -> None:
    async with make(server.url) as client:
        server.reply = lambda body: answer(b"{}", "200 OK", "Connection: close")
        await client.call("GetItem", {})
        await client.call("GetItem", {})
    assert server.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_used(server: Server) -> None:
    clock = FakeClock()
    async with make(server.url, clock=clock) as client:
        await client.call("GetItem", {})
        clock.jump(60)  # as when a frozen process is thawed
        await client.call("GetItem", {})
    assert server.connections == 2


async def test_what_was_closed_while_the_process_was_frozen_is_not_used(server: Server) -> None:
    clock = FakeClock()
    async with make(server.url, clock=clock) as client:
        await client.call("PutItem", {})
        server.hang_up()
        clock.jump(5)
        await client.call("PutItem", {})
    assert server.connections == 2


async def test_chunked_answers(server: Server, client: LeanClient) -> None:
    server.reply = lambda body: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\n{"a":\r\n3;x=y\r\n 1}\r\n0\r\nTrailer: x\r\n\r\n'
    )
    assert await client.call("GetItem", {}) == {"a": 1}
    assert await client.call("GetItem", {}) == {"a": 1}
    assert server.connections == 1


async def test_refusals_are_told_whole(server: Server, client: LeanClient) -> None:
    body = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "message": "no", "Item": {"x": {"B": "AA=="}}}  # fmt: skip
    server.reply = lambda _: answer(json.dumps(body).encode(), "400 Bad Request")
    with pytest.raises(ServiceError) as raised:
        await client.call("PutItem", {})
    error = raised.value
    assert (error.code, error.status, error.message) == (
        *("ConditionalCheckFailedException", 400),
        "no",
    )
    assert error.body["Item"] == {"x": {"B": b"\0"}}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        answer(b"<html>", "502 Bad Gateway"),
        answer(b"[]"),
        answer(b"{}", "200 OK", "x-amz-crc32: 1"),
    ],
    ids=["closed", "silent", "cut", "endless", "nonsense", "html", "list", "damaged"],
)
async def test_lost_answers(server: Server, client: LeanClient, reply: bytes | None) -> None:
    server.reply = lambda body: reply
    with pytest.raises(AnswerLost):
        await client.call("PutItem", {})
    server.reply = lambda body: answer(b"{}")
    assert await client.call("PutItem", {}) == {}


async def test_a_right_checksum_is_fine(server: Server, client: LeanClient) -> None:
    server.reply = lambda body: answer(b"{}", "200 OK", f"x-amz-crc32: {zlib.crc32(b'{}')}")
    assert await client.call("GetItem", {}) == {}


async def test_nobody_there_means_not_sent() -> None:
    async with make("http://127.0.0.1:1") as client:
        with pytest.raises(NotSent, match=r"no connection to 127\.0\.0\.1:1"):
            await client.call("PutItem", {})


async def test_the_answer_of_a_cancelled_call_is_nobody_elses(
    server: Server, client: LeanClient
) -> None:
    came, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        came.set()
        await go.wait()

    server.hold = hold
    server.reply = lambda body: answer(body)
    task = asyncio.ensure_future(client.call("GetItem", {"n": 1}))
    await came.wait()
    task.cancel()
    await asyncio.wait([task])
    go.set()
    assert await client.call("GetItem", {"n": 2}) == {"n": 2}


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://"])
def test_endpoints_are_urls(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        make(url)


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> LocalCertificate:
    return local_certificate(tmp_path)


@pytest.fixture
async def secure(certificate: LocalCertificate) -> AsyncIterator[tuple[Server, str]]:
    """A server behind TLS, and the file of the authority to trust."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server, str(certificate.certificate)


async def test_connections_are_encrypted_and_kept(secure: tuple[Server, str]) -> None:
    server, bundle = secure
    async with make(f"https://127.0.0.1:{server.port}", ca_bundle=bundle) as client:
        for _ in range(3):
            assert await client.call("GetItem", {}) == {}
    assert server.connections == 1


async def test_authorities_are_read_once(
    secure: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, bundle = secure
    read: list[str] = []

    def count(*, cafile: str) -> ssl.SSLContext:
        read.append(cafile)
        return create(cafile=cafile)

    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", count)
    for _ in range(2):
        async with make(
            f"https://127.0.0.1:{server.port}", ca_bundle=bundle, read_timeout=15
        ) as client:
            await asyncio.gather(*(client.call("GetItem", {}) for _ in range(10)))
    assert read == [bundle]
    assert server.connections > 2


async def test_a_server_that_nobody_vouches_for_gets_nothing(secure: tuple[Server, str]) -> None:
    server, _ = secure
    async with make(f"https://127.0.0.1:{server.port}") as client:
        with pytest.raises(NotSent, match="certificate"):
            await client.call("PutItem", {})
    assert server.requests == []


def test_the_sdk_is_not_loaded() -> None:
    code = (
        "import sys; from rivetless.store.urls import open_store; "
        "from rivetless.aws.management import Management; "
        "from rivetless.aws.scheduler import Schedules; from rivetless.aws.sqs import Queue; "
        "there = 'http://127.0.0.1:1'; open_store('dynamodb:t?endpoint=' + there); "
        "Management(there), Queue('q', endpoint=there); "
        "Schedules('g', target='q', role='r', endpoint=there); "
        "print(*sys.modules.keys() & {'boto3', 'botocore', 'rivetless.aws.boto', 'starlette'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
