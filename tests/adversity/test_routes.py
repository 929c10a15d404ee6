"""Paths, methods, keys and parameters that lead nowhere; and any others there may be."""

import socket
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.adversity.conftest import QUERY, Target, check_error

PATHS = [
    "/nope",
    "/actors/",
    "/actors/x/y/z",
    "/gateway",
    "/gateway/",
    "/gateway//action/get",
    "/gateway/@/action/get",
    "/gateway/counter/action/get",
    "/gateway/nonsense/action/get",
    f"/gateway/{'0' * 30}/action/get",
    f"/gateway/{'z' * 30}/action/get",
    f"/gateway/{'Z' * 30}/action/get",
    f"/gateway/{'0' * 3000}/action/get",
    "/gateway/%00/action/get",
    "/gateway/%ff%fe/action/get",
    "/gateway/%zz/action/get",
    "/gateway/../actors",
    "/gateway/a%2Fb/action/get",
    "/api/rivet/nope",
    "/api/rivetx/metadata",
    "/api/rivet/api/rivet/metadata",
    "/request/x",
    "/connect",
    "/inspector/summary",
    "/metrics",
    "/%2e%2e/etc/passwd",
    "/start",
]
SUBPATHS = [
    "/nope",
    "/action",
    "/action/",
    "/action/nope",
    "/action/get/more",
    "/action/a%2Fb",
    "/action/%00",
    "/action/%ff",
    "/action/%zz",
    "/action/" + "x" * 2_000,
    "/action/__init__",
    "/action/_turn",
    "/action/state",
    "/queue",
    "/queue/",
    "/requestx",
    "/connect",
    "/websocket",
    "/inspector/summary",
    "/inspector/action/get",
    "/dynamic/reload",
]


def test_unknown_paths(target: Target) -> None:
    for path in PATHS:
        check_error(target.http.post(path, json={}), 400, 401, 404, 405, 501)


def test_unknown_routes_of_an_actor(target: Target) -> None:
    for subpath in SUBPATHS:
        for url in (f"/gateway/{target.actor_id}{subpath}", target.url(subpath)):
            answer = target.http.post(url, json={})
            error = check_error(answer)
            assert error["group"] in ("actor", "guard"), (url, error)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE"])
def test_wrong_methods(target: Target, method: str) -> None:
    for subpath in ("/action/increment", "/queue/jobs"):
        answer = target.http.request(method, target.url(subpath))
        assert answer.status_code == 405
        if method != "HEAD":
            assert check_error(answer)["code"] == "method_not_allowed"
    for path, known in (
        ("/actors/names", ("GET", "HEAD")),
        (f"/actors/{target.actor_id}", ("DELETE",)),
        (f"/actors/{target.actor_id}/sleep", ("POST",)),
    ):
        if method not in known:
            answer = target.http.request(method, f"{path}?namespace=default")
            assert answer.status_code == 405, (method, path)
    for subpath in ("/health", "/metadata", "/"):
        if method not in ("GET", "HEAD"):
            answer = target.http.request(method, f"/gateway/{target.actor_id}{subpath}")
            assert answer.status_code == 405, (method, subpath)


BAD_QUERIES = [
    "",
    "rvt-",
    "rvt-=1",
    "rvt-key=x",
    "rvt-namespace=default",
    "rvt-method=getOrCreate",
    f"{QUERY}&rvt-nope=1",
    f"{QUERY}&rvt-KEY=1",
    f"{QUERY}&rvt-key=a&rvt-key=b",
    f"{QUERY}&rvt%2Dkey=a&rvt-key=b",
    f"{QUERY}&rvt-key=%",
    f"{QUERY}&rvt-key=%f",
    f"{QUERY}&rvt-key=%ff",
    f"{QUERY}&rvt-key=%ED%A0%80",
    f"{QUERY}&rvt-key={'x' * 129}",
    f"{QUERY}&rvt-key={','.join(['x' * 120] * 9)}",
    f"{QUERY}&rvt-input=%%%",
    f"{QUERY}&rvt-input=a",
    f"{QUERY}&rvt-input=_____w",
    f"{QUERY}&rvt-input=" + "gYGB" * 2_000,
    f"{QUERY}&rvt-crash-policy=explode",
    f"{QUERY}&rvt-skip-ready-wait=perhaps",
    QUERY.replace("default&rvt-method", "&rvt-method"),
    QUERY.replace("default&rvt-method", "x" * 65 + "&rvt-method"),
    QUERY.replace("default&rvt-method", "a%00b&rvt-method"),
    QUERY.replace("getOrCreate", "get"),
    QUERY.replace("getOrCreate", "GETORCREATE"),
    QUERY.replace("&rvt-runner=default", ""),
]


