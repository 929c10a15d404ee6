"""What of an actor a path leads to."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivetless.errors import ActorError
from rivetless.protocol.routes import (
    CONNECT,
    HEALTH,
    METADATA,
    METRICS,
    ROOT,
    Action,
    ActorRoute,
    Inspector,
    InspectorSocket,
    QueueSend,
    RawRequest,
    RawSocket,
    SocketRoute,
    action_path,
    actor_route,
    queue_path,
    request_path,
    socket_route,
    websocket_path,
)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/action/foo", Action("foo")),
        ("POST", "/action/users.add", Action("users.add")),
        ("POST", "/action/a%2Fb%20c%E2%98%83+", Action("a/b c☃+")),
        ("POST", "/queue/jobs", QueueSend("jobs")),
        ("POST", "/queue/a%20b", QueueSend("a b")),
        ("GET", "/request", RawRequest("/")),
        ("GET", "/request/", RawRequest("/")),
        ("PATCH", "/request/a%2Fb/", RawRequest("/a%2Fb/")),
        ("BREW", "/request/x", RawRequest("/x")),
        ("GET", "/", ROOT),
        ("GET", "", ROOT),
        ("HEAD", "/health", HEALTH),
        ("GET", "/metadata", METADATA),
        ("GET", "/metrics", METRICS),
        ("GET", "/inspector/state", Inspector("/state")),
        ("POST", "/inspector/", Inspector("/")),
    ],
)
def test_routes(method: str, path: str, route: ActorRoute) -> None:
    assert actor_route(path, method) == route


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/action",
        "/action/",
        "/action/a/b",
        "/action/a/",
        "/queue",
        "/queue/",
        "/queue/a/b",
        "/requests",
        "/requestx/y",
        "/health/",
        "/connect",
        "/websocket",
        "/inspector",
        "/ACTION/foo",
        "request",
    ],
)
def test_unknown_routes(path: str) -> None:
    with pytest.raises(ActorError) as caught:
        actor_route(path, "POST")
    assert caught.value.name == "actor.not_found"
    assert caught.value.message == f"Actor route '{path}' was not found."
    assert caught.value.metadata == {"id": path, "resource": "route"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/action/foo"),
        ("PUT", "/action/foo"),
        ("GET", "/queue/jobs"),
        ("POST", "/"),
        ("POST", "/health"),
        ("DELETE", "/metadata"),
        ("post", "/action/foo"),
    ],
)
def test_wrong_methods(method: str, path: str) -> None:
    with pytest.raises(ActorError) as caught:
        actor_route(path, method)
    assert caught.value.name == "actor.method_not_allowed"
    assert caught.value.metadata == {"method": method, "path": path}


@pytest.mark.parametrize("segment", ["%", "%f", "%zz", "%ff", "\xff", "☃"])
def test_names_that_cannot_be_decoded(segment: str) -> None:
    with pytest.raises(ActorError, match="cannot be decoded") as caught:
        actor_route(f"/action/{segment}", "POST")
    assert caught.value.name == "actor.invalid_request"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/connect", CONNECT),
        ("/websocket", RawSocket("/websocket")),
        ("/websocket/", RawSocket("/websocket/")),
        ("/websocket/a/b%20c", RawSocket("/websocket/a/b%20c")),
        ("/inspector/connect", InspectorSocket()),
    ],
)
def test_sockets(path: str, route: SocketRoute) -> None:
    assert socket_route(path) == route


@pytest.mark.parametrize("path", ["/", "", "/connect/", "/connects", "/websockets", "/action/foo"])
def test_unknown_sockets(path: str) -> None:
    with pytest.raises(ActorError) as caught:
        socket_route(path)
    assert caught.value.name == "actor.not_found"


@given(st.text(max_size=30), st.sampled_from(["GET", "POST"]))
def test_any_path_is_read_or_refused(path: str, method: str) -> None:
    for form in (path, f"/action/{path}", f"/queue/{path}"):
        for route in (lambda form: actor_route(form, method), socket_route):
            with suppress(ActorError):
                route(form)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_names_survive_their_path(name: str) -> None:
    assert actor_route(action_path(name), "POST") == Action(name)
    assert actor_route(queue_path(name), "POST") == QueueSend(name)


def test_raw_paths() -> None:
    assert request_path("") == request_path("/") == "/request/"
    assert request_path("/a/b") == request_path("a/b") == "/request/a/b"
    assert websocket_path() == "/websocket/"
    assert websocket_path("/a") == "/websocket/a"
