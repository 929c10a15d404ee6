"""Bodies that cannot be read, or hold what cannot be: refused in words, in their encoding."""

from typing import Any

import httpx
import pytest

from rivetless.protocol.codec import codec_for
from rivetless.protocol.messages import HttpError
from tests.adversity.conftest import Target, check_error

JSON = [
    b"{",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"args":[',
    b'{"args":[1,]}',
    b'{"args":[1]} {}',
    b"{'args':[1]}",
    b"nonsense",
    b'{"args":[NaN]}',
    b'{"args":["\xff"]}',
    b'{"args":["\\ud800"]}',
    b'{"args":[["$Nope",1]]}',
    b'{"args":[["$BigInt","x"]]}',
    b'{"args":[["$BigInt",5]]}',
    b'{"args":[["$Uint8Array","!"]]}',
    b'{"args":[["$Set",5]]}',
    b'{"args":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"args":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    b'{"args":[' + b"9" * 6_000 + b"]}",
    b"\x00" * 100,
]
CBOR = [
    b"",
    b"\xff",
    b"\xa1",
    b"\xa1\x64args",
    b"\xa1\x64args\x81",
    b"\xa1\x64args\x80\x00",
    b"\xa1\x64arg\xff\x80",
    b"\xa1\x62\xff\xfe\x80",
    b"\xa1\x64args\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xa1\x64args\x9f\x01",
    b"\xa1\x64args\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xa1\x64args\x81\xc1\x61x",
    b"\xa1\x64args\x81\xd8\x40\x01",
    b"\xa1\x64args\x81\xd9\x01\x02\x01",
    b"\xa1\x64args\x81\xda\x00\x01\x00\x00\x01",
    b"\xa1\x64args\x81\x1c",
    b"\xa1\x64args" + b"\x81" * 10_000 + b"\x00",
    b"\xa1\x64args" + b"\xc1" * 5_000 + b"\x00",
    b"\xa1\x64args\x81\xd8\x1c\x81\xd8\x1d\x00",
    b"\xa1\x64args\x81\xf8\x10",
]
BARE = [
    b"\x04",
    b"\x00\x00\x02\x81\x05",
    b"\x05\x00\x02\x81\x05",
    b"\xff\xff\x02\x81\x05",
    b"\x04\x00",
    b"\x04\x00\x05\x81\x05",
    b"\x04\x00\x02\x81\x05\x00",
    b"\x04\x00\x02\x81",
    b"\x04\x00\x01\xff",
    b"\x04\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x04\x00\xff\xff\xff\xff\x0f",
    b"\x04\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    b"\x04\x00\x00",
    b"\x04\x00" + b"\x88\x27" + b"\x81" * 5_000,
]
MALFORMED = [
    *(("json", body) for body in JSON),
    *(("cbor", body) for body in CBOR if body),
    *(("bare", body) for body in BARE),
]


def decode(encoding: Any, answer: httpx.Response) -> HttpError:
    """Read an error in whatever encoding it came."""
    if answer.headers["content-type"] == "application/json":
        encoding = "json"
    return codec_for(encoding).decode(HttpError, answer.content).message


@pytest.mark.parametrize("route", ["/action/increment", "/queue/jobs"])
def test_malformed(target: Target, route: str) -> None:
    for encoding, body in MALFORMED:
        answer = target.http.post(
            target.url(route), content=body, headers={"x-rivet-encoding": encoding}
        )
        shown = (encoding, body[:60], answer.text[:200])
        if route == "/queue/jobs" and answer.status_code == 200:
            # A message of a form that no argument list has may be one for a queue.
            continue
        assert answer.status_code == 400, shown
        error = decode(encoding, answer)
        assert error.group, shown
        assert error.code, shown
        assert error.message, shown


def test_malformed_input_of_any_action(target: Target) -> None:
    for encoding, body in MALFORMED:
        answer = target.http.post(
            target.url("/action/echo", "calls"),
            content=body,
            headers={"x-rivet-encoding": encoding},
        )
        assert answer.status_code == 400, (encoding, body[:60], answer.text[:200])


ODD: list[bytes] = [
    b"null",
    b'"text"',
    b"5",
    b"[]",
    b"[1,2]",
    b'{"other":1}',
    b'{"args":"text"}',
    b'{"args":{"a":1}}',
    b'{"args":[1e999]}',
    b'{"args":[-0.0]}',
    b'{"args":[1],"args":[2]}',
    b'{"args":["\\u0000"]}',
    b'{"args":[["$$x",1]]}',
    b'{"args":[["$",1]]}',
    b'{"args":[{"__proto__":1,"constructor":2,"$BigInt":"5"}]}',
    b'{"args":[' + b"9" * 4_000 + b"]}",
    b' \n\t{"args" : [ 1 ] } ',
]


def test_odd_but_legal(target: Target) -> None:
    for body in ODD:
        answer = target.http.post(target.url("/action/echo", "calls"), content=body)
        assert answer.status_code < 500, (body[:60], answer.text)
        if answer.status_code != 200:
            check_error(answer)


def test_arguments_of_the_wrong_type(target: Target) -> None:
    wrong: list[list[Any]] = [["text"], [1, 2], [{}], [[1]], [1.5], ["1e3"], [{"$x": 1}]]
    for args in [*wrong, [None, 1]]:
        answer = target.http.post(target.url("/action/increment"), json={"args": args})
        error = check_error(answer, 400)
        assert (error["group"], error["code"]) == ("actor", "validation_error")
        assert error["metadata"]["issues"][0]["path"]


@pytest.mark.parametrize("encoding", ["json", "cbor", "bare"])
def test_oversize(target: Target, encoding: str) -> None:
    for route in ("/action/increment", "/queue/jobs"):
        answer = target.http.post(
            target.url(route),
            content=b"x" * 70_000,
            headers={"x-rivet-encoding": encoding},
        )
        assert answer.status_code == 400
        error = decode(encoding, answer)
        assert error.code in ("incoming_too_long", "message_too_large")
        assert isinstance(error.metadata, dict)
        assert error.metadata["limit"] == 65_536


def test_oversize_in_chunks(target: Target) -> None:
    answer = target.http.post(
        target.url("/action/increment"), content=(b"x" * 10_000 for _ in range(50))
    )
    assert check_error(answer, 400)["code"] == "incoming_too_long"


def test_encodings_mixed_up(target: Target) -> None:
    bodies = {
        "json": b'{"args":[5]}',
        "cbor": b"\xa1\x64args\x81\x05",
        "bare": b"\x04\x00\x02\x81\x05",
    }
    for written, body in bodies.items():
        for said in bodies:
            if said != written:
                answer = target.http.post(
                    target.url("/action/increment"),
                    content=body,
                    headers={"x-rivet-encoding": said},
                )
                assert answer.status_code == 400, (written, said)
                assert decode(said, answer).message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"name":5}',
        b'{"name":"counter","key":"x","runner_name_selector":"p","crash_policy":"sleep","x":1}',
        b'{"name":"","key":"x","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"name":"counter","key":"","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"name":"a\\u0000b","key":"x","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"name":"counter","key":"\\ud800","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"name":"counter","key":"x","input":"oQ","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"name":"counter","key":"x","input":"/w==","runner_name_selector":"p","crash_policy":"sleep"}',
        b'{"a":' * 3_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_management(target: Target, body: bytes) -> None:
    for method in ("PUT", "POST"):
        answer = target.http.request(method, "/actors?namespace=default", content=body)
        check_error(answer)


def test_headers(target: Target) -> None:
    for params in (
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'"\xc3"',
        b"[" * 3_000,
        b'{"a":NaN}',
        b'"' + b"x" * 5_000 + b'"',
        b'["$Nope",1]',
    ):
        answer = target.http.post(
            target.url("/action/increment"),
            json={"args": ["never a number"]},
            headers=[(b"x-rivet-conn-params", params)],
        )
        check_error(answer)
    for name, value in (
        (b"x-rivet-encoding", b"\xff"),
        (b"x-rivet-ray-id", b"a b\xffc"),
        (b"x-rivet-ray-id", b"x" * 5_000),
        (b"origin", b"\xff\xfe"),
        (b"content-type", b"\xff"),
        (b"traceparent", b"\xff"),
        (b"idempotency-key", b"\xff" * 300),
        (b"idempotency-key", b""),
        (b"x-rivet-token", b"\xff"),
    ):
        answer = target.http.post(target.url("/action/get"), json={}, headers=[(name, value)])
        assert answer.status_code < 500, (name, value, answer.text)
        if answer.status_code != 200:
            check_error(answer)
