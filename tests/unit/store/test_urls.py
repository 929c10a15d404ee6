"""The URLs of stores: which there are, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rivetless.clock import SystemClock
from rivetless.store.dynamodb import DynamoDBStore
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.store.urls import open_store, secret_file


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_memory(url: str) -> None:
    assert isinstance(open_store(url), MemoryStore)
    assert secret_file(url) is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:some/actors.db", "some/actors.db"),
        ("sqlite://some/actors.db", "some/actors.db"),
        ("sqlite:///some/my%20actors.db", "/some/my actors.db"),
    ],
)
def test_sqlite(url: str, path: str) -> None:
    store = open_store(url, synchronous="normal", clock=SystemClock())
    assert isinstance(store, SQLiteStore)
    assert path in repr(store)
    assert secret_file(url) == Path(f"{path}.secret")


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb:actors?region=eu-west-1",
        "dynamodb://actors?endpoint=http://localhost:4566",
    ],
)
def test_dynamodb(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    store = open_store(url)
    assert isinstance(store, DynamoDBStore)
    assert store.table == "actors"
    assert secret_file(url) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory:actors", "names no store"),
        ("postgres://here", "names no store"),
        ("", "names no store"),
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("dynamodb:", "names no table"),
        ("dynamodb:a/b", "names no table"),
        ("dynamodb:actors?zone=a", "names no table"),
        ("dynamodb:actors?region=", "names no table"),
    ],
)
def test_others_are_refused(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_store(url)


def test_a_table_has_a_name_and_one_who_knows_where_it_is() -> None:
    with pytest.raises(ValueError, match="name of its table"):
        DynamoDBStore("")
    client = DynamoDBStore("actors", endpoint="http://localhost:1", region="eu-west-1")._client
    with pytest.raises(ValueError, match="knows its endpoint"):
        DynamoDBStore("actors", client=client, region="eu-west-1")
