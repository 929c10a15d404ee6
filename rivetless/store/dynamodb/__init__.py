"""The serverless store: one DynamoDB table, shared by any number of processes.

May import ``store.base``, ``store.limits``, ``aws``, keys, errors and clock.
"""

from rivetless.store.dynamodb.store import DynamoDBStore

__all__ = ["DynamoDBStore"]
