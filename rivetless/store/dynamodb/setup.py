"""Makes the table where no deployment has: on emulators, in tests and for trials."""

from __future__ import annotations

from typing import Final

from rivetless.aws.client import ServiceError
from rivetless.clock import Clock, sleep
from rivetless.store.base import Unavailable
from rivetless.store.dynamodb import table
from rivetless.store.dynamodb.calls import Caller

_LOOKS: Final = 120
_PAUSE: Final = 0.5


async def create_table(caller: Caller, clock: Clock, name: str) -> None:
    """Make a table and have its expired items removed; fine if it is there already.

    Raises:
        Unavailable: it cannot be made, or is not ready in time.
    """
    try:
        await caller.call("CreateTable", table.definition(name), repeatable=True)
    except Unavailable as error:
        if not _says(error, "ResourceInUseException"):
            raise
    for _ in range(_LOOKS):
        answer = await caller.call("DescribeTable", {"TableName": name})
        if answer["Table"]["TableStatus"] == "ACTIVE":
            break
        await sleep(clock, _PAUSE)
    else:
        raise Unavailable(f"DynamoDB: the table {name} does not get ready")
    try:
        await caller.call("UpdateTimeToLive", table.expiry(name), repeatable=True)
    except Unavailable as error:
        # It says so if that is so already.
        if not _says(error, "ValidationException"):
            raise


def _says(error: Unavailable, code: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, ServiceError) and cause.code == code
