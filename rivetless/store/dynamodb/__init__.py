"""The serverless store: one DynamoDB table, shared by any number of processes.

May import ``store.base``, ``store.limits``, keys, errors and clock. AWS's own SDK is loaded only
where its search for credentials is needed; the signed HTTP client in here has no dependency.
"""

from rivetless.store.dynamodb.store import DynamoDBStore

__all__ = ["DynamoDBStore"]
