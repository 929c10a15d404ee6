"""Actors beside the routes of a FastAPI application: ``uvicorn main:app``.

Copy this file, and import your own registry and routes. Clients use ``https://host/rivet``.
"""

from fastapi import FastAPI

from rivetless import Actor, action, setup


class Greeter(Actor):
    """Replace this by actors of your own."""

    @action
    async def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"Hello, {name}!"


registry = setup(use=[Greeter])

actors = registry.handler(store="sqlite:.rivetless/actors.db")

# Frameworks pass no lifespan on to what is mounted in them. With it, connections end and
# ``on_sleep`` hooks run when the server stops.
app = FastAPI(lifespan=actors.lifespan)
app.mount("/rivet", actors)


@app.get("/")
async def index() -> dict[str, str]:
    """Answer as before."""
    return {"actors": "/rivet"}
