"""The management API."""

import json
from base64 import b64encode
from typing import Any

import pytest

from rivetless.errors import duplicate_key, make
from rivetless.keys import Address
from rivetless.protocol import cbor
from rivetless.runtime.commands import (
    ActorInfo,
    ById,
    ByKey,
    DestroyActor,
    GetActor,
    ListActors,
    ListLetters,
    PurgeLetters,
    ReplayLetter,
    SleepActor,
)
from rivetless.runtime.dead import Failure, Letter
from tests.unit.gateway.gateways import ACTOR_ID, OTHER_ID, World

NS = "namespace=default"
BODY = {"name": "counter", "key": "a", "runner_name_selector": "default", "crash_policy": "sleep"}
OUTSIDE = "192.0.2.1"


@pytest.fixture
def world() -> World:
    return World()


def info(key: str = "k", **more: Any) -> ActorInfo:
    return ActorInfo(ACTOR_ID, Address("default", "counter", (key,)), 1_700_000_000.25, **more)


async def put(world: World, method: str = "PUT", **fields: Any) -> Any:
    body = {name: value for name, value in {**BODY, **fields}.items() if value is not ...}
    return await world.request(method, f"/actors?{NS}", json.dumps(body).encode())


# -- creating -------------------------------------------------------------------------------------


async def test_get_or_create(world: World) -> None:
    reply = await put(
        world, key="a,b/c\\/d\\\\e", input=b64encode(bytes.fromhex("b900016178 01")).decode()
    )

    assert reply.status == 200
    answer = reply.json()
    assert answer["created"] is True
    actor = answer["actor"]
    assert list(actor) == [
        "actor_id",
        "name",
        "key",
        "namespace_id",
        "datacenter",
        "runner_name_selector",
        "crash_policy",
        "create_ts",
        "start_ts",
        "pending_allocation_ts",
        "connectable_ts",
        "sleep_ts",
        "reschedule_ts",
        "destroy_ts",
    ]
    assert actor["actor_id"] == ACTOR_ID
    assert actor["key"] == "a,b/c\\/d\\\\e"
    assert actor["create_ts"] == 1_700_000_000_000
    assert actor["destroy_ts"] is None
    (command,) = world.runtime.commands
    address = Address("default", "counter", ("a,b", "c/d\\e"))
    assert command == GetActor(ByKey(address, create=True, input={"x": 1}))


async def test_create(world: World) -> None:
    reply = await put(world, "POST", key=None)

    assert list(reply.json()) == ["actor"]
    assert world.runtime.commands[0] == GetActor(
        ByKey(Address("default", "counter", ()), create=True), exclusive=True
    )


async def test_create_what_is_there(world: World) -> None:
    world.runtime.fail(GetActor, duplicate_key("a", OTHER_ID))

    reply = await put(world, "POST")

    assert (reply.status, reply.error) == (400, "actor.duplicate_key")
    assert reply.json()["metadata"] == {"existing_actor_id": OTHER_ID, "key": "a"}


async def test_namespaces_are_simply_taken(world: World) -> None:
    await world.request("PUT", "/actors?namespace=brand-new", json.dumps(BODY).encode())

    assert world.runtime.commands[0].target.address.namespace == "brand-new"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "nobody"}, "actor.not_registered"),
        ({"name": ...}, "api.bad_request"),
        ({"name": 5}, "api.bad_request"),
        ({"key": ...}, "api.bad_request"),
        ({"key": None}, "api.bad_request"),
        ({"key": ""}, "actor.empty_key"),
        ({"key": "x" * 2000}, "actor.key_too_large"),
        ({"runner_name_selector": ...}, "api.bad_request"),
        ({"crash_policy": "explode"}, "api.bad_request"),
        ({"crash_policy": ["sleep"]}, "api.bad_request"),
        ({"nope": 1}, "api.bad_request"),
        ({"input": "!"}, "api.bad_request"),
        ({"input": 5}, "api.bad_request"),
        ({"input": "/w=="}, "actor.invalid_request"),
        ({"input": "A" * 6_000_000}, "actor.input_too_large"),
    ],
)
async def test_bodies_that_are_refused(world: World, fields: Any, error: str) -> None:
    reply = await put(world, **fields)

    assert reply.error == error
    assert reply.status == (404 if error == "actor.not_registered" else 400)
    assert world.runtime.commands == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000])
async def test_bodies_that_are_no_object(world: World, body: bytes) -> None:
    reply = await world.request("PUT", f"/actors?{NS}", body)

    assert (reply.status, reply.error) == (400, "api.bad_request")
    assert "reason" in reply.json()["metadata"]


async def test_large_inputs_are_taken(world: World) -> None:
    data = cbor.dumps("x" * 4_000_000)
    reply = await put(world, input=b64encode(data).decode())

    assert reply.status == 200


# -- finding --------------------------------------------------------------------------------------


