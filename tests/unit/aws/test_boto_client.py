"""What AWS's SDK raises, as what a client may raise."""

from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from botocore import exceptions as boto_errors  # type: ignore[import-untyped]

from rivetless.aws.boto import BotoClient
from rivetless.aws.client import AnswerLost, NotSent
from rivetless.aws.services import SQS
from tests.unit.aws.clients import boto
from tests.unit.aws.servers import Server, answer, server

__all__ = ["server"]

QUEUE: dict[str, object] = {"QueueUrl": "http://q/1/q"}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which the SDK finds nothing, and asks nobody."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # has found something for other tests
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def test_only_an_open_client_sends() -> None:
    with pytest.raises(NotSent, match="not open"):
        await boto(SQS, "http://127.0.0.1:1").call("ReceiveMessage", QUEUE)


@pytest.mark.usefixtures("keys")
async def test_nobody_there() -> None:
    async with boto(SQS, "http://127.0.0.1:1") as client:
        with pytest.raises(NotSent, match=r"127\.0\.0\.1:1"):
            await client.call("ReceiveMessage", QUEUE)


@pytest.mark.usefixtures("keys")
async def test_requests_that_are_none(server: Server) -> None:
    async with boto(SQS, server.url) as client:
        with pytest.raises(NotSent, match="QueueUrl"):
            await client.call("ReceiveMessage", {})
    assert server.requests == []


@pytest.mark.usefixtures("nowhere")
async def test_no_credentials(server: Server) -> None:
    async with boto(SQS, server.url) as client:
        with pytest.raises(NotSent, match="credentials"):
            await client.call("ReceiveMessage", QUEUE)
    assert server.requests == []


@pytest.mark.usefixtures("nowhere")
async def test_no_region() -> None:
    async with BotoClient(SQS) as client:
        with pytest.raises(NotSent, match="region"):
            await client.call("ReceiveMessage", QUEUE)


@pytest.mark.usefixtures("keys")
async def test_errors_that_nobody_foresaw(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.reply = lambda _: answer(b"{}")
    async with boto(SQS, server.url) as client:
        assert await client.call("ReceiveMessage", QUEUE) == {}

        def fail(**payload: object) -> None:
            raise boto_errors.HTTPClientError(error="something new")

        monkeypatch.setattr(client._client, "receive_message", fail)
        # It may have been sent, for all we know.
        with pytest.raises(AnswerLost, match="something new"):
            await client.call("ReceiveMessage", QUEUE)
