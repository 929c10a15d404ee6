"""A registry's ASGI app in Starlette, FastAPI, Litestar and Django, with real requests."""

from importlib import import_module
from typing import Any

import pytest

from tests.hosts.mounting import check, ended, registry, served

pytestmark = pytest.mark.filterwarnings(
    # uvicorn's own, about its own imports.
    "ignore::DeprecationWarning"
)

PREFIXES = ["/rivet", "/api/rivet", "/deep/er"]


@pytest.fixture
def actors() -> Any:
    ended.clear()
    return registry.handler(store="memory:")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_starlette(actors: Any, prefix: str) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse("own")

    app = Starlette(routes=[Route("/own", own), Mount(prefix, actors)], lifespan=actors.lifespan)
    async with served(app) as url:
        await check(url, prefix)

    # The framework's lifespan ended the actors' tenures.
    assert ended == ["a/b c"]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_fastapi(actors: Any, prefix: str) -> None:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI(lifespan=actors.lifespan)

    @app.get("/own", response_class=PlainTextResponse)
    async def own() -> str:
        return "own"

    app.mount(prefix, actors)
    async with served(app) as url:
        await check(url, prefix)

    assert ended == ["a/b c"]


async def test_fastapi_without_its_lifespan(actors: Any) -> None:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/own", response_class=PlainTextResponse)
    async def own() -> str:
        return "own"

    app.mount("/rivet", actors)
    async with served(app) as url:
        await check(url, "/rivet")
    await actors.stop()


async def test_mounted_twice_over(actors: Any) -> None:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    outer, inner = FastAPI(), FastAPI()

    @outer.get("/own", response_class=PlainTextResponse)
    async def own() -> str:
        return "own"

    inner.mount("/inner", actors)
    outer.mount("/outer", inner)
    async with served(outer) as url:
        await check(url, "/outer/inner")
    await actors.stop()


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_litestar(actors: Any, prefix: str) -> None:
    from litestar import Litestar, asgi, get
    from litestar.types import Receive, Scope, Send

    @asgi(prefix, is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await actors(scope, receive, send)

    @get("/own", media_type="text/plain")
    async def own() -> str:
        return "own"

    app = Litestar(
        [mounted, own], openapi_config=None, on_startup=[actors.start], on_shutdown=[actors.stop]
    )
    async with served(app) as url:
        await check(url, prefix)

    assert ended == ["a/b c"]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_django(actors: Any, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = django_application(actors, prefix, monkeypatch)
    async with served(app, lifespan="off") as url:
        await check(url, prefix)
    await actors.stop()


def django_application(actors: Any, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Django's ASGI application, with the actors before it, as in a project's ``asgi.py``."""
    # It has no types; imported by name, that concerns nobody else.
    django: Any = import_module("django")
    settings: Any = import_module("django.conf").settings
    http: Any = import_module("django.http")
    urls: Any = import_module("django.urls")

    async def own(request: object) -> object:
        return http.HttpResponse("own")

    class Urls:
        urlpatterns = (urls.path("own", own),)

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=Urls, SECRET_KEY="tests", DATABASES={}
        )
        django.setup()
    # A process has one Django, which another test may have configured.
    monkeypatch.setattr(settings, "ROOT_URLCONF", Urls)
    django_app = import_module("django.core.asgi").get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith(prefix + "/"):
            await actors({**scope, "root_path": prefix}, receive, send)
        else:
            await django_app(scope, receive, send)

    return application


@pytest.mark.parametrize("root_path", ["", "/proxied"])
async def test_at_the_root(actors: Any, root_path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/own"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"own"})
        else:
            await actors(scope, receive, send)

    # A proxy took the prefix off, and told the server.
    async with served(app, lifespan="on", root_path=root_path) as url:
        await check(url, "", root_path)


async def test_below_the_base_path_of_an_application_at_the_root(actors: Any) -> None:
    async with served(actors) as url:
        import httpx

        async with httpx.AsyncClient() as http:
            response = await http.get(f"{url}/api/rivet/health")
            assert response.json()["status"] == "ok"
