"""The adapters for AWS run, and say the same as what deploys them."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

import rivetless
from tests.infra.template import ROOT, read
from tests.ministack import free_port

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


# -- the container: an image cannot be built here, so what can be wrong in it is looked at ---------


CONTAINER = ROOT / "adapters" / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")


def command() -> list[str]:
    (line,) = re.findall(r"^CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    words: list[str] = json.loads(line)
    return words


def test_what_the_image_copies_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert copied == ["requirements.txt", "main.py"]
    assert all((CONTAINER / name).is_file() for name in copied)
    requirements = (CONTAINER / "requirements.txt").read_text(encoding="utf-8")
    assert requirements == f"rivetless[server,aws]=={rivetless.__version__}\n"


def test_the_images_command_serves_the_actors(tmp_path: Path) -> None:
    port = free_port()
    program, *options = command()
    assert (program, options[0]) == ("uvicorn", "main:app")
    options[options.index("--host") + 1] = "127.0.0.1"
    options[options.index("--port") + 1] = str(port)
    environment = os.environ | {"RIVETLESS_STORE": f"sqlite:{tmp_path}/actors.db"}
    server = subprocess.Popen(
        [sys.executable, "-m", program, *options], cwd=CONTAINER, env=environment
    )
    try:
        assert health(f"http://127.0.0.1:{port}/health") == 200
    finally:
        server.terminate()
        assert server.wait(15) in (0, -signal.SIGTERM)


def health(url: str) -> int:
    for _ in range(100):
        with suppress(OSError), urlopen(url, timeout=5) as answer:
            return int(answer.status)
        time.sleep(0.1)
    raise AssertionError(f"nobody serves {url}")


def test_ports_and_health_check_are_the_same_everywhere() -> None:
    ports = [
        int(port) for port in re.findall(r"\d+", re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.M)[0])
    ]
    options = command()
    assert ports == [int(options[options.index("--port") + 1]), 6421]
    assert "PEER_PORT = 6421" in (CONTAINER / "main.py").read_text(encoding="utf-8")

    deployment, service, policy = yaml.safe_load_all(
        (CONTAINER / "kubernetes.yaml").read_text(encoding="utf-8")
    )
    (pod,) = deployment["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in pod["ports"]] == ports
    assert pod["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert policy["spec"]["ingress"][0] == {"ports": [{"port": "http"}]}

    task = json.loads((CONTAINER / "ecs-task.json").read_text(encoding="utf-8"))
    (container,) = task["containerDefinitions"]
    assert [port["containerPort"] for port in container["portMappings"]] == ports
    assert f"127.0.0.1:{ports[0]}/health" in container["healthCheck"]["command"][-1]
    user = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == [str(deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"])]
