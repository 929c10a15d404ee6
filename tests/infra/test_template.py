"""The template says what the code says, and what AWS advises."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, quote

import pytest

from rivetless.hosts.secrets import SECRET_VARIABLE
from rivetless.runtime.outgoings import OLD
from rivetless.store.dynamodb import table
from tests.infra.template import ROOT, TEMPLATE, assembled, read, resources

FUNCTIONS: Final = ("Http", "Sockets", "Worker", "Sweep")


def strings(node: Any) -> Iterator[str]:
    """Yield every text in a template."""
    match node:
        case dict():
            for key, value in node.items():
                yield str(key)
                yield from strings(value)
        case list():
            for value in node:
                yield from strings(value)
        case _:
            yield str(node)


def test_the_parts_are_those_of_their_files() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert assembled(text) == text, "run scripts/reference"


def test_a_part_that_was_changed_is_put_right() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert text.count("  # from infra/") >= 8
    for changed in ("dynamodb:ConditionCheckItem", "AttributeName: lane", '"Units of the table"'):
        assert assembled(text.replace(changed, "changed")) == text


def test_the_table_is_the_stores() -> None:
    (properties,) = (each["Properties"] for each in resources("AWS::DynamoDB::Table").values())
    definition = table.definition("any")
    for name in definition.keys() - {"TableName"}:
        assert properties[name] == definition[name], name
    expiry = table.expiry("any")["TimeToLiveSpecification"]
    assert properties["TimeToLiveSpecification"] == expiry
    # The host looks into new images, and so does the filter.
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_stream_wakes_the_worker_for_actors_with_an_outbox() -> None:
    source = read()["Resources"]["WorkerFunction"]["Properties"]["Events"]["Outboxes"]
    (only,) = source["Properties"]["FilterCriteria"]["Filters"]
    wanted = {"dynamodb": {"NewImage": {table.OUTBOX_AT: {"N": [{"exists": True}]}}}}
    assert json.loads(only["Pattern"]) == wanted
    # Earlier a wake would leave the entries to the function that has committed them.
    window = source["Properties"]["MaximumBatchingWindowInSeconds"]
    assert OLD < window < source["Properties"]["MaximumRecordAgeInSeconds"]


def test_functions_are_told_what_the_host_reads() -> None:
    sources = (ROOT / "rivetless" / "hosts" / "aws_lambda").glob("*.py")
    asked = {SECRET_VARIABLE}
    for path in sources:
        asked |= set(re.findall(r"RIVETLESS_[A-Z_]+", path.read_text(encoding="utf-8")))
    told = set(read()["Globals"]["Function"]["Environment"]["Variables"])
    assert told == asked | {"RIVETLESS_FRAMES_QUEUE_URL"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_role_and_a_log_of_its_own(name: str) -> None:
    found = read()["Resources"]
    function = found[f"{name}Function"]["Properties"]
    assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{name}Logs"}}
    assert found[f"{name}Logs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetention"}
    assert found[f"{name}Role"]["Properties"].keys() == {"AssumeRolePolicyDocument", "Policies"}


def test_actors_may_wake_each_other_in_chains() -> None:
    assert read()["Globals"]["Function"]["RecursiveLoop"] == "Allow"


def test_a_message_stays_hidden_for_six_times_what_its_function_may_take() -> None:
    found = read()["Resources"]
    timeout = found["WorkerFunction"]["Properties"]["Timeout"]
    for name in ("WakeQueue", "FramesQueue"):
        assert found[name]["Properties"]["VisibilityTimeout"] >= 6 * timeout


def test_every_queue_has_a_place_for_what_fails() -> None:
    queues = resources("AWS::SQS::Queue")
    sources = {name for name in queues if name.endswith("Queue")}
    assert sources == {"WakeQueue", "FramesQueue"}
    for name in sources:
        redrive = queues[name]["Properties"]["RedrivePolicy"]
        (target,) = [
            other
            for other in queues
            if redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [other, "Arn"]}
        ]
        dead = queues[target]["Properties"]
        assert dead.get("FifoQueue") == queues[name]["Properties"].get("FifoQueue")
        assert dead["MessageRetentionPeriod"] == 14 * 24 * 3600
        watched = [
            alarm
            for alarm in resources("AWS::CloudWatch::Alarm").values()
            if {"Name": "QueueName", "Value": {"Fn::GetAtt": [target, "QueueName"]}}
            in alarm["Properties"]["Dimensions"]
        ]
        assert len(watched) == 1


def test_batches_fail_message_by_message() -> None:
    found = read()["Resources"]
    worker = found["WorkerFunction"]["Properties"]["Events"]
    sources = [each["Properties"] for each in worker.values()]
    sources += [
        each["Properties"] for each in resources("AWS::Lambda::EventSourceMapping").values()
    ]
    assert len(sources) == 3
    for source in sources:
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_sweeper_is_told_to_sweep_every_minute() -> None:
    minute = read()["Resources"]["SweepFunction"]["Properties"]["Events"]["Minute"]["Properties"]
    assert minute["Schedule"] == "rate(1 minute)"
    assert json.loads(minute["Input"]) == {"rivetless": "sweep"}


def test_nothing_is_declared_and_not_used() -> None:
    template = read()
    used = set(strings({name: template[name] for name in ("Globals", "Resources", "Conditions")}))
    text = "\n".join(used)
    for name in template["Parameters"]:
        assert name in used or f"${{{name}}}" in text, name
    conditions = {each.get("Condition") for each in template["Resources"].values()}
    for name in template["Conditions"]:
        assert name in conditions or name in used, name


def test_versions_are_published_for_what_needs_them_alone() -> None:
    template = read()
    # SAM's way to publish misses what only parameters change: old memory, old log level.
    assert "AutoPublishAlias" not in set(strings(template))
    version = template["Resources"]["HttpVersion"]
    assert version["Condition"] == "HasVersion"
    assert version["Properties"]["Description"] == {"Ref": "Release"}
    needs = [{"Condition": "HasSnapshots"}, {"Condition": "IsKeptWarm"}]
    assert template["Conditions"]["HasVersion"] == {"Fn::Or": needs}


def test_alarms_and_the_dashboard_show_what_there_is() -> None:
    template = read()
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    assert len(widgets) >= 6
    for name in re.findall(r"\$\{(\w+)[.}]", body):
        assert name in template["Resources"], name
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    for alarm in resources("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == topic


# -- frames that API Gateway itself writes into the queue ------------------------------------------

CONTEXT = {
    "connectionId": "L0SM9cOFvHcCIhw=",
    "requestId": "MXiufHzcliAFVEg=",
    "requestTimeEpoch": "1795699226688",
}
_CALL: Final = re.compile(r"\$util\.(?P<function>urlEncode|base64Encode)\((?P<inner>[^()]*)\)")
_NAME: Final = re.compile(r"\$(?:context\.(?P<name>\w+)|input\.body)")


def rendered(template: str, body: str) -> str:
    """Return what API Gateway makes of the few things that the template uses."""
    values: list[str] = []

    def keep(value: str) -> str:
        values.append(value)
        return f"\x00{len(values) - 1}\x01"

    def restore(text: str) -> str:
        return re.sub(r"\x00(\d+)\x01", lambda match: values[int(match[1])], text)

    def call(match: re.Match[str]) -> str:
        inner = restore(match["inner"])
        if match["function"] == "base64Encode":
            return keep(base64.b64encode(inner.encode()).decode())
        return keep(quote(inner, safe=""))

    text = _NAME.sub(
        lambda match: keep(CONTEXT[match["name"]] if match["name"] else body), template
    )
    while _CALL.search(text):
        text = _CALL.sub(call, text)
    assert "$" not in text
    return restore(text)


@pytest.mark.parametrize(
    "body", ["", "plain", '{"body":{"tag":"x"}}', 'a"}&Action=Delete%22,"b', "$context.stage ü\n\0"]
)
def test_api_gateway_writes_a_frame_as_the_host_reads_it(body: str) -> None:
    integration = read()["Resources"]["FramesToQueue"]["Properties"]
    headers = integration["RequestParameters"]
    content_type = headers["integration.request.header.Content-Type"]
    assert content_type == "'application/x-www-form-urlencoded'"
    form = parse_qs(rendered(integration["RequestTemplates"]["$default"], body))
    message = json.loads(form.pop("MessageBody")[0])
    assert form == {
        "Action": ["SendMessage"],
        "MessageGroupId": [CONTEXT["connectionId"]],
        "MessageDeduplicationId": [CONTEXT["requestId"]],
    }
    assert base64.b64decode(message.pop("data")).decode() == body
    assert message == {
        "rivetless": "frame",
        "connection": CONTEXT["connectionId"],
        "request": CONTEXT["requestId"],
        "at": int(CONTEXT["requestTimeEpoch"]),
    }


# -- CloudFront: which paths go where --------------------------------------------------------------


def origin_of(path: str) -> str:
    """Return where CloudFront sends a path: to the first that fits, `*` taking slashes."""
    config = read()["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    for behavior in config["CacheBehaviors"]:
        pattern = re.escape(behavior["PathPattern"]).replace(r"\*", ".*")
        if re.fullmatch(pattern, path):
            # Exactly the sockets' paths are rewritten.
            rewritten = "FunctionAssociations" in behavior
            assert rewritten == (behavior["TargetOriginId"] == "sockets")
            return str(behavior["TargetOriginId"])
    return str(config["DefaultCacheBehavior"]["TargetOriginId"])


def test_cloudfront_sends_what_clients_open_to_the_websocket_api() -> None:
    vectors = json.loads((ROOT / "infra" / "cloudfront" / "vectors.json").read_text("utf-8"))
    paths = {vector["url"].partition("?")[0] for vector in vectors}
    assert len(paths) >= 3
    assert {path: origin_of(path) for path in paths} == dict.fromkeys(paths, "sockets")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metadata",
        "/actors",
        "/gateway/counter/action/increment",
        "/gateway/counter/action/connect",
        "/gateway/counter/action/websocket",
        "/gateway/counter/request/a/connect",
        "/gateway/counter/request/websocket/a",
        "/gateway/counter/queue/jobs",
    ],
)
def test_cloudfront_sends_the_rest_to_http(path: str) -> None:
    assert origin_of(path) == "http"


def test_cloudfront_passes_everything_on_and_keeps_nothing() -> None:
    config = read()["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    behaviors = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]
    for name in ("CachePolicyId", "OriginRequestPolicyId", "ViewerProtocolPolicy"):
        assert len({behavior[name] for behavior in behaviors}) == 1
    assert "POST" in config["DefaultCacheBehavior"]["AllowedMethods"]
    (script,) = resources("AWS::CloudFront::Function").values()
    stage = re.search(r"var STAGE = '(\w+)'", script["Properties"]["FunctionCode"])
    assert stage is not None
    assert stage[1] == read()["Resources"]["SocketsStage"]["Properties"]["StageName"]
