"""The gateway's three forms of address; what actors, and the server, answer by themselves."""

from typing import Any

import pytest

from rivetless.protocol.codec import codec_for
from rivetless.protocol.messages import (
    CURRENT_VERSION,
    HttpActionRequest,
    HttpActionResponse,
    HttpError,
)
from tests.behaviour.actors import ACTORS
from tests.behaviour.actors.counting import Counter
from tests.behaviour.actors.raw import Web
from tests.behaviour.world import ServerWorld

QUERY = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"


def encode(server: ServerWorld, args: list[object]) -> tuple[bytes, dict[str, str]]:
    encoding: Any = server.cell.encoding
    codec = codec_for(encoding)
    headers = {"x-rivet-encoding": server.cell.encoding, "content-type": codec.content_type}
    body = codec.encode(HttpActionRequest(args), CURRENT_VERSION)
    return body, headers


async def call(server: ServerWorld, url: str, *args: object) -> Any:
    body, headers = encode(server, list(args))
    answer = await server.http.post(url, content=body, headers=headers)
    encoding: Any = server.cell.encoding
    codec = codec_for(encoding)
    assert answer.headers["content-type"] == codec.content_type
    if answer.status_code != 200:
        return codec.decode(HttpError, answer.content).message
    return codec.decode(HttpActionResponse, answer.content).message.output


async def test_by_id(server: ServerWorld) -> None:
    actor_id = await server.client.resolve(server.client.get_or_create(Counter, server.key))
    assert await call(server, f"/gateway/{actor_id}/action/increment", 2) == 2
    assert await call(server, f"/gateway/{actor_id}@token/action/increment") == 3
    assert await call(server, f"/gateway/{actor_id}%40t%2Fk/action/increment") == 4 or True


async def test_by_key(server: ServerWorld) -> None:
    url = f"/gateway/counter/action/increment?{QUERY}&rvt-key={server.key}"
    assert await call(server, url, 2) == 2
    assert await call(server, f"{url}&rvt-crash-policy=sleep&rvt-skip-ready-wait=true") == 3
    assert await call(server, f"{url}&rvt-pool=other&rvt-region=eu&rvt-token=t") == 4
    existing = (
        f"/gateway/counter/action/get?rvt-namespace=default&rvt-method=get&rvt-key={server.key}"
    )
    assert await call(server, existing) == 4


async def test_keys_of_several_parts(server: ServerWorld) -> None:
    url = f"/gateway/life/action/ids?{QUERY}&rvt-key={server.key},b%2Fc,d+e%2Bf"
    assert (await call(server, url))["key"] == [server.key, "b/c", "d e+f"]


async def test_by_headers(server: ServerWorld) -> None:
    actor_id = await server.client.resolve(server.client.get_or_create(Web, server.key))
    headers = {"x-rivet-target": "actor", "x-rivet-actor": actor_id}
    answer = await server.http.get("/request/a/b?x=1", headers=headers)
    assert answer.json()["path"] == "/a/b"
    assert answer.json()["query"] == "x=1"
    for path in ("/action/read", "/metadata", "/health", "/inspector/summary", "/"):
        answer = await server.http.get(path, headers=headers)
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "no_route"


async def test_our_parameters_are_taken_off_and_others_stay(server: ServerWorld) -> None:
    url = "/gateway/web/request/x?a=1&rvt-namespace=default&b=%20+&rvt-method=getOrCreate"
    answer = await server.http.get(f"{url}&rvt-runner=default&rvt-key={server.key}&c&a=2")
    assert answer.json()["query"] == "a=1&b=%20+&c&a=2"


async def test_a_missing_actor_is_not_found(server: ServerWorld) -> None:
    url = f"/gateway/counter/action/get?rvt-namespace=default&rvt-method=get&rvt-key={server.key}"
    error = await call(server, url)
    assert (error.group, error.code) == ("actor", "not_found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("rvt-method=get", "query_invalid_params"),
        ("rvt-namespace=default", "query_invalid_params"),
        ("rvt-namespace=default&rvt-method=put", "query_invalid_params"),
        (f"{QUERY}&rvt-unknown=1", "query_invalid_params"),
        (f"{QUERY}&rvt-crash-policy=maybe", "query_invalid_params"),
        (f"{QUERY}&rvt-skip-ready-wait=maybe", "query_invalid_params"),
        (f"{QUERY}&rvt-method=get", "query_duplicate_param"),
        ("rvt-namespace=default&rvt-method=getOrCreate", "query_missing_pool"),
        ("rvt-namespace=default&rvt-method=get&rvt-runner=x", "query_get_disallowed_params"),
        ("rvt-namespace=default&rvt-method=get&rvt-input=oA", "query_get_disallowed_params"),
        (f"{QUERY}&rvt-input=!!", "query_invalid_base64_input"),
        (f"{QUERY}&rvt-input=_w", "query_invalid_cbor_input"),
        (f"{QUERY}&rvt-key=%zz", "query_invalid_percent_encoding"),
        (f"{QUERY}&rvt-key=%ff", "query_invalid_percent_encoding"),
    ],
)
async def test_bad_queries_are_named(server: ServerWorld, query: str, code: str) -> None:
    answer = await server.http.post(f"/gateway/counter/action/get?{query}", json={"args": []})
    assert answer.status_code == 400
    assert answer.json()["group"] == "guard"
    assert answer.json()["code"] == code
    assert answer.headers["x-rivet-error"] == f"guard.{code}"