async def test_by_key(world: World) -> None:
    world.runtime.answers[GetActor] = lambda command: info()
    reply = await world.request("GET", f"/actors?{NS}&name=counter&key=a%2Fb%5C%2Fc")

    assert [actor["actor_id"] for actor in reply.json()["actors"]] == [ACTOR_ID]
    assert reply.json()["pagination"] == {"cursor": f"1700000000250-{ACTOR_ID}"}
    assert world.runtime.commands == [GetActor(ByKey(Address("default", "counter", ("a", "b/c"))))]


async def test_by_key_of_nobody(world: World) -> None:
    world.runtime.fail(GetActor, make("actor.not_found"))
    for name in ("counter", "nobody"):
        reply = await world.request("GET", f"/actors?{NS}&name={name}&key=a")
        assert reply.json() == {"actors": [], "pagination": {"cursor": None}}


async def test_by_ids(world: World) -> None:
    world.runtime.lives[ACTOR_ID] = info(destroyed_at=1_700_000_001.0)
    reply = await world.request("GET", f"/actors?{NS}&actor_ids={ACTOR_ID},nonsense,{ACTOR_ID}")

    (actor,) = reply.json()["actors"]
    assert actor["destroy_ts"] == 1_700_000_001_000
    assert actor["connectable_ts"] is None
    reply = await world.request("GET", f"/actors?namespace=other&actor_ids={ACTOR_ID}")
    assert reply.json()["actors"] == []


async def test_listing(world: World) -> None:
    world.runtime.answers[ListActors] = lambda command: [info("a"), info("b")]
    reply = await world.request(
        "GET",
        f"/actors?{NS}&name=counter&limit=2&cursor=1700000000500&include_destroyed=true",
    )

    assert [actor["key"] for actor in reply.json()["actors"]] == ["a", "b"]
    await world.request("GET", f"/actors?{NS}&name=counter&cursor=1700000000500-{ACTOR_ID}")
    assert world.runtime.commands == [
        ListActors("default", "counter", limit=2, before=1_700_000_000.5, include_destroyed=True),
        ListActors("default", "counter", before=(1_700_000_000.5, ACTOR_ID)),
    ]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "api.bad_request"),
        ("name=counter", "api.bad_request"),
        (NS, "validation.invalid_input"),
        (f"{NS}&key=a", "validation.invalid_input"),
        (f"{NS}&name=counter&actor_ids=a", "validation.invalid_input"),
        (f"{NS}&key=a&actor_ids=a", "validation.invalid_input"),
        (f"{NS}&nope=1", "api.bad_request"),
        (f"{NS}&name=a&name=b", "api.bad_request"),
        (f"{NS}&name=%ff", "api.bad_request"),
        (f"{NS}&name=counter&limit=x", "api.bad_request"),
        (f"{NS}&name=counter&limit=-1", "api.bad_request"),
        (f"{NS}&name=counter&cursor=x", "api.bad_request"),
        (f"{NS}&name=counter&include_destroyed=maybe", "api.bad_request"),
        (f"{NS}&actor_ids={','.join(str(n) for n in range(33))}", "validation.too_many_actor_ids"),
        (f"{NS}&name=counter&key={'x' * 2000}", "actor.key_too_large"),
        (f"namespace={'x' * 65}&name=counter&key=a", "actor.invalid_request"),
    ],
)
async def test_queries_that_are_refused(world: World, query: str, error: str) -> None:
    reply = await world.request("GET", f"/actors?{query}")

    assert (reply.status, reply.error) == (400, error)


async def test_names(world: World) -> None:
    reply = await world.request("GET", f"/actors/names?{NS}")
    assert reply.json() == {
        "names": {
            "chatRoom": {"metadata": {}},
            "counter": {"metadata": {"icon": "hashtag", "name": "Counter"}},
        },
        "pagination": {"cursor": "counter"},
    }
    reply = await world.request("GET", f"/actors/names?{NS}&limit=1")
    assert reply.json()["pagination"] == {"cursor": "chatRoom"}
    reply = await world.request("GET", f"/actors/names?{NS}&cursor=chatRoom")
    assert list(reply.json()["names"]) == ["counter"]
    reply = await world.request("GET", f"/actors/names?{NS}&cursor=counter")
    assert reply.json() == {"names": {}, "pagination": {"cursor": None}}


async def test_datacenters(world: World) -> None:
    reply = await world.request("GET", "/datacenters", headers={"host": "h:1"})

    assert reply.json()["datacenters"] == [{"label": 0, "name": "local", "url": "http://h:1"}]


# -- one actor ------------------------------------------------------------------------------------


async def test_destroy_and_sleep(world: World) -> None:
    assert (await world.request("DELETE", f"/actors/{ACTOR_ID}?{NS}")).json() == {}
    assert (await world.request("POST", f"/actors/{ACTOR_ID}/sleep?{NS}", b"{}")).json() == {}
    assert (await world.request("POST", f"/actors/{ACTOR_ID}/reschedule?{NS}")).json() == {}

    target = ById("default", ACTOR_ID)
    assert world.runtime.commands == [DestroyActor(target), SleepActor(target), GetActor(target)]