def test_bad_parameters(target: Target) -> None:
    for query in BAD_QUERIES:
        answer = target.http.post(f"/gateway/counter/action/increment?{query}", json={})
        error = check_error(answer, 400, 404)
        assert error["group"] in ("guard", "actor"), (query, error)


@pytest.mark.parametrize("name", ["nobody", "Nobody", "%00", "a%0Ab", "x" * 65, "%20", "actor"])
def test_bad_names(target: Target, name: str) -> None:
    check_error(target.http.post(f"/gateway/{name}/action/get?{QUERY}", json={}), 400, 404)


def raw_exchange(port: int, data: bytes) -> bytes:
    """Send bytes that no HTTP client would send, and return what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


@pytest.mark.parametrize(
    "data",
    [
        b"GET /gateway/\xff\xfe/action/get HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /gateway/counter/action/get?rvt-key=\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /metadata HTTP/1.1\r\n\r\n",
        b"GET /metadata HTTP/1.1\r\nhost: x\r\nx-rivet-target: \xff\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x00\x01\x02\x03",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /gateway/x/action/y HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /gateway/x/action/y HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://example.com/metadata HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=lambda data: repr(data[:50]),
)
def test_no_http_at_all(target: Target, data: bytes) -> None:
    answer = raw_exchange(target.server.port, data)
    status = answer.split(b" ", 2)[1:2]
    assert not status or not status[0].startswith(b"5"), answer


# -- fuzz ------------------------------------------------------------------------------------------

WORDS = """
    gateway actors names action queue request get increment counter web health metadata sleep kv
    keys api rivet websocket inspector . .. % %zz %00 %ff %2F %25 @ * @connections ; \\ openapi.json
"""
PARAMETERS = """
    namespace name key actor_ids limit cursor include_destroyed x rvt-namespace rvt-method rvt-key
    rvt-runner rvt-pool rvt-input rvt-region rvt-crash-policy rvt-token rvt-skip-ready-wait rvt-
"""
ARGUMENTS = """
    default get getOrCreate sleep true 1 0 counter fuzz a,b -1 % %ff 999999999999999999999999 oQ oA
    %00
"""
HEADER_NAMES = """
    x-rivet-encoding x-rivet-target x-rivet-actor x-rivet-conn-params origin x-rivet-token
    x-rivet-ray-id idempotency-key authorization content-type
"""
SEGMENTS = st.one_of(
    st.sampled_from(["", *WORDS.split()]),
    st.text(max_size=8).map(lambda text: quote(text, safe="")),
    st.text("abc%@,;=+~!*'()$", max_size=6),
)
NAMES = st.sampled_from(PARAMETERS.split())
VALUES = st.one_of(
    st.sampled_from(["", *ARGUMENTS.split()]),
    st.text(max_size=6).map(lambda text: quote(text, safe="")),
)
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES.split()),
    st.one_of(
        st.sampled_from(["json", "cbor", "bare", "actor", "{}", "null", "0" * 30, "Bearer x"]),
        st.text('abc {}[]":,123', max_size=12).map(str.strip),
    ),
    max_size=3,
)
BODIES = st.one_of(
    st.sampled_from([b"", b"{}", b'{"args":[]}', b"\xa1\x64args\x80", b"\x04\x00\x01\x80"]),
    st.binary(max_size=40),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(METHODS, st.lists(SEGMENTS, max_size=6), QUERIES, HEADERS, BODIES)
@example("GET", [".", "x"], "", {}, b"")
def test_any_request_is_answered_in_our_words(
    target: Target,
    method: str,
    segments: list[str],
    query: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    path = "/" + "/".join(segments) + (f"?{query}" if query else "")
    url = httpx.URL(target.server.endpoint).copy_with(raw_path=path.encode())
    answer = target.http.request(method, url, headers=headers, content=body)
    if answer.status_code >= 400 and method != "HEAD":
        # 501: `/start`, since no engine is served.
        check_error(answer, *([501] if answer.status_code == 501 else []))
