"""What tests of the DynamoDB store give to a scripted client, and make of it."""

from rivetless.aws.client import Payload, ServiceError
from rivetless.store.base import Changes, Creation
from rivetless.store.dynamodb import items
from rivetless.testing.contracts.base import address, life_of

PLACE = address("scripted")
ACTOR = life_of(PLACE)


def head_item(version: int = 1, **fields: object) -> items.Item:
    """Return the item of an actor's head."""
    item = items.new_head(ACTOR, Creation(PLACE, 1_700_000_000.0), Changes("c1"))
    item["ver"] = {"N": str(version)}
    return item | fields  # type: ignore[return-value]


def refused(item: items.Item | None, status: int = 400) -> ServiceError:
    """Return a condition's refusal."""
    body = {} if item is None else {"Item": item}
    return ServiceError("ConditionalCheckFailedException", status, "no", body)


def cancelled(*reasons: Payload) -> ServiceError:
    """Return a transaction's refusal."""
    return ServiceError(
        "TransactionCanceledException", 400, "cancelled", {"CancellationReasons": list(reasons)}
    )


def throttled() -> ServiceError:
    """Return what a table without capacity answers."""
    return ServiceError("ProvisionedThroughputExceededException", 400, "slow down", {})