async def test_kv(world: World) -> None:
    reply = await world.request("GET", f"/actors/{ACTOR_ID}/kv/keys/Aw%3D%3D?{NS}")

    assert (reply.status, reply.error) == (400, "actor.kv_key_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("PATCH", "/actors", 405, "actor.method_not_allowed"),
        ("GET", f"/actors/{ACTOR_ID}", 405, "actor.method_not_allowed"),
        ("DELETE", f"/actors/{ACTOR_ID}", 400, "api.bad_request"),
        ("DELETE", f"/actors/%ff?{NS}", 400, "api.bad_request"),
        ("GET", "/actors/a/b/c", 404, "api.not_found"),
        ("GET", "/actorsandmore", 404, "api.not_found"),
        ("GET", "/namespaces", 404, "api.not_found"),
    ],
)
async def test_what_there_is_not(
    world: World, method: str, path: str, status: int, error: str
) -> None:
    reply = await world.request(method, path)

    assert (reply.status, reply.error) == (status, error)
    assert world.runtime.commands == []


# -- administrators -------------------------------------------------------------------------------

GUARDED = [
    ("GET", f"/actors?{NS}&name=counter"),
    ("GET", f"/actors/names?{NS}"),
    ("DELETE", f"/actors/{ACTOR_ID}?{NS}"),
    ("POST", f"/actors/{ACTOR_ID}/sleep?{NS}"),
    ("GET", f"/actors/{ACTOR_ID}/kv/keys/Aw?{NS}"),
]
OPEN = [
    ("GET", f"/actors?{NS}&name=counter&key=a"),
    ("GET", f"/actors?{NS}&actor_ids={ACTOR_ID}"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (OUTSIDE, {}),
        (None, {}),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.9"}),
        ("127.0.0.1", {"forwarded": "for=192.0.2.9"}),
        ("127.0.0.1", {"origin": "https://evil.example"}),
        ("127.0.0.1", {"origin": "null"}),
        ("127.0.0.1", {"origin": "http://[bad"}),
    ],
)
async def test_without_a_token_this_machine_only(
    world: World, method: str, path: str, client: str | None, headers: dict[str, str]
) -> None:
    reply = await world.request(method, path, client=client, headers=headers)

    assert (reply.status, reply.error) == (401, "api.unauthorized")
    assert world.runtime.commands == []


async def test_pages_of_this_machine_may(world: World) -> None:
    headers = {"origin": "http://localhost:5173"}
    reply = await world.request("GET", GUARDED[1][1], headers=headers)

    assert reply.status == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_with_a_token_whoever_has_it(method: str, path: str) -> None:
    world = World(admin_token="letmein")
    world.runtime.answers[ListActors] = lambda command: []

    for headers in ({}, {"authorization": "Bearer nope"}, {"authorization": "Basic letmein"}):
        reply = await world.request(method, path, headers=headers)
        assert reply.error == "api.unauthorized"
    reply = await world.request(
        method, path, client=OUTSIDE, headers={"authorization": "bearer letmein"}
    )
    assert reply.status == (400 if "/kv/" in path else 200)


@pytest.mark.parametrize(("method", "path"), OPEN)
async def test_finding_ones_own_is_open(world: World, method: str, path: str) -> None:
    reply = await world.request(method, path, client=OUTSIDE)

    assert reply.status == 200


# -- dead letters ---------------------------------------------------------------------------------


async def test_dead_letters(world: World) -> None:
    failure = Failure("user", "broken", "still broken")
    letter = Letter("schedule", "an id", 12.345, 8, failure, {"action": "note", "args": [b"x"]})
    world.runtime.answers[ListLetters] = lambda _: [letter]
    world.runtime.answers[ReplayLetter] = lambda _: 1
    world.runtime.answers[PurgeLetters] = lambda _: 2

    listed = await world.request("GET", f"/actors/{ACTOR_ID}/dead-letters?{NS}&limit=5&kind=x")
    replayed = await world.request("POST", f"/actors/{ACTOR_ID}/dead-letters/a%2Fb/replay?{NS}")
    purged = await world.request("DELETE", f"/actors/{ACTOR_ID}/dead-letters?{NS}")
    await world.request("DELETE", f"/actors/{ACTOR_ID}/dead-letters/a?{NS}")

    assert listed.json() == {
        "letters": [
            {
                "letter_id": "000000003039.an id",
                "kind": "schedule",
                "source_id": "an id",
                "dead_ts": 12345,
                "attempts": 8,
                "error": {"group": "user", "code": "broken", "message": "still broken"},
                "body": {"action": "note", "args": [["$Uint8Array", "eA=="]]},
            }
        ]
    }
    assert replayed.json() == {"replayed": 1}
    assert purged.json() == {"purged": 2}
    target = ById("default", ACTOR_ID)
    assert world.runtime.commands == [
        ListLetters(target, 5, "x"),
        ReplayLetter(target, "a/b"),
        PurgeLetters(target),
        PurgeLetters(target, "a"),
    ]
