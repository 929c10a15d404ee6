"""LocalStack by its endpoint: ``RIVETLESS_LOCALSTACK=http://127.0.0.1:4566``; and its bootstrap.

The bootstrap is tested on ministack always: it asks for the same things in the same way.
"""

import os
import runpy
from collections.abc import Callable
from typing import Any, Final, cast

import pytest

from rivetless.cli.template import read_yaml
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.urls import open_store
from rivetless.testing.contracts.base import begin
from tests.infra.deployment import service
from tests.infra.template import ROOT, read

FOLDER: Final = ROOT / "infra" / "localstack"
ENDPOINT: Final = os.environ.get("RIVETLESS_LOCALSTACK")


class Session:
    """Makes clients as localstack-client's session does."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def client(self, name: str) -> Any:
        return service(name, self._endpoint)


def bootstrap(endpoint: str, name: str) -> dict[str, str]:
    function = runpy.run_path(str(FOLDER / "bootstrap.py"))["bootstrap"]
    made = cast("dict[str, str]", function(Session(endpoint), name))
    assert function(Session(endpoint), name) == made  # what is there is left as it is
    return made


async def works(endpoint: str, made: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    async with cast("DynamoDBStore", open_store(made["RIVETLESS_STORE"])) as store:
        life = await begin(store, state=b"kept")
        head = await store.load(life.id)
        assert head is not None
        assert head.state == b"kept"
    sqs = service("sqs", endpoint)
    for name in ("RIVETLESS_WAKE_QUEUE_URL", "RIVETLESS_FRAMES_QUEUE_URL"):
        found = sqs.get_queue_attributes(QueueUrl=made[name], AttributeNames=["All"])["Attributes"]
        assert "maxReceiveCount" in found["RedrivePolicy"]


@pytest.mark.aws
async def test_the_bootstrap_makes_what_functions_need(
    ministack: str, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await works(ministack, bootstrap(ministack, new_table()), monkeypatch)


@pytest.mark.aws
def test_the_bootstrap_names_what_functions_read(
    ministack: str, new_table: Callable[[], str]
) -> None:
    told = read()["Globals"]["Function"]["Environment"]["Variables"]
    assert bootstrap(ministack, new_table()).keys() <= told.keys()


@pytest.mark.skipif(ENDPOINT is None, reason="no LocalStack: RIVETLESS_LOCALSTACK names none")
async def test_localstack_is_a_place_for_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENDPOINT is not None
    await works(ENDPOINT, bootstrap(ENDPOINT, "rivetless"), monkeypatch)


def test_compose_serves_what_the_bootstrap_needs_on_loopback_alone() -> None:
    (localstack,) = read_yaml(FOLDER / "compose.yaml")["services"].values()
    assert localstack["ports"] == ["127.0.0.1:4566:4566"]
    assert set(localstack["environment"]["SERVICES"].split(",")) == {"dynamodb", "scheduler", "sqs"}
