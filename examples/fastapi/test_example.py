"""FastAPI's routes and the actors' clients see the same baskets."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from examples.fastapi.app import Item, Shopper, app
from rivetless import ActorError
from rivetless.testing.rig import Rig


async def test_the_actor_alone(rig: Rig) -> None:
    shopper = rig.client.get_or_create(Shopper, "ann")
    assert (await shopper.add(Item(name="tea", count=2))).total == 700
    with pytest.raises(ActorError) as refused:
        await shopper.add(Item(name="gold"))
    assert refused.value.code == "unknown_item"
    assert (await shopper.basket()).items == {"tea": 2}


@pytest.fixture
async def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.chdir(tmp_path)  # the store is a file here
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        yield client


async def test_routes_call_actors(http: httpx.AsyncClient) -> None:
    added = await http.post("/baskets/ann/items", json={"name": "cake", "count": 2})
    assert added.status_code == 201
    assert added.json() == {"items": {"cake": 2}, "total": 840}
    assert (await http.get("/baskets/ann")).json() == {"items": {"cake": 2}, "total": 840}


async def test_routes_answer_errors(http: httpx.AsyncClient) -> None:
    refused = await http.post("/baskets/ann/items", json={"name": "gold"})
    assert refused.status_code == 422
    assert refused.json()["detail"]["code"] == "unknown_item"
    assert (await http.get("/baskets/bob")).status_code == 404


async def test_actors_are_mounted(http: httpx.AsyncClient) -> None:
    target = {
        "rvt-namespace": "default",
        "rvt-method": "getOrCreate",
        "rvt-runner": "default",
        "rvt-key": "eve",
    }
    added = await http.post(
        "/actors/gateway/shopper/action/add", params=target, json={"args": [{"name": "tea"}]}
    )
    assert added.json() == {"output": {"items": {"tea": 1}, "total": 350}}
    assert (await http.get("/baskets/eve")).json()["total"] == 350
