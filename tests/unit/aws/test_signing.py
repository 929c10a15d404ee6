"""Signatures, against what AWS publishes and what its SDK computes."""

import os

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]

from rivetless.aws.signing import (
    Credentials,
    authorization,
    canonical_query,
    signing_key,
    timestamp,
)

# AWS's example credentials, date and results ("Signature Version 4 test suite", and the signing
# key in the IAM manual).
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE = Credentials("AKIDEXAMPLE", SECRET)
AT = "20150830T123600Z"
HEADERS = {"host": "example.amazonaws.com", "x-amz-date": AT}


def signature(method: str = "GET", **more: object) -> str:
    fields: dict[str, object] = {"headers": HEADERS, "body": b"", "path": "/"} | more
    header = authorization(
        EXAMPLE,
        region="us-east-1",
        service="service",
        method=method,
        **fields,  # type: ignore[arg-type]
    )
    return header.rpartition("Signature=")[2]


def test_signing_key() -> None:
    key = signing_key(SECRET, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_get_vanilla() -> None:
    assert signature() == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_post_vanilla() -> None:
    assert signature("POST") == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"


def test_get_vanilla_query_order() -> None:
    query = {"Param2": "value2", "Param1": "value1"}
    expected = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    assert signature(query=query) == expected


def test_timestamp() -> None:
    assert timestamp(1440938160.9) == AT


@pytest.mark.parametrize("token", [None, "a session"])
@pytest.mark.parametrize("body", [b"", b"{}", os.urandom(3000)], ids=len)
def test_the_same_as_the_sdk(token: str | None, body: bytes) -> None:
    request = AWSRequest(
        "POST",
        "https://dynamodb.eu-west-1.amazonaws.com/",
        {"content-type": "application/x-amz-json-1.0", "x-amz-target": "A.B"},
        body,
    )
    credentials = BotoCredentials("AKID", SECRET, token)
    SigV4Auth(credentials, "dynamodb", "eu-west-1").add_auth(request)
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": "dynamodb.eu-west-1.amazonaws.com",
        "x-amz-date": request.headers["X-Amz-Date"],
        "x-amz-target": "A.B",
    }
    if token is not None:
        headers["x-amz-security-token"] = token
    ours = authorization(
        Credentials("AKID", SECRET, token),
        region="eu-west-1",
        service="dynamodb",
        method="POST",
        headers=headers,
        body=body,
    )
    assert ours == request.headers["Authorization"]


@pytest.mark.parametrize("path", ["/prod/@connections/abc%3D", "/schedules/a.b_c~d-e"])
@pytest.mark.parametrize("query", [None, {"groupName": "a b/c", "clientToken": "x+y="}])
def test_paths_the_same_as_the_sdk(path: str, query: dict[str, str] | None) -> None:
    url = f"https://x.execute-api.eu-west-1.amazonaws.com{path}"
    request = AWSRequest("DELETE", url if query is None else f"{url}?{canonical_query(query)}")
    SigV4Auth(BotoCredentials("AKID", SECRET), "execute-api", "eu-west-1").add_auth(request)
    ours = authorization(
        Credentials("AKID", SECRET),
        region="eu-west-1",
        service="execute-api",
        method="DELETE",
        path=path,
        query=query,
        headers={
            "host": "x.execute-api.eu-west-1.amazonaws.com",
            "x-amz-date": request.headers["X-Amz-Date"],
        },
        body=b"",
    )
    assert ours == request.headers["Authorization"]


def test_secrets_do_not_show() -> None:
    assert SECRET not in repr(Credentials("a", SECRET, "token"))
    assert "token" not in repr(Credentials("a", SECRET, "token")).replace("token=", "")
