"""The secret of a deployment."""

import os
import stat
import threading
from pathlib import Path

import pytest

from rivetless.hosts.secrets import SECRET_VARIABLE, find_secret, read_or_make
from rivetless.store.memory import MemoryStore
from rivetless.store.sqlite import SQLiteStore
from rivetless.store.urls import open_store, secret_file


def test_made_once_and_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "new" / "actors.db.secret"
    secret = read_or_make(file)

    assert len(secret) >= 32
    assert read_or_make(file) == secret
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_all_get_the_same(tmp_path: Path) -> None:
    found: set[bytes] = set()
    start = threading.Barrier(8)

    def look() -> None:
        start.wait()
        found.add(read_or_make(tmp_path / "secret"))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 1


def test_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*paths: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", link)

    assert read_or_make(tmp_path / "secret") == read_or_make(tmp_path / "secret")


def test_others_may_not_read_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "secret"
    read_or_make(file)
    file.chmod(0o644)
    read_or_make(file)

    assert "chmod 600" in caplog.text


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(ValueError, match="holds no secret"):
        read_or_make(tmp_path / "secret")


def test_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    assert find_secret(None, None) is None
    assert find_secret(None, file) == file.read_bytes()
    monkeypatch.setenv(SECRET_VARIABLE, "from the environment")
    assert find_secret(None, file) == b"from the environment"
    assert find_secret("given by the program", file) == b"given by the program"
    with pytest.raises(ValueError, match="16 or more"):
        find_secret(b"short", None)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:a/b.db", Path("a/b.db.secret")),
        ("sqlite:///tmp/b.db", Path("/tmp/b.db.secret")),
        ("sqlite:/tmp/b%20c.db", Path("/tmp/b c.db.secret")),
        ("memory:", None),
    ],
)
def test_stores_by_url(url: str, file: Path | None) -> None:
    assert secret_file(url) == file
    assert isinstance(open_store(url), MemoryStore if file is None else SQLiteStore)


@pytest.mark.parametrize("url", ["", "sqlite", "sqlite:", "sqlite://", "memory:x", "redis://x"])
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(ValueError, match="names no"):
        open_store(url)
