"""Tables by URL."""

import pytest

from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.urls import open_store, secret_file


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("dynamodb:actors", "https://dynamodb.us-east-1.amazonaws.com"),
        ("dynamodb://actors", "https://dynamodb.us-east-1.amazonaws.com"),
        ("dynamodb:actors?region=eu-west-1", "https://dynamodb.eu-west-1.amazonaws.com"),
        ("dynamodb:actors?endpoint=http://localhost:4566", "http://localhost:4566"),
        ("dynamodb:actors?endpoint=http%3A%2F%2Flocalhost%3A1&region=x", "http://localhost:1"),
    ],
)
def test_a_url_names_a_table(url: str, shown: str) -> None:
    store = open_store(url)
    assert isinstance(store, DynamoDBStore)
    assert "'actors'" in repr(store)
    assert repr(shown) in repr(store)
    assert secret_file(url) is None


@pytest.mark.parametrize(
    "url",
    ["dynamodb:", "dynamodb:?region=x", "dynamodb:a/b", "dynamodb:a?key=1", "dynamodb:a?region="],
)
def test_what_names_none(url: str) -> None:
    with pytest.raises(ValueError, match="dynamodb:TABLE"):
        open_store(url)
