"""Which client the environment leads to, and where credentials come from."""

import json
import sys
from pathlib import Path

import pytest

from rivetless.aws.boto import BotoClient
from rivetless.aws.choice import choose_client, uses_proxy
from rivetless.aws.client import NotSent
from rivetless.aws.credentials import Provider, container_url
from rivetless.aws.lean import LeanClient
from rivetless.aws.services import DYNAMODB, MANAGEMENT, SCHEDULER, SQS, Service
from rivetless.testing.clock import FakeClock
from tests.unit.aws.servers import Server, answer, server

__all__ = ["server"]

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
REGION = {"AWS_REGION": "eu-west-1"}
AWS = "https://dynamodb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("environ", "endpoint", "url"),
    [
        (KEYS | REGION, None, AWS),
        (KEYS | {"AWS_DEFAULT_REGION": "eu-west-1"}, None, AWS),
        (REGION | {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, None, AWS),
        (KEYS | {"AWS_REGION": "cn-north-1"}, None, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        (KEYS | REGION | {"AWS_ENDPOINT_URL": "https://any"}, None, "https://any"),
        (
            KEYS | REGION | {"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_DYNAMODB": "https://b"},
            None,
            "https://b",
        ),
        (
            KEYS | REGION | {"AWS_ENDPOINT_URL": "https://a",
                             "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            None,
            AWS,
        ),
        (KEYS | REGION | {"AWS_ENDPOINT_URL": "https://any"}, "https://given", "https://given"),
        ({}, "http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, None, "http://localhost:4566"),
        (KEYS | REGION | {"HTTPS_PROXY": "http://p", "NO_PROXY": ".amazonaws.com"}, None, AWS),
    ],
)  # fmt: skip
def test_lean_where_it_suffices(environ: dict[str, str], endpoint: str | None, url: str) -> None:
    client = choose_client(DYNAMODB, endpoint=endpoint, clock=FakeClock(), environ=environ)
    assert isinstance(client, LeanClient)
    assert repr(url) in repr(client)


@pytest.mark.parametrize(
    ("service", "name", "host"),
    [
        (DYNAMODB, "DYNAMODB", "dynamodb"),
        (SQS, "SQS", "sqs"),
        (SCHEDULER, "SCHEDULER", "scheduler"),
        (MANAGEMENT, "APIGATEWAYMANAGEMENTAPI", None),
    ],
)
def test_every_service_has_its_endpoint(service: Service, name: str, host: str | None) -> None:
    def choose(**environ: str) -> str:
        return repr(choose_client(service, clock=FakeClock(), environ=KEYS | REGION | environ))

    any_of_them = {"AWS_ENDPOINT_URL": "https://any"}
    own = {f"AWS_ENDPOINT_URL_{name}": "https://own/stage"}
    assert "'https://any'" in choose(**any_of_them)
    assert "'https://own/stage'" in choose(**any_of_them, **own)
    ignored = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    if host is not None:
        assert f"'https://{host}.eu-west-1.amazonaws.com'" in choose()
        assert f"'https://{host}.eu-west-1.amazonaws.com'" in choose(**own, **ignored)
    else:
        with pytest.raises(ValueError, match="AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"):
            choose()
        with pytest.raises(ValueError, match="endpoint"):
            choose(**own, **ignored)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        REGION,
        KEYS,
        REGION | {"AWS_PROFILE": "work"},
        KEYS | REGION | {"HTTPS_PROXY": "http://proxy:3128"},
        KEYS | REGION | {"https_proxy": "http://proxy:3128"},
        KEYS | REGION | {"AWS_USE_FIPS_ENDPOINT": "true"},
        KEYS | REGION | {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        KEYS | {"AWS_REGION": "us-iso-east-1"},
    ],
)
def test_boto_where_it_is_needed(environ: dict[str, str]) -> None:
    assert isinstance(choose_client(DYNAMODB, clock=FakeClock(), environ=environ), BotoClient)


@pytest.mark.parametrize(
    ("exempt", "proxied"),
    [
        ("", True),
        ("*", False),
        ("amazonaws.com", False),
        (".amazonaws.com", False),
        ("*.amazonaws.com", False),
        ("localhost, dynamodb.eu-west-1.amazonaws.com", False),
        ("dynamodb.eu-west-1.amazonaws.com:443", False),
        ("aws.com", True),
        ("localhost,127.0.0.1", True),
    ],
)
def test_no_proxy(exempt: str, proxied: bool) -> None:
    assert uses_proxy(AWS, {"HTTPS_PROXY": "http://p", "NO_PROXY": exempt}) is proxied


def test_boto_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ImportError, match=r"rivetless\[aws\]"):
        choose_client(DYNAMODB, clock=FakeClock(), environ={"AWS_PROFILE": "work"})


# -- credentials of a container -------------------------------------------------------------------


class Container:
    """A server that hands out credentials, and the environment that leads to it."""

    def __init__(self, server: Server, environ: dict[str, str]) -> None:
        self.server = server
        self.clock = FakeClock()
        path = f"{server.url}/credentials?x=1"
        self.provider = Provider(
            clock=self.clock, environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": path} | environ
        )

    def give(self, name: str, expiration: str) -> None:
        body = {"AccessKeyId": name, "SecretAccessKey": "s", "Token": "t", "Expiration": expiration}
        self.server.reply = lambda _: answer(json.dumps(body).encode())


@pytest.fixture
def container(server: Server, tmp_path: Path) -> Container:
    token = tmp_path / "token"
    token.write_text("secret\n")
    return Container(server, {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)})


