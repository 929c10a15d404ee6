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

READ_TIMEOUT = 0.5
"""Seconds until an answer must be there: what a test waits for that wants to see it lost."""


def lean(service: Service, url: str, *, read_timeout: float = READ_TIMEOUT) -> LeanClient:
    """Return a lean client of a service somewhere."""
    clock = SystemClock()
    provider = Provider(clock=clock, environ={}, fixed=Credentials("local", "local"))
    return LeanClient(
        service, url, "us-east-1", provider, clock=clock, read_timeout=read_timeout, connections=64
    )


def boto(service: Service, url: str, *, read_timeout: float = READ_TIMEOUT) -> BotoClient:
    """Return boto3's client of a service somewhere."""
    return BotoClient(
        service, endpoint=url, region="us-east-1", read_timeout=read_timeout, connections=64
    )


@pytest.fixture(params=["lean", "boto"])
def make_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeClient:
    """Return a function that makes a client: the lean one, then boto3's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return lean if request.param == "lean" else boto


@pytest.fixture
def make_patient_client(make_client: MakeClient) -> MakeClient:
    """Return a function that makes a client which waits for an emulator that starts slowly."""
    kind = lean if make_client is lean else boto
    return lambda service, url: kind(service, url, read_timeout=15)
