"""How calls look over HTTP, without HTTP."""

import pytest

from rivetless.aws.client import AnswerLost, NotSent, ServiceError
from rivetless.aws.http import Answer
from rivetless.aws.services import DYNAMODB, MANAGEMENT, SCHEDULER, SQS


def test_a_segment_of_a_path_stays_one() -> None:
    request = MANAGEMENT.wire.encode("DeleteConnection", {"ConnectionId": "a/b=é ~?#"})
    assert request.path == "/@connections/a%2Fb%3D%C3%A9%20~%3F%23"


def test_what_is_nowhere_else_is_the_body() -> None:
    request = SCHEDULER.wire.encode("CreateSchedule", {"Name": "n", "GroupName": "g"})
    assert (request.path, request.body) == ("/schedules/n", b'{"GroupName":"g"}')
    request = SCHEDULER.wire.encode("GetSchedule", {"Name": "n", "GroupName": "g"})
    assert (request.query, request.body) == ({"groupName": "g"}, b"")


def test_calls_that_are_none() -> None:
    with pytest.raises(NotSent, match="FrameSchedule"):
        SCHEDULER.wire.encode("FrameSchedule", {"Name": "n"})
    with pytest.raises(TypeError, match="set is no part"):
        SQS.wire.encode("SendMessage", {"MessageBody": {1}})


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429])
def test_a_refusal_needs_no_json(status: int) -> None:
    with pytest.raises(ServiceError, match="<html>") as raised:
        DYNAMODB.wire.decode(Answer(status, {}, b"<html>\xff"))
    assert (raised.value.code, raised.value.status) == (str(status), status)


@pytest.mark.parametrize("status", [200, 302, 500, 503])
def test_what_cannot_be_read_is_lost(status: int) -> None:
    with pytest.raises(AnswerLost, match=f"status {status}"):
        DYNAMODB.wire.decode(Answer(status, {}, b"<html>"))
    with pytest.raises(AnswerLost, match="damaged"):
        DYNAMODB.wire.decode(Answer(status, {"x-amz-crc32": "1"}, b"{}"))


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b'{"__type":"com.amazon#Oops"}', "Oops"),
        ({}, b'{"__type":"Oops"}', "Oops"),
        ({}, b'{"code":"Oops"}', "Oops"),
        ({"x-amzn-errortype": "Oops:http://internal/"}, b"{}", "Oops"),
        ({"x-amzn-errortype": "com.amazon#Oops"}, b"", "Oops"),
        ({"x-amzn-query-error": "AWS.Oops;Sender"}, b'{"__type":"x#New"}', "AWS.Oops"),
        ({}, b"{}", "400"),
        ({}, b"", "400"),
    ],
)
def test_names_of_errors(headers: dict[str, str], body: bytes, code: str) -> None:
    for service in (DYNAMODB, SQS, SCHEDULER, MANAGEMENT):
        with pytest.raises(ServiceError) as raised:
            service.wire.decode(Answer(400, headers, body))
        assert raised.value.code == code


def test_names_begin_with_capitals() -> None:
    answer = Answer(200, {}, b'{"identity":{"sourceIp":"x"},"Input":"{\\"a\\":1}","":1}')
    found = MANAGEMENT.wire.decode(answer)
    assert found == {"Identity": {"SourceIp": "x"}, "Input": '{"a":1}', "": 1}
