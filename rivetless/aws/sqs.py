"""``Queue``: an SQS queue, sent to and received from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Unpack, cast

from rivetless.aws.client import Payload, ServiceError
from rivetless.aws.faces import Face, FaceOptions
from rivetless.aws.services import SQS
from rivetless.frozen import frozen

__all__ = ["LONGEST_DELAY", "Message", "Queue", "Received"]

LONGEST_DELAY: Final = 900
"""Seconds for which SQS can keep a message back."""

BATCH: Final = 10
"""Messages in one request, at most."""

_MOST_BATCH_BYTES: Final = 1024 * 1024
_ENTRY_BYTES: Final = 1024


@frozen
class Message:
    """Something to send.

    Attributes:
        body: text.
        delay: whole seconds until it can be received; not on FIFO queues.
        group: on a FIFO queue, those of a group come one after another.
        deduplication: on a FIFO queue, one that was sent within 5 minutes is not sent again.
    """

    body: str
    delay: int = 0
    group: str | None = None
    deduplication: str | None = None


@frozen
class Received:
    """A message that was received, and will be again unless it is deleted.

    Attributes:
        id: SQS's.
        receipt: deletes it.
        body: text.
        attributes: what SQS tells of it, e.g. ``ApproximateReceiveCount``.
    """

    id: str
    receipt: str
    body: str
    attributes: dict[str, str]


class Queue(Face):
    """A queue. What may have been sent is sent again: SQS may deliver a message twice anyhow.

    Args:
        url: of the queue. Where requests go is up to the endpoint.
        **options: see ``FaceOptions``.
    """

    def __init__(self, url: str, **options: Unpack[FaceOptions]) -> None:
        super().__init__(SQS, **options)
        self.url: Final = url

    async def send(self, message: Message, *, deadline: float | None = None) -> str:
        """Send a message and return its id.

        Raises:
            CallError: it was not sent, or may not have been.
        """
        answer = await self._on("SendMessage", _entry(message), deadline)
        return str(answer.get("MessageId", ""))

    async def send_all(self, messages: Sequence[Message], *, deadline: float | None = None) -> None:
        """Send messages, ten in a request; those that SQS did not take are sent again.

        Raises:
            CallError: some were not sent, or may not have been.
        """
        for batch in _batches(messages):
            if len(batch) == 1:
                await self.send(batch[0], deadline=deadline)
            else:
                entries = [_entry(message) for message in batch]
                await self._on_all("SendMessageBatch", entries, deadline)

    async def receive(
        self, *, most: int = BATCH, wait: int = 0, visibility: int | None = None
    ) -> list[Received]:
        """Receive some messages.

        Args:
            most: how many at most, up to 10.
            wait: seconds to wait for the first one; less than the client's read time-out.
            visibility: seconds until they may be received again; default the queue's.

        Raises:
            CallError: the answer did not come; messages in it come again.
        """
        payload: Payload = {
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": ["All"],
        }
        if visibility is not None:
            payload["VisibilityTimeout"] = visibility
        answer = await self._on("ReceiveMessage", payload, None)
        return [
            Received(
                found["MessageId"],
                found["ReceiptHandle"],
                found["Body"],
                dict(found.get("Attributes") or {}),
            )
            for found in answer.get("Messages") or ()
        ]

    async def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages that were received.

        Raises:
            CallError: some may not have been deleted; they come again.
        """
        for start in range(0, len(receipts), BATCH):
            some = receipts[start : start + BATCH]
            if len(some) == 1:
                await self._on("DeleteMessage", {"ReceiptHandle": some[0]}, None)
            else:
                entries = [{"ReceiptHandle": receipt} for receipt in some]
                await self._on_all("DeleteMessageBatch", entries, None)

    async def attributes(self, *names: str) -> dict[str, str]:
        """Return what is known of the queue, e.g. ``ApproximateNumberOfMessages``.

        Raises:
            CallError: there was no answer.
        """
        answer = await self._on("GetQueueAttributes", {"AttributeNames": list(names)}, None)
        return dict(answer.get("Attributes") or {})

    async def _on(self, operation: str, payload: Payload, deadline: float | None) -> Payload:
        whole = {"QueueUrl": self.url, **payload}
        return await self._call(operation, whole, repeatable=True, deadline=deadline)

    async def _on_all(
        self, operation: str, entries: Sequence[Payload], deadline: float | None
    ) -> None:
        """Make a call of many entries, until all of them have succeeded."""
        left = {str(place): entry for place, entry in enumerate(entries)}

        async def send() -> Payload:
            some = [{"Id": id, **entry} for id, entry in left.items()]
            answer = await self._client.call(operation, {"QueueUrl": self.url, "Entries": some})
            failed = cast("list[dict[str, Any]]", answer.get("Failed") or [])
            for done in set(left) - {str(one["Id"]) for one in failed}:
                del left[done]
            # One that never will be taken must not keep the others from being sent again.
            for one in sorted(failed, key=lambda one: bool(one.get("SenderFault"))):
                status = 400 if one.get("SenderFault") else 503
                raise ServiceError(
                    str(one.get("Code", "")), status, str(one.get("Message", "")), answer
                )
            return answer

        await self._retries.run(send, repeatable=True, deadline=deadline)


def _entry(message: Message) -> Payload:
    entry: Payload = {"MessageBody": message.body}
    if message.delay:
        entry["DelaySeconds"] = message.delay
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.deduplication is not None:
        entry["MessageDeduplicationId"] = message.deduplication
    return entry


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield runs of messages that fit into one request."""
    start = size = 0
    for place, message in enumerate(messages):
        length = len(message.body.encode()) + _ENTRY_BYTES
        if place > start and (place - start == BATCH or size + length > _MOST_BATCH_BYTES):
            yield messages[start:place]
            start, size = place, 0
        size += length
    if start < len(messages):
        yield messages[start:]
