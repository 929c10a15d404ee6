"""The quickstart's actors answer wherever they are mounted, and so do the frameworks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from examples.quickstart.app import Counter
from rivetless import Client

APPS = {
    "starlette": "examples.hosts.starlette_app:app",
    "litestar": "examples.hosts.litestar_app:app",
    "django": "examples.hosts.django_asgi:application",
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"  # uvicorn's own, about its own imports
)


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str]:
    config = uvicorn.Config(app, port=0, ws="websockets-sansio", log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


@pytest.mark.parametrize("name", list(APPS))
async def test_mounted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the store is a file here
    module, _, attribute = APPS[name].partition(":")
    app: Any = getattr(import_module(module), attribute)
    if name == "django":  # a process has one, which another test may have configured
        settings: Any = import_module("django.conf").settings
        monkeypatch.setattr(settings, "ROOT_URLCONF", "examples.hosts.urls")
    async with served(app) as url, Client(f"{url}/rivet") as client, httpx.AsyncClient() as http:
        counter = client.get_or_create(Counter, "a")
        async with client.connect(counter) as connection:
            changes = connection.events(Counter.changed)
            assert await connection.actor.increment(2) == 2
            assert await anext(changes) == 2
        assert (await http.get(url)).text.strip('"') == "Actors are at /rivet."
