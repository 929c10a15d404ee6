"""Endpoints: URLs with credentials, the environment, joining."""

import pytest

from rivetless.client.endpoint import Endpoint, find_endpoint

VARIABLES = ("RIVET_ENGINE", "RIVET_ENDPOINT", "RIVET_NAMESPACE", "RIVET_TOKEN", "RIVET_POOL")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_defaults() -> None:
    assert find_endpoint() == Endpoint("http://localhost:6420", "default", None, "default")


def test_the_engine_comes_before_the_endpoint(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RIVET_ENDPOINT", "http://b")
    assert find_endpoint().url == "http://b"
    environment.setenv("RIVET_ENGINE", "http://a")
    assert find_endpoint().url == "http://a"
    assert find_endpoint("http://c").url == "http://c"


def test_the_environment_fills_gaps(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RIVET_NAMESPACE", "env-ns")
    environment.setenv("RIVET_TOKEN", "env-token")
    environment.setenv("RIVET_POOL", "env-pool")
    assert find_endpoint("http://h") == Endpoint("http://h", "env-ns", "env-token", "env-pool")
    assert find_endpoint("http://url-ns:url-token@h") == Endpoint(
        "http://h", "url-ns", "url-token", "env-pool"
    )
    assert find_endpoint("http://h", namespace="n", token="t", pool="p") == Endpoint(
        "http://h", "n", "t", "p"
    )


def test_credentials_in_the_url_are_decoded_and_removed() -> None:
    found = find_endpoint("https://my%2Fns:to%40ken@example.com:8443/api/rivet/")
    assert found == Endpoint("https://example.com:8443/api/rivet", "my/ns", "to@ken")


def test_a_namespace_alone_is_fine() -> None:
    assert find_endpoint("http://ns@h").namespace == "ns"


@pytest.mark.parametrize(
    ("endpoint", "options", "message"),
    [
        ("http://:secret@h", {}, "needs a namespace"),
        ("http://h?x=1", {}, "neither a query"),
        ("http://h#x", {}, "neither a query"),
        ("http://ns@h", {"namespace": "ns"}, "namespace is given twice"),
        ("http://ns:t@h", {"token": "t"}, "token is given twice"),
        ("localhost:6420", {}, "is a URL such as"),
        ("ftp://h", {}, "is a URL such as"),
        ("http://", {}, "is a URL such as"),
    ],
)
def test_refused(endpoint: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_endpoint(endpoint, **options)


def test_messages_show_no_credentials() -> None:
    with pytest.raises(ValueError, match="neither") as caught:
        find_endpoint("http://ns:secret@h?x=1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path", "joined"),
    [
        ("http://h", "/actors", "http://h/actors"),
        ("http://h:1/api/rivet", "/gateway/a", "http://h:1/api/rivet/gateway/a"),
        ("http://h/a", "//b///c", "http://h/a/b/c"),
    ],
)
def test_joining(url: str, path: str, joined: str) -> None:
    assert Endpoint(url).http(path) == joined
    assert Endpoint(url).http(path, "q=//") == f"{joined}?q=//"


def test_a_redirect_replaces_what_it_names() -> None:
    endpoint = Endpoint("http://h", "ns", "token", "pool")
    assert endpoint.redirected("http://other/x", None, None) == Endpoint(
        "http://other/x", "ns", "token", "pool"
    )
    assert endpoint.redirected("http://other", "n2", "t2") == Endpoint(
        "http://other", "n2", "t2", "pool"
    )
    assert endpoint.redirected("http://n3:t3@other", None, None).token == "t3"
