"""What invokes the function without a client: batches from queues, and the minute's sweep."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from rivetless.clock import Clock, sleep
from rivetless.testing.lambda_lab.function import REGION, Function
from rivetless.testing.lambda_lab.queues import Queue, QueuedMessage
from rivetless.testing.lambda_lab.runtime_api import Outcome

__all__ = ["QueuePump", "SweepPump"]

SWEEP_SECONDS: Final = 60.0

_log = logging.getLogger("rivetless.testing")


class QueuePump:
    """An event source mapping: gives a queue's messages to a function, in batches.

    What the answer names in ``batchItemFailures`` stays in the queue and comes again, as does the
    whole batch if the function fails. Of a group of a FIFO queue one batch is under way at a time.

    Args:
        queue: where messages come from.
        function: where they go to.
        batch: how many go at once.
        concurrency: how many batches are under way at a time.
    """

    def __init__(
        self, queue: Queue, function: Function, *, batch: int = 10, concurrency: int = 5
    ) -> None:
        self._queue = queue
        self._function = function
        self._batch = batch
        self._places = asyncio.Semaphore(concurrency)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Pump until cancelled."""
        try:
            while True:
                await self._places.acquire()
                await self._queue.wait()
                messages = self._queue.receive(self._batch)
                if not messages:
                    self._places.release()
                    continue
                task = asyncio.get_running_loop().create_task(self._deliver(messages))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        finally:
            for task in self._under_way:
                task.cancel()

    async def _deliver(self, messages: Mapping[str, QueuedMessage]) -> None:
        try:
            records = [self._record(receipt, message) for receipt, message in messages.items()]
            outcome = await self._function.invoke({"Records": records})
            failed = _failed(outcome, {message.message_id for message in messages.values()})
            for receipt, message in messages.items():
                if message.message_id not in failed:
                    self._queue.delete(receipt)
        finally:
            self._places.release()

    def _record(self, receipt: str, message: QueuedMessage) -> dict[str, object]:
        attributes = {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(round(message.sent_at * 1000)),
            "SenderId": "AIDALAB",
            "ApproximateFirstReceiveTimestamp": str(round(message.first_received_at * 1000)),
        }
        if message.sequence is not None:
            attributes["SequenceNumber"] = message.sequence
            attributes["MessageGroupId"] = message.group or ""
            attributes["MessageDeduplicationId"] = message.deduplication or ""
        return {
            "messageId": message.message_id,
            "receiptHandle": receipt,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.arn,
            "awsRegion": REGION,
        }


def _failed(outcome: Outcome, all_of_them: set[str]) -> set[str]:
    """Return which messages of a batch were not handled; an answer that makes no sense: all."""
    if outcome.failed:
        _log.warning("a batch failed: %s", outcome.payload.decode(errors="replace"))
        return all_of_them
    answer = outcome.value
    if answer is None:
        return set()
    try:
        found = cast("dict[str, Any]", answer)
        items: list[dict[str, str]] = found.get("batchItemFailures") or []
        failed = {item["itemIdentifier"] for item in items}
    except (AttributeError, KeyError, TypeError):
        return all_of_them
    return failed if failed <= all_of_them else all_of_them


class SweepPump:
    """The rule that invokes a function every minute with a constant input.

    Args:
        function: what is invoked.
        event: the input.
        clock: tells when a minute is over.
    """

    def __init__(self, function: Function, event: object, clock: Clock) -> None:
        self._function = function
        self._event = event
        self._clock = clock

    async def run(self) -> None:
        """Pump until cancelled."""
        while True:
            await sleep(self._clock, SWEEP_SECONDS)
            outcome = await self._function.invoke(self._event)
            if outcome.failed:
                _log.warning("a sweep failed: %s", outcome.payload.decode(errors="replace"))
