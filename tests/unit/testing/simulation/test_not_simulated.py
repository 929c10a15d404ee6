"""What the simulated DynamoDB does not know it refuses, loudly; nothing is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from rivetless.aws.client import Payload, ServiceError
from rivetless.testing.clock import FakeClock
from rivetless.testing.simulation.dynamodb import NotSimulated, SimulatedDynamoDB
from tests.contracts.dynamodb_requests import definition

KEY = {"p": {"S": "a"}, "s": {"N": "1"}}
QUERY = {
    "TableName": "t",
    "KeyConditionExpression": "p = :p",
    "ExpressionAttributeValues": {":p": {"S": "a"}},
}


@pytest.fixture
def service() -> SimulatedDynamoDB:
    made = SimulatedDynamoDB(FakeClock())
    made.answer("CreateTable", definition("t"))
    return made


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("Scan", {"TableName": "t"}),
        ("TransactGetItems", {"TransactItems": []}),
        ("ExecuteStatement", {"Statement": "SELECT * FROM t"}),
        ("GetItem", {"TableName": "t", "Key": KEY, "AttributesToGet": ["x"]}),
        ("PutItem", {"TableName": "t", "Item": KEY, "Expected": {}}),
        ("UpdateItem", {"TableName": "t", "Key": KEY, "AttributeUpdates": {}}),
        ("DeleteItem", {"TableName": "t", "Key": KEY, "ReturnItemCollectionMetrics": "SIZE"}),
        ("PutItem", {"TableName": "t", "Item": KEY, "ReturnConsumedCapacity": "INDEXES"}),
        ("Query", {**QUERY, "QueryFilter": {}}),
        ("Query", {**QUERY, "IndexName": "wide", "Select": "ALL_ATTRIBUTES"}),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY], "AttributesToGet": ["x"]}}}),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "t", "Item": KEY, "ReturnValues": "ALL_OLD"}}
                ]
            },
        ),
        ("CreateTable", {**definition("u"), "LocalSecondaryIndexes": []}),
    ],
)
def test_requests(service: SimulatedDynamoDB, operation: str, payload: Payload) -> None:
    with pytest.raises(NotSimulated):
        service.answer(operation, payload)


@pytest.mark.parametrize(
    "condition",
    [
        "x == :v",
        "x != :v",
        "x LIKE :v",
        "ends_with(x, :v)",
        "attribute_exists(x) XOR attribute_exists(y)",
        "x.* = :v",
        "x[y] = :v",
        "x + :v = :v",
        "x = 'a'",
        "size(x, :v) = :v",
        "lower(x) = :v",
    ],
)
def test_conditions(service: SimulatedDynamoDB, condition: str) -> None:
    refuse(service, "DeleteItem", ConditionExpression=condition)


@pytest.mark.parametrize(
    "update",
    [
        "SET x = :v * :v",
        "SET x = size(x)",
        "SET x = list_prepend(x, :v)",
        "SET x = x + :v + :v",
        "SET x :v",
        "UPSERT x = :v",
        "ADD x = :v",
        "SET x = :v SET y = :v",
    ],
)
def test_updates(service: SimulatedDynamoDB, update: str) -> None:
    refuse(service, "UpdateItem", UpdateExpression=update)


def refuse(service: SimulatedDynamoDB, operation: str, **expressions: Any) -> None:
    request: Payload = {"TableName": "t", "Key": KEY, **expressions}
    if any(":v" in text for text in expressions.values()):
        request["ExpressionAttributeValues"] = {":v": {"N": "1"}}
    with pytest.raises(ServiceError) as caught:
        service.answer(operation, request)
    assert caught.value.code == "ValidationException"
