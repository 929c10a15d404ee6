"""Metadata: what actors say of themselves to dashboards, documents and their own code."""

from tests.behaviour.actors.counting import Counter
from tests.behaviour.world import ServerWorld


async def test_openapi_describes_every_action(server: ServerWorld) -> None:
    answer = await server.http.get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    assert document["openapi"].startswith("3.")
    text = answer.text
    for words in ("Add ``amount`` and tell everybody", "counter", "increment", "special-name"):
        assert words in text


async def test_asyncapi_describes_every_event(server: ServerWorld) -> None:
    answer = await server.http.get("/asyncapi.json")
    assert answer.status_code == 200
    assert answer.json()["asyncapi"].startswith("3.")
    for words in ("special-event", "changed"):
        assert words in answer.text


async def test_a_servers_metadata_need_no_look_up_elsewhere(server: ServerWorld) -> None:
    metadata = (await server.http.get("/metadata?namespace=default")).json()
    assert metadata["envoy"]["kind"] == {"serverless": {}}
    assert "clientEndpoint" not in metadata or isinstance(metadata["clientEndpoint"], str)
    assert await server.client.get_or_create(Counter, server.key).increment() == 1
