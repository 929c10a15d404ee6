"""The endpoint of AWS's services in the lab: SQS, EventBridge Scheduler and ``@connections``.

It takes what boto3 and our own clients send. A signature has to be there; it is not checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.testing.lambda_lab.failures import AWSError
from rivetless.testing.lambda_lab.function import ACCOUNT
from rivetless.testing.lambda_lab.queues import MAX_MESSAGE_BYTES, Queue
from rivetless.testing.lambda_lab.scheduler import Scheduler
from rivetless.testing.lambda_lab.socket_api import SocketApi
from rivetless.testing.lambda_lab.web import header, read_body, reply, reply_json

__all__ = ["Services"]

_MOST_ENTRIES: Final = 10
_SQS: Final = "AmazonSQS."


class Services:
    """An ASGI application that answers for AWS.

    Args:
        queues: the queues there are.
        scheduler: the schedules.
        sockets: the WebSocket API whose connections are posted to.
    """

    def __init__(self, queues: Sequence[Queue], scheduler: Scheduler, sockets: SocketApi) -> None:
        self._queues = {queue.name: queue for queue in queues}
        self._scheduler = scheduler
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive)
        try:
            if not header(scope, b"authorization").startswith("AWS4-HMAC-SHA256 "):
                raise AWSError(403, "MissingAuthenticationTokenException", "Missing signature")
            target = header(scope, b"x-amz-target")
            if target:
                await reply_json(send, 200, self._sqs(target, json.loads(body)))
            else:
                await self._route(scope, body, send)
        except AWSError as error:
            await _refuse(send, error)

    async def _route(self, scope: Scope, body: bytes, send: Send) -> None:
        method: str = scope["method"]
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        query = parse_qs(scope["query_string"].decode("latin-1"))
        stage, _, connection = path.partition("/@connections/")
        if connection and stage == f"/{self._sockets.stage}":
            await self._connection(method, unquote(connection), body, send)
        elif path.startswith("/schedules/"):
            name = unquote(path.removeprefix("/schedules/"))
            await reply_json(send, 200, self._schedule(method, name, body, query))
        else:
            raise AWSError(403, "UnknownOperationException", f"There is no {method} {path} here")

    async def _connection(self, method: str, name: str, body: bytes, send: Send) -> None:
        if method == "POST":
            await self._sockets.post(name, body)
            await reply(send, 200)
        elif method == "GET":
            await reply_json(send, 200, self._sockets.describe(name))
        elif method == "DELETE":
            await self._sockets.delete(name)
            await reply(send, 204)
        else:
            raise AWSError(403, "ForbiddenException", f"No {method} of connections")

    def _schedule(
        self, method: str, name: str, body: bytes, query: Mapping[str, list[str]]
    ) -> dict[str, object]:
        if method == "POST":
            return self._scheduler.create(name, json.loads(body))
        if method == "DELETE":
            return self._scheduler.delete(name, query.get("groupName", ["default"])[0])
        raise AWSError(403, "UnknownOperationException", f"No {method} of schedules")

    def _sqs(self, target: str, request: Mapping[str, Any]) -> dict[str, object]:
        operation = target.removeprefix(_SQS)
        url: str = request.get("QueueUrl", "")
        queue = self._queues.get(url.rpartition(f"/{ACCOUNT}/")[2])
        if queue is None:
            raise AWSError(400, "QueueDoesNotExist", "The specified queue does not exist.")
        if operation == "SendMessage":
            return _send(queue, request)
        if operation == "SendMessageBatch":
            return _send_batch(queue, request.get("Entries") or [])
        raise AWSError(400, "UnknownOperationException", f"{target} is not of this lab")


def _send(queue: Queue, request: Mapping[str, Any]) -> dict[str, object]:
    body: str = request.get("MessageBody", "")
    sent = queue.send(
        body,
        delay=request.get("DelaySeconds") or 0,
        group=request.get("MessageGroupId"),
        deduplication=request.get("MessageDeduplicationId"),
    )
    answer: dict[str, object] = {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
    }
    if sent.sequence is not None:
        answer["SequenceNumber"] = sent.sequence
    return answer


def _send_batch(queue: Queue, entries: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    names = [entry["Id"] for entry in entries]
    if not entries:
        raise AWSError(400, "EmptyBatchRequest", "The batch request is empty.")
    if len(entries) > _MOST_ENTRIES:
        raise AWSError(400, "TooManyEntriesInBatchRequest", "More than 10 entries.")
    if len(set(names)) < len(names):
        raise AWSError(400, "BatchEntryIdsNotDistinct", "Two entries have one Id.")
    if sum(len(entry.get("MessageBody", "").encode()) for entry in entries) > MAX_MESSAGE_BYTES:
        raise AWSError(400, "BatchRequestTooLong", "The batch is longer than a message may be.")
    good: list[dict[str, object]] = []
    bad: list[dict[str, object]] = []
    for entry in entries:
        try:
            good.append({"Id": entry["Id"], **_send(queue, entry)})
        except AWSError as error:
            bad.append(
                {
                    "Id": entry["Id"],
                    "Code": error.code,
                    "Message": error.message,
                    "SenderFault": True,
                }
            )
    return {"Successful": good, **({"Failed": bad} if bad else {})}


async def _refuse(send: Send, error: AWSError) -> None:
    answer = {"__type": error.code, "message": error.message, "Message": error.message}
    await reply_json(send, error.status, answer, [(b"x-amzn-errortype", error.code.encode())])
