"""The adapters for AWS run, and say the same as what deploys them."""

import json
import re
import runpy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import rivetless
from tests.infra.template import ROOT, read

LAMBDA = ROOT / "adapters" / "aws_lambda"
CONTEXT = SimpleNamespace(
    aws_request_id="r1",
    function_name="actors",
    function_version="1",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:actors",
    get_remaining_time_in_millis=lambda: 30_000,
)

Handler = Callable[[dict[str, Any], object], Any]


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVETLESS_STORE", "memory:")


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(LAMBDA / f"{name}.py"))


def call(actor: str, action: str, *args: object) -> dict[str, object]:
    return {
        "rivetless": "call",
        "name": actor,
        "key": ["k"],
        "create": True,
        "action": action,
        "args": list(args),
    }


def test_the_handler_runs_an_action() -> None:
    handler = load("handler")["handler"]
    try:
        assert handler(call("counter", "increment", 2), CONTEXT)["output"] == 2
        assert handler(call("counter", "increment", 3), CONTEXT)["output"] == 5
    finally:
        handler.close()


def test_the_handler_with_powertools_logs_and_measures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    module = load("powertools_handler")
    records = [
        {
            "messageId": f"m{number}",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:orders",
            "body": body,
        }
        # The first is delivered twice, and put in once; the second is no order.
        for number, body in ((1, '{"basket":"b","article":"tea"}'), (2, "{}"))
    ]
    try:
        answer = module["handler"]({"Records": [*records, records[0]]}, CONTEXT)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
        again = call("basket", "add", "milk") | {"key": ["b"]}
        assert module["handler"](again, CONTEXT)["output"] == 2
    finally:
        module["actors"].close()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logged = [line for line in lines if line.get("message") == "added"]
    assert [line["article"] for line in logged] == ["tea", "milk"]
    assert {line["function_request_id"] for line in logged} == {"r1"}
    assert any(line.get("Orders") for line in lines)


def test_both_handlers_are_what_the_template_names() -> None:
    told = read()["Parameters"]["Handler"]
    named = re.findall(r"\w+\.handler", f"{told['Default']} {told['Description']}")
    assert named == ["handler.handler", "powertools_handler.handler"]
    assert all((LAMBDA / f"{name.partition('.')[0]}.py").is_file() for name in named)
    assert read()["Globals"]["Function"]["CodeUri"] == "adapters/aws_lambda/"


def test_the_functions_get_this_version() -> None:
    lines = (LAMBDA / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"rivetless=={rivetless.__version__}" in lines
