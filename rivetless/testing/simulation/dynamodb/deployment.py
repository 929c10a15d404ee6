"""Makes a store's table at once, as a deployment would have done before."""

from __future__ import annotations

from rivetless.store.dynamodb import table
from rivetless.testing.simulation.dynamodb.service import SimulatedDynamoDB


def deploy(service: SimulatedDynamoDB, name: str = "actors") -> None:
    """Make a table that a ``DynamoDBStore`` can use.

    Args:
        service: where.
        name: of the table.
    """
    service.answer("CreateTable", table.definition(name))
    service.answer("UpdateTimeToLive", table.expiry(name))
