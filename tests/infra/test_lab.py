"""The Lambda lab against the template: what it stands for must be what is deployed."""

import json
from typing import Any
from urllib.parse import parse_qs

from rivetless.testing.clock import FakeClock
from rivetless.testing.lambda_lab import LambdaLab
from rivetless.testing.lambda_lab.front import BEHAVIOURS
from rivetless.testing.lambda_lab.queues import Queue
from rivetless.testing.lambda_lab.socket_api import Connection, SocketApi
from tests.infra.template import ROOT, read, resources

VARIABLES = read()["Globals"]["Function"]["Environment"]["Variables"]
STAGES = resources("AWS::ApiGatewayV2::Stage")
FRAMES = (ROOT / "infra/frames.yaml").read_text(encoding="utf-8")
OPTIONAL = {"RIVETLESS_LOG_LEVEL", "RIVETLESS_ADMIN_TOKEN", "RIVETLESS_SECRET"}


def test_cloudfront_sends_the_same_paths_the_same_way() -> None:
    (distribution,) = resources("AWS::CloudFront::Distribution").values()
    config = distribution["Properties"]["DistributionConfig"]
    behaviours = [
        (each["PathPattern"], each["TargetOriginId"]) for each in config["CacheBehaviors"]
    ]
    assert list(BEHAVIOURS) == behaviours
    assert config["DefaultCacheBehavior"]["TargetOriginId"] == "http"


async def test_functions_find_the_same_variables() -> None:
    async with LambdaLab("nowhere:registry") as lab:
        found = {name for name in lab.function.variables if name.startswith("RIVETLESS_")}
        assert found | OPTIONAL == set(VARIABLES) | OPTIONAL
        stage = lab.sockets.stage
        assert lab.function.variables["RIVETLESS_SOCKETS_ENDPOINT"].endswith(f"/{stage}")
        assert stage in {each["Properties"]["StageName"] for each in STAGES.values()}


async def test_frames_get_into_the_queue_in_the_same_shape() -> None:
    (line,) = [line for line in FRAMES.splitlines() if line.lstrip().startswith("Action=")]
    template = parse_qs(line.strip())["MessageBody"][0]
    queue = Queue("frames.fifo", FakeClock())
    received = iter([{"type": "websocket.receive", "text": "hi"}, {"type": "websocket.disconnect"}])

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    lab = LambdaLab("nowhere:registry")
    sockets = SocketApi(lab.function, FakeClock(), frames=queue)
    connection = Connection({"headers": []}, receive, send, 0.0)
    await sockets.listen(connection)
    (message,) = queue.messages
    body = json.loads(message.body)
    assert [f'"{name}":' in template for name in body] == [True] * 5
    assert template.count('":') == len(body)
    assert message.group == body["connection"] == connection.id
    assert message.deduplication == body["request"]