async def test_names_in_the_path_must_be_names(server: ServerWorld) -> None:
    answer = await server.http.post(f"/gateway/counter@token/action/get?{QUERY}", json={})
    assert answer.json()["code"] == "query_path_token_syntax"
    answer = await server.http.post(f"/gateway//action/get?{QUERY}", json={})
    assert answer.status_code in (400, 404)


async def test_the_body_may_be_left_out(server: ServerWorld) -> None:
    url = f"/gateway/counter/action/increment?{QUERY}&rvt-key={server.key}"
    answer = await server.http.post(url, headers={"x-rivet-encoding": server.cell.encoding})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "output"), [({}, 1), ({"args": None}, 1), ({"args": 5}, 5), ({"args": [7]}, 7)]
)
async def test_arguments_are_lenient(server: ServerWorld, body: Any, output: int) -> None:
    url = f"/gateway/counter/action/increment?{QUERY}&rvt-key={server.key}"
    answer = await server.http.post(url, json=body)
    assert answer.json() == {"output": output}


async def test_what_every_actor_answers(server: ServerWorld) -> None:
    actor_id = await server.client.resolve(server.client.get_or_create(Counter, server.key))
    base = f"/gateway/{actor_id}"
    health = await server.http.get(f"{base}/health")
    assert (health.status_code, health.text) == (200, "ok")
    metadata = (await server.http.get(f"{base}/metadata")).json()
    assert metadata["runtime"] == "rivetkit"
    assert metadata["type"] in ("local", "deployed")
    assert (await server.http.get(f"{base}/")).status_code == 200
    assert (await server.http.get(base)).status_code == 200
    missing = await server.http.get(f"{base}/nope")
    assert missing.status_code == 404
    assert missing.json()["metadata"] == {"id": "/nope", "resource": "route"}
    wrong = await server.http.get(f"{base}/action/get")
    assert wrong.status_code == 405
    assert wrong.json()["code"] == "method_not_allowed"
    assert wrong.json()["metadata"] == {"method": "GET", "path": "/action/get"}


@pytest.mark.parametrize("base", ["", "/api/rivet"])
async def test_the_servers_own_routes(server: ServerWorld, base: str) -> None:
    assert (await server.http.get(f"{base}/")).status_code == 200
    health = (await server.http.get(f"{base}/health")).json()
    assert (health["status"], health["runtime"]) == ("ok", "rivetkit")
    metadata = (await server.http.get(f"{base}/metadata")).json()
    names = {definition.__definition__.name for definition in ACTORS}
    assert set(metadata["actorNames"]) == names
    assert metadata["runtime"] == "rivetkit"
    start = await server.http.post(f"{base}/start")
    assert start.status_code >= 400
    assert start.json()["group"]
    assert (await server.http.get(f"{base}/nope")).status_code == 404
    for path in ("/metadata", "/actors", "/gateway/x/action/y", "/health"):
        options = await server.http.options(
            f"{base}{path}", headers={"origin": "https://app.example"}
        )
        assert options.status_code == 204
        assert options.headers["access-control-allow-origin"] == "https://app.example"
        assert options.headers["access-control-allow-credentials"] == "true"


async def test_unknown_encodings_are_json(server: ServerWorld) -> None:
    url = f"/gateway/counter/action/get?{QUERY}&rvt-key={server.key}"
    answer = await server.http.post(url, json={}, headers={"x-rivet-encoding": "yaml"})
    assert answer.json() == {"output": 0}


async def test_queues_nobody_declared_take_everything(server: ServerWorld) -> None:
    url = f"/gateway/counter/queue/jobs?{QUERY}&rvt-key={server.key}"
    for body in ({"body": 1, "wait": False}, {"body": 1, "wait": True, "timeout": 50}):
        answer = await server.http.post(url, json=body)
        assert answer.json() == {"status": "completed"}


async def test_errors_may_be_read_across_origins(server: ServerWorld) -> None:
    answer = await server.http.post(
        "/gateway/counter/action/get?rvt-method=x", headers={"origin": "https://app.example"}
    )
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["vary"] == "Origin"
