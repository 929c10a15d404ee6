"""Batches: SQS messages and records of the table's stream, of which each may fail by itself.

The answer names what failed (``batchItemFailures``), and AWS keeps or deletes by that. The event
source mapping has to say so (``FunctionResponseTypes: [ReportBatchItemFailures]``): without it AWS
takes every answer for success.

A message that cannot be read fails, is logged, and comes back until the queue's
``maxReceiveCount`` moves it to the dead-letter queue, where somebody can look at it. Deleting it
would lose what may be the work of a newer version of the code. A stream has no such queue, and a
record that failed for ever would hold up its shard, so there it is logged and passed over: the
sweeper finds the actor.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

from rivetless.errors import invalid_request, make
from rivetless.keys import split_actor_id
from rivetless.runtime.commands import Wake

if TYPE_CHECKING:
    from rivetless.hosts.aws_lambda.invocation import Invocation

__all__ = ["QueueBatch", "StreamBatch"]

_AT_ONCE: Final = 16
"""Messages of one batch that are handled at the same time."""

_WHOLE_BATCH: Final = ""
"""The identifier by which AWS takes the whole batch for failed."""

Failures = dict[str, list[dict[str, str]]]


class Batch:
    """Records of one source.

    Args:
        records: as AWS gave them.

    Attributes:
        source: how AWS calls it.
        kind: for logs and metrics.
    """

    source: ClassVar[str]
    kind: ClassVar[str]

    def __init__(self, records: list[Mapping[str, Any]]) -> None:
        self._records = records

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        """Know it by the source of its records; the first stands for all."""
        records = event.get("Records")
        if not isinstance(records, list) or not records:
            return None
        found = cast("list[object]", records)
        if _mapping(found[0]).get("eventSource") != cls.source:
            return None
        return cls([_mapping(one) for one in found])


class QueueBatch(Batch):
    """Messages of an SQS queue. Those of one FIFO group are handled in order, others at once."""

    source = "aws:sqs"
    kind = "queue"

    async def handle(self, invocation: Invocation) -> Failures:
        """Deliver every message; answer with those that failed."""
        invocation.measures.count("Messages", len(self._records))
        lanes: dict[str, list[Mapping[str, Any]]] = {}
        for number, record in enumerate(self._records):
            group = _attribute(record, "MessageGroupId")
            # Fair queues have groups, too, but no order: only FIFO messages have a number.
            ordered = group is not None and _attribute(record, "SequenceNumber") is not None
            lanes.setdefault(f"g{group}" if ordered else str(number), []).append(record)
        places = asyncio.Semaphore(_AT_ONCE)

        async def run(lane: list[Mapping[str, Any]]) -> list[str]:
            async with places:
                return await _deliver_in_order(lane, invocation)

        failed = await asyncio.gather(*map(run, lanes.values()))
        return _failures([identifier for lane in failed for identifier in lane])


async def _deliver_in_order(lane: list[Mapping[str, Any]], invocation: Invocation) -> list[str]:
    """Deliver messages up to the first that fails; return the ids of it and all after it."""
    for number, record in enumerate(lane):
        identifier = _identifier(record.get("messageId"))
        try:
            if invocation.left <= 0:
                raise make("guard.request_timeout")
            await invocation.deliver(_message(record))
        except Exception as error:
            invocation.process.note(
                error,
                "message %s failed, received %s times",
                identifier or "without an id",
                _attribute(record, "ApproximateReceiveCount") or "?",
            )
            rest = [_identifier(later.get("messageId")) for later in lane[number + 1 :]]
            return [identifier, *rest]
    return []


def _message(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message in a record of SQS.

    Raises:
        ActorError: ``actor.invalid_request``.
    """
    body = record.get("body")
    if not isinstance(body, str):
        raise invalid_request("The message has no body.")
    try:
        message: object = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid_request("The message's body is no JSON.") from None
    if not isinstance(message, dict) or "rivetless" not in message:
        raise invalid_request("The message's body is no object with the key `rivetless`.")
    return cast("Mapping[str, Any]", message)


class StreamBatch(Batch):
    """Changes of the table: every actor that has an outbox now is woken."""

    source = "aws:dynamodb"
    kind = "stream"

    async def handle(self, invocation: Invocation) -> Failures:
        """Wake each actor once; answer with the records of those that could not be woken."""
        invocation.measures.count("Messages", len(self._records))
        # The first record of an actor stands for all of them: AWS begins again at the lowest.
        first: dict[str, str] = {}
        for record in self._records:
            try:
                actor_id = _actor_with_outbox(record)
                number = _mapping(record.get("dynamodb")).get("SequenceNumber")
            except Exception as error:
                invocation.process.note(error, "a record of the stream cannot be read")
                continue
            if actor_id is not None:
                first.setdefault(actor_id, _identifier(number))
        places = asyncio.Semaphore(_AT_ONCE)

        async def run(actor_id: str) -> bool:
            async with places:
                return await _wake(actor_id, invocation)

        woken = await asyncio.gather(*map(run, first))
        pairs = zip(first.values(), woken, strict=True)
        return _failures([number for number, done in pairs if not done])


async def _wake(actor_id: str, invocation: Invocation) -> bool:
    try:
        if invocation.left <= 0:
            raise make("guard.request_timeout")
        await invocation.dispatch(Wake(actor_id))
    except Exception as error:
        invocation.process.note(error, "actor %s could not be woken", actor_id)
        return False
    return True


def _actor_with_outbox(record: Mapping[str, Any]) -> str | None:
    """Return the id of the life whose head a record shows, if it has an outbox."""
    # The store's own names; it is loaded anyway where there is a stream of its table.
    from rivetless.store.dynamodb import items, table

    change = _mapping(record.get("dynamodb"))
    if record.get("eventName") == "REMOVE":
        return None
    keys, head = _mapping(change.get("Keys")), _mapping(change.get("NewImage"))
    if not keys:
        raise invalid_request("The record has no keys.")
    if _bytes(keys, table.SK) != table.HEAD_SK:
        return None
    if not head:
        raise invalid_request("The record has no new image: let the stream show NEW_IMAGE.")
    if table.OUTBOX_AT not in head:
        return None
    actor_id = items.Place(keys[table.PK]["S"], _bytes(head, table.LIFE)).actor_id
    split_actor_id(actor_id)
    return actor_id


def _mapping(value: object) -> Mapping[str, Any]:
    nothing: dict[str, Any] = {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else nothing


def _bytes(attributes: Mapping[str, Any], name: str) -> bytes:
    return b64decode(attributes[name]["B"], validate=True)


def _attribute(record: Mapping[str, Any], name: str) -> str | None:
    value = _mapping(record.get("attributes")).get(name)
    return value if isinstance(value, str) else None


def _identifier(value: object) -> str:
    return value if isinstance(value, str) else _WHOLE_BATCH


def _failures(identifiers: list[str]) -> Failures:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in identifiers]}
