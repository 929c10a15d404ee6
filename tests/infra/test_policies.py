"""Every function may do what it does, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from rivetless.cli.template import read_yaml
from tests.infra.recording import ACTOR, ADMIN_TOKEN, Call, Invoke, Stack, connect, deliver
from tests.infra.template import ROOT, resources
from tests.unit.hosts.aws_lambda.functions import recorded

pytestmark = pytest.mark.aws

POLICIES: Final = ROOT / "infra" / "policies"

FUNCTIONS: Final = frozenset({"http", "sockets", "worker", "sweep"})
WORKER: Final = frozenset({"worker"})
EVERYBODY: Final = FUNCTIONS | {"frames", "schedules"}

IN_ITS_NAME: Final[Mapping[str, frozenset[str]]] = {
    "logs:CreateLogStream": FUNCTIONS,
    "logs:PutLogEvents": FUNCTIONS,
    "kms:Decrypt": EVERYBODY,
    "kms:GenerateDataKey": EVERYBODY,
    "sqs:ChangeMessageVisibility": WORKER,
    "sqs:DeleteMessage": WORKER,
    "sqs:GetQueueAttributes": WORKER,
    "sqs:ReceiveMessage": WORKER,
    "dynamodb:DescribeStream": WORKER,
    "dynamodb:GetRecords": WORKER,
    "dynamodb:GetShardIterator": WORKER,
    "dynamodb:ListStreams": WORKER,
}
"""What Lambda and the encrypted services do in a function's name, so that no code of ours asks."""

SELDOM: Final = {("dynamodb:ConditionCheckItem", "table")}
"""What the pump of ``run`` asks for when a queue is empty and another process may be sending."""


def allowed(name: str, *, ordered: bool = True) -> set[Call]:
    """Return what a policy allows, without what others do in the function's name."""
    found: set[Call] = set()
    for statement in read_yaml(POLICIES / f"{name}.yaml")["Statement"]:
        if "Fn::If" in statement:
            condition, statement, _ = statement["Fn::If"]
            if condition == "Ordered" and not ordered:
                continue
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        for one in [actions] if isinstance(actions, str) else actions:
            assert "*" not in one
            if name not in IN_ITS_NAME.get(one, ()):
                found.add((one, kind_of(statement["Resource"], ordered)))
    return found


def kind_of(resource: Any, ordered: bool) -> str:
    """Return which kind of resource a statement is about."""
    match resource:
        case {"Fn::If": ["Ordered", yes, no]}:
            return kind_of(yes if ordered else no, ordered)
        case {"Fn::GetAtt": ["Table", "Arn"]}:
            return "table"
        case {"Fn::GetAtt": [name, "Arn"]}:
            return str(name)
        case {"Fn::Sub": "${Table.Arn}/index/*"}:
            return "index"
        case {"Fn::Sub": str(arn)} if ":scheduler:" in arn and "${ScheduleGroup}/" in arn:
            return "schedule"
        case {"Fn::Sub": str(arn)} if ":execute-api:" in arn and "${WebSocketApi}/" in arn:
            return "connections"
        case _:
            raise AssertionError(f"a policy is about {resource}")


# -- what the functions are for ------------------------------------------------------------------


def ask(invoke: Invoke, method: str, path: str, query: str, body: object = None) -> Any:
    """Ask for something over HTTP."""
    event = recorded("function_url")
    event["requestContext"]["http"] |= {"method": method, "path": path}
    event |= {"rawPath": path, "rawQueryString": query}
    event["headers"]["authorization"] = f"Bearer {ADMIN_TOKEN}"
    event["queryStringParameters"] = dict(pair.split("=") for pair in query.split("&"))
    answer = invoke(event | {"body": None if body is None else json.dumps(body)})
    assert answer["statusCode"] == 200, answer
    return json.loads(answer["body"])


def act(invoke: Invoke, action: str, *args: object) -> Any:
    """Run an action of the actor ``k``."""
    answer = ask(invoke, "POST", f"/gateway/busy/action/{action}", ACTOR, {"args": args})
    return answer["output"]


WORK: Final = (
    ("increment",),
    ("increment",),
    # Beyond 15 minutes by Scheduler, before by the queue.
    ("later", 3600, "increment"),
    ("later", 60, "increment"),
    # Records beside the head.
    ("note", "a"),
    ("forget", "a"),
    # An answer to another actor that is too long to be kept in the head.
    ("consult", 10_000),
    ("consult", 10_000),
    # A state in pieces.
    ("fill", 700_000),
    ("filled",),
    ("fill", 10),
    # Everything again that a destroyed actor leaves.
    ("note", "b"),
    ("end",),
)
"""All that actors can have AWS do."""


def test_http(stack: Stack) -> None:
    http = stack.function()
    connect(stack, stack.function())
    stack.asked()
    act(http, "increment")
    ask(http, "GET", "/actors", "namespace=default&name=busy&limit=5")
    for action, *args in WORK:
        act(http, action, *args)
    assert stack.asked() | SELDOM == allowed("http")


@pytest.mark.parametrize("ordered", [True, False])
def test_worker(stack: Stack, ordered: bool) -> None:
    worker = stack.function(ordered=ordered)
    connect(stack, worker)
    for action, *args in WORK:
        call = {"rivetless": "call", "name": "busy", "key": ["k"], "create": True}
        deliver(worker, call | {"action": action, "args": args})
    assert stack.asked() | SELDOM == allowed("worker", ordered=ordered)


@pytest.mark.parametrize("ordered", [True, False])
def test_sockets(stack: Stack, ordered: bool) -> None:
    sockets = stack.function(ordered=ordered)
    for kind in ("connect", "disconnect"):
        assert sockets(recorded(f"websocket_{kind}"))["statusCode"] == 200
    assert stack.asked() == allowed("sockets", ordered=ordered)


def test_sweep(stack: Stack) -> None:
    http, sweep = stack.function(), stack.function()
    # Two connections that nobody tells us the end of; what their hooks do is done by the sweeper.
    for key in ("k", "other"):
        connect(stack, http, key)
    for key in ("a", "b"):
        act(http, "note", key)
    stack.asked()
    stack.gone.set()
    for _ in range(3):
        stack.clock.jump(3 * 3600)
        assert sweep({"rivetless": "sweep"}) is None
    assert stack.asked() | SELDOM == allowed("sweep")


@pytest.mark.parametrize(
    ("name", "principal", "queue"),
    [("schedules", "scheduler", "WakeQueue"), ("frames", "apigateway", "FramesQueue")],
)
def test_services_may_send_to_one_queue(name: str, principal: str, queue: str) -> None:
    assert allowed(name) == {("sqs:SendMessage", queue)}
    (role,) = [
        role["Properties"]
        for role in resources("AWS::IAM::Role").values()
        if role["Properties"]["Policies"][0]["PolicyName"] == name
    ]
    (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": f"{principal}.amazonaws.com"}
    assert role["Policies"][0]["PolicyDocument"] == read_yaml(POLICIES / f"{name}.yaml")
