"""The management API: find, create, list, put to sleep and destroy actors."""

import base64
from typing import Any

import pytest

from rivetless.protocol import cbor
from tests.behaviour.actors.counting import Counter, Seeded
from tests.behaviour.world import ServerWorld

FIELDS = [
    *("actor_id", "name", "key", "namespace_id", "datacenter", "runner_name_selector"),
    *("crash_policy", "create_ts", "start_ts", "pending_allocation_ts", "connectable_ts"),
    *("sleep_ts", "reschedule_ts", "destroy_ts"),
]


def body(name: str, key: str | None, **more: Any) -> dict[str, Any]:
    fields = {"name": name, "key": key, "runner_name_selector": "default", "crash_policy": "sleep"}
    return {**fields, **more}


async def test_get_or_create(server: ServerWorld) -> None:
    wanted = body("counter", server.key)
    first = (await server.http.put("/actors?namespace=default", json=wanted)).json()
    again = (await server.http.put("/actors?namespace=default", json=wanted)).json()
    assert (first["created"], again["created"]) == (True, False)
    assert first["actor"] == again["actor"]
    assert list(first["actor"]) == FIELDS
    assert first["actor"]["key"] == server.key
    assert first["actor"]["name"] == "counter"
    counter = server.client.get_or_create(Counter, server.key)
    assert await server.client.resolve(counter) == first["actor"]["actor_id"]


async def test_create(server: ServerWorld) -> None:
    wanted = body("counter", server.key)
    first = await server.http.post("/actors?namespace=default", json=wanted)
    assert first.status_code == 200
    again = await server.http.post("/actors?namespace=default", json=wanted)
    assert again.status_code == 400
    error = again.json()
    actor_id = first.json()["actor"]["actor_id"]
    assert error["code"] == "duplicate_key"
    assert error["metadata"] == {"existing_actor_id": actor_id, "key": server.key}


async def test_input_comes_as_base64_of_cbor(server: ServerWorld) -> None:
    data = base64.b64encode(cbor.dumps({"name": "Ada", "start": 3})).decode()
    answer = await server.http.put(
        "/actors?namespace=default", json=body("seeded", server.key, input=data)
    )
    assert answer.status_code == 200
    state = await server.client.get_or_create(Seeded, server.key).read()
    assert state.made_from is not None
    assert state.made_from.name == "Ada"


async def test_keys_are_escaped(server: ServerWorld) -> None:
    parts = [server.key, "a/b", "", "\\0"]
    text = f"{server.key}/a\\/b/\\0/\\\\0"
    answer = await server.http.put("/actors?namespace=default", json=body("life", text))
    actor = answer.json()["actor"]
    assert actor["key"] == text
    found = await server.http.get(
        "/actors", params={"namespace": "default", "name": "life", "key": text}
    )
    assert found.json()["actors"] == [actor]
    ids = await server.client.get_for_id("life", actor["actor_id"]).ids()
    assert ids["key"] == parts


async def test_find_by_ids(server: ServerWorld) -> None:
    ids = [
        await server.client.resolve(server.client.get_or_create(Counter, [server.key, str(n)]))
        for n in range(3)
    ]
    answer = await server.http.get(
        "/actors", params={"namespace": "default", "actor_ids": ",".join([*ids, "nonsense"])}
    )
    assert {actor["actor_id"] for actor in answer.json()["actors"]} == set(ids)
    other = await server.http.get(
        "/actors", params={"namespace": "other", "actor_ids": ",".join(ids)}
    )
    assert other.json() == {"actors": [], "pagination": {"cursor": None}}


async def test_find_by_key(server: ServerWorld) -> None:
    params = {"namespace": "default", "name": "counter", "key": server.key}
    nobody = await server.http.get("/actors", params=params)
    assert nobody.json()["actors"] == []
    actor_id = await server.client.resolve(server.client.get_or_create(Counter, server.key))
    found = (await server.http.get("/actors", params=params)).json()["actors"]
    assert [actor["actor_id"] for actor in found] == [actor_id]