async def test_credentials_of_a_container_are_renewed(container: Container) -> None:
    container.give("first", "2096-10-02T08:06:40Z")  # an hour after the clock's beginning
    assert (await container.provider.get()).access_key == "first"
    container.give("second", "2096-10-03T08:06:40Z")
    container.clock.jump(3000)
    assert (await container.provider.get()).access_key == "first"
    container.clock.jump(400)
    assert (await container.provider.get()).access_key == "second"
    assert [headers["authorization"] for headers, _ in container.server.requests] == ["secret"] * 2


async def test_old_credentials_are_used_to_their_end(container: Container) -> None:
    container.give("first", "2096-10-02T08:06:40Z")
    await container.provider.get()
    container.server.reply = lambda _: answer(b"", "500 No")
    container.clock.jump(3500)
    assert (await container.provider.get()).access_key == "first"
    container.clock.jump(200)
    with pytest.raises(NotSent, match="no AWS credentials"):
        await container.provider.get()


async def test_a_token_in_the_environment(server: Server) -> None:
    token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"}
    container = Container(server, token)
    container.give("first", "2096-10-02T08:06:40Z")
    assert (await container.provider.get()).access_key == "first"
    assert server.requests[0][0]["authorization"] == "Basic abc"
    assert server.lines == ["GET /credentials?x=1"]


@pytest.mark.parametrize("content", [None, "a\nb", "a\r\nevil: 1"])
async def test_tokens_that_are_none(server: Server, tmp_path: Path, content: str | None) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    container = Container(server, {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)})
    with pytest.raises(NotSent, match="token"):
        await container.provider.get()
    assert server.requests == []


async def test_no_credentials_at_all() -> None:
    provider = Provider(clock=FakeClock(), environ={})
    assert not provider.available
    with pytest.raises(NotSent, match="no AWS credentials"):
        await provider.get()


@pytest.mark.parametrize("url", ["http://example.com/x", "http://169.254.1.1/"])
def test_credentials_are_not_asked_of_just_anybody(url: str) -> None:
    with pytest.raises(ValueError, match="without encryption"):
        container_url({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})


@pytest.mark.parametrize("url", ["https://example.com/x", "http://169.254.170.23/v1/credentials"])
def test_whom_credentials_are_asked_of(url: str) -> None:
    assert container_url({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}) == url
