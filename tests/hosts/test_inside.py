"""A client for the application around the actors: its calls stay in the process."""

import pytest

from rivetless import ActorError
from tests.hosts.mounting import Counter, registry


async def test_calls_start_the_application() -> None:
    actors = registry.handler(store="memory:")
    client = actors.client()
    counter = client.get_or_create(Counter, "a")
    assert await counter.increment(2) == 2
    assert await client.resolve(counter) == await client.resolve(client.get(Counter, "a"))
    answer = await client.fetch(counter, "/here?x=1")
    assert answer.text == "GET /here?x=1 b''"
    await actors.stop()


async def test_namespaces_are_apart() -> None:
    async with registry.handler(store="memory:") as actors:
        assert await actors.client().get_or_create(Counter, "a").increment(2) == 2
        other = actors.client("other")
        assert await other.get_or_create(Counter, "a").increment() == 1


async def test_it_opens_no_connections() -> None:
    async with registry.handler(store="memory:") as actors:
        client = actors.client()
        counter = client.get_or_create(Counter, "a")
        with pytest.raises(ActorError) as refused:
            async with client.connect(counter):
                pass
        assert refused.value.name == "feature.unsupported"
        assert "Client(url)" in refused.value.message
