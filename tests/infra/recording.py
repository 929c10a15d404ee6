"""What functions ask of AWS, recorded as they ask: actions of IAM, and kinds of resources.

The functions run in this process, on a local AWS; API Gateway's management is a server that takes
everything. ``Stack.function`` is one function of the template, with a recorder of its own.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from rivetless import Actor, Conn, Event, action, setup
from rivetless.aws.client import Payload
from rivetless.aws.lean import LeanClient
from rivetless.hosts.aws_lambda import LambdaHost, aws_lambda
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.store.dynamodb import DynamoDBStore, table
from rivetless.testing.clock import FakeClock
from tests.infra.deployment import service
from tests.unit.hosts.aws_lambda.functions import Context, recorded

if TYPE_CHECKING:
    import pytest

Invoke = Callable[[dict[str, Any]], Any]
"""Invokes a function with an event."""

Call = tuple[str, str]
"""An action of IAM, and the kind of resource it was about."""

ACTOR: Final = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=k"
"""A query that names the actor ``k``."""

ADMIN_TOKEN: Final = "admin-token-of-the-test"

_ITEMS: Final = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


class Busy(Actor[dict[str, Any]]):
    """Does all that actors can have AWS do."""

    told = Event[int]()

    async def create_state(self) -> dict[str, Any]:
        return {"count": 0}

    async def on_disconnect(self, conn: Conn[Any, Any]) -> None:
        if not conn.id.startswith("connection-"):
            return  # calls over HTTP have connections of their own
        if self.key == ("k",):
            await self.kv.delete("a")
            self.schedule.after(60, "increment")
            self.destroy()
        else:
            self.schedule.after(3600, "increment")
            self.state["filling"] = await self.client.get_or_create(Busy, "new").echo(700_000)

    @action
    async def increment(self, amount: int = 1) -> int:
        self.state["count"] += amount
        self.broadcast(self.told, self.state["count"])
        return int(self.state["count"])

    @action
    async def fill(self, size: int) -> None:
        self.state["filling"] = "x" * size

    @action
    async def filled(self) -> str:
        return str(self.state.get("filling", ""))

    @action
    async def echo(self, size: int) -> str:
        return "x" * size

    @action
    async def consult(self, size: int) -> int:
        return len(await self.client.get_or_create(Busy, "other").echo(size))

    @action
    async def later(self, seconds: float, name: str, *args: Any) -> None:
        self.schedule.after(seconds, name, *args)

    @action
    async def note(self, key: str) -> None:
        await self.kv.put(key, "noted")

    @action
    async def forget(self, key: str) -> None:
        await self.kv.delete(key)

    @action
    async def end(self) -> None:
        self.destroy()


def calls(service_name: str, operation: str, payload: Payload) -> Iterator[Call]:
    """Yield what IAM is asked about a request."""
    match service_name, operation:
        case "dynamodb", "TransactWriteItems":
            for item in payload["TransactItems"]:
                yield from ((_ITEMS[kind], "table") for kind in item)
        case "dynamodb", _:
            yield f"dynamodb:{operation}", "index" if "IndexName" in payload else "table"
        case "sqs", "SendMessage" | "SendMessageBatch":
            yield "sqs:SendMessage", payload["QueueUrl"].rpartition("/")[2].partition(".")[0]
        case "scheduler", "CreateSchedule":
            yield "scheduler:CreateSchedule", "schedule"
            yield "iam:PassRole", payload["Target"]["RoleArn"].rpartition("/")[2]
        case "apigatewaymanagementapi", _:
            yield "execute-api:ManageConnections", "connections"
        case _:
            raise AssertionError(f"IAM's name for {service_name} {operation} is not known here")


class Stack:
    """What the template makes, on a local AWS.

    Args:
        endpoint: of the local AWS.
        name: of the table, different in each test.
        management: endpoint of API Gateway's management, and what ends all connections.
        monkeypatch: puts the recorder in.
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        management: tuple[str, threading.Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url, self.gone = management
        self.clock = FakeClock()
        self.hosts: list[LambdaHost] = []
        self._recorded: set[Call] = set()
        self._endpoint, self._table = endpoint, name
        service("dynamodb", endpoint).create_table(**table.definition(name))
        sqs = service("sqs", endpoint)
        self._wakes = sqs.create_queue(QueueName="WakeQueue")["QueueUrl"]
        self._frames = sqs.create_queue(
            QueueName="FramesQueue.fifo", Attributes={"FifoQueue": "true"}
        )["QueueUrl"]
        group = f"group-{name}"
        service("scheduler", endpoint).create_schedule_group(Name=group)
        self._environment = {
            "RIVETLESS_WAKE_QUEUE_URL": self._wakes,
            "RIVETLESS_WAKE_QUEUE_ARN": "arn:aws:sqs:us-east-1:000000000000:WakeQueue",
            "RIVETLESS_SCHEDULE_GROUP": group,
            "RIVETLESS_SCHEDULE_ROLE_ARN": "arn:aws:iam::000000000000:role/ScheduleRole",
            "RIVETLESS_SOCKETS_ENDPOINT": f"{url}/live",
            "RIVETLESS_FRAMES_QUEUE_URL": self._frames,
            "RIVETLESS_ADMIN_TOKEN": ADMIN_TOKEN,
        }
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        call = LeanClient.call

        async def record(client: LeanClient, operation: str, payload: Payload) -> Payload:
            self._recorded.update(calls(client._service.name, operation, payload))
            return await call(client, operation, payload)

        monkeypatch.setattr(LeanClient, "call", record)

    def function(self, *, ordered: bool = True) -> Invoke:
        """Return a function with an environment of its own."""
        environment = dict(self._environment)
        if not ordered:
            del environment["RIVETLESS_FRAMES_QUEUE_URL"]
        host = aws_lambda(
            setup(use=[Busy]),
            store=DynamoDBStore(self._table, endpoint=self._endpoint, clock=self.clock),
            settings=Settings.read(environment),
            clock=self.clock,
            json_logs=False,
            metrics=False,
        )
        self.hosts.append(host)
        return lambda event: host(event, Context())

    def asked(self) -> set[Call]:
        """Return what was asked since this was called last."""
        recorded, self._recorded = self._recorded, set()
        return recorded


# -- events --------------------------------------------------------------------------------------


def deliver(invoke: Invoke, *messages: Mapping[str, Any]) -> None:
    """Have a queue deliver messages."""
    (record, *_) = recorded("sqs_fifo")["Records"]
    records = [
        record | {"messageId": str(number), "body": json.dumps(message)}
        for number, message in enumerate(messages)
    ]
    assert invoke({"Records": records}) == {"batchItemFailures": []}


def connect(stack: Stack, invoke: Invoke, key: str = "k") -> None:
    """Open a connection to an actor and listen on it."""
    url = f"/gateway/busy/connect?{ACTOR}".removesuffix("k") + key
    opened = {
        "rivetless": "connect",
        "connection": f"connection-{key}",
        "query": {"rivetless-url": url},
        "headers": {"sec-websocket-protocol": "rivet, rivet_encoding.json"},
        "at": int(stack.clock.now() * 1000),
    }
    listen = {"eventName": "told", "subscribe": True}
    deliver(invoke, opened, frame(stack, "SubscriptionRequest", listen, key, number=0))


def frame(
    stack: Stack, tag: str, val: object, key: str = "k", *, number: int
) -> Mapping[str, object]:
    """Return the message about what a connection says."""
    said = json.dumps({"body": {"tag": tag, "val": val}})
    return {
        "rivetless": "frame",
        "connection": f"connection-{key}",
        "request": f"request-{number}",
        "at": int(stack.clock.now() * 1000),
        "data": base64.b64encode(said.encode()).decode(),
    }


@contextmanager
def management() -> Iterator[tuple[str, threading.Event]]:
    """Serve API Gateway's management: every connection takes everything until they are gone."""
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.dumps({"connectedAt": "2026-01-01T00:00:00Z"}).encode()
            self.send_response(410 if gone.is_set() else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", gone
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
