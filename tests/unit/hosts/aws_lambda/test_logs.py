"""What a function writes: logs and metrics, one line each, no secrets."""

import importlib
import json
import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest

from rivetless import Actor, action
from rivetless.hosts.aws_lambda import logs
from rivetless.hosts.aws_lambda.handler import aws_lambda
from rivetless.hosts.aws_lambda.metrics import Measures
from rivetless.hosts.aws_lambda.settings import Settings
from rivetless.registry import setup
from rivetless.store.dynamodb.calls import Consumed
from rivetless.store.memory import MemoryStore
from rivetless.testing.stores import Fault
from tests.unit.hosts.aws_lambda.functions import Context, Counter, MakeFunction, recorded
from tests.unit.runtime.worlds import SharedStore


class Speaker(Actor):
    """Logs."""

    @action
    async def speak(self, text: str) -> None:
        self.log.info("said %s", text, extra={"mood": "good", "level": "mine"})


class Lines:
    """Reads back what was logged."""

    def __init__(self) -> None:
        self.stream = StringIO()

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Have ``rivetless`` log JSON for as long as a test takes."""
    found = Lines()
    handler = logging.StreamHandler(found.stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.getLogger("rivetless")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_record_says_who_spoke_and_in_which_invocation(
    make_function: MakeFunction, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-abc;Parent=def;Sampled=1")
    function = make_function(Speaker)
    actor_id = function.call("speak", "a\nb", name="speaker")["actor"]
    (line,) = [line for line in lines() if line["logger"] == "rivetless.actor.speaker"]
    assert line["message"] == "said a\nb"
    assert line["level"] == "INFO"
    assert (line["actor_id"], line["actor_name"], line["actor_key"]) == (actor_id, "speaker", "k")
    assert line["aws_request_id"] == Context.aws_request_id
    assert line["trace_id"] == "Root=1-abc;Parent=def;Sampled=1"
    assert line["mood"] == "good"
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-11-23T12:00:00.000Z")


@pytest.mark.parametrize(
    ("name", "trace"),
    [
        ("function_url", "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"),
        ("rest_api_v1", "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"),
        ("sqs", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"),
        ("scheduler", None),
        ("dynamodb_stream", None),
    ],
)
def test_a_trace_comes_with_the_event_where_the_runtime_has_none(
    name: str, trace: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert logs.trace_of(recorded(name)) == trace


@pytest.mark.parametrize(
    "event", [None, {"headers": 5}, {"headers": {5: 6}}, {"Records": []}, {"Records": [None]}]
)
def test_an_event_without_a_trace_has_none(event: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert logs.trace_of(event) is None


def test_a_failure_is_one_line_with_its_traceback(
    make_function: MakeFunction, lines: Lines
) -> None:
    make_function().call("break_down")
    assert [line["level"] for line in lines()] == ["ERROR", "ERROR"]
    for line in lines():
        assert "ValueError: a secret of the actor's" in line["exception"]


def test_what_clients_send_is_in_no_line(make_function: MakeFunction, lines: Lines) -> None:
    logging.getLogger("rivetless").setLevel(logging.DEBUG)
    function = make_function()
    for name in ("function_url", "rest_api_v1", "alb"):
        event = recorded(name)
        event["headers"] |= {"authorization": "Bearer hunter2", "x-rivet-token": "hunter2"}
        event["body"] = '{"args":["hunter2"]}'
        function(event)
    function(recorded("direct_call") | {"args": ["hunter2"], "params": {"token": "hunter2"}})
    function({"Records": [recorded("sqs")["Records"][0] | {"body": "hunter2"}]})
    function({"token": "hunter2"})
    assert lines()
    assert "hunter2" not in json.dumps(lines()) + "".join(function.lines)
    assert "hunter2" not in repr(Settings(secret="hunter2", admin_token="hunter2"))


def test_a_value_that_json_does_not_have_is_described(lines: Lines) -> None:
    logging.getLogger("rivetless").info("x", extra={"what": {1, 2} - {2}, "raw": b"\xff"})
    assert lines()[0]["what"] == "{1}"


def test_a_long_text_is_cut(lines: Lines) -> None:
    logging.getLogger("rivetless").info("x" * 300_000)
    assert len(lines()[0]["message"]) == 100_001


@contextmanager
def fresh_root() -> Generator[logging.Logger]:
    """Give the root logger as it is in a fresh process, and mend it afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("rivetless")
    kept = root.handlers[:], root.level, ours.level
    root.handlers.clear()
    try:
        yield root
    finally:
        root.handlers[:], root.level, ours.level = kept
        logging.getLogger("mangum.http").setLevel(logging.NOTSET)


