"""Both clients, so that one suite runs over them."""

from collections.abc import Callable

import pytest

from rivetless.aws.boto import BotoClient
from rivetless.aws.client import Client
from rivetless.aws.credentials import Provider
from rivetless.aws.lean import LeanClient
from rivetless.aws.services import Service
from rivetless.aws.signing import Credentials
from rivetless.clock import SystemClock

MakeClient = Callable[[Service, str], Client]

# Of a test that fails, not of one that passes: the machine may be busy.
READ_TIMEOUT = 15.0


def lean(service: Service, url: str) -> LeanClient:
    """Return a lean client of a service somewhere."""
    clock = SystemClock()
    provider = Provider(clock=clock, environ={}, fixed=Credentials("local", "local"))
    return LeanClient(
        service, url, "us-east-1", provider, clock=clock, read_timeout=READ_TIMEOUT, connections=64
    )


def boto(service: Service, url: str) -> BotoClient:
    """Return boto3's client of a service somewhere."""
    return BotoClient(
        service, endpoint=url, region="us-east-1", read_timeout=READ_TIMEOUT, connections=64
    )


@pytest.fixture(params=["lean", "boto"])
def make_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeClient:
    """Return a function that makes a client: the lean one, then boto3's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return lean if request.param == "lean" else boto
