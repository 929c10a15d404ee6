"""Actors mounted in a Starlette application."""

# --8<-- [start:mount]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from examples.quickstart.app import registry

actors = registry.handler()


async def index(request: Request) -> PlainTextResponse:
    return PlainTextResponse("Actors are at /rivet.")


app = Starlette(
    routes=[Route("/", index), Mount("/rivet", actors)],
    lifespan=actors.lifespan,
)
# --8<-- [end:mount]