def test_logs_go_to_standard_output_where_nothing_else_is_set_up() -> None:
    with fresh_root() as root:
        logs.configure("debug")
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        assert handler.stream is sys.stdout
        assert isinstance(handler.formatter, logs.JsonFormatter)
        assert logging.getLogger("rivetless").level == logging.DEBUG
        # boto3 at DEBUG writes whole requests.
        assert root.level == logging.INFO


def test_the_handler_of_lambda_s_runtime_gets_our_form(capsys: pytest.CaptureFixture[str]) -> None:
    runtime: Any = importlib.import_module("awslambdaric.bootstrap")
    theirs = runtime.LambdaLoggerHandler(runtime.StandardLogSink())
    theirs.addFilter(runtime.LambdaLoggerFilter())
    other = logging.StreamHandler(StringIO())
    with fresh_root() as root:
        root.handlers[:] = [theirs, other]
        logs.configure("WARNING")
        assert (root.level, logging.getLogger("rivetless").level) == (logging.WARNING,) * 2
        for text in ("one", "two"):
            logging.getLogger("rivetless").warning(text)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.pop("message") for line in lines] == ["one", "two"]
    # What the runtime adds outside of an invocation says nothing.
    assert lines[0].keys() == {"level", "logger", "time"}
    assert other.formatter is None


def test_a_level_that_is_none_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with fresh_root() as root:
        root.addHandler(caplog.handler)
        logs.configure("LOUD")
        assert logging.getLogger("rivetless").level == logging.INFO
    assert "'LOUD'" in caplog.text


def test_metrics_are_in_the_embedded_format(make_function: MakeFunction) -> None:
    function = make_function()
    function.call("increment")
    line = function.metrics
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "rivetless"
    assert described["Dimensions"] == [["FunctionName", "EventKind"]]
    assert (line["FunctionName"], line["EventKind"]) == ("actors", "call")
    assert {metric["Name"] for metric in described["Metrics"]} == {
        "ColdStarts",
        "Invocations",
        "TurnDuration",
    }
    assert all(metric["Name"] in line for metric in described["Metrics"])
    assert line["_aws"]["Timestamp"] == 4_000_000_000_000
    assert line["aws_request_id"] == Context.aws_request_id
    function.call("increment")
    assert "ColdStarts" not in function.metrics


def test_units_are_those_that_the_store_says_the_invocation_has_consumed(
    make_function: MakeFunction,
) -> None:
    class Counting(MemoryStore):
        consumed = Consumed()

        async def commit(self, *args: Any, **options: Any) -> int:
            self.consumed.requests["UpdateItem"] += 1
            self.consumed.write_units += 1.5
            return await super().commit(*args, **options)

    function = make_function(store=Counting())
    for _ in range(3):
        function.call("increment")
    assert (function.metrics["WriteUnits"], function.metrics["StoreRequests"]) == (1.5, 1)
    assert "ReadUnits" not in function.metrics


def test_conflicts_are_counted(make_function: MakeFunction) -> None:
    store = SharedStore(MemoryStore())
    function = make_function(store=store)
    function.call("increment")
    assert "Conflicts" not in function.metrics
    store.inject(Fault.CONFLICT)
    function.call("increment")
    assert function.metrics["Conflicts"] == 1


def test_a_secret_that_is_none_fails_the_deployment() -> None:
    with pytest.raises(ValueError, match="16 or more"):
        aws_lambda(setup(use=[Counter]), settings=Settings(secret="short"), json_logs=False)


def test_one_line_has_no_more_values_than_cloudwatch_takes() -> None:
    measures = Measures()
    for _ in range(500):
        measures.turn(0.1)
    line = json.loads(measures.line(function="f", kind="queue", request_id="r", now=0.0))
    assert line["TurnDuration"] == [100.0] * 100


def test_the_handler_of_an_adapter_writes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    # As in the runtime: what is printed is what CloudWatch gets.
    with fresh_root():
        handler = aws_lambda(setup(use=[Counter]), store="memory:", settings=Settings())
        handler(recorded("scheduler"), Context())
        handler.close()
    warned, metrics = map(json.loads, capsys.readouterr().out.splitlines())
    assert warned["level"] == "WARNING"
    assert "RIVETLESS_WAKE_QUEUE_URL" in warned["message"]
    assert (metrics["EventKind"], metrics["Invocations"]) == ("wake", 1)


def test_metrics_and_logs_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_root() as root:
        handler = aws_lambda(setup(use=[Counter]), store="memory:", json_logs=False, metrics=False)
        handler({"rivetless": "sweep"}, Context())
        handler.close()
        assert root.handlers == []
    assert capsys.readouterr().out == ""
