"""Actors mounted in a Litestar application."""

# --8<-- [start:mount]
from typing import Any

from litestar import Litestar, asgi, get
from litestar.types import Receive, Scope, Send

from examples.quickstart.app import registry

actors: Any = registry.handler()  # Litestar has ASGI types of its own


@asgi("/rivet", is_mount=True, copy_scope=True)
async def rivet(scope: Scope, receive: Receive, send: Send) -> None:
    await actors(scope, receive, send)


@get("/", sync_to_thread=False)
def index() -> str:
    return "Actors are at /rivet."


app = Litestar([rivet, index], on_startup=[actors.start], on_shutdown=[actors.stop])
# --8<-- [end:mount]
