"""Functions that get a WebSocket API's events, and messages about sockets from queues."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rivetless.aws.client import NotSent
from rivetless.aws.sqs import Message
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.hosts.aws_lambda.websocket import Frame, read_message
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock
from tests.unit.hosts.aws_lambda.functions import Function, MakeFunction, recorded
from tests.unit.hosts.aws_lambda.sockets import CID, FakeApi, Hall, shortened

FRAMES = "https://sqs.eu-central-1.amazonaws.com/1/frames.fifo"
WAKES = "https://sqs.eu-central-1.amazonaws.com/1/wakes"
ENDPOINT = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/live"


class FakeQueue:
    """A queue that keeps what it is sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: list[Message] = []
        self.broken = False

    async def __aenter__(self) -> "FakeQueue":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, message: Message) -> str:
        if self.broken:
            raise NotSent("no way")
        self.sent.append(message)
        return "id"


class FakeManagement(FakeApi):
    """The management API, to be opened."""

    async def __aenter__(self) -> "FakeManagement":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Api:
    """A WebSocket API: its queues, its connections and one function that serves them."""

    def __init__(self, make: MakeFunction, *, ordered: bool, **settings: Any) -> None:
        self.clock = FakeClock()
        self.queues: list[FakeQueue] = []
        self.management = FakeManagement(self.clock)
        self.function: Function = make(
            Hall,
            clock=self.clock,
            store=MemoryStore(clock=self.clock),
            settings=Settings(
                **{
                    "frames_queue_url": FRAMES if ordered else None,
                    "wake_queue_url": WAKES,
                    "sockets_endpoint": ENDPOINT,
                }
                | settings
            ),
        )

    def queue(self, url: str, **_: object) -> FakeQueue:
        self.queues.append(FakeQueue(url))
        return self.queues[-1]

    @property
    def sent(self) -> list[Message]:
        return [message for queue in self.queues for message in queue.sent]

    def deliver(self, *messages: Message, fifo: bool = True) -> Any:
        """Deliver messages as SQS would."""
        records: list[dict[str, Any]] = []
        for number, message in enumerate(messages):
            attributes = {"ApproximateReceiveCount": "1"}
            if fifo:
                attributes |= {"MessageGroupId": message.group or "g", "SequenceNumber": "1"}
            records.append(
                {
                    "messageId": str(number),
                    "body": message.body,
                    "attributes": attributes,
                    "eventSource": "aws:sqs",
                }
            )
        return self.function({"Records": records})

    def got(self) -> list[Any]:
        return [shortened(frame) for frame in self.management.lines[CID].frames]


MakeApi = Callable[..., Api]


@pytest.fixture
def make_api(make_function: MakeFunction, monkeypatch: pytest.MonkeyPatch) -> MakeApi:
    """Return what makes WebSocket APIs."""

    def make(*, ordered: bool = True, **settings: Any) -> Api:
        api = Api(make_function, ordered=ordered, **settings)
        door = "rivetless.hosts.aws_lambda.socket_door"
        monkeypatch.setattr(f"{door}.Queue", api.queue)
        monkeypatch.setattr(f"{door}.Management", lambda *_, **__: api.management)
        return api

    return make


ACCEPTED = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "rivet"}}


def test_a_connect_is_put_into_the_queue_and_answered(make_api: MakeApi) -> None:
    api = make_api()
    assert api.function(recorded("websocket_connect")) == ACCEPTED
    (message,) = api.sent
    assert (message.group, message.deduplication) == (CID, f"{CID}:Connect")
    assert json.loads(message.body)["rivetless"] == "connect"
    assert api.queues[0].url == FRAMES
    assert api.function.process.store is None  # such a function needs no store