async def test_list_page_by_page(server: ServerWorld) -> None:
    namespace = f"list-{server.key}"
    client = server.new_client(namespace)
    ids = [await client.resolve(client.get_or_create(Counter, str(n))) for n in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        params = {"namespace": namespace, "name": "counter", "limit": "2"}
        if cursor is not None:
            params["cursor"] = cursor
        page = (await server.http.get("/actors", params=params)).json()
        cursor = page["pagination"]["cursor"]
        if not page["actors"]:
            assert cursor is None
            break
        seen += [actor["actor_id"] for actor in page["actors"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == set(ids)
    whole = await server.http.get("/actors", params={"namespace": namespace, "name": "counter"})
    actors = whole.json()["actors"]
    assert [actor["actor_id"] for actor in actors] == seen
    assert [a["create_ts"] for a in actors] == sorted(
        (a["create_ts"] for a in actors), reverse=True
    )


async def test_destroyed_actors_are_not_listed(server: ServerWorld) -> None:
    namespace = f"gone-{server.key}"
    client = server.new_client(namespace)
    counter = client.get_or_create(Counter, "one")
    await counter.end()
    params = {"namespace": namespace, "name": "counter"}
    assert (await server.http.get("/actors", params=params)).json()["actors"] == []
    # A tombstone lasts only until everything of the life is cleared away (design section 4).
    params["include_destroyed"] = "true"
    actors = (await server.http.get("/actors", params=params)).json()["actors"]
    assert all(actor["destroy_ts"] >= actor["create_ts"] for actor in actors)


async def test_names(server: ServerWorld) -> None:
    first = (await server.http.get("/actors/names?namespace=default&limit=3")).json()
    names = list(first["names"])
    assert names == sorted(names)
    assert len(names) == 3
    assert first["pagination"]["cursor"] == names[-1]
    rest = await server.http.get(f"/actors/names?namespace=default&cursor={names[-1]}")
    assert "counter" in {**first["names"], **rest.json()["names"]}


async def test_sleep_and_reschedule(server: ServerWorld) -> None:
    counter = server.client.get_or_create(Counter, server.key)
    await counter.increment()
    actor_id = await server.client.resolve(counter)
    for verb in ("sleep", "reschedule"):
        answer = await server.http.post(f"/actors/{actor_id}/{verb}?namespace=default", json={})
        assert (answer.status_code, answer.json()) == (200, {})
    assert await counter.get() == 1


async def test_datacenters(server: ServerWorld) -> None:
    answer = (await server.http.get("/datacenters")).json()
    assert answer["datacenters"][0]["name"]


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/actors?namespace=default", 400, "validation.invalid_input"),
        ("GET", "/actors?namespace=default&key=x", 400, "validation.invalid_input"),
        ("GET", "/actors?namespace=default&actor_ids=a&name=b", 400, "validation.invalid_input"),
        ("GET", "/actors?name=counter", 400, "api.bad_request"),
        ("GET", "/actors?namespace=default&name=counter&nope=1", 400, "api.bad_request"),
        ("GET", "/actors?namespace=default&name=counter&limit=x", 400, "api.bad_request"),
        ("PATCH", "/actors?namespace=default", 405, "actor.method_not_allowed"),
        ("GET", "/actors/a/b/c/d/e?namespace=default", 404, "api.not_found"),
        ("GET", "/nothing/here", 404, "api.not_found"),
    ],
)
async def test_bad_requests_are_named(
    server: ServerWorld, method: str, path: str, status: int, name: str
) -> None:
    answer = await server.http.request(method, path)
    error = answer.json()
    assert (answer.status_code, f"{error['group']}.{error['code']}") == (status, name)


@pytest.mark.parametrize(
    "wanted",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        body("counter", 5),  # type: ignore[arg-type]
        body("counter", "x", crash_policy="perhaps"),
        body("counter", "x", unknown=1),
        body("counter", "x", input="!!!"),
        {"name": "counter", "key": "x"},
    ],
    ids=repr,
)
async def test_bad_bodies_are_named(server: ServerWorld, wanted: Any) -> None:
    content = wanted if isinstance(wanted, bytes) else None
    json = None if isinstance(wanted, bytes) else wanted
    answer = await server.http.put("/actors?namespace=default", content=content, json=json)
    assert answer.status_code == 400
    assert answer.json()["group"] == "api"
    assert answer.json()["code"] == "bad_request"


async def test_actors_of_no_class_cannot_be_made(server: ServerWorld) -> None:
    answer = await server.http.put(
        "/actors?namespace=default", json=body("nobodyKnowsIt", server.key)
    )
    assert answer.status_code in (400, 404)
    assert answer.json()["group"] == "actor"
