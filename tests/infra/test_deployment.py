"""The template, deployed to a local AWS as it is, serves actors."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rivetless.store.dynamodb import DynamoDBStore, table
from tests.infra.deployment import (
    api_endpoint,
    build,
    deploy_with_sockets,
    drive,
    get,
    http_endpoint,
    service,
    sockets_endpoint,
)
from tests.infra.front import fronted
from tests.ministack import free_port

pytestmark = [
    pytest.mark.aws,
    pytest.mark.node,
    pytest.mark.sam,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]


async def test_the_official_client_counts_in_what_was_deployed(
    ministack: str, tmp_path: Path
) -> None:
    built = await asyncio.to_thread(build, tmp_path / "build")
    outputs = await asyncio.to_thread(deploy_with_sockets, built, ministack)
    http, sockets = http_endpoint(ministack, outputs), sockets_endpoint(ministack, outputs)
    async with fronted(http, sockets, free_port()) as url:
        told = await asyncio.to_thread(drive, url, tmp_path / "client")
    assert told.splitlines() == ["returned: 1", "changed: 4", "returned: 4"]
    assert get(f"{api_endpoint(ministack, outputs)}/metadata")["runtime"] == "rivetkit"

    # The counter is in the table, which is as the store would have made it.
    deployed = DynamoDBStore(outputs["Table"], endpoint=ministack)
    made = DynamoDBStore("made-by-the-store", endpoint=ministack)
    async with deployed, made:
        (head,) = await deployed.list("default", "counter", limit=10)
        assert head.address.key == ("my-counter",)
        await made.create_table()
    dynamodb = service("dynamodb", ministack)
    shapes = [
        dynamodb.describe_table(TableName=name)["Table"]
        for name in (outputs["Table"], "made-by-the-store")
    ]
    for attribute in ("KeySchema", "AttributeDefinitions"):
        assert shapes[0][attribute] == shapes[1][attribute]
    assert _indexes(shapes[0]) == _indexes(shapes[1])
    assert table.definition("any")["BillingMode"] == shapes[0]["BillingModeSummary"]["BillingMode"]


def _indexes(shape: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (index["IndexName"], str(index["KeySchema"]), str(index["Projection"]))
        for index in shape["GlobalSecondaryIndexes"]
    )