def test_the_whole_life_of_a_socket(make_api: MakeApi) -> None:
    api = make_api()
    api.management.connect()
    for name in ("connect", "message", "disconnect"):
        api.function(recorded(f"websocket_{name}"))
    connect, frame, disconnect = api.sent
    assert {message.group for message in api.sent} == {CID}
    assert frame.deduplication == f"{CID}:Cbm5_HuGFiAFRSQ="
    assert api.deliver(connect) == {"batchItemFailures": []}
    assert api.deliver(frame) == {"batchItemFailures": []}
    assert api.got() == ["Init", ("said", "welcome"), ("=", 1)]
    assert api.deliver(frame, disconnect, disconnect) == {"batchItemFailures": []}
    assert api.got()[3:] == [("=", 1)]
    state = api.function(
        {
            "rivetless": "call",
            "name": "hall",
            "key": ["a"],
            "action": "say",
            "args": ["x"],
            "params": {"over": "http"},
        }
    )
    assert state["output"] == 2


def test_without_order_frames_are_worked_on_the_spot(make_api: MakeApi) -> None:
    api = make_api(ordered=False)
    api.management.connect()
    assert api.function(recorded("websocket_connect")) == ACCEPTED
    (connect,) = api.sent
    assert (connect.group, api.queues[0].url) == (None, WAKES)
    api.deliver(connect, fifo=False)
    assert api.function(recorded("websocket_message")) == {"statusCode": 200}
    assert api.got() == ["Init", ("said", "welcome"), ("said", "hällo"), ("=", 1)]


def test_a_frame_that_cannot_be_worked_is_put_off(make_api: MakeApi) -> None:
    api = make_api(ordered=False, sockets_endpoint=None)
    assert api.function(recorded("websocket_message")) == {"statusCode": 200}
    (message,) = api.sent
    frame = read_message(json.loads(message.body))
    assert isinstance(frame, Frame)
    assert (frame.tries, message.delay) == (1, 1)


def test_a_queue_that_is_away_fails_the_handshake(
    make_api: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_api()
    api.function(recorded("websocket_connect"))
    api.queues[0].broken = True
    for name in ("connect", "message", "disconnect"):
        assert api.function(recorded(f"websocket_{name}")) == {"statusCode": 503}
    assert "is lost" in caplog.text


def test_a_function_without_any_queue_says_what_is_missing(
    make_api: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_api(ordered=False, wake_queue_url=None)
    assert api.function(recorded("websocket_connect")) == {"statusCode": 503}
    assert "Set RIVETLESS_FRAMES_QUEUE_URL" in caplog.text


def test_a_worker_without_endpoint_says_what_is_missing(
    make_api: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_api(sockets_endpoint=None)
    api.function(recorded("websocket_connect"))
    assert api.deliver(*api.sent) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert "Set RIVETLESS_SOCKETS_ENDPOINT" in caplog.text


@pytest.mark.parametrize("kind", ["connect", "message", "disconnect"])
def test_malformed_events_are_refused(
    make_api: MakeApi, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_api()
    event = recorded(f"websocket_{kind}")
    event["requestContext"]["connectionId"] = 7
    assert api.function(event) == {"statusCode": 400}
    assert "cannot be read" in caplog.text
    assert api.sent == []


def test_a_poisonous_message_fails_and_holds_up_its_connection_only(make_api: MakeApi) -> None:
    api = make_api()
    api.management.connect()
    api.function(recorded("websocket_connect"))
    (connect,) = api.sent
    poison = Message('{"rivetless":"frame","connection":"other"}', group="other")
    answer = api.deliver(poison, connect, Message(connect.body, group="other"))
    failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert failed == ["0", "2"]
    assert api.got() == ["Init", ("said", "welcome")]


@pytest.mark.parametrize(
    "other",
    [
        {"requestContext": None},
        {"requestContext": "CONNECT"},
        {"requestContext": {"eventType": "CONNECT"}},
        {"requestContext": {"eventType": "SOMETHING", "connectionId": CID}},
    ],
)
def test_other_events_are_not_taken_for_sockets(make_api: MakeApi, other: Any) -> None:
    answer = make_api().function(other)
    assert answer["error"]["group"] == "request"
